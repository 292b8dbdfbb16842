/* SPDX-License-Identifier: Apache-2.0 */
/* Cache blocking: the loops over queries and keys are cut into tiles, so that a block of keys and values, once in L1,
 * serves a whole tile of queries. A softmax needs its maximum first, so the keys are visited twice: the first
 * pass finds each row's maximum, the second computes the scores again and weights the values. */
#include "contract/variant.h"
#include "kernels/tile.h"

struct tile {
    int64_t b, h, key_head, first, last; /* queries [first, last) of query head h */
    int64_t key_begin, key_end;          /* every key that one of them may read */
    struct attn_row *rows;               /* [block_queries] */
    float *max, *sum;                    /* [block_queries] */
    float *weighted;                     /* [block_queries][value_dim] */
    float *scores;                       /* [block_keys], of one row */
    struct tile_buffers buffers;
};

static struct tile lay_out(const struct attn_problem *problem, const struct attn_execution *execution,
                           struct scratch *scratch) {
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    const int64_t block_keys = execution->parameters[TILE_BLOCK_KEYS];
    return (struct tile){
        .rows = scratch_take(scratch, (size_t)block_queries * sizeof(struct attn_row)),
        .max = scratch_floats(scratch, block_queries),
        .sum = scratch_floats(scratch, block_queries),
        .weighted = scratch_floats(scratch, block_queries * problem->value_dim),
        .scores = scratch_floats(scratch, block_keys),
        .buffers = tile_lay_out(problem, block_keys, scratch),
    };
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct scratch scratch = {0};
    lay_out(problem, execution, &scratch);
    return scratch.bytes;
}

/* Scores of row n against the block into tile->scores. Returns its maximum over them and `max`. */
static float score_row(const struct attn_operands *operands, const struct tile *tile, const struct tile_block *block,
                       int64_t n, struct plain_span span, float max) {
    tile_dots(block, attn_tensor_row(&operands->q, tile->b, tile->h, tile->first + n), operands->q.shape[3], span,
              tile->scores);
    return plain_scores(&tile->rows[n], span.begin, span.end - span.begin, tile->scores, max);
}

static void find_maxima(const struct attn_operands *operands, const struct tile *tile) {
    for (int64_t first = tile->key_begin; first < tile->key_end; first += tile->buffers.block_keys) {
        const int64_t last = plain_min(first + tile->buffers.block_keys, tile->key_end);
        const struct tile_block block = tile_load(operands, tile->b, tile->key_head, first, last, &tile->buffers);
        for (int64_t n = 0; n < tile->last - tile->first; ++n) {
            const struct plain_span span = plain_live_keys(&tile->rows[n], first, last);
            if (span.begin < span.end)
                tile->max[n] = score_row(operands, tile, &block, n, span, tile->max[n]);
        }
    }
}

static void weight_values(const struct attn_operands *operands, const struct tile *tile) {
    const int64_t value_dim = operands->v.shape[3];
    for (int64_t first = tile->key_begin; first < tile->key_end; first += tile->buffers.block_keys) {
        const int64_t last = plain_min(first + tile->buffers.block_keys, tile->key_end);
        const struct tile_block block = tile_load(operands, tile->b, tile->key_head, first, last, &tile->buffers);
        for (int64_t n = 0; n < tile->last - tile->first; ++n) {
            const struct plain_span span = plain_live_keys(&tile->rows[n], first, last);
            if (span.begin >= span.end)
                continue;
            score_row(operands, tile, &block, n, span, tile->max[n]);
            tile->sum[n] += plain_weights(tile->scores, span.end - span.begin, plain_base(tile->max[n]));
            tile_add_values(&block, &tile->rows[n], span, tile->scores, value_dim, tile->weighted + n * value_dim);
        }
    }
}

static void answer_tile(const struct attn_problem *problem, const struct attn_operands *operands, struct tile *tile) {
    const int64_t count = tile->last - tile->first, value_dim = problem->value_dim;
    attn_tile_keys(problem, tile->b, tile->h, tile->first, tile->last, &tile->key_begin, &tile->key_end);
    for (int64_t n = 0; n < count; ++n) {
        tile->rows[n] = attn_row_begin(problem, tile->b, tile->h, tile->first + n);
        tile->max[n] = tile->rows[n].max;
    }
    memset(tile->weighted, 0, (size_t)(count * value_dim) * sizeof(float));
    find_maxima(operands, tile);
    for (int64_t n = 0; n < count; ++n) /* the sink's share, now that the maximum is known */
        tile->sum[n] = tile->rows[n].sum * plain_rescale(tile->rows[n].max, plain_base(tile->max[n]));
    weight_values(operands, tile);
    for (int64_t n = 0; n < count; ++n)
        plain_write_row(operands, tile->b, tile->h, tile->first + n, tile->max[n], tile->sum[n],
                        tile->weighted + n * value_dim);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    struct scratch scratch = {.memory = execution->workspace};
    struct tile tile = lay_out(problem, execution, &scratch);
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h)
            for (int64_t first = 0; first < problem->query_len; first += block_queries) {
                tile.b = b;
                tile.h = h;
                tile.key_head = h / (problem->query_heads / problem->key_heads);
                tile.first = first;
                tile.last = plain_min(first + block_queries, problem->query_len);
                answer_tile(problem, operands, &tile);
            }
}

ATTN_VARIANT(tiled) = {
    .name = "tiled",
    .idea =
        "cache blocking: tiles of queries share blocks of keys in L1, in one pass for the maximum and one for the rest",
    .improves_on = "row_softmax",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = tile_parameters,
    .parameter_count = TILE_PARAMETER_COUNT,
    .resolve = tile_resolve,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
