/* SPDX-License-Identifier: Apache-2.0 */
/* Multi-head self-attention (Vaswani et al. 2017, 3.2.2), and the same without any weights. */
#ifndef LAYER_SELF_ATTENTION_H
#define LAYER_SELF_ATTENTION_H

#include "layer/attention.h"
#include "layer/linear.h"
#include "layer/sequences.h"

#define layer_heads_view              LAYER_NAME(layer_heads_view)
#define layer_self_attention_forward  LAYER_NAME(layer_self_attention_forward)
#define layer_self_attention_backward LAYER_NAME(layer_self_attention_backward)
#define layer_weightless_forward      LAYER_NAME(layer_weightless_forward)
#define layer_weightless_backward     LAYER_NAME(layer_weightless_backward)

/* y = concat over heads of softmax(scale q_h k_h^T) v_h, times W_o^T, plus b_o; q, k, v are affine maps of x. */
struct layer_self_attention {
    int64_t heads, head_dim; /* heads x head_dim is the width between the maps; it need not be model_dim */
    float scale;             /* of the scores; 0: 1 / sqrt(head_dim) */
    double rotary_base;      /* 0: none; else queries and keys are turned by their places (embedding.h) */
    struct layer_linear query, key, value, output;
};

/* What the backward pass needs of the forward pass; tokens x heads x head_dim each, lse [batch][heads][positions]. */
struct layer_attention_saved {
    layer_real *q, *k, *v; /* queries and keys as turned */
    layer_real *context;   /* the heads' answers, side by side */
    float *lse;
};

/* Splitting a [tokens][heads x head_dim] array into heads, and joining heads into one, are this view of it: nothing
 * is copied. Shape [batch][heads][positions][head_dim]. A tensor has no const: only what x allows may be done to it. */
struct attn_tensor layer_heads_view(const layer_real *x, const struct layer_sequences *sequences, int64_t heads,
                                    int64_t head_dim);

/* y [tokens][model_dim] from x of that shape; y overlaps nothing. ATTN_INVALID or ATTN_UNSUPPORTED from the problem or
 * the attention; y is then unwritten. */
enum attn_status layer_self_attention_forward(const struct layer_self_attention *layer,
                                              const struct layer_attention *attention,
                                              const struct layer_compute *compute,
                                              const struct layer_sequences *sequences, const layer_real *x,
                                              const struct layer_attention_saved *saved, layer_real *y,
                                              struct attn_error *error);

/* Given dy: dx (overwritten), and what is added to the gradient's four maps (NULL: not wanted). `slopes` is scratch of
 * the shape of `saved`, lse not used. Rotary turns are undone on the way. */
enum attn_status layer_self_attention_backward(const struct layer_self_attention *layer,
                                               const struct layer_attention *attention,
                                               const struct layer_compute *compute,
                                               const struct layer_sequences *sequences, const layer_real *x,
                                               const struct layer_attention_saved *saved, const layer_real *dy,
                                               const struct layer_attention_saved *slopes, layer_real *dx,
                                               const struct layer_self_attention *gradient, struct attn_error *error);

/* y = softmax(scale X X^T) X over x [tokens][features]: attention from first principles. y overlaps nothing; lse
 * [batch][1][positions]. */
enum attn_status layer_weightless_forward(enum layer_scale scale, const struct layer_attention *attention,
                                          const struct layer_sequences *sequences, int64_t features,
                                          const layer_real *x, layer_real *y, float *lse, struct attn_error *error);

/* dx = dq + dk + dv of that attention, given its y, lse and dy. `slopes` is scratch: 2 x tokens x features. */
enum attn_status layer_weightless_backward(enum layer_scale scale, const struct layer_attention *attention,
                                           const struct layer_sequences *sequences, int64_t features,
                                           const layer_real *x, const layer_real *y, const float *lse,
                                           const layer_real *dy, layer_real *slopes, layer_real *dx,
                                           struct attn_error *error);

#endif
