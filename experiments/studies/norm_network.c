/* SPDX-License-Identifier: Apache-2.0 */
#include "norm_network.h"

#include <math.h>
#include <string.h>

#include "batch_norm.h"
#include "layer/plain_gemm.h"
#include "study/sample.h"

static layer_real *place_linear(struct layer_linear *linear, int64_t in, int64_t out, layer_real *at) {
    *linear = (struct layer_linear){in, out, at, at + in * out};
    return at + in * out + out;
}

static void place(const struct network_sizes *sizes, struct network_parts *parts, layer_real *at) {
    for (int l = 0; l < NETWORK_BLOCKS; ++l) {
        at = place_linear(&parts->bodies[l].widen, sizes->features, sizes->hidden, at);
        at = place_linear(&parts->bodies[l].narrow, sizes->hidden, sizes->features, at);
    }
    for (int l = 0; l <= NETWORK_BLOCKS; ++l) {
        parts->norms[l] =
            (struct layer_norm){LAYER_NORM_BIASED_VARIANCE, sizes->features, 1e-5, at, at + sizes->features};
        at += 2 * sizes->features;
    }
    place_linear(&parts->readout, sizes->features, sizes->classes, at);
}

enum attn_status norm_network_create(struct study_run *run, const struct network_sizes *sizes,
                                     struct norm_network *network, struct attn_error *error) {
    const int64_t features = sizes->features, hidden = sizes->hidden, states = sizes->rows * features;
    const int64_t count = NETWORK_BLOCKS * (2 * features * hidden + hidden + features) +
                          (NETWORK_BLOCKS + 1) * 2 * features + (features + 1) * sizes->classes;
    *network = (struct norm_network){
        .sizes = *sizes,
        .compute = {.gemm = layer_plain_gemm, .threads = 1},
        .parameters = STUDY_ARRAY(run, count, layer_real, error),
        .gradient = STUDY_ARRAY(run, count, layer_real, error),
        .parameter_count = count,
        .states = STUDY_ARRAY(run, (NETWORK_BLOCKS + 1) * states, layer_real, error),
        .inner = STUDY_ARRAY(run, (NETWORK_BLOCKS + 1) * states, layer_real, error),
        .wide = STUDY_ARRAY(run, NETWORK_BLOCKS * sizes->rows * hidden, layer_real, error),
        .active = STUDY_ARRAY(run, NETWORK_BLOCKS * sizes->rows * hidden, layer_real, error),
        .logits = STUDY_ARRAY(run, sizes->rows * sizes->classes, layer_real, error),
        .dz = STUDY_ARRAY(run, states, layer_real, error),
        .inside = STUDY_ARRAY(run, states, layer_real, error),
        .dwide = STUDY_ARRAY(run, sizes->rows * hidden, layer_real, error),
    };
    if (!network->parameters || !network->gradient || !network->states || !network->inner || !network->wide ||
        !network->active || !network->logits || !network->dz || !network->inside || !network->dwide)
        return ATTN_NO_MEMORY;
    place(sizes, &network->parts, network->parameters);
    place(sizes, &network->slopes, network->gradient);
    return ATTN_OK;
}

static void start(const struct layer_linear *linear, uint64_t seed, uint64_t stream, double *drawn) {
    const int64_t count = linear->in_features * linear->out_features;
    study_normals(seed, stream, count, sqrt(2 / (double)linear->in_features), drawn);
    for (int64_t n = 0; n < count; ++n)
        linear->weight[n] = (layer_real)drawn[n];
}

void norm_network_begin(struct norm_network *network, enum network_norm norm, enum layer_norm_place norm_place,
                        uint64_t seed, uint64_t stream, double *drawn) {
    const struct network_parts *const parts = &network->parts;
    network->norm = norm;
    network->place = norm_place;
    memset(network->parameters, 0, (size_t)network->parameter_count * sizeof *network->parameters);
    memset(network->gradient, 0, (size_t)network->parameter_count * sizeof *network->gradient);
    for (uint64_t l = 0; l < NETWORK_BLOCKS; ++l) {
        start(&parts->bodies[l].widen, seed, stream + 2 * l, drawn);
        start(&parts->bodies[l].narrow, seed, stream + 2 * l + 1, drawn);
    }
    start(&parts->readout, seed, stream + 2 * NETWORK_BLOCKS, drawn);
    for (int l = 0; l <= NETWORK_BLOCKS; ++l)
        for (int64_t c = 0; c < network->sizes.features; ++c)
            parts->norms[l].gain[c] = 1;
}

static void normalise(const struct norm_network *network, int l, int64_t rows, const layer_real *x, layer_real *y) {
    const struct layer_norm *const norm = &network->parts.norms[l];
    if (network->norm == NETWORK_LAYER_NORM)
        layer_norm_forward(norm, &network->compute, rows, x, y);
    else if (network->norm == NETWORK_BATCH_NORM)
        batch_norm_forward(norm, rows, x, y);
    else
        memcpy(y, x, (size_t)(rows * network->sizes.features) * sizeof *y);
}

/* dx may be dy. */
static void normalise_back(struct norm_network *network, int l, int64_t rows, const layer_real *x, const layer_real *dy,
                           layer_real *dx) {
    const struct layer_norm *const norm = &network->parts.norms[l], *const slopes = &network->slopes.norms[l];
    if (network->norm == NETWORK_LAYER_NORM)
        layer_norm_backward(norm, &network->compute, rows, x, dy, dx, slopes);
    else if (network->norm == NETWORK_BATCH_NORM)
        batch_norm_backward(norm, rows, x, dy, dx, slopes);
    else
        memmove(dx, dy, (size_t)(rows * network->sizes.features) * sizeof *dx);
}

void norm_network_forward(struct norm_network *network, int64_t rows, const layer_real *x) {
    const int64_t count = rows * network->sizes.features, hidden = rows * network->sizes.hidden;
    memcpy(network->states, x, (size_t)count * sizeof *x);
    for (int l = 0; l < NETWORK_BLOCKS; ++l) {
        const struct layer_feed_forward *const body = &network->parts.bodies[l];
        layer_real *const z = network->states + l * count, *const next = z + count;
        layer_real *const inner = network->inner + l * count;
        layer_real *const wide = network->wide + l * hidden, *const active = network->active + l * hidden;
        if (network->place == LAYER_PRE_NORM) {
            normalise(network, l, rows, z, inner);
            layer_feed_forward_forward(body, &network->compute, rows, inner, wide, active, next);
            layer_add(&network->compute, count, z, next, next);
        } else {
            layer_feed_forward_forward(body, &network->compute, rows, z, wide, active, inner);
            layer_add(&network->compute, count, z, inner, inner);
            normalise(network, l, rows, inner, next);
        }
    }
    const layer_real *seen = network->states + NETWORK_BLOCKS * count;
    if (network->place == LAYER_PRE_NORM) {
        normalise(network, NETWORK_BLOCKS, rows, seen, network->inner + NETWORK_BLOCKS * count);
        seen = network->inner + NETWORK_BLOCKS * count;
    }
    layer_linear_forward(&network->parts.readout, &network->compute, rows, seen, network->logits);
}

/* Through f of block l: from dz to network->inside. */
static void body_back(struct norm_network *network, int l, int64_t rows, const layer_real *x) {
    const int64_t hidden = rows * network->sizes.hidden;
    layer_feed_forward_backward(&network->parts.bodies[l], &network->compute, rows, x, network->wide + l * hidden,
                                network->active + l * hidden, network->dz, network->dwide, network->inside,
                                &network->slopes.bodies[l]);
}

void norm_network_backward(struct norm_network *network, int64_t rows, const layer_real *dlogits) {
    const int64_t count = rows * network->sizes.features;
    const bool pre = network->place == LAYER_PRE_NORM;
    const layer_real *const last = network->states + NETWORK_BLOCKS * count;
    layer_real *const dz = network->dz;
    layer_linear_backward(&network->parts.readout, &network->compute, rows,
                          pre ? network->inner + NETWORK_BLOCKS * count : last, dlogits, dz, false,
                          &network->slopes.readout);
    if (pre)
        normalise_back(network, NETWORK_BLOCKS, rows, last, dz, dz);
    for (int l = NETWORK_BLOCKS - 1; l >= 0; --l) {
        const layer_real *const z = network->states + l * count, *const inner = network->inner + l * count;
        if (pre) {
            body_back(network, l, rows, inner);
            normalise_back(network, l, rows, z, network->inside, network->inside);
        } else {
            normalise_back(network, l, rows, inner, dz, dz);
            body_back(network, l, rows, z);
        }
        layer_add(&network->compute, count, dz, network->inside, dz);
    }
}
