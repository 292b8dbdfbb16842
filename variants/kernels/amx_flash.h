/* SPDX-License-Identifier: Apache-2.0 */
/* A tile of bf16 query rows against its keys with AMX: 2 x 2 blocks of sums over keys and values packed in pairs once
 * per KV head. Weights are rounded to bf16, all sums are f32. Scores pass through two small buffers in turn, so that
 * the tile products of one panel run while the vector units exponentiate the one before. */
#ifndef KERNELS_AMX_FLASH_H
#define KERNELS_AMX_FLASH_H

#include "kernels/amx_pack.h"
#include "kernels/flash_tile.h"

static inline int64_t amx_depth(const struct attn_problem *problem) {
    return amx_tiles(problem->head_dim, AMX_DEPTH) * AMX_DEPTH;
}

/* Leading dimensions that put consecutive rows into different sets of the L1 cache. */
static inline int64_t amx_weight_stride(int64_t block_keys) {
    return block_keys + 32;
}

static inline int64_t amx_score_stride(int64_t block_keys) {
    return block_keys + 16;
}

/* `tile_rows` and `block_keys` are multiples of AMX_BLOCK. */
static inline struct flash_plan amx_plan_of(const struct attn_problem *problem, int threads, int64_t tile_rows,
                                            int64_t block_keys, float threshold) {
    const int64_t f32 = sizeof(float), bf16 = sizeof(uint16_t);
    const struct flash_sizes sizes = {
        .panel_keys = AMX_BLOCK,
        .key_panel_bytes = amx_key_panel_elements(problem->head_dim) * bf16,
        .value_panel_bytes = amx_value_panel_elements(problem->value_dim) * bf16,
        .query_bytes = amx_depth(problem) * bf16,
        .weight_bytes = amx_weight_stride(block_keys) * bf16,
        .score_bytes = AMX_BLOCK * amx_score_stride(block_keys) * f32,
        .out_stride = amx_value_columns(problem->value_dim) * 16,
    };
    return flash_lay_out(problem, threads, tile_rows, block_keys, threshold, &sizes);
}

static inline uint16_t *amx_key_panel(const struct flash_call *call, int64_t b, int64_t key_head, int64_t panel) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (uint16_t *)(void *)(call->workspace + call->plan.keys_at) +
           (head * call->plan.panels + panel) * amx_key_panel_elements(call->problem->head_dim);
}

static inline uint16_t *amx_value_panel(const struct flash_call *call, int64_t b, int64_t key_head, int64_t panel) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (uint16_t *)(void *)(call->workspace + call->plan.values_at) +
           (head * call->plan.panels + panel) * amx_value_panel_elements(call->problem->value_dim);
}

/* Packs keys and values of one block, and notes whether the values are all finite. */
static inline void amx_prepare_block(const struct flash_call *call, int64_t b, int64_t key_head, int64_t block) {
    const int64_t first = block * call->plan.block_keys, key_len = call->problem->key_len;
    const int64_t last = first + call->plan.block_keys < key_len ? first + call->plan.block_keys : key_len;
    bool finite = true;
    for (int64_t j = first; j < last; j += AMX_BLOCK) {
        uint16_t *const values = amx_value_panel(call, b, key_head, j / AMX_BLOCK);
        amx_pack_keys(&call->operands->k, b, key_head, j, amx_key_panel(call, b, key_head, j / AMX_BLOCK));
        amx_pack_values(&call->operands->v, b, key_head, j, values);
        for (int64_t n = 0; n < amx_value_panel_elements(call->problem->value_dim); ++n)
            finite &= (values[n] & 0x7F80) != 0x7F80; /* all exponent bits: an infinity or a NaN */
    }
    *flash_finite_flag(call, b, key_head, block) = finite;
}

/* The bf16 weights of row `r` of a tile. */
static inline uint16_t *amx_weights(const struct flash_tile *tile, int64_t r) {
    return (uint16_t *)(void *)tile->weights + r * amx_weight_stride(tile->call->plan.block_keys);
}

static inline uint16_t *amx_queries(const struct flash_tile *tile, int64_t r) {
    return (uint16_t *)(void *)tile->queries + r * amx_depth(tile->call->problem);
}

/* Loads the queries of `count` rows as they are, with zeros behind them. */
static inline void amx_load_queries(const struct flash_tile *tile, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    memset(tile->queries, 0, (size_t)(count * amx_depth(problem)) * sizeof(uint16_t));
    for (int64_t r = 0; r < count; ++r)
        memcpy(amx_queries(tile, r), flash_query(tile, r), (size_t)problem->head_dim * sizeof(uint16_t));
}

/* Dot products of AMX_BLOCK rows with one panel of keys, as rows of `stride` floats. */
static inline void amx_panel_scores(const struct flash_tile *tile, int64_t r, const uint16_t *panel, float *scores,
                                    int64_t stride) {
    const int64_t depth = amx_depth(tile->call->problem);
    amx_block_zero();
    amx_block(depth / AMX_DEPTH, amx_queries(tile, r), depth, panel, 2 * AMX_ELEMENTS);
    amx_block_store(scores, stride);
}

/* Which of the VEC_LANES keys from `key` on row `r` of a tile sees. */
static inline vec_bits amx_seen(const struct flash_tile *tile, int64_t r, int64_t key) {
    const struct flash_row *const row = &tile->rows[r];
    const vec_bits keys = vec_count_from(0);
    return (keys >= (int32_t)group_clamp(row->key_begin - key, 0, VEC_LANES)) &
           (keys < (int32_t)group_clamp(row->key_end - key, 0, VEC_LANES));
}

/* A group of rows on its way from dots to bf16 weights. */
struct amx_rows {
    vec sums[AMX_BLOCK]; /* of weights */
    vec_bits highest;    /* score seen, as vec_exp2_from encodes it */
};

/* Weights of the panel that begins at `key`. `cut` (constant at each call): some pair is masked, or might be. */
VEC_INLINE void amx_panel_weights(const struct flash_tile *tile, int64_t r, bool cut, int64_t key, const float *dots,
                                  uint16_t *weights, struct amx_rows *rows) {
    const vec factor = vec_all(tile->call->problem->scale * EDGE_LOG2E);
    const int64_t weight_stride = amx_weight_stride(tile->call->plan.block_keys);
    for (int n = 0; n < AMX_BLOCK; ++n) {
        const float reference = tile->states[r + n].reference;
        const vec shifted = vec_all(VEC_EXP2_MAGIC - reference), lowest = vec_all(reference + VEC_EXP2_LOWEST);
        for (int x = 0; x < AMX_BLOCK; x += VEC_LANES) {
            const vec_bits seen = cut ? amx_seen(tile, r + n, key + x) : (vec_bits){0};
            const vec score = factor * vec_load(dots + n * AMX_BLOCK + x);
            vec_bits rounded;
            vec weight = vec_exp2_from(cut ? vec_select(seen, score, lowest) : score, shifted, lowest, &rounded);
            if (cut)
                weight = vec_select(seen, weight, vec_all(EDGE_MASKED));
            rows->highest = vec_bits_max(rounded, rows->highest);
            rows->sums[n] += weight;
            vec_store_bf16(weights + n * weight_stride + x, weight);
        }
    }
}

/* Gives rows without a reference a first one, from what they see of the dots of one panel. */
static inline void amx_first_references(const struct flash_tile *tile, int64_t r, int64_t key, const float *dots) {
    const float factor = tile->call->problem->scale * EDGE_LOG2E;
    for (int n = 0; n < AMX_BLOCK; ++n) {
        vec tops = vec_all(-INFINITY);
        if (tile->states[r + n].reference != -INFINITY)
            continue;
        for (int x = 0; x < AMX_BLOCK; x += VEC_LANES)
            tops = vec_max(
                vec_select(amx_seen(tile, r + n, key + x), vec_all(factor) * vec_load(dots + n * AMX_BLOCK + x), tops),
                tops);
        tile->states[r + n].reference = edge_reference(vec_top(tops));
    }
}

static inline bool amx_fused(const struct flash_tile *tile, int64_t r, int64_t block_first,
                             const struct flash_span *span) {
    enum { DOTS = AMX_BLOCK * AMX_BLOCK };
    const int64_t elements = amx_key_panel_elements(tile->call->problem->head_dim);
    const uint16_t *panel = amx_key_panel(tile->call, tile->b, tile->key_head, (block_first + span->first) / AMX_BLOCK);
    struct amx_rows rows = {.highest = {0}};
    if (!span->plain)
        return false;
    for (int n = 0; n < AMX_BLOCK; ++n)
        rows.sums[n] = vec_all(0.0f);
    float *const dots = tile->scores;
    amx_panel_scores(tile, r, panel, dots, AMX_BLOCK);
    amx_first_references(tile, r, block_first + span->first, dots);
    if (!flash_group_fusible(tile, r, AMX_BLOCK))
        return false;
    for (int64_t j = span->first, n = 0; j < span->last; j += AMX_BLOCK, ++n) {
        panel += elements;
        if (j + AMX_BLOCK < span->last) /* under way while this panel's exponentials are taken */
            amx_panel_scores(tile, r, panel, dots + (n + 1) % 2 * DOTS, AMX_BLOCK);
        uint16_t *const weights = amx_weights(tile, r) + j;
        if (j >= span->whole_first && j < span->whole_last)
            amx_panel_weights(tile, r, false, block_first + j, dots + n % 2 * DOTS, weights, &rows);
        else
            amx_panel_weights(tile, r, true, block_first + j, dots + n % 2 * DOTS, weights, &rows);
    }
    if (!vec_exp2_within(rows.highest, tile->call->plan.threshold))
        return false;
    for (int n = 0; n < AMX_BLOCK; ++n)
        tile->states[r + n].sum += vec_sum(rows.sums[n]);
    return true;
}

/* Weights of row `r`, given its dots with keys [first, last): scores, softmax, rounding. */
static inline void amx_row_weights(const struct flash_tile *tile, int64_t r, int64_t first, int64_t last, float *dots,
                                   uint16_t *weights) {
    const struct flash_row *const row = &tile->rows[r];
    const float scale = tile->call->problem->scale;
    const vec factor = vec_all(row->plain ? scale * EDGE_LOG2E : scale);
    for (int64_t n = 0; n < last - first; n += VEC_LANES)
        vec_store(dots + n, factor * vec_load(dots + n));
    flash_row_weights(tile, r, first, last, dots);
    for (int64_t n = 0; n < last - first; n += VEC_LANES)
        vec_store_bf16(weights + n, vec_load(dots + n));
}

static inline void amx_careful(const struct flash_tile *tile, int64_t r, int64_t block_first,
                               const struct flash_span *span) {
    const int64_t stride = amx_score_stride(tile->call->plan.block_keys), first = span->first;
    const int64_t last = group_round_up(span->last, AMX_BLOCK); /* keys beyond the last are zeros, and masked */
    float *const dots = tile->scores;
    for (int64_t j = first; j < last; j += AMX_BLOCK)
        amx_panel_scores(tile, r, amx_key_panel(tile->call, tile->b, tile->key_head, (block_first + j) / AMX_BLOCK),
                         dots + j, stride);
    for (int n = 0; n < AMX_BLOCK; ++n)
        amx_row_weights(tile, r + n, block_first + first, block_first + last, dots + n * stride + first,
                        amx_weights(tile, r + n) + first);
}

/* Sums of AMX_BLOCK rows, over values that a weight of zero would not silence: pair by pair, masked ones left out. */
static inline void amx_careful_values(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                      const struct flash_span *span) {
    const struct attn_problem *const problem = tile->call->problem;
    for (int n = 0; n < AMX_BLOCK; ++n) {
        const uint16_t *const weights = amx_weights(tile, r + n);
        float *const sums = tile->sums + (r + n) * tile->call->plan.out_stride;
        for (int64_t j = span->first; j < span->last; ++j) {
            if (weights[j] == 0x8000) /* EDGE_MASKED */
                continue;
            const void *const value =
                attn_tensor_row(&tile->call->operands->v, tile->b, tile->key_head, block_first + j);
            for (int64_t c = 0; c < problem->value_dim; ++c)
                sums[c] += attn_f32_of_bf16(weights[j]) * attn_load(value, ATTN_BF16, c);
        }
    }
}

static inline void amx_group_values(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                    const struct flash_span *span) {
    const struct flash_plan *const plan = &tile->call->plan;
    const bool cut = span->cut || span->last % AMX_BLOCK > 0; /* tiles read the values of whole panels */
    if (cut && !*flash_finite_flag(tile->call, tile->b, tile->key_head, block_first / plan->block_keys)) {
        amx_careful_values(tile, r, block_first, span);
        return;
    }
    const int64_t columns = amx_value_columns(tile->call->problem->value_dim);
    const uint16_t *const values =
        amx_value_panel(tile->call, tile->b, tile->key_head, (block_first + span->first) / AMX_BLOCK);
    for (int64_t column = 0; column < columns; column += 2) {
        float *const sums = tile->sums + r * plan->out_stride + column * 16;
        amx_block_load(sums, plan->out_stride);
        amx_block((group_round_up(span->last, AMX_BLOCK) - span->first) / AMX_BLOCK, amx_weights(tile, r) + span->first,
                  amx_weight_stride(plan->block_keys), values + column * AMX_ELEMENTS, columns * AMX_ELEMENTS);
        amx_block_store(sums, plan->out_stride);
    }
}

static const struct flash_engine amx_engine = {AMX_BLOCK, AMX_BLOCK,   amx_load_queries,
                                               amx_fused, amx_careful, amx_group_values};

#endif
