/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/self_attention.h"

#include "layer/embedding.h"

struct attn_tensor layer_heads_view(const layer_real *x, const struct layer_sequences *sequences, int64_t heads,
                                    int64_t head_dim) {
    const int64_t width = heads * head_dim;
    return (struct attn_tensor){
        .data = (void *)(uintptr_t)x,
        .type = LAYER_TYPE,
        .shape = {sequences->batch, heads, sequences->positions, head_dim},
        .stride = {sequences->positions * width, head_dim, width, 1},
    };
}

/* The problem of one call. It names f32 in the float64 layer too: there the operands say f64. */
static enum attn_status build(const struct layer_sequences *sequences, int64_t heads, int64_t head_dim, float scale,
                              enum attn_direction direction, struct attn_problem *problem, struct attn_error *error) {
    *problem = (struct attn_problem){
        .batch = sequences->batch,
        .query_heads = heads,
        .query_len = sequences->positions,
        .head_dim = head_dim,
        .scale = scale,
        .type = ATTN_F32,
        .direction = direction,
        .mask = sequences->mask,
    };
    return attn_problem_build(problem, error);
}

static struct attn_tensor lse_tensor(const float *lse, const struct layer_sequences *sequences, int64_t heads) {
    return attn_tensor_dense((void *)(uintptr_t)lse, ATTN_F32, sequences->batch, heads, sequences->positions, 1);
}

static struct attn_operands operands_of(const struct layer_sequences *sequences, int64_t heads, int64_t head_dim,
                                        const struct layer_attention_saved *saved) {
    return (struct attn_operands){
        .q = layer_heads_view(saved->q, sequences, heads, head_dim),
        .k = layer_heads_view(saved->k, sequences, heads, head_dim),
        .v = layer_heads_view(saved->v, sequences, heads, head_dim),
        .out = layer_heads_view(saved->context, sequences, heads, head_dim),
        .lse = lse_tensor(saved->lse, sequences, heads),
    };
}

static void turn_both(const struct layer_self_attention *layer, const struct layer_sequences *sequences,
                      enum layer_turn turn, layer_real *q, layer_real *k) {
    if (layer->rotary_base == 0)
        return;
    layer_rotary(sequences, layer->rotary_base, layer->heads, layer->head_dim, turn, q);
    layer_rotary(sequences, layer->rotary_base, layer->heads, layer->head_dim, turn, k);
}

enum attn_status layer_self_attention_forward(const struct layer_self_attention *layer,
                                              const struct layer_attention *attention,
                                              const struct layer_compute *compute,
                                              const struct layer_sequences *sequences, const layer_real *x,
                                              const struct layer_attention_saved *saved, layer_real *y,
                                              struct attn_error *error) {
    struct attn_problem problem;
    enum attn_status status =
        build(sequences, layer->heads, layer->head_dim, layer->scale, ATTN_FORWARD, &problem, error);
    if (status)
        return status;
    const int64_t tokens = layer_token_count(sequences);
    layer_linear_forward(&layer->query, compute, tokens, x, saved->q);
    layer_linear_forward(&layer->key, compute, tokens, x, saved->k);
    layer_linear_forward(&layer->value, compute, tokens, x, saved->v);
    turn_both(layer, sequences, LAYER_TURN_FORWARD, saved->q, saved->k);
    const struct attn_operands operands = operands_of(sequences, layer->heads, layer->head_dim, saved);
    status = attention->run(attention->context, &problem, &operands, error);
    if (!status)
        layer_linear_forward(&layer->output, compute, tokens, saved->context, y);
    return status;
}

enum attn_status layer_self_attention_backward(const struct layer_self_attention *layer,
                                               const struct layer_attention *attention,
                                               const struct layer_compute *compute,
                                               const struct layer_sequences *sequences, const layer_real *x,
                                               const struct layer_attention_saved *saved, const layer_real *dy,
                                               const struct layer_attention_saved *slopes, layer_real *dx,
                                               const struct layer_self_attention *gradient, struct attn_error *error) {
    struct attn_problem problem;
    enum attn_status status =
        build(sequences, layer->heads, layer->head_dim, layer->scale, ATTN_BACKWARD, &problem, error);
    if (status)
        return status;
    const int64_t tokens = layer_token_count(sequences), heads = layer->heads, head_dim = layer->head_dim;
    layer_linear_backward(&layer->output, compute, tokens, saved->context, dy, slopes->context, false,
                          gradient ? &gradient->output : NULL);
    struct attn_operands operands = operands_of(sequences, heads, head_dim, saved);
    operands.dout = layer_heads_view(slopes->context, sequences, heads, head_dim);
    operands.dq = layer_heads_view(slopes->q, sequences, heads, head_dim);
    operands.dk = layer_heads_view(slopes->k, sequences, heads, head_dim);
    operands.dv = layer_heads_view(slopes->v, sequences, heads, head_dim);
    status = attention->run(attention->context, &problem, &operands, error);
    if (status)
        return status;
    turn_both(layer, sequences, LAYER_TURN_BACKWARD, slopes->q, slopes->k);
    layer_linear_backward(&layer->query, compute, tokens, x, slopes->q, dx, false, gradient ? &gradient->query : NULL);
    layer_linear_backward(&layer->key, compute, tokens, x, slopes->k, dx, true, gradient ? &gradient->key : NULL);
    layer_linear_backward(&layer->value, compute, tokens, x, slopes->v, dx, true, gradient ? &gradient->value : NULL);
    return ATTN_OK;
}

/* ---- without weights: queries, keys and values are the tokens themselves ---- */

static struct attn_operands weightless_operands(const struct layer_sequences *sequences, int64_t features,
                                                const layer_real *x, const layer_real *y, const float *lse) {
    const struct attn_tensor tokens = layer_heads_view(x, sequences, 1, features);
    return (struct attn_operands){
        .q = tokens,
        .k = tokens,
        .v = tokens,
        .out = layer_heads_view(y, sequences, 1, features),
        .lse = lse_tensor(lse, sequences, 1),
    };
}

enum attn_status layer_weightless_forward(enum layer_scale scale, const struct layer_attention *attention,
                                          const struct layer_sequences *sequences, int64_t features,
                                          const layer_real *x, layer_real *y, float *lse, struct attn_error *error) {
    struct attn_problem problem;
    const enum attn_status status =
        build(sequences, 1, features, layer_scale_value(scale, features), ATTN_FORWARD, &problem, error);
    if (status)
        return status;
    const struct attn_operands operands = weightless_operands(sequences, features, x, y, lse);
    return attention->run(attention->context, &problem, &operands, error);
}

enum attn_status layer_weightless_backward(enum layer_scale scale, const struct layer_attention *attention,
                                           const struct layer_sequences *sequences, int64_t features,
                                           const layer_real *x, const layer_real *y, const float *lse,
                                           const layer_real *dy, layer_real *slopes, layer_real *dx,
                                           struct attn_error *error) {
    struct attn_problem problem;
    enum attn_status status =
        build(sequences, 1, features, layer_scale_value(scale, features), ATTN_BACKWARD, &problem, error);
    if (status)
        return status;
    const int64_t count = layer_token_count(sequences) * features;
    struct attn_operands operands = weightless_operands(sequences, features, x, y, lse);
    operands.dout = layer_heads_view(dy, sequences, 1, features);
    operands.dq = layer_heads_view(dx, sequences, 1, features);
    operands.dk = layer_heads_view(slopes, sequences, 1, features);
    operands.dv = layer_heads_view(slopes + count, sequences, 1, features);
    status = attention->run(attention->context, &problem, &operands, error);
    for (int64_t n = 0; !status && n < count; ++n)
        dx[n] += slopes[n] + slopes[count + n];
    return status;
}
