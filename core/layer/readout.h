/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer's output is judged by, and how its weights follow: losses over the logits of a linear read-out, and
 * stochastic gradient descent. */
#ifndef LAYER_READOUT_H
#define LAYER_READOUT_H

#include "contract/status.h"
#include "layer/real.h"

#define layer_logistic_loss LAYER_NAME(layer_logistic_loss)
#define layer_softmax_loss  LAYER_NAME(layer_softmax_loss)
#define layer_sgd_step      LAYER_NAME(layer_sgd_step)

/* Mean over rows of -ln p(label), in nats; p(1) = 1 / (1 + exp(-logit)), labels 0 or 1. Writes dlogits = dloss/dlogits
 * [rows] when given. No logit overflows. ATTN_INVALID: a label that is neither. */
enum attn_status layer_logistic_loss(int64_t rows, const layer_real *logits, const int64_t *labels, double *loss,
                                     layer_real *dlogits, struct attn_error *error);

/* Likewise over logits [rows][classes], p = softmax of a row, labels 0..classes-1: cross-entropy. dlogits may be
 * logits. */
enum attn_status layer_softmax_loss(int64_t rows, int64_t classes, const layer_real *logits, const int64_t *labels,
                                    double *loss, layer_real *dlogits, struct attn_error *error);

/* parameters[n] -= rate * gradient[n]; gradient[n] = 0, ready for the next step. */
void layer_sgd_step(int64_t count, double rate, layer_real *parameters, layer_real *gradient);

#endif
