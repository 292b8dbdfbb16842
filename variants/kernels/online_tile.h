/* SPDX-License-Identifier: Apache-2.0 */
/* Online softmax of a tile of queries over a range of keys, one key block after another. A row keeps the maximum so
 * far, the sum of exp(score - maximum) and the values weighted alike; when the maximum rises, sum and values are
 * rescaled. No score outlives its block. (Milakov and Gimelshein 2018; tiled as in FlashAttention, Dao et al. 2022.) */
#ifndef KERNELS_ONLINE_TILE_H
#define KERNELS_ONLINE_TILE_H

#include "kernels/tile.h"

struct online_tile {
    int64_t b, h, first, last; /* queries [first, last) of query head h */
};

/* The softmax of some rows so far. */
struct online_sums {
    float *max;      /* greatest score; -inf: none */
    float *sum;      /* of exp(score - max) */
    float *weighted; /* [rows][value_dim], sum of exp(score - max) times value */
};

static inline struct online_sums online_lay_out_sums(const struct attn_problem *problem, int64_t rows,
                                                     struct scratch *scratch) {
    return (struct online_sums){
        .max = scratch_floats(scratch, rows),
        .sum = scratch_floats(scratch, rows),
        .weighted = scratch_floats(scratch, rows * problem->value_dim),
    };
}

/* A tile's sums and the memory to advance them; one thread's. */
struct online_state {
    struct online_sums sums; /* row n is the tile's n-th query */
    struct attn_row *rows;   /* [block_queries] */
    float *scores;           /* [block_keys], of one row */
    struct tile_buffers buffers;
};

/* All but the sums, which the caller puts where they are to be left. */
static inline struct online_state online_lay_out_work(const struct attn_problem *problem, int64_t block_queries,
                                                      int64_t block_keys, struct scratch *scratch) {
    return (struct online_state){
        .rows = scratch_take(scratch, (size_t)block_queries * sizeof(struct attn_row)),
        .scores = scratch_floats(scratch, block_keys),
        .buffers = tile_lay_out(problem, block_keys, scratch),
    };
}

/* All, for rungs whose block sizes are the tile's parameters. */
static inline struct online_state online_lay_out(const struct attn_problem *problem,
                                                 const struct attn_execution *execution, struct scratch *scratch) {
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    struct online_state state =
        online_lay_out_work(problem, block_queries, execution->parameters[TILE_BLOCK_KEYS], scratch);
    state.sums = online_lay_out_sums(problem, block_queries, scratch);
    return state;
}

/* Bytes of the above: one thread's slice of the workspace. */
static inline size_t online_slice_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct scratch scratch = {0};
    online_lay_out(problem, execution, &scratch);
    return scratch.bytes;
}

/* No key seen. A sink is part of the softmax before any key; `with_sink` false leaves it to somebody else. */
static inline void online_begin(const struct attn_problem *problem, const struct online_tile *tile, bool with_sink,
                                struct online_state *state) {
    const int64_t count = tile->last - tile->first;
    for (int64_t n = 0; n < count; ++n) {
        state->rows[n] = attn_row_begin(problem, tile->b, tile->h, tile->first + n);
        state->sums.max[n] = with_sink ? state->rows[n].max : -INFINITY;
        state->sums.sum[n] = with_sink ? state->rows[n].sum : 0.0f;
    }
    memset(state->sums.weighted, 0, (size_t)(count * problem->value_dim) * sizeof(float));
}

/* Row n of the tile meets the keys of one block. */
static inline void online_step(const struct attn_operands *operands, const struct online_tile *tile,
                               const struct tile_block *block, struct online_state *state, int64_t n) {
    const struct attn_row *const row = &state->rows[n];
    const struct plain_span span = plain_live_keys(row, block->first, block->last);
    if (span.begin >= span.end)
        return;
    const int64_t head_dim = operands->q.shape[3], value_dim = operands->v.shape[3];
    float *const weighted = state->sums.weighted + n * value_dim, *const scores = state->scores;
    const float *const query = attn_tensor_row_f32(&operands->q, tile->b, tile->h, tile->first + n, state->buffers.row);

    tile_dots(block, query, head_dim, span, scores);
    const float old_max = state->sums.max[n];
    const float max = plain_scores(row, span.begin, span.end - span.begin, scores, old_max);
    const float base = plain_base(max);
    if (max != old_max) {
        const float factor = plain_rescale(old_max, base);
        state->sums.max[n] = max;
        state->sums.sum[n] *= factor;
        for (int64_t c = 0; c < value_dim; ++c)
            weighted[c] *= factor;
    }
    state->sums.sum[n] += plain_weights(scores, span.end - span.begin, base);
    tile_add_values(block, row, span, scores, value_dim, weighted);
}

/* Takes the tile over those of its keys that are in [key_begin, key_end). Blocks begin at multiples of block_keys,
 * wherever the range begins, so that a row's arithmetic does not depend on which rows share its tile. */
static inline void online_advance(const struct attn_problem *problem, const struct attn_operands *operands,
                                  const struct online_tile *tile, int64_t key_begin, int64_t key_end,
                                  struct online_state *state) {
    const int64_t key_head = tile->h / (problem->query_heads / problem->key_heads);
    const int64_t block_keys = state->buffers.block_keys;
    int64_t tile_begin, tile_end;
    attn_tile_keys(problem, tile->b, tile->h, tile->first, tile->last, &tile_begin, &tile_end);
    key_begin = plain_max(key_begin, tile_begin);
    key_end = plain_min(key_end, tile_end);
    for (int64_t first = key_begin; first < key_end;) {
        const int64_t last = plain_min(first / block_keys * block_keys + block_keys, key_end);
        const struct tile_block block = tile_load(operands, tile->b, key_head, first, last, &state->buffers);
        for (int64_t n = 0; n < tile->last - tile->first; ++n)
            online_step(operands, tile, &block, state, n);
        first = last;
    }
}

/* Writes the answers of the tile's rows. */
static inline void online_finish(const struct attn_operands *operands, const struct online_tile *tile,
                                 const struct online_state *state) {
    for (int64_t n = 0; n < tile->last - tile->first; ++n)
        plain_write_row(operands, tile->b, tile->h, tile->first + n, state->sums.max[n], state->sums.sum[n],
                        state->sums.weighted + n * operands->v.shape[3]);
}

/* The answers of a tile, from all its keys. */
static inline void online_answer(const struct attn_problem *problem, const struct attn_operands *operands,
                                 const struct online_tile *tile, struct online_state *state) {
    online_begin(problem, tile, true, state);
    online_advance(problem, operands, tile, 0, problem->key_len, state);
    online_finish(operands, tile, state);
}

#endif
