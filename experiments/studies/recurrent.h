/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources compare self-attention with: networks that read a sequence word by word.
 *   RNN (Elman 1990):   h_t = tanh(W x_t + U h_(t-1) + b)
 *   LSTM (Hochreiter, Schmidhuber 1997, with the forget gate of Gers et al. 2000), s the logistic function:
 *     i, f, o = s(W x_t + U h_(t-1) + b), g = tanh(...) likewise;  c_t = f c_(t-1) + i g;  h_t = o tanh(c_t) */
#ifndef STUDIES_RECURRENT_H
#define STUDIES_RECURRENT_H

#include "layer/linear.h"
#include "study/study.h"

#define recurrent_create  LAYER_NAME(recurrent_create)
#define recurrent_forward LAYER_NAME(recurrent_forward)

enum recurrent_kind { RECURRENT_RNN, RECURRENT_LSTM };

struct recurrent {
    enum recurrent_kind kind;
    int64_t features;          /* of a word and of the state */
    struct layer_linear input; /* W and b: features -> gates x features; gates 1, or i, f, g, o */
    struct layer_linear state; /* U, without a bias */
    layer_real *gates;         /* scratch: [positions][gates x features] and [gates x features], cells [features] */
};

#define RECURRENT_GAIN 0.9 /* of the RNN's U, an orthogonal matrix times this: a step shrinks every gradient */

/* W is N(0, 1 / features); the LSTM's U too, with the forget gate's bias at 1 (Jozefowicz et al. 2015). Uses streams
 * stream, stream + 1. ATTN_NO_MEMORY. */
enum attn_status recurrent_create(struct study_run *run, enum recurrent_kind kind, uint64_t stream, int64_t positions,
                                  int64_t features, struct recurrent *net, struct attn_error *error);

/* h [positions][features] of one sequence x of that shape, from h = c = 0. All W x_t are one product; then every step
 * waits for the one before. */
void recurrent_forward(const struct recurrent *net, const struct layer_compute *compute, int64_t positions,
                       const layer_real *x, layer_real *h);

#endif
