/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors, and what tells a layer the order of words: sinusoidal, learned or rotary positions. Without any
 * of them (and without a causal mask) attention sees a set, not a sequence. */
#ifndef LAYER_EMBEDDING_H
#define LAYER_EMBEDDING_H

#include "contract/status.h"
#include "layer/real.h"
#include "layer/sequences.h"

#define layer_embedding_forward    LAYER_NAME(layer_embedding_forward)
#define layer_embedding_backward   LAYER_NAME(layer_embedding_backward)
#define layer_positions_sinusoidal LAYER_NAME(layer_positions_sinusoidal)
#define layer_positions_forward    LAYER_NAME(layer_positions_forward)
#define layer_positions_backward   LAYER_NAME(layer_positions_backward)
#define layer_rotary               LAYER_NAME(layer_rotary)

/* A vector per word, or per position; or a gradient, to which is added. */
struct layer_embedding {
    int64_t entries, features;
    layer_real *table; /* [entries][features] */
};

/* x [count][features]: row n is the vector of ids[n]. ATTN_INVALID names an id outside 0..entries-1; nothing is then
 * written. */
enum attn_status layer_embedding_forward(const struct layer_embedding *embedding, int64_t count, const int64_t *ids,
                                         layer_real *x, struct attn_error *error);
/* Adds row n of dx to the gradient's row ids[n], n ascending; ids have been accepted by the forward pass. */
void layer_embedding_backward(int64_t count, const int64_t *ids, const layer_real *dx,
                              const struct layer_embedding *gradient);

/* Fills the table (Vaswani et al. 2017, 3.5), features even, base 10000 there:
 *   PE(p, 2i) = sin(p w_i),  PE(p, 2i + 1) = cos(p w_i),  w_i = base^(-2i / features).
 * PE(p) . PE(p + k) = sum over i of cos(k w_i), whatever p. */
void layer_positions_sinusoidal(const struct layer_embedding *positions, double base);

/* Adds to every row of x [tokens][features] the table's row of its place; the table may be sinusoidal or learned.
 * ATTN_INVALID when a sequence is longer than the table; x is then unchanged. */
enum attn_status layer_positions_forward(const struct layer_embedding *positions,
                                         const struct layer_sequences *sequences, layer_real *x,
                                         struct attn_error *error);
/* The gradient of a learned table: adds dx's rows. */
void layer_positions_backward(const struct layer_sequences *sequences, const layer_real *dx,
                              const struct layer_embedding *gradient);

enum layer_turn { LAYER_TURN_FORWARD = 1, LAYER_TURN_BACKWARD = -1 };

/* Rotary positions (Su et al. 2021, 3.4.2): in every head of x [tokens][heads][head_dim], head_dim even, turns the
 * plane of features (2i, 2i + 1) by place x base^(-2i / head_dim) radians, so that the dot product of a turned query
 * and a turned key depends on the difference of their places alone. In place. A turn is orthogonal: the gradient's is
 * the turn back. */
void layer_rotary(const struct layer_sequences *sequences, double base, int64_t heads, int64_t head_dim,
                  enum layer_turn turn, layer_real *x);

#endif
