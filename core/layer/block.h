/* SPDX-License-Identifier: Apache-2.0 */
/* The encoder block: self-attention and feed-forward network, each with a residual connection and a layer norm.
 *   post-norm (Vaswani et al. 2017; BERT):    a = norm1(x + attention(x));   y = norm2(a + network(a))
 *   pre-norm (Xiong et al. 2020; GPT-2):      a = x + attention(norm1(x));   y = a + network(norm2(a)) */
#ifndef LAYER_BLOCK_H
#define LAYER_BLOCK_H

#include "layer/feed_forward.h"
#include "layer/norm.h"
#include "layer/self_attention.h"

#define layer_block_parameter_count LAYER_NAME(layer_block_parameter_count)
#define layer_block_place           LAYER_NAME(layer_block_place)
#define layer_block_saved_count     LAYER_NAME(layer_block_saved_count)
#define layer_block_scratch_count   LAYER_NAME(layer_block_scratch_count)
#define layer_block_forward         LAYER_NAME(layer_block_forward)
#define layer_block_backward        LAYER_NAME(layer_block_backward)

enum layer_norm_place { LAYER_POST_NORM, LAYER_PRE_NORM };

/* Weights, or a gradient of them (whose sizes are the block's, and to which is added). */
struct layer_block {
    enum layer_norm_place norm_place;
    struct layer_self_attention attention;
    struct layer_norm attention_norm; /* norm1 */
    struct layer_feed_forward network;
    struct layer_norm network_norm; /* norm2 */
};

/* Fills the sizes of every part: model_dim, heads x head_dim within, hidden features of the network. Norms are of
 * biased variance with epsilon 1e-5, the scale is 1/sqrt(head_dim), no rotary positions; set fields to differ. When
 * `parameters` is given, it points every array into it, in the order of the fields (layer_block_parameter_count reals):
 * query, key, value, output, norm1, widen, narrow, norm2, weight (gain) before bias. */
void layer_block_place(struct layer_block *block, enum layer_norm_place norm_place, int64_t model_dim, int64_t heads,
                       int64_t head_dim, int64_t hidden, layer_real *parameters);
int64_t layer_block_parameter_count(const struct layer_block *block);

/* Reals that the forward pass writes for the backward pass (first q, k, v and context, [tokens][heads][head_dim] each),
 * and that the backward pass needs besides. */
int64_t layer_block_saved_count(const struct layer_block *block, int64_t tokens);
int64_t layer_block_scratch_count(const struct layer_block *block, int64_t tokens);

/* y [tokens][model_dim] from x of that shape; y may be x when no backward pass follows. Errors as self-attention's. */
enum attn_status layer_block_forward(const struct layer_block *block, const struct layer_attention *attention,
                                     const struct layer_compute *compute, const struct layer_sequences *sequences,
                                     const layer_real *x, layer_real *saved, layer_real *y, struct attn_error *error);

/* Given the forward pass's x and saved, and dy: dx (may be dy), and what is added to the gradient (NULL: not wanted).
 */
enum attn_status layer_block_backward(const struct layer_block *block, const struct layer_attention *attention,
                                      const struct layer_compute *compute, const struct layer_sequences *sequences,
                                      const layer_real *x, const layer_real *saved, const layer_real *dy,
                                      layer_real *scratch, layer_real *dx, const struct layer_block *gradient,
                                      struct attn_error *error);

#endif
