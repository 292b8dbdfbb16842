/* SPDX-License-Identifier: Apache-2.0 */
/* Threads over batch x heads: heads never meet, so each is answered by one thread as online_tiled would. The
 * simplest parallelism there is; it ends where there are fewer heads than threads. */
#include <omp.h>

#include "contract/variant.h"
#include "kernels/online_tile.h"

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    return scratch_slices_bytes(online_slice_bytes(problem, execution), execution->threads);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    const int64_t block_queries = execution->parameters[TILE_BLOCK_QUERIES];
    const size_t bytes = online_slice_bytes(problem, execution);

#pragma omp parallel num_threads(execution->threads)
    {
        struct scratch scratch = scratch_slice(execution->workspace, bytes, omp_get_thread_num());
        struct online_state state = online_lay_out(problem, execution, &scratch);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t b = 0; b < problem->batch; ++b)
            for (int64_t h = 0; h < problem->query_heads; ++h)
                for (int64_t first = 0; first < problem->query_len; first += block_queries) {
                    const int64_t last = plain_min(first + block_queries, problem->query_len);
                    const struct online_tile tile = {.b = b, .h = h, .first = first, .last = last};
                    online_answer(problem, operands, &tile, &state);
                }
    }
}

ATTN_VARIANT(parallel_heads) = {
    .name = "parallel_heads",
    .idea = "online_tiled with threads over batch x heads",
    .improves_on = "online_tiled",
    .traits = ATTN_PARALLEL | ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = tile_parameters,
    .parameter_count = TILE_PARAMETER_COUNT,
    .resolve = tile_resolve,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
