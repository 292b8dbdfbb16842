/* SPDX-License-Identifier: Apache-2.0 */
/* The Gaussian error linear unit (Hendrycks, Gimpel 2016), exact: gelu(x) = x Phi(x) = x (1 + erf(x / sqrt 2)) / 2. */
#ifndef LAYER_GELU_H
#define LAYER_GELU_H

#include "layer/real.h"

#define layer_gelu_forward  LAYER_NAME(layer_gelu_forward)
#define layer_gelu_backward LAYER_NAME(layer_gelu_backward)

/* y[n] = gelu(x[n]); y may be x. */
void layer_gelu_forward(const struct layer_compute *compute, int64_t count, const layer_real *x, layer_real *y);

/* dx[n] = dy[n] (Phi(x) + x phi(x)), phi the normal density; dx may be dy. */
void layer_gelu_backward(const struct layer_compute *compute, int64_t count, const layer_real *x, const layer_real *dy,
                         layer_real *dx);

#endif
