/* SPDX-License-Identifier: Apache-2.0 */
/* One tile of query rows against its keys: block by block, weights first, then values. */
#ifndef KERNELS_FLASH_TILE_H
#define KERNELS_FLASH_TILE_H

#include "kernels/flash_plan.h"

/* A tile being worked on. */
struct flash_tile {
    const struct flash_call *call;
    int64_t b, key_head;
    float *queries, *weights, *sums;
    struct attn_row *rows;
    struct edge_state *states;
};

static inline struct flash_tile flash_tile_of(const struct flash_call *call, const struct flash_task *task,
                                              int thread) {
    char *const own = call->workspace + call->plan.threads_at + (size_t)thread * call->plan.thread_bytes;
    return (struct flash_tile){
        .call = call,
        .b = task->b,
        .key_head = task->key_head,
        .queries = (float *)(own + call->plan.queries_at),
        .weights = (float *)(own + call->plan.weights_at),
        .sums = (float *)(own + call->plan.sums_at),
        .rows = (struct attn_row *)(own + call->plan.rows_at),
        .states = (struct edge_state *)(own + call->plan.states_at),
    };
}

/* Head and position of row `n` among the rows of a KV head. */
static inline void flash_locate(const struct attn_problem *problem, int64_t key_head, int64_t n, int64_t *h,
                                int64_t *i) {
    *h = key_head * (problem->query_heads / problem->key_heads) + n / problem->query_len;
    *i = n % problem->query_len;
}

/* Loads scaled queries and starts the softmax of `count` rows, a multiple of PANEL_ROWS; rows beyond the last repeat
 * it, and are dropped at the end. */
static inline void flash_tile_begin(const struct flash_tile *tile, int64_t first_row, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    const struct attn_tensor *const q = &tile->call->operands->q;
    for (int64_t r = 0; r < count; ++r) {
        const int64_t n = first_row + r < tile->call->plan.rows ? first_row + r : tile->call->plan.rows - 1;
        int64_t h, i;
        flash_locate(problem, tile->key_head, n, &h, &i);
        struct attn_row *const row = &tile->rows[r];
        *row = attn_row_begin(problem, tile->b, h, i);
        tile->states[r] = edge_state_begin(row);
        const float scale = row->plain ? row->scale * EDGE_LOG2E : row->scale;
        const void *const query = attn_tensor_row(q, tile->b, h, i);
        for (int64_t c = 0; c < problem->head_dim; ++c)
            tile->queries[r * problem->head_dim + c] = scale * attn_load(query, q->type, c);
    }
    memset(tile->sums, 0, (size_t)(count * tile->call->plan.out_stride) * sizeof(float));
}

/* The keys of a block that a group of rows needs, relative to the block's first key. */
struct flash_span {
    int64_t first, last;
    bool cut; /* some pair in it is masked, or might be */
};

/* Weights of PANEL_ROWS rows from `r` for the block [block_first, block_last). */
static inline struct flash_span flash_group_weights(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                                    int64_t block_last) {
    const struct flash_plan *const plan = &tile->call->plan;
    const struct attn_problem *const problem = tile->call->problem;
    const struct attn_row *const rows = tile->rows + r;
    struct edge_state *const states = tile->states + r;
    int64_t first = block_last, last = block_first;
    bool whole = (block_last - block_first) % PANEL_KEYS == 0;
    for (int n = 0; n < PANEL_ROWS; ++n) {
        if (rows[n].key_begin < rows[n].key_end) {
            first = rows[n].key_begin < first ? rows[n].key_begin : first;
            last = rows[n].key_end > last ? rows[n].key_end : last;
        }
        whole &= rows[n].plain && rows[n].key_begin <= block_first && rows[n].key_end >= block_last;
    }
    first = flash_clamp(first, block_first, block_last);
    last = flash_clamp(last, block_first, block_last);
    if (first >= last)
        return (struct flash_span){0, 0, true};

    float *const weights = tile->weights + r * plan->block_keys;
    const float *const queries = tile->queries + r * problem->head_dim;
    float reference[PANEL_ROWS], sums[PANEL_ROWS] = {0};
    bool fused = whole;
    for (int n = 0; n < PANEL_ROWS; ++n) {
        reference[n] = states[n].reference;
        fused &= fabsf(reference[n]) < EDGE_INTEGER_LIMIT;
    }
    if (fused && panel_weights(problem->head_dim, queries, problem->head_dim,
                               flash_packed_panel(tile->call, tile->b, tile->key_head, block_first / PANEL_KEYS),
                               (block_last - block_first) / PANEL_KEYS, reference, plan->threshold, weights,
                               plan->block_keys, sums)) {
        for (int n = 0; n < PANEL_ROWS; ++n)
            states[n].sum += sums[n];
        return (struct flash_span){0, block_last - block_first, false};
    }

    first -= (first - block_first) % PANEL_KEYS; /* keeps vector loops over one row's scores inside that row */
    const int64_t panels = (last - first + PANEL_KEYS - 1) / PANEL_KEYS;
    panel_scores(problem->head_dim, queries, problem->head_dim,
                 flash_packed_panel(tile->call, tile->b, tile->key_head, first / PANEL_KEYS), panels,
                 weights + first - block_first, plan->block_keys);
    for (int n = 0; n < PANEL_ROWS; ++n) {
        float *const scores = weights + n * plan->block_keys - block_first; /* indexed by key */
        const int64_t begin = flash_clamp(rows[n].key_begin, first, last),
                      end = flash_clamp(rows[n].key_end, begin, last);
        if (!rows[n].plain)
            edge_finish_scores(&rows[n], first, end, scores + first);
        for (int64_t j = first; j < begin; ++j)
            scores[j] = -INFINITY;
        for (int64_t j = end; j < last; ++j)
            scores[j] = -INFINITY;
        const float factor = edge_weights(&states[n], plan->threshold, last - first, scores + first);
        if (factor != 1.0f)
            for (int64_t c = 0; c < plan->out_stride; ++c)
                tile->sums[(r + n) * plan->out_stride + c] *= factor;
    }
    return (struct flash_span){first - block_first, last - block_first, !whole};
}

static inline void flash_group_values(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                      struct flash_span span) {
    const struct flash_plan *const plan = &tile->call->plan;
    int64_t stride;
    const float *const values =
        flash_values_from(tile->call, tile->b, tile->key_head, block_first + span.first, &stride);
    const float *const weights = tile->weights + r * plan->block_keys + span.first;
    float *const sums = tile->sums + r * plan->out_stride;
    const int64_t keys = span.last - span.first, value_dim = tile->call->problem->value_dim;
    if (!span.cut || *flash_finite_flag(tile->call, tile->b, tile->key_head, block_first / plan->block_keys))
        panel_values(keys, value_dim, weights, plan->block_keys, values, stride, sums, plan->out_stride);
    else
        for (int n = 0; n < PANEL_ROWS; ++n)
            edge_values(keys, value_dim, weights + n * plan->block_keys, values, stride, sums + n * plan->out_stride);
}

static inline void flash_tile_end(const struct flash_tile *tile, int64_t first_row, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    const struct attn_operands *const operands = tile->call->operands;
    for (int64_t r = 0; r < count && first_row + r < tile->call->plan.rows; ++r) {
        int64_t h, i;
        flash_locate(problem, tile->key_head, first_row + r, &h, &i);
        const struct edge_state state = tile->states[r];
        const float *const sums = tile->sums + r * tile->call->plan.out_stride;
        const float factor = state.sum == 0.0f ? 0.0f : 1.0f / state.sum;
        void *const out = attn_tensor_row(&operands->out, tile->b, h, i);
        for (int64_t c = 0; c < problem->value_dim; ++c)
            attn_store(out, operands->out.type, c, factor * sums[c]);
        if (operands->lse.data)
            *(float *)attn_tensor_row(&operands->lse, tile->b, h, i) =
                state.sum == 0.0f ? -INFINITY : (state.reference + log2f(state.sum)) * EDGE_LN2;
    }
}

/* Answers one tile: key block by key block, first the weights of all its row groups while the packed keys are in
 * cache, then their sums while the values are. */
static inline void flash_attend(const struct flash_call *call, const struct flash_task *task, int thread) {
    const struct flash_plan *const plan = &call->plan;
    const struct flash_tile tile = flash_tile_of(call, task, thread);
    const int64_t left = plan->rows - task->first_row;
    const int64_t count = flash_round_up(left < plan->tile_rows ? left : plan->tile_rows, PANEL_ROWS);
    flash_tile_begin(&tile, task->first_row, count);
    int64_t first = call->problem->key_len, last = 0;
    for (int64_t r = 0; r < count; ++r)
        if (tile.rows[r].key_begin < tile.rows[r].key_end) {
            first = tile.rows[r].key_begin < first ? tile.rows[r].key_begin : first;
            last = tile.rows[r].key_end > last ? tile.rows[r].key_end : last;
        }
    for (int64_t j = first - first % plan->block_keys; j < last; j += plan->block_keys) {
        const int64_t block_last =
            j + plan->block_keys < call->problem->key_len ? j + plan->block_keys : call->problem->key_len;
        struct flash_span spans[3072 / PANEL_ROWS]; /* as many as block_queries may ask for */
        for (int64_t r = 0; r < count; r += PANEL_ROWS)
            spans[r / PANEL_ROWS] = flash_group_weights(&tile, r, j, block_last);
        for (int64_t r = 0; r < count; r += PANEL_ROWS)
            if (spans[r / PANEL_ROWS].first < spans[r / PANEL_ROWS].last)
                flash_group_values(&tile, r, j, spans[r / PANEL_ROWS]);
    }
    flash_tile_end(&tile, task->first_row, count);
}

#endif
