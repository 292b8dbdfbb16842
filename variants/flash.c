/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming softmax inside register tiles: keys packed once per KV head, weights leave the registers as 2^(score -
 * reference) straight from the dot products, and the running maximum is moved only when a score outgrows it. */
#include "contract/variant.h"
#include "kernels/decode.h"
#include "kernels/edge.h"
#include "kernels/keypanel.h"

#include <omp.h>

enum { BLOCK_QUERIES, BLOCK_KEYS, RESCALE_THRESHOLD, SPLIT_KEYS, PARAMETER_COUNT };

static const struct attn_parameter parameters[] = {
    [BLOCK_QUERIES] = {"block_queries", 0, 6, 3072, "query rows of a tile; rounded to the register tile's rows"},
    [BLOCK_KEYS] = {"block_keys", 0, 16, 8192, "keys visited by a tile of queries at a time; rounded to panels"},
    [RESCALE_THRESHOLD] = {"rescale_threshold", 0, 1, 64, "log2 of how far a score may outgrow the running maximum"},
    [SPLIT_KEYS] = {"split_keys", 0, 64, 1 << 20, "keys of a split when few queries stream over many keys"},
};

static int64_t round_up(int64_t value, int64_t unit) {
    return (value + unit - 1) / unit * unit;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Query rows that read one KV head: its group of query heads, one after the other. */
static int64_t rows_of(const struct attn_problem *problem) {
    return problem->query_heads / problem->key_heads * problem->query_len;
}

static void resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    int64_t *const values = execution->parameters;
    const int64_t l1 = execution->caches.l1d_bytes ? execution->caches.l1d_bytes : 32768;
    const int64_t l2 = execution->caches.l2_bytes ? execution->caches.l2_bytes : 524288;
    const int64_t head_dim = problem->head_dim, value_dim = problem->value_dim;
    if (values[BLOCK_KEYS] == 0) /* a block of packed keys fills L1; values follow from L2 */
        values[BLOCK_KEYS] = clamp(l1 / (4 * head_dim), 64, 512);
    values[BLOCK_KEYS] = round_up(values[BLOCK_KEYS], PANEL_KEYS);
    if (values[BLOCK_QUERIES] == 0) /* queries, weights and sums of a tile take a quarter of L2 */
        values[BLOCK_QUERIES] = clamp(l2 / 4 / (4 * (head_dim + value_dim + values[BLOCK_KEYS])), 24, 192);
    values[BLOCK_QUERIES] = clamp(values[BLOCK_QUERIES], PANEL_ROWS, round_up(rows_of(problem), PANEL_ROWS));
    values[BLOCK_QUERIES] -= values[BLOCK_QUERIES] % PANEL_ROWS;
    if (values[RESCALE_THRESHOLD] == 0)
        values[RESCALE_THRESHOLD] = 8;
    if (values[SPLIT_KEYS] == 0) /* by length alone, so that no answer depends on the number of threads */
        values[SPLIT_KEYS] = round_up(clamp(problem->key_len / 16, 256, 4096), DECODE_BLOCK);
}

/* What one query tile has to do, and how much of it: tasks are taken longest first. */
struct task {
    int64_t b, key_head, first_row;
    int64_t live_pairs;
};

/* Sizes and places of everything in the workspace, 64-byte aligned. Per thread: a tile's queries, weights, sums. */
struct plan {
    int64_t rows, tile_rows, tiles, tasks;
    int64_t block_keys, blocks, panels;
    int64_t out_stride; /* value_dim, padded to whole registers */
    bool widen;         /* values are 16 bit: float copies are made */
    float threshold;
    size_t keys_at, values_at, finite_at, tasks_at, threads_at;
    size_t queries_at, weights_at, sums_at, rows_at, states_at, thread_bytes, bytes;
};

static size_t place(size_t *end, int64_t bytes) {
    const size_t at = *end;
    *end += (size_t)round_up(bytes, 64);
    return at;
}

static struct plan plan_of(const struct attn_problem *problem, const struct attn_execution *execution) {
    struct plan plan = {
        .rows = rows_of(problem),
        .tile_rows = execution->parameters[BLOCK_QUERIES],
        .block_keys = execution->parameters[BLOCK_KEYS],
        .out_stride = round_up(problem->value_dim, VEC_LANES),
        .widen = problem->type != ATTN_F32,
        .threshold = (float)execution->parameters[RESCALE_THRESHOLD],
    };
    const int64_t key_heads = problem->batch * problem->key_heads, f32 = sizeof(float);
    plan.tiles = (plan.rows + plan.tile_rows - 1) / plan.tile_rows;
    plan.tasks = key_heads * plan.tiles;
    plan.blocks = (problem->key_len + plan.block_keys - 1) / plan.block_keys;
    plan.panels = (problem->key_len + PANEL_KEYS - 1) / PANEL_KEYS;

    size_t end = 0;
    plan.keys_at = place(&end, key_heads * plan.panels * problem->head_dim * PANEL_KEYS * f32);
    plan.values_at = place(&end, plan.widen ? key_heads * problem->key_len * problem->value_dim * f32 : 0);
    plan.finite_at = place(&end, key_heads * plan.blocks * (int64_t)sizeof(bool));
    plan.tasks_at = place(&end, plan.tasks * (int64_t)sizeof(struct task));
    plan.threads_at = end;
    size_t thread_end = 0;
    plan.queries_at = place(&thread_end, plan.tile_rows * problem->head_dim * f32);
    plan.weights_at = place(&thread_end, plan.tile_rows * plan.block_keys * f32);
    plan.sums_at = place(&thread_end, plan.tile_rows * plan.out_stride * f32);
    plan.rows_at = place(&thread_end, plan.tile_rows * (int64_t)sizeof(struct attn_row));
    plan.states_at = place(&thread_end, plan.tile_rows * (int64_t)sizeof(struct edge_state));
    plan.thread_bytes = thread_end;
    plan.bytes = plan.threads_at + (size_t)execution->threads * plan.thread_bytes;
    return plan;
}

static bool is_decode(const struct attn_problem *problem) {
    return rows_of(problem) <= DECODE_MAX_ROWS && problem->query_len * 16 <= problem->key_len;
}

static struct decode_plan decode_plan_for(const struct attn_problem *problem, const struct attn_execution *execution) {
    return decode_plan_of(problem, execution->threads, execution->parameters[SPLIT_KEYS]);
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    return is_decode(problem) ? decode_plan_for(problem, execution).bytes : plan_of(problem, execution).bytes;
}

/* One call, as all its threads see it. */
struct call {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    struct plan plan;
    char *workspace;
};

static const float *packed_panel(const struct call *call, int64_t b, int64_t key_head, int64_t panel) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (const float *)(call->workspace + call->plan.keys_at) +
           (head * call->plan.panels + panel) * call->problem->head_dim * PANEL_KEYS;
}

/* The value of key `j`, as floats, and the distance from one to the next. */
static const float *values_from(const struct call *call, int64_t b, int64_t key_head, int64_t j, int64_t *stride) {
    if (!call->plan.widen) {
        *stride = call->operands->v.stride[2];
        return attn_tensor_row(&call->operands->v, b, key_head, j);
    }
    *stride = call->problem->value_dim;
    const int64_t head = b * call->problem->key_heads + key_head;
    return (const float *)(call->workspace + call->plan.values_at) + (head * call->problem->key_len + j) * *stride;
}

static bool *finite_flag(const struct call *call, int64_t b, int64_t key_head, int64_t block) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (bool *)(call->workspace + call->plan.finite_at) + head * call->plan.blocks + block;
}

/* Packs the keys of one block, widens its values where needed, and notes whether they are all finite. */
static void prepare_block(const struct call *call, int64_t b, int64_t key_head, int64_t block) {
    const struct attn_problem *const problem = call->problem;
    const int64_t first = block * call->plan.block_keys;
    const int64_t last =
        first + call->plan.block_keys < problem->key_len ? first + call->plan.block_keys : problem->key_len;
    for (int64_t j = first; j < last; j += PANEL_KEYS)
        panel_pack(&call->operands->k, b, key_head, j, (float *)packed_panel(call, b, key_head, j / PANEL_KEYS));
    bool finite = true;
    for (int64_t j = first; j < last; ++j) {
        int64_t stride;
        const float *const value = values_from(call, b, key_head, j, &stride);
        if (call->plan.widen)
            attn_tensor_row_f32(&call->operands->v, b, key_head, j, (float *)value);
        finite &= edge_all_finite(value, problem->value_dim);
    }
    *finite_flag(call, b, key_head, block) = finite;
}

/* A tile being worked on. */
struct tile {
    const struct call *call;
    int64_t b, key_head;
    float *queries, *weights, *sums;
    struct attn_row *rows;
    struct edge_state *states;
};

static struct tile tile_of(const struct call *call, const struct task *task, int thread) {
    char *const own = call->workspace + call->plan.threads_at + (size_t)thread * call->plan.thread_bytes;
    return (struct tile){
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
static void locate(const struct attn_problem *problem, int64_t key_head, int64_t n, int64_t *h, int64_t *i) {
    *h = key_head * (problem->query_heads / problem->key_heads) + n / problem->query_len;
    *i = n % problem->query_len;
}

/* Loads scaled queries and starts the softmax of `count` rows, a multiple of PANEL_ROWS; rows beyond the last repeat
 * it, and are dropped at the end. */
static void tile_begin(const struct tile *tile, int64_t first_row, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    const struct attn_tensor *const q = &tile->call->operands->q;
    for (int64_t r = 0; r < count; ++r) {
        const int64_t n = first_row + r < tile->call->plan.rows ? first_row + r : tile->call->plan.rows - 1;
        int64_t h, i;
        locate(problem, tile->key_head, n, &h, &i);
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
struct span {
    int64_t first, last;
    bool cut; /* some pair in it is masked, or might be */
};

/* Weights of PANEL_ROWS rows from `r` for the block [block_first, block_last). */
static struct span group_weights(const struct tile *tile, int64_t r, int64_t block_first, int64_t block_last) {
    const struct plan *const plan = &tile->call->plan;
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
    first = clamp(first, block_first, block_last);
    last = clamp(last, block_first, block_last);
    if (first >= last)
        return (struct span){0, 0, true};

    float *const weights = tile->weights + r * plan->block_keys;
    const float *const queries = tile->queries + r * problem->head_dim;
    float reference[PANEL_ROWS], sums[PANEL_ROWS] = {0};
    bool fused = whole;
    for (int n = 0; n < PANEL_ROWS; ++n) {
        reference[n] = states[n].reference;
        fused &= fabsf(reference[n]) < EDGE_INTEGER_LIMIT;
    }
    if (fused && panel_weights(problem->head_dim, queries, problem->head_dim,
                               packed_panel(tile->call, tile->b, tile->key_head, block_first / PANEL_KEYS),
                               (block_last - block_first) / PANEL_KEYS, reference, plan->threshold, weights,
                               plan->block_keys, sums)) {
        for (int n = 0; n < PANEL_ROWS; ++n)
            states[n].sum += sums[n];
        return (struct span){0, block_last - block_first, false};
    }

    first -= (first - block_first) % PANEL_KEYS; /* keeps vector loops over one row's scores inside that row */
    const int64_t panels = (last - first + PANEL_KEYS - 1) / PANEL_KEYS;
    panel_scores(problem->head_dim, queries, problem->head_dim,
                 packed_panel(tile->call, tile->b, tile->key_head, first / PANEL_KEYS), panels,
                 weights + first - block_first, plan->block_keys);
    for (int n = 0; n < PANEL_ROWS; ++n) {
        float *const scores = weights + n * plan->block_keys - block_first; /* indexed by key */
        const int64_t begin = clamp(rows[n].key_begin, first, last), end = clamp(rows[n].key_end, begin, last);
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
    return (struct span){first - block_first, last - block_first, !whole};
}

static void group_values(const struct tile *tile, int64_t r, int64_t block_first, struct span span) {
    const struct plan *const plan = &tile->call->plan;
    int64_t stride;
    const float *const values = values_from(tile->call, tile->b, tile->key_head, block_first + span.first, &stride);
    const float *const weights = tile->weights + r * plan->block_keys + span.first;
    float *const sums = tile->sums + r * plan->out_stride;
    const int64_t keys = span.last - span.first, value_dim = tile->call->problem->value_dim;
    if (!span.cut || *finite_flag(tile->call, tile->b, tile->key_head, block_first / plan->block_keys))
        panel_values(keys, value_dim, weights, plan->block_keys, values, stride, sums, plan->out_stride);
    else
        for (int n = 0; n < PANEL_ROWS; ++n)
            edge_values(keys, value_dim, weights + n * plan->block_keys, values, stride, sums + n * plan->out_stride);
}

static void tile_end(const struct tile *tile, int64_t first_row, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    const struct attn_operands *const operands = tile->call->operands;
    for (int64_t r = 0; r < count && first_row + r < tile->call->plan.rows; ++r) {
        int64_t h, i;
        locate(problem, tile->key_head, first_row + r, &h, &i);
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
static void attend(const struct call *call, const struct task *task, int thread) {
    const struct plan *const plan = &call->plan;
    const struct tile tile = tile_of(call, task, thread);
    const int64_t left = plan->rows - task->first_row;
    const int64_t count = round_up(left < plan->tile_rows ? left : plan->tile_rows, PANEL_ROWS);
    tile_begin(&tile, task->first_row, count);
    int64_t first = call->problem->key_len, last = 0;
    for (int64_t r = 0; r < count; ++r)
        if (tile.rows[r].key_begin < tile.rows[r].key_end) {
            first = tile.rows[r].key_begin < first ? tile.rows[r].key_begin : first;
            last = tile.rows[r].key_end > last ? tile.rows[r].key_end : last;
        }
    for (int64_t j = first - first % plan->block_keys; j < last; j += plan->block_keys) {
        const int64_t block_last =
            j + plan->block_keys < call->problem->key_len ? j + plan->block_keys : call->problem->key_len;
        struct span spans[3072 / PANEL_ROWS]; /* as many as block_queries may ask for */
        for (int64_t r = 0; r < count; r += PANEL_ROWS)
            spans[r / PANEL_ROWS] = group_weights(&tile, r, j, block_last);
        for (int64_t r = 0; r < count; r += PANEL_ROWS)
            if (spans[r / PANEL_ROWS].first < spans[r / PANEL_ROWS].last)
                group_values(&tile, r, j, spans[r / PANEL_ROWS]);
    }
    tile_end(&tile, task->first_row, count);
}

static void write_tasks(const struct call *call, struct task *tasks) {
    const struct attn_problem *const problem = call->problem;
    for (int64_t n = 0; n < call->plan.tasks; ++n) {
        struct task *const task = &tasks[n];
        const int64_t head = n / call->plan.tiles;
        *task = (struct task){head / problem->key_heads, head % problem->key_heads,
                              n % call->plan.tiles * call->plan.tile_rows, 0};
        for (int64_t r = 0; r < call->plan.tile_rows && task->first_row + r < call->plan.rows; ++r) {
            int64_t h, i;
            locate(problem, task->key_head, task->first_row + r, &h, &i);
            const struct attn_row row = attn_row_begin(problem, task->b, h, i);
            task->live_pairs += row.key_end - row.key_begin;
        }
    }
    /* Longest first, so that the last task to finish is a short one. Shell sort: few, nearly ordered, no recursion. */
    for (int64_t gap = call->plan.tasks / 2; gap > 0; gap /= 2)
        for (int64_t n = gap; n < call->plan.tasks; ++n)
            for (int64_t m = n; m >= gap && tasks[m - gap].live_pairs < tasks[m].live_pairs; m -= gap) {
                const struct task other = tasks[m];
                tasks[m] = tasks[m - gap];
                tasks[m - gap] = other;
            }
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    if (is_decode(problem)) {
        const struct decode_plan plan = decode_plan_for(problem, execution);
        decode_run(problem, operands, &plan, execution->threads, execution->workspace);
        return;
    }
    const struct call call = {problem, operands, plan_of(problem, execution), execution->workspace};
    struct task *const tasks = (struct task *)(call.workspace + call.plan.tasks_at);
    const int64_t blocks = problem->batch * problem->key_heads * call.plan.blocks;
#pragma omp parallel num_threads(execution->threads)
    {
#pragma omp single nowait
        write_tasks(&call, tasks);
#pragma omp for schedule(static)
        for (int64_t n = 0; n < blocks; ++n) {
            const int64_t head = n / call.plan.blocks;
            prepare_block(&call, head / problem->key_heads, head % problem->key_heads, n % call.plan.blocks);
        }
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < call.plan.tasks; ++n)
            attend(&call, &tasks[n], omp_get_thread_num());
    }
}

ATTN_VARIANT(flash) = {
    .name = "flash",
    .idea = "online softmax inside register tiles over packed keys, fused with the dot products",
    .improves_on = "parallel_query_tiles",
    .traits = ATTN_PARALLEL | ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .parameters = parameters,
    .parameter_count = PARAMETER_COUNT,
    .resolve = resolve,
    .forward = {.workspace_bytes = workspace_bytes, .run = run},
};
