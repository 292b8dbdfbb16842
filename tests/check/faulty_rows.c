/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "contract/row.h"
#include "faults.h"

#define TILE     16 /* keys */
#define REMEMBER 64 /* addresses */

/* Keys packed by the first call that met their address, dense; of the last REMEMBER addresses. */
static const float *packed_keys(const struct attn_tensor *k) {
    static struct {
        const void *address;
        float *keys;
    } known[REMEMBER];
    static int next;
    for (int n = 0; n < REMEMBER; ++n)
        if (known[n].address == k->data)
            return known[n].keys;
    const int64_t rows = k->shape[0] * k->shape[1] * k->shape[2], head_dim = k->shape[3];
    float *const keys = malloc((size_t)(rows * head_dim) * sizeof *keys);
    if (!keys)
        abort();
    for (int64_t n = 0; n < rows; ++n)
        memcpy(keys + n * head_dim,
               attn_tensor_row(k, n / k->shape[2] / k->shape[1], n / k->shape[2] % k->shape[1], n % k->shape[2]),
               (size_t)head_dim * sizeof *keys);
    free(known[next].keys);
    known[next].address = k->data;
    known[next].keys = keys;
    next = (next + 1) % REMEMBER;
    return keys;
}

static const float *key_row(const struct call *call, int64_t b, int64_t key_head, int64_t j) {
    const struct attn_tensor *const k = &call->operands->k;
    const float *const dense = call->fault == FAULT_remembers_keys  ? packed_keys(k)
                               : call->fault == FAULT_assumes_dense ? k->data
                                                                    : NULL;
    if (dense)
        return dense + ((b * k->shape[1] + key_head) * k->shape[2] + j) * k->shape[3];
    return attn_tensor_row(k, b, key_head, j);
}

static float dot(const float *a, const float *b, int64_t count) {
    float sum = 0.0f;
    for (int64_t c = 0; c < count; ++c)
        sum += a[c] * b[c];
    return sum;
}

/* A row under way: where it reads and what it has. */
struct work {
    int64_t b, h, i, key_head;
    struct attn_row row;
    float max, sum;
    float *out;       /* [features], the unnormalised sum */
    int64_t features; /* value_dim */
    int64_t parts;    /* 1, or the team among which the keys of a row are split */
};

static struct work begin_work(const struct call *call, int64_t b, int64_t h, int64_t i, float *out) {
    const struct attn_problem *const problem = call->problem;
    struct work work = {.b = b, .h = h, .i = i, .out = out, .features = problem->value_dim, .parts = 1};
    struct attn_row *const row = &work.row;
    *row = attn_row_begin(problem, b, h, i);
    work.key_head =
        call->fault == FAULT_wrong_kv_head ? h % problem->key_heads : h / (problem->query_heads / problem->key_heads);
    const bool several = row->key_end > row->key_begin + 1;
    if (call->fault == FAULT_missing_scale)
        row->scale = 1.0f;
    if (call->fault == FAULT_causal_leaks_next && problem->mask.causal && row->key_end < problem->key_len)
        ++row->key_end;
    if (call->fault == FAULT_drops_last_key && several)
        --row->key_end;
    if (call->fault == FAULT_drops_first_key && several)
        ++row->key_begin;
    const int64_t last_tile = (row->key_end - 1) / TILE * TILE;
    if (call->fault == FAULT_drops_last_tile && last_tile > row->key_begin)
        row->key_end = last_tile;
    if (call->fault == FAULT_forgets_sink) {
        row->max = -INFINITY;
        row->sum = 0.0f;
    }
    const bool last = b == problem->batch - 1 && h == problem->query_heads - 1 && i == problem->query_len - 1;
    if (call->fault == FAULT_leaves_unwritten && last)
        --work.features;
    if (call->fault == FAULT_one_thread_only || call->fault == FAULT_thread_variant)
        work.parts = omp_get_num_threads();
    for (int64_t c = 0; c < work.features; ++c)
        out[c] = 0.0f;
    return work;
}

static float score_of(const struct call *call, const struct work *work, int64_t j) {
    const float *const query = attn_tensor_row(&call->operands->q, work->b, work->h, work->i);
    const float *const key = key_row(call, work->b, work->key_head, j);
    const float score = attn_score(&work->row, j, dot(query, key, call->problem->head_dim));
    return score == -INFINITY && call->fault == FAULT_averages_dead_rows ? -1e9f : score;
}

static void add_value(const struct call *call, struct work *work, int64_t j, float weight) {
    const float *const value = attn_tensor_row(&call->operands->v, work->b, work->key_head, j);
    work->sum += weight;
    for (int64_t c = 0; c < work->features; ++c) {
        work->out[c] += weight * value[c];
        if (call->fault == FAULT_bf16_sums)
            work->out[c] = attn_f32_of_bf16(attn_bf16_of_f32(work->out[c]));
    }
}

/* The keys [begin, end) of a row in two passes, the second in `stride` rounds. */
static void sweep(const struct call *call, struct work *work, int64_t begin, int64_t end, int64_t stride) {
    work->max = call->fault == FAULT_sentinel_maximum ? -10000.0f : work->row.max;
    for (int64_t j = begin; j < end; ++j)
        work->max = fmaxf(work->max, score_of(call, work, j));
    if (call->fault == FAULT_no_maximum)
        work->max = 0.0f;
    if (work->row.sum > 0.0f)
        work->sum += expf(work->row.max - work->max);
    for (int64_t first = begin; first < begin + stride; ++first)
        for (int64_t j = first; j < end; j += stride) {
            const float score = score_of(call, work, j);
            const bool masked = score == -INFINITY;
            if (!masked || call->fault == FAULT_leaks_masked_nan)
                add_value(call, work, j, masked ? 0.0f : expf(score - work->max));
        }
}

/* Each part with a maximum of its own, added up as if it were everybody's. */
static void sweep_parts(const struct call *call, struct work *work) {
    const int64_t begin = work->row.key_begin, keys = work->row.key_end - begin;
    for (int64_t part = 0; part < work->parts; ++part)
        sweep(call, work, begin + keys * part / work->parts, begin + keys * (part + 1) / work->parts, 1);
}

/* Online softmax, tile by tile, without a thought for tiles in which every key is masked. */
static void sweep_online(const struct call *call, struct work *work) {
    work->max = work->row.max;
    work->sum = work->row.sum;
    for (int64_t tile = work->row.key_begin; tile < work->row.key_end; tile += TILE) {
        const int64_t end = tile + TILE < work->row.key_end ? tile + TILE : work->row.key_end;
        float max = work->max;
        for (int64_t j = tile; j < end; ++j)
            max = fmaxf(max, score_of(call, work, j));
        const float correction = expf(work->max - max);
        work->sum *= correction;
        for (int64_t c = 0; c < work->features; ++c)
            work->out[c] *= correction;
        for (int64_t j = tile; j < end; ++j) {
            const float score = score_of(call, work, j);
            if (score != -INFINITY)
                add_value(call, work, j, expf(score - max));
        }
        work->max = max;
    }
}

static void finish_work(const struct call *call, const struct work *work) {
    for (int64_t c = 0; c < work->features; ++c)
        work->out[c] = work->sum == 0.0f ? 0.0f : work->out[c] / work->sum;
    if (!call->operands->lse.data)
        return;
    float *const lse = attn_tensor_row(&call->operands->lse, work->b, work->h, work->i);
    *lse = work->sum == 0.0f ? -INFINITY : work->max + logf(work->sum);
    if (call->fault == FAULT_wrong_lse)
        *lse *= (float)M_LOG2E;
}

static void answer_row(const struct call *call, int64_t n) {
    const int64_t query_len = call->problem->query_len, heads = call->problem->query_heads;
    const int64_t b = n / query_len / heads, h = n / query_len % heads, i = n % query_len;
    struct work work = begin_work(call, b, h, i, attn_tensor_row(&call->operands->out, b, h, i));
    if (call->fault == FAULT_masked_block_nan)
        sweep_online(call, &work);
    else if (call->fault == FAULT_one_thread_only)
        sweep_parts(call, &work);
    else
        sweep(call, &work, work.row.key_begin, work.row.key_end, work.parts);
    for (int64_t j = work.row.key_end; j < call->problem->key_len && call->fault == FAULT_leaks_masked_nan; ++j)
        add_value(call, &work, j, 0.0f);
    finish_work(call, &work);
}

void faulty_rows(const struct call *call) {
    const int64_t rows = call->problem->batch * call->problem->query_heads * call->problem->query_len;
    const int asked = call->execution->threads;
#pragma omp parallel num_threads(asked) if (asked > 1)
    {
        const int64_t team = call->fault == FAULT_assumes_team ? asked : omp_get_num_threads();
        const int64_t thread = omp_get_thread_num();
        for (int64_t n = rows * thread / team; n < rows * (thread + 1) / team; ++n)
            answer_row(call, n);
    }
}
