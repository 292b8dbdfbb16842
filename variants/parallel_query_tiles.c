/* SPDX-License-Identifier: Apache-2.0 */
/* Threads over query tiles: the tiles of all heads form one queue, so one long head keeps every thread busy. Within
 * a head the last tiles come first: under a causal mask they are the longest, and what is left for the end of the
 * queue, where threads wait for each other, is short. */
#include <omp.h>

#include "contract/variant.h"
#include "kernels/online_tile.h"

#define TILES_PER_THREAD 4 /* so that tiles of unequal length still even out */

/* Tiles as for one thread, or smaller when there would be too few. Rows come out the same in any tile, so the
 * choice may depend on the number of threads. */
static void resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    if (execution->parameters[TILE_BLOCK_QUERIES] == 0) {
        const int64_t rows = problem->batch * problem->query_heads * problem->query_len;
        const int64_t share = rows / (TILES_PER_THREAD * execution->threads);
        execution->parameters[TILE_BLOCK_QUERIES] =
            plain_min(tile_block_queries(problem, execution), plain_max(share, TILE_TRANSPOSE_QUERIES));
    }
    tile_resolve(problem, execution);
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    return scratch_slices_bytes(online_slice_bytes(problem, execution), execution->threads);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    const int64_t tiles = (problem->query_len + block_queries - 1) / block_queries; /* of a head */
    const size_t bytes = online_slice_bytes(problem, execution);

#pragma omp parallel num_threads(execution->threads)
    {
        struct scratch scratch = scratch_slice(execution->workspace, bytes, omp_get_thread_num());
        struct online_state state = online_lay_out(problem, execution, &scratch);
#pragma omp for collapse(3) schedule(dynamic)
        for (int64_t b = 0; b < problem->batch; ++b)
            for (int64_t h = 0; h < problem->query_heads; ++h)
                for (int64_t t = 0; t < tiles; ++t) {
                    const int64_t first = (tiles - 1 - t) * block_queries;
                    const int64_t last = plain_min(first + block_queries, problem->query_len);
                    const struct online_tile tile = {.b = b, .h = h, .first = first, .last = last};
                    online_answer(problem, operands, &tile, &state);
                }
    }
}

ATTN_VARIANT(parallel_query_tiles) = {
    .name = "parallel_query_tiles",
    .idea = "threads over the query tiles of all heads, from one queue",
    .improves_on = "parallel_heads",
    .traits = ATTN_PARALLEL | ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = tile_parameters,
    .parameter_count = TILE_PARAMETER_COUNT,
    .resolve = resolve,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
