/* SPDX-License-Identifier: Apache-2.0 */
/* Online softmax by tiles: a tile of queries passes once over the keys, one cache-sized block after another, and
 * rescales what it has when a block raises the maximum. No score is stored, none is computed twice. */
#include "contract/variant.h"
#include "kernels/online_tile.h"

enum { BLOCK_QUERIES, BLOCK_KEYS, PARAMETER_COUNT };

static const struct attn_parameter parameters[PARAMETER_COUNT] = {
    [BLOCK_QUERIES] = {.name = "block_queries", .min = 1, .max = 4096, .meaning = "queries of a tile"},
    [BLOCK_KEYS] = {.name = "block_keys", .min = 1, .max = 4096, .meaning = "keys of a block"},
};

static void resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    int64_t *const parameter = execution->parameters;
    if (parameter[BLOCK_QUERIES] == 0)
        parameter[BLOCK_QUERIES] = tile_block_queries(problem, execution);
    if (parameter[BLOCK_KEYS] == 0)
        parameter[BLOCK_KEYS] = tile_block_keys(problem, execution);
}

static struct online_state lay_out(const struct attn_problem *problem, const struct attn_execution *execution,
                                   struct scratch *scratch) {
    return online_lay_out(problem, execution->parameters[BLOCK_QUERIES], execution->parameters[BLOCK_KEYS], scratch);
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct scratch scratch = {0};
    lay_out(problem, execution, &scratch);
    return scratch.bytes;
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    struct scratch scratch = {.memory = execution->workspace};
    struct online_state state = lay_out(problem, execution, &scratch);
    const int64_t block_queries = execution->parameters[BLOCK_QUERIES];

    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h)
            for (int64_t first = 0; first < problem->query_len; first += block_queries) {
                const int64_t last = plain_min(first + block_queries, problem->query_len);
                const struct online_tile tile = {.b = b, .h = h, .first = first, .last = last};
                online_begin(problem, &tile, true, &state);
                online_advance(problem, operands, &tile, 0, problem->key_len, &state);
                online_finish(operands, &tile, &state);
            }
}

ATTN_VARIANT(online_tiled) = {
    .name = "online_tiled",
    .idea = "online softmax over cache-sized blocks of keys, for a tile of queries at a time",
    .improves_on = "naive",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = parameters,
    .parameter_count = PARAMETER_COUNT,
    .resolve = resolve,
    .forward = {.workspace_bytes = workspace_bytes, .run = run},
};
