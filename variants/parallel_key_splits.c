/* SPDX-License-Identifier: Apache-2.0 */
/* Threads over keys: the keys are cut into splits, each of which yields a partial softmax (maximum, sum, weighted
 * values) of every query, and partials are merged in the order of the keys. One query against many keys, the case
 * of a decoder, is work for every thread. The splits do not depend on the threads, so neither does the answer. */
#include <omp.h>

#include "contract/variant.h"
#include "kernels/online_tile.h"

enum { SPLITS = TILE_PARAMETER_COUNT, PARAMETER_COUNT };

static const struct attn_parameter parameters[PARAMETER_COUNT] = {
    [TILE_BLOCK_QUERIES] = {.name = "block_queries", .min = 1, .max = 4096, .meaning = "queries of a tile"},
    [TILE_BLOCK_KEYS] = {.name = "block_keys", .min = 1, .max = 4096, .meaning = "keys of a block"},
    [SPLITS] = {.name = "splits", .min = 1, .max = 1024, .meaning = "parts that the keys are cut into"},
};

#define LEAST_SPLIT_KEYS 512 /* below, merging partials costs more than it spreads */
#define MOST_SPLITS      16  /* partials take `splits` times the memory of the answer */

static void resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    tile_resolve(problem, execution);
    if (execution->parameters[SPLITS] == 0)
        execution->parameters[SPLITS] = plain_min(plain_max(problem->key_len / LEAST_SPLIT_KEYS, 1), MOST_SPLITS);
}

/* Partial softmaxes; row (b, h, split, i) is at ((b * query_heads + h) * splits + split) * query_len + i. */
static struct online_sums lay_out_partials(const struct attn_problem *problem, const struct attn_execution *execution,
                                           struct scratch *scratch) {
    const int64_t splits = execution->parameters[SPLITS];
    return online_lay_out_sums(problem, problem->batch * problem->query_heads * splits * problem->query_len, scratch);
}

static struct online_state lay_out_state(const struct attn_problem *problem, const struct attn_execution *execution,
                                         struct scratch *scratch) {
    return online_lay_out_work(problem, execution->parameters[TILE_BLOCK_QUERIES],
                               execution->parameters[TILE_BLOCK_KEYS], scratch);
}

static size_t slice_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct scratch scratch = {0};
    lay_out_state(problem, execution, &scratch);
    return scratch.bytes;
}

/* Partials first, then a slice for each thread. */
static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct scratch scratch = {0};
    lay_out_partials(problem, execution, &scratch);
    scratch_take(&scratch, scratch_slices_bytes(slice_bytes(problem, execution), execution->threads));
    return scratch.bytes;
}

/* Writes row (b, h, i) from its partials, always in the order of the keys. */
static void merge_row(const struct attn_problem *problem, const struct attn_operands *operands,
                      const struct attn_execution *execution, const struct online_sums *partials, int64_t b, int64_t h,
                      int64_t i) {
    const int64_t splits = execution->parameters[SPLITS], value_dim = problem->value_dim;
    const int64_t row = (b * problem->query_heads + h) * splits * problem->query_len + i;
    float *const weighted = partials->weighted + row * value_dim; /* the first split's, which the others join */
    float max = partials->max[row], sum = partials->sum[row];
    for (int64_t split = 1; split < splits; ++split) {
        const int64_t other = row + split * problem->query_len;
        const float *const other_weighted = partials->weighted + other * value_dim;
        const float other_max = partials->max[other];
        const float new_max = other_max > max ? other_max : max, base = plain_base(new_max);
        const float factor = plain_rescale(max, base), other_factor = plain_rescale(other_max, base);
        max = new_max;
        sum = sum * factor + partials->sum[other] * other_factor;
        for (int64_t c = 0; c < value_dim; ++c)
            weighted[c] = weighted[c] * factor + other_weighted[c] * other_factor;
    }
    plain_write_row(operands, b, h, i, max, sum, weighted);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    const int64_t block_keys = execution->parameters[TILE_BLOCK_KEYS], splits = execution->parameters[SPLITS];
    const int64_t tiles = (problem->query_len + block_queries - 1) / block_queries; /* of a head */
    const int64_t split_blocks = (problem->key_len + splits * block_keys - 1) / (splits * block_keys);
    const int64_t split_keys = split_blocks * block_keys;
    const size_t bytes = slice_bytes(problem, execution);
    struct scratch scratch = {.memory = execution->workspace};
    const struct online_sums partials = lay_out_partials(problem, execution, &scratch);
    void *const slices = scratch_take(&scratch, scratch_slices_bytes(bytes, execution->threads));

#pragma omp parallel num_threads(execution->threads)
    {
        struct scratch slice = scratch_slice(slices, bytes, omp_get_thread_num());
        struct online_state state = lay_out_state(problem, execution, &slice);
#pragma omp for collapse(4) schedule(dynamic)
        for (int64_t b = 0; b < problem->batch; ++b)
            for (int64_t h = 0; h < problem->query_heads; ++h)
                for (int64_t t = 0; t < tiles; ++t)
                    for (int64_t split = 0; split < splits; ++split) {
                        const int64_t first = t * block_queries;
                        const int64_t last = plain_min(first + block_queries, problem->query_len);
                        const struct online_tile tile = {.b = b, .h = h, .first = first, .last = last};
                        const int64_t row =
                            ((b * problem->query_heads + h) * splits + split) * problem->query_len + first;
                        state.sums = (struct online_sums){partials.max + row, partials.sum + row,
                                                          partials.weighted + row * problem->value_dim};
                        online_begin(problem, &tile, split == 0, &state); /* the sink counts once */
                        online_advance(problem, operands, &tile, split * split_keys, (split + 1) * split_keys, &state);
                    }
#pragma omp for collapse(3)
        for (int64_t b = 0; b < problem->batch; ++b)
            for (int64_t h = 0; h < problem->query_heads; ++h)
                for (int64_t i = 0; i < problem->query_len; ++i)
                    merge_row(problem, operands, execution, &partials, b, h, i);
    }
}

ATTN_VARIANT(parallel_key_splits) = {
    .name = "parallel_key_splits",
    .idea = "threads over splits of the keys; partial softmaxes merged in a fixed order",
    .improves_on = "parallel_query_tiles",
    .traits = ATTN_PARALLEL | ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = parameters,
    .parameter_count = PARAMETER_COUNT,
    .resolve = resolve,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
