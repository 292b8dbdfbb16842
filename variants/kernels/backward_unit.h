/* SPDX-License-Identifier: Apache-2.0 */
/* What the backward pass works on: a unit, one block of keys of one KV head, and the tiles of queries that visit it. */
#ifndef KERNELS_BACKWARD_UNIT_H
#define KERNELS_BACKWARD_UNIT_H

#include "kernels/backward_plan.h"

/* One unit: a block of keys of one KV head. */
struct backward_unit {
    const struct backward *call;
    struct backward_buffers own;
    int64_t head, b, key_head;  /* head: b * key_heads + key_head */
    int64_t block, first, last; /* keys [first, last) */
    bool finite;                /* keys and values hold no NaN and no infinity */
};

/* The keys, relative to the block's first, that some of PANEL_ROWS rows may read; empty: first == last. */
struct backward_span {
    int64_t first, last;
};

/* A tile of queries that meets the unit. */
struct backward_visit {
    const struct backward_row *rows; /* of the tile's first row */
    int64_t first_row, count;        /* rows of the KV head */
    bool cut;                        /* some pair is masked, or might be */
    struct backward_span spans[GROUP_MAX_TILE_ROWS / PANEL_ROWS];
};

static inline struct backward_span backward_row_span(const struct backward_unit *unit, const struct backward_row *row) {
    const int64_t begin = group_clamp(row->key_begin, unit->first, unit->last);
    const int64_t end = group_clamp(row->key_end, begin, unit->last);
    return (struct backward_span){begin - unit->first, end - unit->first};
}

static inline void backward_begin_unit(struct backward_unit *unit) {
    const struct backward *const call = unit->call;
    const struct attn_tensor *const k = &call->operands->k, *const v = &call->operands->v;
    const int64_t head_dim = call->problem->head_dim, value_dim = call->problem->value_dim;
    unit->finite = true;
    for (int64_t j = unit->first, n = 0; j < unit->last; j += PANEL_KEYS, ++n) {
        panel_pack(k, unit->b, unit->key_head, j, unit->own.key_panels + n * head_dim * PANEL_KEYS);
        panel_pack(v, unit->b, unit->key_head, j, unit->own.value_panels + n * value_dim * PANEL_KEYS);
        unit->finite &= edge_all_finite(unit->own.value_panels + n * value_dim * PANEL_KEYS, value_dim * PANEL_KEYS) &&
                        edge_all_finite(unit->own.key_panels + n * head_dim * PANEL_KEYS, head_dim * PANEL_KEYS);
    }
    for (int64_t j = unit->first; j < unit->last; ++j)
        grad_copy_row(unit->own.keys + (j - unit->first) * call->key_stride,
                      attn_tensor_row(k, unit->b, unit->key_head, j), k->type, head_dim, 1.0f);
    memset(unit->own.dk, 0, (size_t)(group_round_up(call->block_keys, PANEL_ROWS) * call->key_stride) * sizeof(float));
    memset(unit->own.dv, 0,
           (size_t)(group_round_up(call->block_keys, PANEL_ROWS) * call->value_stride) * sizeof(float));
}

static inline void backward_end_unit(const struct backward_unit *unit) {
    const struct backward *const call = unit->call;
    const struct attn_tensor *const dk = &call->operands->dk, *const dv = &call->operands->dv;
    for (int64_t j = unit->first; j < unit->last; ++j) {
        const float *const dk_row = unit->own.dk + (j - unit->first) * call->key_stride;
        const float *const dv_row = unit->own.dv + (j - unit->first) * call->value_stride;
        void *const dk_out = attn_tensor_row(dk, unit->b, unit->key_head, j);
        void *const dv_out = attn_tensor_row(dv, unit->b, unit->key_head, j);
        convert_row_to(dk_out, dk_row, dk->type, call->problem->head_dim, 1.0f);
        convert_row_to(dv_out, dv_row, dv->type, call->problem->value_dim, 1.0f);
    }
}

/* Reads the rows of tile t, and finds out which keys of the unit they need. */
static inline void backward_begin_visit(const struct backward_unit *unit, int64_t t, struct backward_visit *visit) {
    const struct backward *const call = unit->call;
    const struct attn_problem *const problem = call->problem;
    const struct attn_operands *const operands = call->operands;
    const int64_t left = call->rows - t * call->tile_rows;
    visit->first_row = t * call->tile_rows;
    visit->count = left < call->tile_rows ? left : call->tile_rows;
    visit->rows = &call->row_facts[unit->head * call->rows + visit->first_row];
    visit->cut = problem->mask.bias || problem->mask.allowed;
    for (int64_t r = 0; r < visit->count; ++r) {
        const struct group_place at = group_locate(call->problem, unit->key_head, visit->first_row + r);
        grad_copy_row(unit->own.queries + r * call->key_stride, attn_tensor_row(&operands->q, unit->b, at.h, at.i),
                      problem->type, problem->head_dim, problem->scale);
        grad_copy_row(unit->own.douts + r * call->value_stride, attn_tensor_row(&operands->dout, unit->b, at.h, at.i),
                      problem->type, problem->value_dim, 1.0f);
        unit->own.lse[r] = visit->rows[r].lse;
        unit->own.d[r] = visit->rows[r].d;
    }
    for (int64_t g = 0; g < visit->count; g += PANEL_ROWS) {
        struct backward_span *const whole = &visit->spans[g / PANEL_ROWS];
        *whole = (struct backward_span){unit->last - unit->first, 0};
        for (int64_t r = g; r < g + PANEL_ROWS && r < visit->count; ++r) {
            const struct backward_span span = backward_row_span(unit, &visit->rows[r]);
            visit->cut |= span.first > 0 || span.last < unit->last - unit->first;
            if (span.first < span.last) {
                whole->first = span.first < whole->first ? span.first : whole->first;
                whole->last = span.last > whole->last ? span.last : whole->last;
            }
        }
        if (whole->first >= whole->last)
            *whole = (struct backward_span){0, 0};
    }
}

#endif
