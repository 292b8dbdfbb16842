/* SPDX-License-Identifier: Apache-2.0 */
/* The backward pass of `flash` before its products: sizes, workspace, and what is found out about every query row
 * once, so that blocks of keys need not ask again. */
#ifndef KERNELS_BACKWARD_PLAN_H
#define KERNELS_BACKWARD_PLAN_H

#include "contract/execution.h"
#include "kernels/gradpanel.h"
#include "kernels/group.h"
#include "kernels/scratch.h"

/* What a query row brings to every block of keys. */
struct backward_row {
    int64_t key_begin, key_end; /* live range; empty: fully masked */
    float lse, d;               /* D = dout . out */
    bool finite;                /* query and dout hold no NaN and no infinity */
};

/* A tile of query rows of one KV head; a group's query heads follow one another. */
struct backward_tile {
    int64_t first_block, last_block; /* the blocks of keys that some row may read */
    bool finite;
    int64_t turn; /* the block of keys that may add to dQ now */
    char apart[64 - 4 * sizeof(int64_t)];
};

/* Private to a thread, for one unit: [rows or keys][stride]. */
struct backward_buffers {
    float *key_panels, *value_panels, *keys; /* packed; and keys as they are */
    float *dk, *dv;
    float *queries, *douts, *dq; /* of a tile; queries times scale */
    float *lse, *d;              /* [tile_rows] */
    float *weights, *slopes;     /* P and dS, [tile_rows][weight_stride] */
    float *bends;                /* derivative of the softcap, one row */
};

/* Sizes of one call, and its workspace. */
struct backward {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    const struct attn_profile *profile;
    int64_t rows, tile_rows, tiles; /* query rows per KV head */
    int64_t block_keys, blocks;
    int64_t key_stride, value_stride, weight_stride;
    bool plain;                       /* every score is scale * dot */
    struct backward_row *row_facts;   /* [batch * key_heads][rows] */
    struct backward_tile *tile_facts; /* [batch * key_heads][tiles] */
    int64_t *next_unit;
    float *dq;     /* as q, dense; NULL: sums go to the operand itself */
    void *threads; /* of thread_bytes each */
    size_t thread_bytes, bytes;
};

/* Rows of a tile and keys of a block, where they are 0. Blocks are as equal as whole units allow. What a thread keeps
 * of a block of keys takes L2 at most, a tile's rows half of it; larger ones did not gain. Few and short heads are cut
 * into a dozen blocks or so, for threads to share: by the problem alone, so that no answer depends on the number of
 * threads. */
static inline void backward_resolve(const struct attn_problem *problem, int64_t l2_bytes, int64_t *tile_rows,
                                    int64_t *block_keys) {
    const int64_t unit = VEC_REGISTERS == 32 ? PANEL_KEYS : 3 * PANEL_KEYS; /* the latter whole groups of rows too */
    const int64_t key_stride = grad_stride(problem->head_dim), value_stride = grad_stride(problem->value_dim);
    if (*block_keys == 0) {
        const int64_t fitting = l2_bytes / (4 * (3 * key_stride + 2 * value_stride));
        const int64_t shared = problem->key_len * problem->batch * problem->key_heads / 12;
        int64_t most = fitting < shared ? fitting : shared;
        most = group_clamp(most, unit, 256) / unit * unit;
        const int64_t blocks = (problem->key_len + most - 1) / most;
        *block_keys = group_round_up((problem->key_len + blocks - 1) / blocks, unit);
    }
    if (*tile_rows == 0) {
        const int64_t fitting = l2_bytes / 2 / (4 * (2 * key_stride + value_stride + 2 * *block_keys)) / 24 * 24;
        *tile_rows = fitting < 24 ? 24 : fitting < 96 ? fitting : 96;
    }
}

static inline struct backward_buffers backward_buffers_lay_out(const struct backward *call, struct scratch *scratch) {
    const struct attn_problem *const problem = call->problem;
    const int64_t panel_keys = group_round_up(call->block_keys, PANEL_KEYS);
    const int64_t group_keys = group_round_up(call->block_keys, PANEL_ROWS);
    return (struct backward_buffers){
        .key_panels = scratch_floats(scratch, panel_keys * problem->head_dim),
        .value_panels = scratch_floats(scratch, panel_keys * problem->value_dim),
        .keys = scratch_floats(scratch, call->block_keys * call->key_stride),
        .dk = scratch_floats(scratch, group_keys * call->key_stride),
        .dv = scratch_floats(scratch, group_keys * call->value_stride),
        .queries = scratch_floats(scratch, call->tile_rows * call->key_stride),
        .douts = scratch_floats(scratch, call->tile_rows * call->value_stride),
        .dq = scratch_floats(scratch, call->tile_rows * call->key_stride),
        .lse = scratch_floats(scratch, call->tile_rows),
        .d = scratch_floats(scratch, call->tile_rows),
        .weights = scratch_floats(scratch, call->tile_rows * call->weight_stride),
        .slopes = scratch_floats(scratch, call->tile_rows * call->weight_stride),
        .bends = scratch_floats(scratch, call->plain ? 0 : call->weight_stride),
    };
}

/* `workspace` NULL: only sizes. tile_rows is a multiple of PANEL_ROWS, block_keys of PANEL_KEYS. */
static inline struct backward backward_lay_out(const struct attn_problem *problem, const struct attn_operands *operands,
                                               int64_t tile_rows, int64_t block_keys, int threads, void *workspace) {
    const struct attn_mask *const mask = &problem->mask;
    const int64_t heads = problem->batch * problem->key_heads;
    struct backward call = {
        .problem = problem,
        .operands = operands,
        .rows = group_rows(problem),
        .tile_rows = tile_rows,
        .block_keys = block_keys,
        .blocks = (problem->key_len + block_keys - 1) / block_keys,
        .key_stride = grad_stride(problem->head_dim),
        .value_stride = grad_stride(problem->value_dim),
        .weight_stride =
            grad_stride(block_keys + 16), /* loops over a row run on to a whole register or group of rows */
        .plain = !mask->bias && !mask->allowed && !mask->alibi_slopes && mask->softcap == 0.0f,
    };
    call.tiles = (call.rows + tile_rows - 1) / tile_rows;
    struct scratch scratch = {.memory = workspace}, sizes = {0};
    call.row_facts = scratch_take(&scratch, (size_t)(heads * call.rows) * sizeof *call.row_facts);
    call.tile_facts = scratch_take(&scratch, (size_t)(heads * call.tiles) * sizeof *call.tile_facts);
    call.next_unit = scratch_take(&scratch, sizeof *call.next_unit);
    if (problem->type != ATTN_F32)
        call.dq = scratch_floats(&scratch, heads * call.rows * problem->head_dim);
    backward_buffers_lay_out(&call, &sizes);
    call.thread_bytes = sizes.bytes;
    call.threads = scratch_take(&scratch, scratch_slices_bytes(call.thread_bytes, threads));
    call.bytes = scratch.bytes;
    return call;
}

/* Where the sums of a row of dQ stand. */
static inline float *backward_dq_row(const struct backward *call, int64_t b, struct group_place at) {
    const struct attn_problem *const problem = call->problem;
    if (!call->dq)
        return attn_tensor_row(&call->operands->dq, b, at.h, at.i);
    return call->dq + ((b * problem->query_heads + at.h) * problem->query_len + at.i) * problem->head_dim;
}

static inline bool backward_all_finite(const struct attn_tensor *tensor, const void *row) {
    float sum = 0.0f; /* 0 * x is 0 for a finite x, else NaN */
    if (tensor->type == ATTN_F32)
        return edge_all_finite(row, tensor->shape[3]);
    for (int64_t c = 0; c < tensor->shape[3]; ++c)
        sum += 0.0f * attn_load(row, tensor->type, c);
    return sum == 0.0f;
}

static inline float backward_dot(const void *a, const void *b, enum attn_type type, int64_t count) {
    float sum = 0.0f;
    if (type == ATTN_F32) {
        const float *const x = a, *const y = b;
#pragma omp simd reduction(+ : sum)
        for (int64_t c = 0; c < count; ++c)
            sum += x[c] * y[c];
        return sum;
    }
    for (int64_t c = 0; c < count; ++c)
        sum += attn_load(a, type, c) * attn_load(b, type, c);
    return sum;
}

/* The first phase: facts of a tile's rows, and dQ = 0. */
static inline void backward_begin_tile(const struct backward *call, int64_t head, int64_t t) {
    const struct attn_problem *const problem = call->problem;
    const struct attn_operands *const operands = call->operands;
    const int64_t b = head / problem->key_heads, key_head = head % problem->key_heads;
    struct backward_tile *const tile = &call->tile_facts[head * call->tiles + t];
    int64_t first = problem->key_len, last = 0;
    *tile = (struct backward_tile){.finite = true};
    for (int64_t n = t * call->tile_rows; n < (t + 1) * call->tile_rows && n < call->rows; ++n) {
        const struct group_place at = group_locate(call->problem, key_head, n);
        const struct attn_row live = attn_row_begin(problem, b, at.h, at.i);
        const void *const dout = attn_tensor_row(&operands->dout, b, at.h, at.i);
        const void *const query = attn_tensor_row(&operands->q, b, at.h, at.i);
        struct backward_row *const row = &call->row_facts[head * call->rows + n];
        *row = (struct backward_row){
            .key_begin = live.key_begin,
            .key_end = live.key_end,
            .lse = *(const float *)attn_tensor_row(&operands->lse, b, at.h, at.i),
            .d = backward_dot(dout, attn_tensor_row(&operands->out, b, at.h, at.i), problem->type, problem->value_dim),
            .finite = backward_all_finite(&operands->q, query) && backward_all_finite(&operands->dout, dout),
        };
        if (live.key_begin < live.key_end) {
            first = live.key_begin < first ? live.key_begin : first;
            last = live.key_end > last ? live.key_end : last;
        }
        tile->finite &= row->finite;
        memset(backward_dq_row(call, b, at), 0, (size_t)problem->head_dim * sizeof(float));
    }
    if (first < last) {
        tile->first_block = first / call->block_keys;
        tile->last_block = (last + call->block_keys - 1) / call->block_keys;
    }
    tile->turn = tile->first_block;
}

#endif
