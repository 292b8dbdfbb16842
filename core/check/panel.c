/* SPDX-License-Identifier: Apache-2.0 */
#include "check/panel.h"

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

void panel_scores(const double *query, const double *panel, int64_t head_dim, double *dots, double *magnitudes) {
    lanes dot[PANEL_KEYS / LANES] = {{0}}, sum[PANEL_KEYS / LANES] = {{0}};
    for (int64_t c = 0; c < head_dim; ++c)
        for (int n = 0; n < PANEL_KEYS / LANES; ++n) {
            const lanes product = query[c] * load(panel + c * PANEL_KEYS + n * LANES);
            dot[n] += product;
            sum[n] += magnitude(product);
        }
    for (int n = 0; n < PANEL_KEYS / LANES; ++n) {
        store(dots + n * LANES, dot[n]);
        store(magnitudes + n * LANES, sum[n]);
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
