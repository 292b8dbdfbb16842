/* SPDX-License-Identifier: Apache-2.0 */
#include "check/panel.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Two lanes: what every CPU of the families we build for has. */
typedef double lanes __attribute__((vector_size(16)));
typedef int64_t bits __attribute__((vector_size(16)));

enum { LANES = 2 };

static inline lanes load(const double *from) {
    lanes value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void store(double *to, lanes value) {
    memcpy(to, &value, sizeof value);
}

static inline lanes magnitude(lanes value) {
    return (lanes)((bits)value & INT64_MAX);
}

void panel_scores(const double *query, const double *panel, int64_t head_dim, double *dots, double *growths) {
    enum { VECTORS = PANEL_KEYS / LANES, STEP = 4 };
    lanes dot[VECTORS] = {{0}}, size[VECTORS] = {{0}}, partial[VECTORS] = {{0}};
    for (int64_t first = 0; first < head_dim; first += STEP) {
        const int64_t last = first + STEP < head_dim ? first + STEP : head_dim;
        for (int64_t c = first; c < last; ++c)
            for (int n = 0; n < VECTORS; ++n) {
                const lanes product = query[c] * load(panel + c * PANEL_KEYS + n * LANES);
                dot[n] += product;
                size[n] += magnitude(product);
            }
        for (int n = 0; n < VECTORS; ++n)
            partial[n] += (double)(last - first) * magnitude(dot[n]);
    }
    const double walk = 2.0 * sqrt((double)head_dim);
    for (int n = 0; n < VECTORS; ++n) {
        store(dots + n * LANES, dot[n]);
        for (int l = 0; l < LANES; ++l)
            growths[n * LANES + l] = fmax(walk * size[n][l], size[n][l] + partial[n][l]);
    }
}

/* PANEL_FEATURES of the answer, their sums in registers. */
static inline void add_features(const struct panel_weights *weights, int64_t first, double *rest_at, double *bound_at,
                                double *sums_at) {
    enum { VECTORS = PANEL_FEATURES / LANES };
    lanes rest[VECTORS], bound[VECTORS], sums[VECTORS] = {{0}};
    for (int l = 0; l < VECTORS; ++l) {
        rest[l] = load(rest_at + first + l * LANES);
        bound[l] = load(bound_at + first + l * LANES);
        if (sums_at)
            sums[l] = load(sums_at + first + l * LANES);
    }
    for (int64_t n = 0; n < weights->count; ++n)
        for (int l = 0; l < VECTORS; ++l) {
            const lanes value = load(weights->keys[n] + first + l * LANES), size = magnitude(value);
            rest[l] += weights->rest_weights[n] * value;
            bound[l] += weights->factors[n] * size;
            if (sums_at)
                sums[l] += weights->weights[n] * size;
        }
    for (int l = 0; l < VECTORS; ++l) {
        store(rest_at + first + l * LANES, rest[l]);
        store(bound_at + first + l * LANES, bound[l]);
        if (sums_at)
            store(sums_at + first + l * LANES, sums[l]);
    }
}

void panel_add_values(const struct panel_weights *weights, int64_t features, double *rest, double *bound,
                      double *sums) {
    if (sums)
        for (int64_t c = 0; c < features; c += PANEL_FEATURES)
            add_features(weights, c, rest, bound, sums);
    else
        for (int64_t c = 0; c < features; c += PANEL_FEATURES)
            add_features(weights, c, rest, bound, NULL);
}
