/* SPDX-License-Identifier: Apache-2.0 */
/* Batch normalisation (Ioffe, Szegedy 2015) as it is in training: every feature by its own mean and spread over the
 * rows of the batch. A layer norm's parameters serve: gain, bias, epsilon; its kind is not read. A batch of one row has
 * no spread: what is returned is the bias, whatever x. */
#ifndef STUDIES_BATCH_NORM_H
#define STUDIES_BATCH_NORM_H

#include "layer/norm.h"

#define batch_norm_forward  LAYER_NAME(batch_norm_forward)
#define batch_norm_backward LAYER_NAME(batch_norm_backward)

/* y [rows][features] = gain * (x - mean) / sqrt(sum over rows of (x - mean)^2 / rows + epsilon) + bias; y may be x. */
void batch_norm_forward(const struct layer_norm *norm, int64_t rows, const layer_real *x, layer_real *y);

/* Given x and dy: dx (may be dy), and what is added to the gradient's gain and bias. With g = dy * gain, xhat =
 * normalised x, means over rows: dx = (g - mean(g) - xhat mean(g xhat)) / sqrt(variance + epsilon). */
void batch_norm_backward(const struct layer_norm *norm, int64_t rows, const layer_real *x, const layer_real *dy,
                         layer_real *dx, const struct layer_norm *gradient);

#endif
