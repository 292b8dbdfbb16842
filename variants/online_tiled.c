/* SPDX-License-Identifier: Apache-2.0 */
/* Online softmax by tiles: a tile of queries passes once over the keys, one cache-sized block after another, and
 * rescales what it has when a block raises the maximum. No score is stored, none is computed twice. */
#include "contract/variant.h"
#include "kernels/online_tile.h"

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    return online_slice_bytes(problem, execution);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    struct scratch scratch = {.memory = execution->workspace};
    struct online_state state = online_lay_out(problem, execution, &scratch);
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];

    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h)
            for (int64_t first = 0; first < problem->query_len; first += block_queries) {
                const int64_t last = plain_min(first + block_queries, problem->query_len);
                const struct online_tile tile = {.b = b, .h = h, .first = first, .last = last};
                online_answer(problem, operands, &tile, &state);
            }
}

ATTN_VARIANT(online_tiled) = {
    .name = "online_tiled",
    .idea = "online softmax over cache-sized blocks of keys, for a tile of queries at a time",
    .improves_on = "online",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = tile_parameters,
    .parameter_count = TILE_PARAMETER_COUNT,
    .resolve = tile_resolve,
    .forward = {.workspace_bytes = workspace_bytes, .run = run},
};
