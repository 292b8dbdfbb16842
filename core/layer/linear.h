/* SPDX-License-Identifier: Apache-2.0 */
/* Affine maps of feature vectors: y = x W^T + b, and the sum of two tensors. */
#ifndef LAYER_LINEAR_H
#define LAYER_LINEAR_H

#include "layer/real.h"

#define layer_linear_forward  LAYER_NAME(layer_linear_forward)
#define layer_linear_backward LAYER_NAME(layer_linear_backward)
#define layer_add             LAYER_NAME(layer_add)

/* Weights, or a gradient of them: a gradient has the same shape, and what is added to its arrays accumulates. */
struct layer_linear {
    int64_t in_features, out_features;
    layer_real *weight; /* [out_features][in_features], as PyTorch stores it */
    layer_real *bias;   /* [out_features]; NULL: none */
};

/* y [rows][out_features] = x [rows][in_features] W^T + b. y overlaps nothing. */
void layer_linear_forward(const struct layer_linear *linear, const struct layer_compute *compute, int64_t rows,
                          const layer_real *x, layer_real *y);

/* Given dy = dL/dy [rows][out_features] and the x of the forward pass:
 *   dx = dy W (added to dx when `accumulate`; dx NULL: not wanted),  dW += dy^T x,  db += sum over rows of dy.
 * gradient NULL: weights are not trained. */
void layer_linear_backward(const struct layer_linear *linear, const struct layer_compute *compute, int64_t rows,
                           const layer_real *x, const layer_real *dy, layer_real *dx, bool accumulate,
                           const struct layer_linear *gradient);

/* sum[n] = a[n] + b[n] for n < count: a residual connection; sum may be a or b. */
void layer_add(const struct layer_compute *compute, int64_t count, const layer_real *a, const layer_real *b,
               layer_real *sum);

#endif
