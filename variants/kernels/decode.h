/* SPDX-License-Identifier: Apache-2.0 */
/* Few queries against many keys: bound by how fast keys and values stream from memory. Nothing is packed; every key and
 * value is read once for all query heads of its group; keys are cut into splits of a size that does not depend on the
 * number of threads, and the splits' partial softmaxes are merged in order, so the answer does not either. */
#ifndef KERNELS_DECODE_H
#define KERNELS_DECODE_H

#include "contract/execution.h"
#include "kernels/decode_step.h"
#include "kernels/edge.h"
#include "kernels/group.h"

#include <omp.h>

#define DECODE_MAX_ROWS 32 /* rows per KV head up to which streaming beats packing */
#define DECODE_GROUP    4  /* rows that share one pass over a block in cache */

/* Sizes of one call. */
struct decode_plan {
    int64_t rows;       /* query rows per KV head */
    int64_t split_keys; /* keys of a split */
    int64_t splits;
    int64_t out_stride;     /* value_dim, padded to whole registers */
    int64_t partial_floats; /* one row of one split: sums [out_stride], max, sum */
    size_t scratch_bytes;   /* per thread: scaled queries, weights */
    size_t partials_bytes, bytes;
};

static inline struct decode_plan decode_plan_of(const struct attn_problem *problem, int threads, int64_t split_keys) {
    struct decode_plan plan = {
        .rows = group_rows(problem),
        .split_keys = split_keys,
        .splits = (problem->key_len + split_keys - 1) / split_keys,
        .out_stride = group_round_up(problem->value_dim, 16),
    };
    plan.partial_floats = plan.out_stride + 16;
    plan.partials_bytes = (size_t)(problem->batch * problem->key_heads * plan.splits * plan.rows) *
                          (size_t)plan.partial_floats * sizeof(float);
    plan.scratch_bytes = (size_t)(plan.rows * (group_round_up(problem->head_dim, 16) + DECODE_BLOCK)) * sizeof(float);
    plan.bytes = plan.partials_bytes + (size_t)threads * plan.scratch_bytes;
    return plan;
}

/* One KV head's part of a call, as the kernels see it. */
struct decode_head {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    const struct decode_plan *plan;
    int64_t b, key_head;
};

/* Rows [first_row, first_row + rows) against the block of keys [first, last). `partial` and `states` are of the first
 * of these rows. */
static inline void decode_block(const struct decode_head *head, const struct attn_row *live, int rows,
                                const float *queries, int64_t query_stride, int64_t first, int64_t last, float *weights,
                                float *partial, struct edge_state *states) {
    const struct attn_problem *const problem = head->problem;
    const struct attn_tensor *const k = &head->operands->k, *const v = &head->operands->v;
    const int64_t element = (int64_t)attn_type_bytes(problem->type), keys = last - first;
    const int64_t stride = head->plan->partial_floats;
    const char *const key = attn_tensor_row(k, head->b, head->key_head, first);
    const char *const value = attn_tensor_row(v, head->b, head->key_head, first);
    decode_dots(rows, keys, problem->head_dim, queries, query_stride, key, k->stride[2] * element, k->type, weights);
    bool cut = false;
    for (int r = 0; r < rows; ++r) {
        const struct attn_row *const row = &live[r];
        float *const scores = weights + r * DECODE_BLOCK;
        if (!row->plain)
            edge_finish_scores(row, first, last, scores);
        const bool partly = row->key_begin > first || row->key_end < last;
        for (int64_t j = first; j < last && partly; ++j)
            if (j < row->key_begin || j >= row->key_end)
                scores[j - first] = -INFINITY;
        cut |= partly || row->bias || row->allowed;
        const float factor = edge_weights(&states[r], 0.0f, keys, scores);
        if (factor != 1.0f)
            for (int64_t c = 0; c < head->plan->out_stride; ++c)
                partial[r * stride + c] *= factor;
        for (int64_t n = keys; n < (keys + 3) / 4 * 4; ++n)
            scores[n] = 0.0f;
    }
    if (!cut) {
        decode_values(rows, keys, problem->value_dim, weights, value, v->stride[2] * element, v->type, partial, stride);
        return;
    }
    for (int r = 0; r < rows; ++r) /* a masked value may be NaN: one row at a time, live pairs only */
        for (int64_t n = 0; n < keys; ++n) {
            const float weight = weights[r * DECODE_BLOCK + n];
            if (weight == 0.0f && signbit(weight))
                continue;
            for (int64_t c = 0; c < problem->value_dim; ++c)
                partial[r * stride + c] += weight * attn_load(value + n * v->stride[2] * element, v->type, c);
        }
}

/* One split of one KV head: partial sums, maximum and sum of every row. `scratch` is the thread's own. */
static inline void decode_split(const struct decode_head *head, int64_t split, float *partials, float *scratch) {
    const struct attn_problem *const problem = head->problem;
    const struct decode_plan *const plan = head->plan;
    const int64_t query_stride = group_round_up(problem->head_dim, 16);
    float *const queries = scratch, *const weights = scratch + plan->rows * query_stride;
    const int64_t split_first = split * plan->split_keys;
    const int64_t split_last =
        split_first + plan->split_keys < problem->key_len ? split_first + plan->split_keys : problem->key_len;
    struct attn_row live[DECODE_MAX_ROWS];
    struct edge_state states[DECODE_MAX_ROWS];
    int64_t first = split_last, last = split_first;
    for (int64_t r = 0; r < plan->rows; ++r) {
        const struct group_place at = group_locate(problem, head->key_head, r);
        live[r] = attn_row_begin(problem, head->b, at.h, at.i);
        states[r] = (struct edge_state){-INFINITY, 0.0f}; /* the sink joins at the merge */
        if (live[r].key_begin < live[r].key_end) {
            first = live[r].key_begin < first ? live[r].key_begin : first;
            last = live[r].key_end > last ? live[r].key_end : last;
        }
        const float scale = live[r].plain ? live[r].scale * EDGE_LOG2E : live[r].scale;
        const void *const query = attn_tensor_row(&head->operands->q, head->b, at.h, at.i);
        for (int64_t c = 0; c < query_stride; ++c)
            queries[r * query_stride + c] =
                c < problem->head_dim ? scale * attn_load(query, head->operands->q.type, c) : 0.0f;
    }
    memset(partials, 0, (size_t)(plan->rows * plan->partial_floats) * sizeof(float));
    first = first > split_first ? first : split_first;
    last = last < split_last ? last : split_last;
    for (int64_t j = first; j < last; j += DECODE_BLOCK)
        for (int64_t r = 0; r < plan->rows; r += DECODE_GROUP) {
            const int rows = plan->rows - r < DECODE_GROUP ? (int)(plan->rows - r) : DECODE_GROUP;
            decode_block(head, live + r, rows, queries + r * query_stride, query_stride, j,
                         j + DECODE_BLOCK < last ? j + DECODE_BLOCK : last, weights + r * DECODE_BLOCK,
                         partials + r * plan->partial_floats, states + r);
        }
    for (int64_t r = 0; r < plan->rows; ++r) {
        float *const end = partials + r * plan->partial_floats + plan->out_stride;
        end[0] = states[r].reference;
        end[1] = states[r].sum;
    }
}

/* What a split with this reference counts for in the whole; one without live keys (-inf) holds nothing but perhaps
 * a NaN, which must come through. */
static inline float decode_share(float reference, float whole) {
    return reference == -INFINITY ? 1.0f : exp2f(reference - whole);
}

/* Merges the splits of one row in order, into the first one's place, and writes its answer. `partials` are those of the
 * KV head. */
static inline void decode_merge(const struct decode_head *head, int64_t r, float *partials) {
    const struct attn_problem *const problem = head->problem;
    const struct decode_plan *const plan = head->plan;
    const int64_t split_floats = plan->rows * plan->partial_floats;
    const struct group_place at = group_locate(problem, head->key_head, r);
    const struct attn_row row = attn_row_begin(problem, head->b, at.h, at.i);
    float *const sums = partials + r * plan->partial_floats;
    struct edge_state total = edge_state_begin(&row);
    const float sink = total.reference;
    for (int64_t s = 0; s < plan->splits; ++s)
        total.reference = fmaxf(total.reference, sums[s * split_floats + plan->out_stride]);
    total.sum *= sink == -INFINITY ? 1.0f : exp2f(sink - total.reference);
    for (int64_t s = 0; s < plan->splits; ++s) {
        const float *const own = sums + s * split_floats;
        const float share = decode_share(own[plan->out_stride], total.reference);
        total.sum += own[plan->out_stride + 1] * share;
        for (int64_t c = 0; c < plan->out_stride; c += VEC_LANES) {
            const vec part = vec_all(share) * vec_load(own + c);
            vec_store(sums + c, s == 0 ? part : vec_load(sums + c) + part);
        }
    }
    convert_row_to(attn_tensor_row(&head->operands->out, head->b, at.h, at.i), sums, head->operands->out.type,
                   problem->value_dim, total.sum == 0.0f ? 0.0f : 1.0f / total.sum);
    if (head->operands->lse.data)
        *(float *)attn_tensor_row(&head->operands->lse, head->b, at.h, at.i) =
            total.sum == 0.0f ? -INFINITY : (total.reference + log2f(total.sum)) * EDGE_LN2;
}

/* Answers the problem; execution->workspace has plan->bytes bytes. */
static inline void decode_run(const struct attn_problem *problem, const struct attn_operands *operands,
                              const struct decode_plan *plan, const struct attn_execution *execution) {
    const int64_t heads = problem->batch * problem->key_heads;
    const int64_t split_floats = plan->rows * plan->partial_floats;
    float *const partials = execution->workspace;
    char *const scratch = (char *)execution->workspace + plan->partials_bytes;
    const struct attn_profile *const profile = execution->profile;
#pragma omp parallel num_threads(execution->threads)
    {
        const int thread = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
        for (int64_t n = 0; n < heads * plan->splits; ++n) {
            const int64_t at = n / plan->splits, begun_ns = attn_profile_now(profile);
            const struct decode_head head = {problem, operands, plan, at / problem->key_heads, at % problem->key_heads};
            decode_split(&head, n % plan->splits, partials + n * split_floats,
                         (float *)(scratch + (size_t)thread * plan->scratch_bytes));
            attn_profile_spent(profile, thread, ATTN_SCORES, begun_ns); /* its values too: one pass over the keys */
        }
#pragma omp for schedule(static)
        for (int64_t n = 0; n < heads * plan->rows; ++n) {
            const int64_t at = n / plan->rows, begun_ns = attn_profile_now(profile);
            const struct decode_head head = {problem, operands, plan, at / problem->key_heads, at % problem->key_heads};
            decode_merge(&head, n % plan->rows, partials + at * plan->splits * split_floats);
            attn_profile_spent(profile, thread, ATTN_MERGING, begun_ns);
        }
    }
}

#endif
