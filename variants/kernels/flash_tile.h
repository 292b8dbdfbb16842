/* SPDX-License-Identifier: Apache-2.0 */
/* One tile of query rows against its keys: block by block, weights first, then values. */
#ifndef KERNELS_FLASH_TILE_H
#define KERNELS_FLASH_TILE_H

#include "kernels/flash_plan.h"
#include "kernels/turn.h"

/* A tile being worked on. */
struct flash_tile {
    const struct flash_call *call;
    int64_t b, key_head;
    float *queries, *weights, *scores, *sums;
    struct flash_row *rows;
    struct edge_state *states;
};

static inline struct flash_tile flash_tile_of(const struct flash_call *call, const struct flash_task *task,
                                              int thread) {
    char *const own = call->workspace + call->plan.threads_at + (size_t)thread * call->plan.thread_bytes;
    return (struct flash_tile){
        .call = call,
        .b = task->b,
        .key_head = task->key_head,
        .queries = (float *)(own + call->plan.queries_at),
        .weights = (float *)(own + call->plan.weights_at),
        .scores = (float *)(own + call->plan.scores_at),
        .sums = (float *)(own + call->plan.sums_at),
        .rows = (struct flash_row *)(own + call->plan.rows_at),
        .states = (struct edge_state *)(own + call->plan.states_at),
    };
}

/* Starts the softmax of `count` rows of a tile. Rows beyond the last repeat it, and are dropped at the end. */
static inline void flash_rows_begin(const struct flash_tile *tile, int64_t first_row, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    struct group_place at = group_locate(problem, tile->key_head, first_row);
    for (int64_t r = 0; r < count; ++r) {
        const struct attn_row row = attn_row_begin(problem, tile->b, at.h, at.i);
        tile->rows[r] =
            (struct flash_row){.at = at, .key_begin = row.key_begin, .key_end = row.key_end, .plain = row.plain};
        tile->states[r] = edge_state_begin(&row);
        if (first_row + r + 1 < tile->call->plan.rows && ++at.i == problem->query_len) {
            at.i = 0;
            ++at.h;
        }
    }
}

static inline const void *flash_query(const struct flash_tile *tile, int64_t r) {
    return attn_tensor_row(&tile->call->operands->q, tile->b, tile->rows[r].at.h, tile->rows[r].at.i);
}

/* Loads the queries of `count` rows, scaled. */
static inline void flash_load_queries(const struct flash_tile *tile, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    for (int64_t r = 0; r < count; ++r)
        convert_row_from(tile->queries + r * problem->head_dim, flash_query(tile, r), problem->type, problem->head_dim,
                         tile->rows[r].plain ? problem->scale * EDGE_LOG2E : problem->scale);
}

/* What a group of rows sees of a block of keys, relative to the block's first key: [first, last) holds every live pair,
 * [whole_first, whole_last), made of whole panels inside it, only live ones. Plain: scores need no finishing. Cut: some
 * pair of [first, last) is masked, or might be. */
struct flash_span {
    int64_t first, last, whole_first, whole_last;
    bool plain, cut;
};

/* What `count` rows from `r` see of the block [block_first, block_last), made of panels of `panel_keys`. */
static inline struct flash_span flash_group_span(const struct flash_tile *tile, int64_t r, int count,
                                                 int64_t panel_keys, int64_t block_first, int64_t block_last) {
    const struct flash_row *const rows = tile->rows + r;
    const struct attn_mask *const mask = &tile->call->problem->mask;
    int64_t first = block_last, last = block_first, whole_first = block_first, whole_last = block_last;
    bool plain = true;
    for (int n = 0; n < count; ++n) {
        if (rows[n].key_begin < rows[n].key_end) {
            first = rows[n].key_begin < first ? rows[n].key_begin : first;
            last = rows[n].key_end > last ? rows[n].key_end : last;
        }
        whole_first = rows[n].key_begin > whole_first ? rows[n].key_begin : whole_first;
        whole_last = rows[n].key_end < whole_last ? rows[n].key_end : whole_last;
        plain &= rows[n].plain;
    }
    struct flash_span span = {
        .first = group_clamp(first, block_first, block_last) - block_first,
        .last = group_clamp(last, block_first, block_last) - block_first,
        .whole_first = group_round_up(whole_first - block_first, panel_keys),
        .whole_last = whole_last > block_first ? (whole_last - block_first) / panel_keys * panel_keys : 0,
        .plain = plain,
    };
    span.first -= span.first % panel_keys; /* keeps vector loops over one row's scores inside that row */
    span.cut =
        mask->bias || mask->allowed || whole_first - block_first > span.first || whole_last - block_first < span.last;
    if (span.whole_first >= span.whole_last)
        span.whole_first = span.whole_last = span.last;
    return span;
}

/* Whether vec_exp2_from reaches the references of all `count` rows from `r`; not of a row that has none yet. */
static inline bool flash_group_fusible(const struct flash_tile *tile, int64_t r, int count) {
    bool fusible = true;
    for (int n = 0; n < count; ++n)
        fusible &= fabsf(tile->states[r + n].reference) < EDGE_INTEGER_LIMIT;
    return fusible;
}

/* Whether all `count` rows from `r` have a reference. */
static inline bool flash_group_settled(const struct flash_tile *tile, int64_t r, int count) {
    bool settled = true;
    for (int n = 0; n < count; ++n)
        settled &= tile->states[r + n].reference > -INFINITY;
    return settled;
}

/* Turns the scores of row `r` for keys [first, last) into weights, masked where the row does not see a key; what the
 * row has summed so far moves to the new reference. `scores` points at the score of key `first`. */
static inline void flash_row_weights(const struct flash_tile *tile, int64_t r, int64_t first, int64_t last,
                                     float *scores) {
    const struct flash_plan *const plan = &tile->call->plan;
    const struct flash_row *const row = &tile->rows[r];
    const int64_t begin = group_clamp(row->key_begin, first, last) - first,
                  end = group_clamp(row->key_end, first + begin, last) - first;
    if (!row->plain) {
        const struct attn_row whole = attn_row_begin(tile->call->problem, tile->b, row->at.h, row->at.i);
        edge_finish_scores(&whole, first, first + end, scores);
    }
    for (int64_t n = 0; n < begin; ++n)
        scores[n] = -INFINITY;
    for (int64_t n = end; n < last - first; ++n)
        scores[n] = -INFINITY;
    const float factor = edge_weights(&tile->states[r], plan->threshold, last - first, scores);
    if (factor != 1.0f)
        for (int64_t c = 0; c < plan->out_stride; ++c)
            tile->sums[r * plan->out_stride + c] *= factor;
}

/* How a tile's rows are worked on: `group_rows` at a time, keys in panels of `panel_keys`. Constant at each call. */
struct flash_engine {
    int group_rows, panel_keys;
    /* Loads the queries of `count` rows of a tile. */
    void (*load_queries)(const struct flash_tile *tile, int64_t count);
    /* Weights of a group of rows for what it sees of a block, straight from the dots. False, with weights worthless and
     * sums as they were: scores need finishing, a row has no reference yet or one out of reach, or some score is NaN or
     * lies too far above its row's reference. */
    bool (*fused)(const struct flash_tile *tile, int64_t r, int64_t block_first, const struct flash_span *span);
    /* The same for any scores, row by row. */
    void (*careful)(const struct flash_tile *tile, int64_t r, int64_t block_first, const struct flash_span *span);
    /* Adds weights times values of a span to the sums of a group of rows. */
    void (*values)(const struct flash_tile *tile, int64_t r, int64_t block_first, const struct flash_span *span);
};

/* What the panel kernels need to know of the rows from `r` and a block; which keys they see, where not all of the span.
 */
static inline struct panel_rows flash_panel_rows(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                                 const struct flash_span *span) {
    const struct flash_plan *const plan = &tile->call->plan;
    struct panel_rows rows = {.head_dim = tile->call->problem->head_dim, .threshold = plan->threshold};
    rows.queries = tile->queries + r * rows.head_dim;
    for (int n = 0; n < PANEL_ROWS; ++n)
        rows.reference[n] = tile->states[r + n].reference;
    for (int n = 0; n < PANEL_ROWS && (span->first < span->whole_first || span->whole_last < span->last); ++n) {
        rows.begin[n] = (int32_t)group_clamp(tile->rows[r + n].key_begin - block_first, 0, plan->block_keys);
        rows.end[n] = (int32_t)group_clamp(tile->rows[r + n].key_end - block_first, 0, plan->block_keys);
    }
    return rows;
}

static inline bool flash_fused(const struct flash_tile *tile, int64_t r, int64_t block_first,
                               const struct flash_span *span) {
    if (!span->plain)
        return false;
    const int64_t stride = tile->call->plan.block_keys;
    const float *const panel = flash_packed_panel(tile->call, tile->b, tile->key_head, block_first / PANEL_KEYS);
    float *const weights = tile->weights + r * stride;
    struct panel_rows rows = flash_panel_rows(tile, r, block_first, span);
    int64_t whole_first = span->whole_first;
    if (!flash_group_settled(tile, r, PANEL_ROWS)) {
        if (whole_first < span->whole_last) {
            if (!panel_first_weights(&rows, panel + whole_first * rows.head_dim, weights + whole_first, stride))
                return false;
            whole_first += PANEL_KEYS;
        } else {
            panel_first_references(&rows, panel, span->first);
        }
        for (int n = 0; n < PANEL_ROWS; ++n)
            tile->states[r + n].reference = rows.reference[n];
    }
    if (!flash_group_fusible(tile, r, PANEL_ROWS) ||
        !panel_edge_weights(&rows, panel, span->first, span->whole_first, weights, stride) ||
        !panel_weights(&rows, panel + whole_first * rows.head_dim, (span->whole_last - whole_first) / PANEL_KEYS,
                       weights + whole_first, stride) ||
        !panel_edge_weights(&rows, panel, span->whole_last, span->last, weights, stride))
        return false;
    for (int n = 0; n < PANEL_ROWS; ++n)
        tile->states[r + n].sum += rows.sums[n];
    return true;
}

static inline void flash_careful(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                 const struct flash_span *span) {
    const struct flash_plan *const plan = &tile->call->plan;
    const int64_t head_dim = tile->call->problem->head_dim;
    float *const weights = tile->weights + r * plan->block_keys + span->first;
    panel_scores(head_dim, tile->queries + r * head_dim, head_dim,
                 flash_packed_panel(tile->call, tile->b, tile->key_head, (block_first + span->first) / PANEL_KEYS),
                 (span->last - span->first + PANEL_KEYS - 1) / PANEL_KEYS, weights, plan->block_keys);
    for (int n = 0; n < PANEL_ROWS; ++n)
        flash_row_weights(tile, r + n, block_first + span->first, block_first + span->last,
                          weights + n * plan->block_keys);
}

static inline void flash_group_values(const struct flash_tile *tile, int64_t r, int64_t block_first,
                                      const struct flash_span *span) {
    const struct flash_plan *const plan = &tile->call->plan;
    int64_t stride;
    const float *const values =
        flash_values_from(tile->call, tile->b, tile->key_head, block_first + span->first, &stride);
    const float *const weights = tile->weights + r * plan->block_keys + span->first;
    float *const sums = tile->sums + r * plan->out_stride;
    const int64_t keys = span->last - span->first, value_dim = tile->call->problem->value_dim;
    if (!span->cut || *flash_finite_flag(tile->call, tile->b, tile->key_head, block_first / plan->block_keys))
        panel_values(keys, value_dim, weights, plan->block_keys, values, stride, sums, plan->out_stride);
    else
        for (int n = 0; n < PANEL_ROWS; ++n)
            edge_values(keys, value_dim, weights + n * plan->block_keys, values, stride, sums + n * plan->out_stride);
}

static inline void flash_tile_end(const struct flash_tile *tile, int64_t first_row, int64_t count) {
    const struct attn_problem *const problem = tile->call->problem;
    const struct attn_operands *const operands = tile->call->operands;
    for (int64_t r = 0; r < count && first_row + r < tile->call->plan.rows; ++r) {
        const struct group_place at = tile->rows[r].at;
        const struct edge_state state = tile->states[r];
        const float *const sums = tile->sums + r * tile->call->plan.out_stride;
        const float factor = state.sum == 0.0f ? 0.0f : 1.0f / state.sum;
        void *const out = attn_tensor_row(&operands->out, tile->b, at.h, at.i);
        convert_row_to(out, sums, operands->out.type, problem->value_dim, factor);
        if (operands->lse.data)
            *(float *)attn_tensor_row(&operands->lse, tile->b, at.h, at.i) =
                state.sum == 0.0f ? -INFINITY : (state.reference + log2f(state.sum)) * EDGE_LN2;
    }
}

static const struct flash_engine flash_panels = {PANEL_ROWS,  PANEL_KEYS,    flash_load_queries,
                                                 flash_fused, flash_careful, flash_group_values};

/* What the rows of a tile see: keys [first, last), or fewer; alike: all of them the same ones. */
struct flash_reach {
    int64_t first, last;
    bool alike;
};

static inline struct flash_reach flash_reach_of(const struct flash_tile *tile, int64_t count) {
    const struct flash_row *const rows = tile->rows;
    struct flash_reach reach = {.first = tile->call->problem->key_len, .last = 0, .alike = true};
    for (int64_t r = 0; r < count; ++r) {
        reach.alike &= rows[r].key_begin == rows[0].key_begin && rows[r].key_end == rows[0].key_end &&
                       rows[r].plain == rows[0].plain;
        if (rows[r].key_begin < rows[r].key_end) {
            reach.first = rows[r].key_begin < reach.first ? rows[r].key_begin : reach.first;
            reach.last = rows[r].key_end > reach.last ? rows[r].key_end : reach.last;
        }
    }
    return reach;
}

/* Answers one tile: key block by key block, first the weights of all its row groups while the packed keys are in
 * cache, then their sums while the values are. */
VEC_INLINE void flash_attend(const struct flash_engine *engine, const struct flash_call *call,
                             const struct flash_task *task, int thread) {
    const struct flash_plan *const plan = &call->plan;
    const struct attn_profile *const profile = call->profile;
    int64_t now_ns = attn_profile_now(profile);
    const struct flash_tile tile = flash_tile_of(call, task, thread);
    const int64_t left = plan->rows - task->first_row;
    const int64_t count = group_round_up(left < plan->tile_rows ? left : plan->tile_rows, engine->group_rows);
    flash_rows_begin(&tile, task->first_row, count);
    engine->load_queries(&tile, count);
    memset(tile.sums, 0, (size_t)(count * plan->out_stride) * sizeof(float));
    const struct flash_reach reach = flash_reach_of(&tile, count);
    attn_profile_spent(profile, thread, ATTN_PACKING, now_ns);
    turn_await(flash_packed_blocks(call, task->head), plan->blocks);
    now_ns = attn_profile_now(profile);
    for (int64_t j = reach.first - reach.first % plan->block_keys; j < reach.last; j += plan->block_keys) {
        const int64_t block_last =
            j + plan->block_keys < call->problem->key_len ? j + plan->block_keys : call->problem->key_len;
        struct flash_span spans[GROUP_MAX_TILE_ROWS / PANEL_ROWS];
        for (int64_t r = 0, n = 0; r < count; r += engine->group_rows, ++n) {
            spans[n] = n > 0 && reach.alike
                           ? spans[0]
                           : flash_group_span(&tile, r, engine->group_rows, engine->panel_keys, j, block_last);
            if (spans[n].first < spans[n].last && !engine->fused(&tile, r, j, &spans[n]))
                engine->careful(&tile, r, j, &spans[n]);
        }
        now_ns = attn_profile_spent(profile, thread, ATTN_SCORES, now_ns);
        for (int64_t r = 0, n = 0; r < count; r += engine->group_rows, ++n)
            if (spans[n].first < spans[n].last)
                engine->values(&tile, r, j, &spans[n]);
        now_ns = attn_profile_spent(profile, thread, ATTN_VALUES, now_ns);
    }
    flash_tile_end(&tile, task->first_row, count);
    attn_profile_spent(profile, thread, ATTN_MERGING, now_ns);
}

#endif
