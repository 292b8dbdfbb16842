/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming softmax inside register tiles: keys packed once per KV head, weights leave the registers as 2^(score -
 * reference) straight from the dot products, and the running maximum is moved only when a score outgrows it. */
#include "contract/variant.h"
#include "kernels/amx_flash.h"
#include "kernels/decode.h"
#include "kernels/flash_backward.h"

#include <omp.h>

enum { BLOCK_QUERIES, BLOCK_KEYS, RESCALE_THRESHOLD, SPLIT_KEYS, SCHEDULE, PARAMETER_COUNT };
enum { QUEUE = 1, DEALT = 2 };

static const struct attn_parameter parameters[] = {
    [BLOCK_QUERIES] = {"block_queries", 0, 6, GROUP_MAX_TILE_ROWS,
                       "query rows of a tile; rounded to the register tile's rows"},
    [BLOCK_KEYS] = {"block_keys", 0, 16, 8192, "keys visited by a tile of queries at a time; rounded to panels"},
    [RESCALE_THRESHOLD] = {"rescale_threshold", 0, 1, 64, "log2 of how far a score may outgrow the running maximum"},
    [SPLIT_KEYS] = {"split_keys", 0, 64, 1 << 20, "keys of a split when few queries stream over many keys"},
    [SCHEDULE] = {"schedule", 0, QUEUE, DEALT, "tiles of queries: 1 from a queue; 2 dealt beforehand"},
};

static bool uses_tiles(const struct attn_problem *problem) {
    return AMX_OFFERED && problem->type == ATTN_BF16 && problem->direction == ATTN_FORWARD;
}

static void resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    int64_t *const values = execution->parameters;
    const int64_t l2 = execution->caches.l2_bytes ? execution->caches.l2_bytes : 524288;
    const int64_t head_dim = problem->head_dim, value_dim = problem->value_dim;
    if (problem->direction == ATTN_BACKWARD)
        backward_resolve(problem, l2, &values[BLOCK_QUERIES], &values[BLOCK_KEYS]);
    const bool tiles = uses_tiles(problem);
    const int64_t unit_rows = tiles ? AMX_BLOCK : PANEL_ROWS, panel_keys = tiles ? AMX_BLOCK : PANEL_KEYS;
    const int64_t element_bytes = tiles ? sizeof(uint16_t) : sizeof(float);
    if (values[BLOCK_KEYS] == 0) /* a block of packed keys takes an eighth of L2; panels follow each other into L1 */
        values[BLOCK_KEYS] = group_clamp(l2 / 8 / (element_bytes * head_dim), 64, 512);
    values[BLOCK_KEYS] = group_round_up(values[BLOCK_KEYS], panel_keys);
    if (values[BLOCK_QUERIES] == 0) /* queries, weights and sums of a tile take a quarter of L2 */
        values[BLOCK_QUERIES] = group_clamp(l2 / 4 / (4 * (head_dim + value_dim + values[BLOCK_KEYS])), 24, 192);
    values[BLOCK_QUERIES] =
        group_clamp(values[BLOCK_QUERIES], unit_rows, group_round_up(group_rows(problem), unit_rows));
    values[BLOCK_QUERIES] -= values[BLOCK_QUERIES] % unit_rows;
    if (values[RESCALE_THRESHOLD] == 0) /* e^11 above the first few scores: rare, and far from overflow */
        values[RESCALE_THRESHOLD] = 16;
    if (values[SPLIT_KEYS] == 0) /* by length alone, so that no answer depends on the number of threads */
        values[SPLIT_KEYS] = group_round_up(group_clamp(problem->key_len / 16, 256, 4096), DECODE_BLOCK);
    if (values[SCHEDULE] == 0)
        values[SCHEDULE] = QUEUE;
}

static bool is_decode(const struct attn_problem *problem) {
    return group_rows(problem) <= DECODE_MAX_ROWS && problem->query_len * 16 <= problem->key_len;
}

static struct decode_plan decode_plan_for(const struct attn_problem *problem, const struct attn_execution *execution) {
    return decode_plan_of(problem, execution->threads, execution->parameters[SPLIT_KEYS]);
}

static struct flash_plan plan_for(const struct attn_problem *problem, const struct attn_execution *execution) {
    const int64_t *const values = execution->parameters;
    return (uses_tiles(problem) ? amx_plan_of : flash_plan_of)(problem, execution->threads, values[BLOCK_QUERIES],
                                                               values[BLOCK_KEYS], (float)values[RESCALE_THRESHOLD]);
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    return is_decode(problem) ? decode_plan_for(problem, execution).bytes : plan_for(problem, execution).bytes;
}

/* Keys that the row sees. */
static int64_t row_keys(const struct attn_problem *problem, int64_t b, int64_t key_head, int64_t n) {
    const struct group_place at = group_locate(problem, key_head, n);
    const struct attn_row row = attn_row_begin(problem, b, at.h, at.i);
    return row.key_end - row.key_begin;
}

/* From a queue: head by head, so that what is read of one stays in the cache; heads with more to do first, and of a
 * head its longest tasks, so that the last to finish are short. Dealt: the longest first, whatever their heads. */
static bool goes_before(const struct flash_task *task, const struct flash_task *other, int64_t schedule) {
    if (schedule == QUEUE && task->head_pairs != other->head_pairs)
        return task->head_pairs > other->head_pairs;
    if (schedule == QUEUE && task->head != other->head)
        return task->head < other->head;
    return task->pairs > other->pairs;
}

/* Shell sort: few, and no recursion. */
static void sort_tasks(struct flash_task *tasks, int64_t count, int64_t schedule) {
    for (int64_t gap = count / 2; gap > 0; gap /= 2)
        for (int64_t n = gap; n < count; ++n)
            for (int64_t m = n; m >= gap && goes_before(&tasks[m], &tasks[m - gap], schedule); m -= gap) {
                const struct flash_task other = tasks[m];
                tasks[m] = tasks[m - gap];
                tasks[m - gap] = other;
            }
}

/* The task of one tile of KV head `head`. Its rows see about what the first and the last do: near enough to tell long
 * from short. */
static struct flash_task task_of(const struct flash_call *call, int64_t head, int64_t tile) {
    const int64_t key_heads = call->problem->key_heads, first_row = tile * call->plan.tile_rows;
    const int64_t left = call->plan.rows - first_row, rows = left < call->plan.tile_rows ? left : call->plan.tile_rows;
    struct flash_task task = {
        .head = head, .b = head / key_heads, .key_head = head % key_heads, .first_row = first_row};
    task.pairs = rows * (row_keys(call->problem, task.b, task.key_head, first_row) +
                         row_keys(call->problem, task.b, task.key_head, first_row + rows - 1));
    return task;
}

static void write_tasks(const struct flash_call *call, int64_t schedule, struct flash_task *tasks) {
    const int64_t tiles = call->plan.tiles;
    for (int64_t head = 0; head * tiles < call->plan.tasks; ++head) {
        struct flash_task *const own = tasks + head * tiles;
        int64_t pairs = 0;
        for (int64_t tile = 0; tile < tiles; ++tile) {
            own[tile] = task_of(call, head, tile);
            pairs += own[tile].pairs;
        }
        for (int64_t tile = 0; tile < tiles; ++tile)
            own[tile].head_pairs = pairs;
    }
    sort_tasks(tasks, call->plan.tasks, schedule);
}

/* Packs the n-th block of keys of the call. */
VEC_INLINE void prepare(const struct flash_call *call, bool tiles, int64_t n) {
    const int64_t head = n / call->plan.blocks, begun_ns = attn_profile_now(call->profile);
    (tiles ? amx_prepare_block : flash_prepare_block)(call, head / call->problem->key_heads,
                                                      head % call->problem->key_heads, n % call->plan.blocks);
    turn_pass(flash_packed_blocks(call, head));
    attn_profile_spent(call->profile, omp_get_thread_num(), ATTN_PACKING, begun_ns);
}

/* The tasks of this thread of the team. Dealt: in rounds, the order turned in every second one, so that whoever got the
 * longer task of one round gets the shorter of the next. */
VEC_INLINE void attend(const struct flash_engine *engine, const struct flash_call *call, const struct flash_task *tasks,
                       int64_t schedule) {
    if (schedule == QUEUE) {
#pragma omp for schedule(dynamic, 1) nowait
        for (int64_t n = 0; n < call->plan.tasks; ++n)
            flash_attend(engine, call, &tasks[n], omp_get_thread_num());
        return;
    }
    const int64_t team = omp_get_num_threads(), own = omp_get_thread_num();
    for (int64_t round = 0; round * team < call->plan.tasks; ++round) {
        const int64_t n = round * team + (round % 2 ? team - 1 - own : own);
        if (n < call->plan.tasks)
            flash_attend(engine, call, &tasks[n], (int)own);
    }
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    if (is_decode(problem)) {
        const struct decode_plan plan = decode_plan_for(problem, execution);
        decode_run(problem, operands, &plan, execution);
        return;
    }
    const struct flash_call call = {problem, operands, plan_for(problem, execution), execution->workspace,
                                    execution->profile};
    struct flash_task *const tasks = (struct flash_task *)(call.workspace + call.plan.tasks_at);
    const int64_t heads = problem->batch * problem->key_heads;
    const bool tiles = uses_tiles(problem);
    write_tasks(&call, execution->parameters[SCHEDULE], tasks);
    for (int64_t head = 0; head < heads; ++head)
        *flash_packed_blocks(&call, head) = 0;
#pragma omp parallel num_threads(execution->threads)
    {
        /* No barrier behind it: a task waits for the keys of its own head, which some thread has been given to pack. */
#pragma omp for schedule(static) nowait
        for (int64_t n = 0; n < heads * call.plan.blocks; ++n)
            prepare(&call, tiles, n);
        if (tiles) {
            amx_begin();
            attend(&amx_engine, &call, tasks, execution->parameters[SCHEDULE]);
            amx_end();
        } else {
            attend(&flash_panels, &call, tasks, execution->parameters[SCHEDULE]);
        }
    }
}

static struct backward lay_out_backward(const struct attn_problem *problem, const struct attn_operands *operands,
                                        const struct attn_execution *execution) {
    const int64_t *const values = execution->parameters;
    return backward_lay_out(problem, operands, values[BLOCK_QUERIES], values[BLOCK_KEYS], execution->threads,
                            operands ? execution->workspace : NULL);
}

static size_t backward_workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    return lay_out_backward(problem, NULL, execution).bytes;
}

static void run_backward(const struct attn_problem *problem, const struct attn_operands *operands,
                         const struct attn_execution *execution) {
    struct backward call = lay_out_backward(problem, operands, execution);
    call.profile = execution->profile;
    backward_run(&call, execution->threads);
}

ATTN_VARIANT(flash) = {
    .name = "flash",
    .idea = "online softmax inside register tiles over packed keys, fused with the dot products",
    .improves_on = "parallel_query_tiles",
    .traits = ATTN_PARALLEL | ATTN_REPEATABLE | ATTN_THREAD_INVARIANT | (AMX_OFFERED ? ATTN_ROUNDS_WEIGHTS : 0),
    .parameters = parameters,
    .parameter_count = PARAMETER_COUNT,
    .resolve = resolve,
    .forward = {.workspace_bytes = workspace_bytes, .run = run},
    .backward = {.workspace_bytes = backward_workspace_bytes, .run = run_backward},
};
