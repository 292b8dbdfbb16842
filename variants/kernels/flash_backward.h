/* SPDX-License-Identifier: Apache-2.0 */
/* The backward pass of `flash`: weights are recomputed from lse, block of keys by block of keys.
 *
 *   P = exp(S - lse),  D = dout . out,  dP = dout V^T,  dS = P o (dP - D)
 *   dV = P^T dout,  dK = scale * dS^T Q,  dQ = scale * dS K
 *
 * A unit of work is one block of keys of one KV head: it keeps dK and dV to itself while all queries pass by. Its share
 * of dQ is added when its turn comes: for every tile of queries, blocks of keys add in ascending order. So no answer
 * depends on the number of threads, nothing is summed twice, and there are no copies of dQ to merge. Units are handed
 * out in an order in which a unit waits only for units handed out before it. */
#ifndef KERNELS_FLASH_BACKWARD_H
#define KERNELS_FLASH_BACKWARD_H

#include <omp.h>

#include "kernels/backward_unit.h"
#include "kernels/turn.h"

/* Scores and dP of one row, at keys [first, last), become P and dS where softcap, bias, ALiBi or a boolean mask take
 * part. Runs on to a whole register. */
static inline void backward_finish_row(const struct backward_row *row, const struct attn_row *live, int64_t first,
                                       int64_t last, float *weights, float *slopes, float *bends) {
    const int64_t count = last - first;
    const bool capped = live->softcap > 0.0f;
    struct attn_row rest = *live;
    for (int64_t n = 0; n < count && capped; n += VEC_LANES) {
        const vec bent = edge_tanh(vec_load(weights + n) * vec_all(1.0f / live->softcap));
        vec_store(bends + n, (vec_all(1.0f) - bent) * (vec_all(1.0f) + bent));
        vec_store(weights + n, vec_all(live->softcap) * bent);
    }
    rest.softcap = 0.0f;
    edge_finish_scores(&rest, first, last, weights);
    for (int64_t n = 0; n < count; n += VEC_LANES) {
        const vec score = vec_load(weights + n);
        const vec_bits masked = score == vec_all(-INFINITY);
        const vec weight = vec_exp2(score - vec_all(row->lse * EDGE_LOG2E));
        vec slope = weight * (vec_load(slopes + n) - vec_all(row->d));
        if (capped)
            slope *= vec_load(bends + n);
        vec_store(weights + n, vec_select(masked, vec_all(EDGE_MASKED), weight));
        vec_store(slopes + n, vec_select(masked, vec_all(EDGE_MASKED), slope));
    }
}

/* P and dS of the visit. Pairs outside of a row's live range, and masked ones, hold EDGE_MASKED. */
static inline void backward_weights(const struct backward_unit *unit, const struct backward_visit *visit) {
    const struct backward *const call = unit->call;
    const struct attn_problem *const problem = call->problem;
    const struct backward_buffers *const own = &unit->own;
    const int64_t stride = call->weight_stride, keys = unit->last - unit->first;
    for (int64_t j = 0; j < keys; j += PANEL_KEYS) /* a panel stays in L1 while queries pass by */
        for (int64_t g = 0; g < visit->count; g += PANEL_ROWS) {
            const struct backward_span span = visit->spans[g / PANEL_ROWS];
            if (j >= span.last || j + PANEL_KEYS <= span.first)
                continue;
            const float *const queries = own->queries + g * call->key_stride;
            const float *const douts = own->douts + g * call->value_stride;
            const float *const key_panel = own->key_panels + j * problem->head_dim;
            const float *const value_panel = own->value_panels + j * problem->value_dim;
            float *const weights = own->weights + g * stride + j, *const slopes = own->slopes + g * stride + j;
            if (call->plain) {
                grad_weights(problem->head_dim, queries, call->key_stride, key_panel, own->lse + g, weights, stride);
                grad_slopes(problem->value_dim, douts, call->value_stride, value_panel, own->d + g, weights, slopes,
                            stride);
            } else {
                panel_scores(problem->head_dim, queries, call->key_stride, key_panel, 1, weights, stride);
                panel_scores(problem->value_dim, douts, call->value_stride, value_panel, 1, slopes, stride);
            }
        }
    for (int64_t r = 0; r < visit->count && (visit->cut || !call->plain); ++r) {
        float *const weights = own->weights + r * stride, *const slopes = own->slopes + r * stride;
        const struct backward_span span = backward_row_span(unit, &visit->rows[r]);
        if (!call->plain && span.first < span.last) {
            const struct group_place at = group_locate(call->problem, unit->key_head, visit->first_row + r);
            const struct attn_row live = attn_row_begin(problem, unit->b, at.h, at.i);
            backward_finish_row(&visit->rows[r], &live, unit->first + span.first, unit->first + span.last,
                                weights + span.first, slopes + span.first, own->bends);
        }
        for (int64_t n = 0; n < span.first; ++n)
            weights[n] = slopes[n] = EDGE_MASKED;
        for (int64_t n = span.last; n < keys; ++n)
            weights[n] = slopes[n] = EDGE_MASKED;
    }
}

/* The visit's rows that may read some of the PANEL_ROWS keys from `key` on, relative to the block's first. */
static inline struct backward_span backward_rows_of_keys(const struct backward_visit *visit, int64_t key) {
    if (!visit->cut)
        return (struct backward_span){0, visit->count};
    struct backward_span rows = {visit->count, 0};
    for (int64_t g = 0; g < visit->count; g += PANEL_ROWS) {
        const struct backward_span keys = visit->spans[g / PANEL_ROWS];
        if (keys.first >= key + PANEL_ROWS || keys.last <= key)
            continue;
        rows.first = g < rows.first ? g : rows.first;
        rows.last = g + PANEL_ROWS < visit->count ? g + PANEL_ROWS : visit->count;
    }
    return rows.first < rows.last ? rows : (struct backward_span){0, 0};
}

/* The products of P and dS with what stands on the other side of them; one after the other, because each keeps the
 * rows that it sums in L1. */
static inline void backward_products(const struct backward_unit *unit, const struct backward_visit *visit) {
    const struct backward *const call = unit->call;
    const struct backward_buffers *const own = &unit->own;
    const int64_t head_dim = call->problem->head_dim, value_dim = call->problem->value_dim;
    const int64_t stride = call->weight_stride, key_stride = call->key_stride, value_stride = call->value_stride;
    for (int64_t j = 0; j < unit->last - unit->first; j += PANEL_ROWS) {
        const struct backward_span rows = backward_rows_of_keys(visit, j);
        grad_sum_columns(rows.last - rows.first, value_dim, own->weights + rows.first * stride + j, stride,
                         own->douts + rows.first * value_stride, value_stride, own->dv + j * value_stride,
                         value_stride);
    }
    for (int64_t j = 0; j < unit->last - unit->first; j += PANEL_ROWS) {
        const struct backward_span rows = backward_rows_of_keys(visit, j);
        grad_sum_columns(rows.last - rows.first, head_dim, own->slopes + rows.first * stride + j, stride,
                         own->queries + rows.first * key_stride, key_stride, own->dk + j * key_stride, key_stride);
    }
    for (int64_t g = 0; g < visit->count; g += PANEL_ROWS) {
        const struct backward_span keys = visit->spans[g / PANEL_ROWS];
        grad_sum_rows(keys.last - keys.first, head_dim, own->slopes + g * stride + keys.first, stride,
                      own->keys + keys.first * key_stride, key_stride, call->problem->scale, own->dq + g * key_stride,
                      key_stride);
    }
}

/* The same, pair by pair, passing over masked ones: for rows or keys that hold a NaN or an infinity, which a weight of
 * zero would not silence. */
static inline void backward_careful_products(const struct backward_unit *unit, const struct backward_visit *visit) {
    const struct backward *const call = unit->call;
    const struct backward_buffers *const own = &unit->own;
    const int64_t head_dim = call->problem->head_dim, value_dim = call->problem->value_dim;
    const float scale = call->problem->scale;
    memset(own->dq, 0, (size_t)(visit->count * call->key_stride) * sizeof(float));
    for (int64_t r = 0; r < visit->count; ++r) {
        const float *const query = own->queries + r * call->key_stride;
        const float *const dout = own->douts + r * call->value_stride;
        float *const dq = own->dq + r * call->key_stride;
        for (int64_t n = 0; n < unit->last - unit->first; ++n) {
            const float weight = own->weights[r * call->weight_stride + n];
            const float slope = own->slopes[r * call->weight_stride + n];
            if (weight == 0.0f && signbit(weight))
                continue;
            for (int64_t c = 0; c < value_dim; ++c)
                own->dv[n * call->value_stride + c] += weight * dout[c];
            for (int64_t c = 0; c < head_dim; ++c) {
                own->dk[n * call->key_stride + c] += slope * query[c];
                dq[c] += scale * slope * own->keys[n * call->key_stride + c];
            }
        }
    }
}

/* Adds the visit's part of dQ when all blocks of keys before this one have. */
static inline void backward_end_visit(const struct backward_unit *unit, const struct backward_visit *visit,
                                      int64_t *turn) {
    const struct backward *const call = unit->call;
    const int64_t head_dim = call->problem->head_dim;
    turn_await(turn, unit->block);
    const int64_t begun_ns = attn_profile_now(call->profile);
    for (int64_t r = 0; r < visit->count; ++r) {
        if (visit->spans[r / PANEL_ROWS].first >= visit->spans[r / PANEL_ROWS].last)
            continue;
        float *const sums =
            backward_dq_row(call, unit->b, group_locate(call->problem, unit->key_head, visit->first_row + r));
        const float *const dq = unit->own.dq + r * call->key_stride;
#pragma omp simd
        for (int64_t c = 0; c < head_dim; ++c)
            sums[c] += dq[c];
    }
    turn_pass(turn);
    attn_profile_spent(call->profile, omp_get_thread_num(), ATTN_MERGING, begun_ns);
}

static inline void backward_run_unit(struct backward_unit *unit) {
    const struct backward *const call = unit->call;
    const struct attn_profile *const profile = call->profile;
    const int thread = omp_get_thread_num();
    struct backward_visit visit;
    int64_t now_ns = attn_profile_now(profile);
    backward_begin_unit(unit);
    now_ns = attn_profile_spent(profile, thread, ATTN_PACKING, now_ns);
    for (int64_t t = 0; t < call->tiles; ++t) {
        struct backward_tile *const tile = &call->tile_facts[unit->head * call->tiles + t];
        if (unit->block < tile->first_block || unit->block >= tile->last_block)
            continue;
        backward_begin_visit(unit, t, &visit);
        now_ns = attn_profile_spent(profile, thread, ATTN_PACKING, now_ns);
        backward_weights(unit, &visit);
        now_ns = attn_profile_spent(profile, thread, ATTN_SCORES, now_ns);
        if (!visit.cut || (unit->finite && tile->finite))
            backward_products(unit, &visit);
        else
            backward_careful_products(unit, &visit);
        attn_profile_spent(profile, thread, ATTN_VALUES, now_ns);
        backward_end_visit(unit, &visit, &tile->turn);
        now_ns = attn_profile_now(profile);
    }
    backward_end_unit(unit);
    attn_profile_spent(profile, thread, ATTN_MERGING, now_ns);
}

/* Unit n: as many heads side by side as there are threads, so that neighbours rarely wait for each other, and blocks
 * of keys in ascending order, in which causal ones fall in length. */
static inline struct backward_unit backward_unit_at(const struct backward *call, int64_t n, int64_t side_by_side) {
    const struct attn_problem *const problem = call->problem;
    const int64_t heads = problem->batch * problem->key_heads;
    const int64_t first_head = n / (side_by_side * call->blocks) * side_by_side;
    const int64_t width = heads - first_head < side_by_side ? heads - first_head : side_by_side;
    const int64_t within = n - first_head * call->blocks;
    struct backward_unit unit = {.call = call, .head = first_head + within % width, .block = within / width};
    unit.b = unit.head / problem->key_heads;
    unit.key_head = unit.head % problem->key_heads;
    unit.first = unit.block * call->block_keys;
    unit.last = unit.first + call->block_keys < problem->key_len ? unit.first + call->block_keys : problem->key_len;
    return unit;
}

/* The third phase, for 16-bit types: one rounding. */
static inline void backward_store_dq(const struct backward *call, int64_t head, int64_t n) {
    const struct attn_problem *const problem = call->problem;
    const int64_t b = head / problem->key_heads;
    const struct group_place at = group_locate(call->problem, head % problem->key_heads, n);
    const float *const sums = backward_dq_row(call, b, at);
    convert_row_to(attn_tensor_row(&call->operands->dq, b, at.h, at.i), sums, call->operands->dq.type,
                   problem->head_dim, 1.0f);
}

/* Answers the problem with a call that was laid out on its workspace. */
static inline void backward_run(const struct backward *call, int threads) {
    const int64_t heads = call->problem->batch * call->problem->key_heads, units = heads * call->blocks;
    *call->next_unit = 0;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t n = 0; n < heads * call->tiles; ++n)
            backward_begin_tile(call, n / call->tiles, n % call->tiles);
        const struct scratch own = scratch_slice(call->threads, call->thread_bytes, omp_get_thread_num());
        for (;;) {
            const int64_t n = __atomic_fetch_add(call->next_unit, 1, __ATOMIC_RELAXED);
            if (n >= units)
                break;
            struct scratch buffers = own;
            struct backward_unit unit = backward_unit_at(call, n, omp_get_num_threads());
            unit.own = backward_buffers_lay_out(call, &buffers);
            backward_run_unit(&unit);
        }
        if (call->dq) {
#pragma omp barrier
#pragma omp for schedule(static)
            for (int64_t n = 0; n < heads * call->rows; ++n)
                backward_store_dq(call, n / call->rows, n % call->rows);
        }
    }
}

#endif
