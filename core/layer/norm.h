/* SPDX-License-Identifier: Apache-2.0 */
/* Layer normalisation: every feature vector by its own mean and spread, whatever else is in the batch. */
#ifndef LAYER_NORM_H
#define LAYER_NORM_H

#include "layer/real.h"

#define layer_norm_forward  LAYER_NAME(layer_norm_forward)
#define layer_norm_backward LAYER_NAME(layer_norm_backward)

/* Two definitions are in use, with different numbers. n features, mean m. */
enum layer_norm_kind {
    /* (x - m) / sqrt(sum (x - m)^2 / n + epsilon): Ba, Kiros, Hinton (2016), PyTorch; BERT with epsilon 1e-12. */
    LAYER_NORM_BIASED_VARIANCE,
    /* (x - m) / (sqrt(sum (x - m)^2 / (n - 1)) + epsilon): The Annotated Transformer, epsilon 1e-6. Needs n >= 2. */
    LAYER_NORM_UNBIASED_DEVIATION,
};

/* Parameters, or a gradient of them, to which is added (kind and epsilon are then not read). */
struct layer_norm {
    enum layer_norm_kind kind;
    int64_t features;
    double epsilon;
    layer_real *gain; /* [features] */
    layer_real *bias; /* [features] */
};

/* y [rows][features] = gain * normalised x + bias; y may be x. A constant row with epsilon 0 is 0/0: NaN. */
void layer_norm_forward(const struct layer_norm *norm, const struct layer_compute *compute, int64_t rows,
                        const layer_real *x, layer_real *y);

/* Given x of the forward pass and dy: dx (may be dy), and sums over rows added to the gradient's gain and bias
 * (gradient NULL: not wanted). Biased variance, with g = dy * gain, xhat = normalised x, r = 1/sqrt(variance +
 * epsilon): dx = r (g - mean(g) - xhat mean(g xhat)). dx sums to 0 over the features in both definitions, as neither
 * sees a shift of x. */
void layer_norm_backward(const struct layer_norm *norm, const struct layer_compute *compute, int64_t rows,
                         const layer_real *x, const layer_real *dy, layer_real *dx, const struct layer_norm *gradient);

#endif
