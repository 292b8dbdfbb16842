/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/gelu.h"

#include <tgmath.h>

#define INVERSE_ROOT_2      ((layer_real)0.70710678118654752440)
#define INVERSE_ROOT_TWO_PI ((layer_real)0.39894228040143267794)

/* The normal distribution function; erfc keeps its relative accuracy far to the left, where 1 + erf has none. */
static layer_real distribution(layer_real x) {
    return (layer_real)0.5 * erfc(-x * INVERSE_ROOT_2);
}

void layer_gelu_forward(const struct layer_compute *compute, int64_t count, const layer_real *x, layer_real *y) {
#pragma omp parallel for num_threads(compute->threads)
    for (int64_t n = 0; n < count; ++n)
        y[n] = x[n] * distribution(x[n]);
}

void layer_gelu_backward(const struct layer_compute *compute, int64_t count, const layer_real *x, const layer_real *dy,
                         layer_real *dx) {
#pragma omp parallel for num_threads(compute->threads)
    for (int64_t n = 0; n < count; ++n) {
        const layer_real density = INVERSE_ROOT_TWO_PI * exp((layer_real)-0.5 * x[n] * x[n]);
        dx[n] = dy[n] * (distribution(x[n]) + x[n] * density);
    }
}
