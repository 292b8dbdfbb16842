/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/block.h"

#include <stddef.h>

/* ---- placing parameters and activations in the caller's memory ---- */

/* The next `count` reals; NULL when no memory is given, and only sizes are wanted. */
static layer_real *take(layer_real **next, int64_t count) {
    layer_real *const taken = *next;
    if (*next)
        *next += count;
    return taken;
}

static struct layer_linear place_linear(layer_real **next, int64_t in, int64_t out) {
    struct layer_linear linear = {.in_features = in, .out_features = out};
    linear.weight = take(next, in * out);
    linear.bias = take(next, out);
    return linear;
}

static struct layer_norm place_norm(layer_real **next, int64_t features) {
    struct layer_norm norm = {.kind = LAYER_NORM_BIASED_VARIANCE, .features = features, .epsilon = 1e-5};
    norm.gain = take(next, features);
    norm.bias = take(next, features);
    return norm;
}

void layer_block_place(struct layer_block *block, enum layer_norm_place norm_place, int64_t model_dim, int64_t heads,
                       int64_t head_dim, int64_t hidden, layer_real *parameters) {
    const int64_t width = heads * head_dim;
    layer_real *next = parameters;
    *block = (struct layer_block){.norm_place = norm_place, .attention = {.heads = heads, .head_dim = head_dim}};
    block->attention.query = place_linear(&next, model_dim, width);
    block->attention.key = place_linear(&next, model_dim, width);
    block->attention.value = place_linear(&next, model_dim, width);
    block->attention.output = place_linear(&next, width, model_dim);
    block->attention_norm = place_norm(&next, model_dim);
    block->network.widen = place_linear(&next, model_dim, hidden);
    block->network.narrow = place_linear(&next, hidden, model_dim);
    block->network_norm = place_norm(&next, model_dim);
}

static int64_t width_of(const struct layer_block *block) {
    return block->attention.heads * block->attention.head_dim;
}

int64_t layer_block_parameter_count(const struct layer_block *block) {
    const int64_t model_dim = block->attention_norm.features, width = width_of(block);
    const int64_t hidden = block->network.widen.out_features;
    return 4 * model_dim * width + 3 * width + model_dim + 2 * model_dim * hidden + hidden + model_dim + 4 * model_dim;
}

/* What the forward pass leaves behind. By place of the norms:
 *   post: first = x + attention(x), second = norm1(first) = a, third = a + network(a)
 *   pre:  first = norm1(x),         second = x + attention = a, third = norm2(a) */
struct saved {
    struct layer_attention_saved attention;
    layer_real *first, *second, *third; /* [tokens][model_dim] */
    layer_real *wide, *active;          /* [tokens][hidden] */
};

static struct layer_attention_saved take_attention(layer_real **next, int64_t width) {
    struct layer_attention_saved attention = {.lse = NULL};
    attention.q = take(next, width);
    attention.k = take(next, width);
    attention.v = take(next, width);
    attention.context = take(next, width);
    return attention;
}

static struct saved place_saved(const struct layer_block *block, int64_t tokens, const layer_real *memory) {
    const int64_t width = tokens * width_of(block), model = tokens * block->attention_norm.features;
    const int64_t hidden = tokens * block->network.widen.out_features;
    layer_real *next = (layer_real *)(uintptr_t)memory; /* the backward pass only reads it */
    struct saved saved;
    saved.attention = take_attention(&next, width);
    saved.first = take(&next, model);
    saved.second = take(&next, model);
    saved.third = take(&next, model);
    saved.wide = take(&next, hidden);
    saved.active = take(&next, hidden);
    saved.attention.lse = (float *)next; /* a float is no wider than a real */
    return saved;
}

int64_t layer_block_saved_count(const struct layer_block *block, int64_t tokens) {
    return tokens * (4 * width_of(block) + 3 * block->attention_norm.features + 2 * block->network.widen.out_features +
                     block->attention.heads);
}

int64_t layer_block_scratch_count(const struct layer_block *block, int64_t tokens) {
    return tokens * (4 * width_of(block) + 2 * block->attention_norm.features + block->network.widen.out_features);
}

/* ---- forward ---- */

enum attn_status layer_block_forward(const struct layer_block *block, const struct layer_attention *attention,
                                     const struct layer_compute *compute, const struct layer_sequences *sequences,
                                     const layer_real *x, layer_real *saved_memory, layer_real *y,
                                     struct attn_error *error) {
    const bool pre = block->norm_place == LAYER_PRE_NORM;
    const int64_t tokens = layer_token_count(sequences), count = tokens * block->attention_norm.features;
    const struct saved saved = place_saved(block, tokens, saved_memory);
    layer_real *const attended = pre ? saved.second : saved.first;
    if (pre)
        layer_norm_forward(&block->attention_norm, compute, tokens, x, saved.first);
    const enum attn_status status = layer_self_attention_forward(
        &block->attention, attention, compute, sequences, pre ? saved.first : x, &saved.attention, attended, error);
    if (status)
        return status;
    layer_add(compute, count, x, attended, attended);
    if (pre)
        layer_norm_forward(&block->network_norm, compute, tokens, saved.second, saved.third);
    else
        layer_norm_forward(&block->attention_norm, compute, tokens, saved.first, saved.second);
    layer_real *const answer = pre ? y : saved.third;
    layer_feed_forward_forward(&block->network, compute, tokens, pre ? saved.third : saved.second, saved.wide,
                               saved.active, answer);
    layer_add(compute, count, saved.second, answer, answer);
    if (!pre)
        layer_norm_forward(&block->network_norm, compute, tokens, saved.third, y);
    return ATTN_OK;
}

/* ---- backward ---- */

/* Scratch: the four slopes of the attention, two arrays of the model's width, one of the hidden. */
struct slopes {
    struct layer_attention_saved attention;
    layer_real *sum, *branch, *wide;
};

static struct slopes place_slopes(const struct layer_block *block, int64_t tokens, layer_real *memory) {
    const int64_t width = tokens * width_of(block), model = tokens * block->attention_norm.features;
    layer_real *next = memory;
    struct slopes slopes;
    slopes.attention = take_attention(&next, width);
    slopes.sum = take(&next, model);
    slopes.branch = take(&next, model);
    slopes.wide = take(&next, tokens * block->network.widen.out_features);
    return slopes;
}

enum attn_status layer_block_backward(const struct layer_block *block, const struct layer_attention *attention,
                                      const struct layer_compute *compute, const struct layer_sequences *sequences,
                                      const layer_real *x, const layer_real *saved_memory, const layer_real *dy,
                                      layer_real *scratch, layer_real *dx, const struct layer_block *gradient,
                                      struct attn_error *error) {
    const bool pre = block->norm_place == LAYER_PRE_NORM;
    const int64_t tokens = layer_token_count(sequences), count = tokens * block->attention_norm.features;
    const struct saved saved = place_saved(block, tokens, saved_memory);
    const struct slopes slopes = place_slopes(block, tokens, scratch);
    const struct layer_norm *const norm1 = gradient ? &gradient->attention_norm : NULL;
    const struct layer_norm *const norm2 = gradient ? &gradient->network_norm : NULL;

    /* To a: its own path, and the path through the network. Both norms' slopes are those of what entered them. */
    const layer_real *through = dy;
    if (!pre) {
        layer_norm_backward(&block->network_norm, compute, tokens, saved.third, dy, slopes.sum, norm2);
        through = slopes.sum;
    }
    layer_feed_forward_backward(&block->network, compute, tokens, pre ? saved.third : saved.second, saved.wide,
                                saved.active, through, slopes.wide, slopes.branch,
                                gradient ? &gradient->network : NULL);
    if (pre)
        layer_norm_backward(&block->network_norm, compute, tokens, saved.second, slopes.branch, slopes.branch, norm2);
    layer_add(compute, count, through, slopes.branch, slopes.sum);

    /* From a to x: likewise around the attention. */
    if (!pre)
        layer_norm_backward(&block->attention_norm, compute, tokens, saved.first, slopes.sum, slopes.sum, norm1);
    const enum attn_status status = layer_self_attention_backward(
        &block->attention, attention, compute, sequences, pre ? saved.first : x, &saved.attention, slopes.sum,
        &slopes.attention, slopes.branch, gradient ? &gradient->attention : NULL, error);
    if (status)
        return status;
    if (pre)
        layer_norm_backward(&block->attention_norm, compute, tokens, x, slopes.branch, slopes.branch, norm1);
    layer_add(compute, count, slopes.sum, slopes.branch, dx);
    return ATTN_OK;
}
