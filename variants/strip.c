/* SPDX-License-Identifier: Apache-2.0 */
/* An exact two-pass softmax over a strip: as many queries as keep their scores against all live keys in L2. With the
 * whole row at hand nothing is rescaled, and with the strip in cache nothing is computed twice. */
#include "contract/variant.h"
#include "kernels/tile.h"

/* Half of L2 for the strip. Fewer than 8 queries would not pay for transposing a block of keys. */
static void resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    if (execution->parameters[TILE_BLOCK_QUERIES] == 0) {
        const int64_t fitting = tile_l2_bytes(execution) / 2 / (problem->key_len * (int64_t)sizeof(float));
        execution->parameters[TILE_BLOCK_QUERIES] =
            plain_min(plain_min(plain_max(fitting, 8), 256), problem->query_len);
    }
    tile_resolve(problem, execution);
}

struct strip {
    int64_t b, h, key_head, first, last; /* queries [first, last) of query head h */
    int64_t key_begin, key_end;          /* every key that one of them may read */
    struct attn_row *rows;               /* [block_queries] */
    float *max, *sum;                    /* [block_queries] */
    float *weighted;                     /* [block_queries][value_dim] */
    float *scores;                       /* [block_queries][key_len] */
    int64_t key_len;
    struct tile_buffers buffers;
};

static struct strip lay_out(const struct attn_problem *problem, const struct attn_execution *execution,
                            struct scratch *scratch) {
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    return (struct strip){
        .rows = scratch_take(scratch, (size_t)block_queries * sizeof(struct attn_row)),
        .max = scratch_floats(scratch, block_queries),
        .sum = scratch_floats(scratch, block_queries),
        .weighted = scratch_floats(scratch, block_queries * problem->value_dim),
        .scores = scratch_floats(scratch, block_queries * problem->key_len),
        .key_len = problem->key_len,
        .buffers = tile_lay_out(problem, execution->parameters[TILE_BLOCK_KEYS], scratch),
    };
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct scratch scratch = {0};
    lay_out(problem, execution, &scratch);
    return scratch.bytes;
}

/* Scores of every row against every live key, and each row's maximum. */
static void fill_scores(const struct attn_operands *operands, const struct strip *strip) {
    for (int64_t first = strip->key_begin; first < strip->key_end; first += strip->buffers.block_keys) {
        const int64_t last = plain_min(first + strip->buffers.block_keys, strip->key_end);
        const struct tile_block block = tile_load(operands, strip->b, strip->key_head, first, last, &strip->buffers);
        for (int64_t n = 0; n < strip->last - strip->first; ++n) {
            const struct plain_span span = plain_live_keys(&strip->rows[n], first, last);
            if (span.begin >= span.end)
                continue;
            float *const scores = strip->scores + n * strip->key_len + span.begin;
            tile_dots(&block, attn_tensor_row(&operands->q, strip->b, strip->h, strip->first + n), operands->q.shape[3],
                      span, scores);
            strip->max[n] = plain_scores(&strip->rows[n], span.begin, span.end - span.begin, scores, strip->max[n]);
        }
    }
}

/* Scores become weights, a whole row at a time. */
static void fill_weights(const struct strip *strip) {
    for (int64_t n = 0; n < strip->last - strip->first; ++n) {
        const struct attn_row *const row = &strip->rows[n];
        const float base = plain_base(strip->max[n]);
        strip->sum[n] =
            row->sum * plain_rescale(row->max, base) +
            plain_weights(strip->scores + n * strip->key_len + row->key_begin, row->key_end - row->key_begin, base);
    }
}

/* Weights times values, a block of values for all rows while it is in L1. */
static void add_values(const struct attn_operands *operands, const struct strip *strip) {
    const int64_t value_dim = operands->v.shape[3];
    for (int64_t first = strip->key_begin; first < strip->key_end; first += strip->buffers.block_keys) {
        const int64_t last = plain_min(first + strip->buffers.block_keys, strip->key_end);
        for (int64_t n = 0; n < strip->last - strip->first; ++n) {
            const struct plain_span span = plain_live_keys(&strip->rows[n], first, last);
            if (span.begin < span.end)
                plain_add_values(&strip->rows[n], strip->weighted + n * value_dim, value_dim,
                                 strip->scores + n * strip->key_len + span.begin,
                                 attn_tensor_row(&operands->v, strip->b, strip->key_head, span.begin),
                                 operands->v.stride[2], span.end - span.begin);
        }
    }
}

static void answer_strip(const struct attn_problem *problem, const struct attn_operands *operands,
                         struct strip *strip) {
    const int64_t count = strip->last - strip->first, value_dim = problem->value_dim;
    attn_tile_keys(problem, strip->b, strip->h, strip->first, strip->last, &strip->key_begin, &strip->key_end);
    for (int64_t n = 0; n < count; ++n) {
        strip->rows[n] = attn_row_begin(problem, strip->b, strip->h, strip->first + n);
        strip->max[n] = strip->rows[n].max;
    }
    memset(strip->weighted, 0, (size_t)(count * value_dim) * sizeof(float));
    fill_scores(operands, strip);
    fill_weights(strip);
    add_values(operands, strip);
    for (int64_t n = 0; n < count; ++n)
        plain_write_row(operands, strip->b, strip->h, strip->first + n, strip->max[n], strip->sum[n],
                        strip->weighted + n * value_dim);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    struct scratch scratch = {.memory = execution->workspace};
    struct strip strip = lay_out(problem, execution, &scratch);
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h)
            for (int64_t first = 0; first < problem->query_len; first += block_queries) {
                strip.b = b;
                strip.h = h;
                strip.key_head = h / (problem->query_heads / problem->key_heads);
                strip.first = first;
                strip.last = plain_min(first + block_queries, problem->query_len);
                answer_strip(problem, operands, &strip);
            }
}

ATTN_VARIANT(strip) = {
    .name = "strip",
    .idea = "exact two-pass softmax over a strip of queries by all live keys that fits L2",
    .improves_on = "tiled",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = tile_parameters,
    .parameter_count = TILE_PARAMETER_COUNT,
    .resolve = resolve,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
