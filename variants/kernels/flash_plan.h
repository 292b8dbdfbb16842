/* SPDX-License-Identifier: Apache-2.0 */
/* What a tiled call is made of: sizes and places in the workspace, keys packed once per KV head, values widened where
 * they are 16 bit, and a note of which blocks are finite. */
#ifndef KERNELS_FLASH_PLAN_H
#define KERNELS_FLASH_PLAN_H

#include "contract/execution.h"
#include "kernels/edge.h"
#include "kernels/group.h"
#include "kernels/keypanel.h"

/* What one query tile has to do, and how much of it. */
struct flash_task {
    int64_t head, b, key_head; /* head: b * key_heads + key_head */
    int64_t first_row;
    int64_t pairs, head_pairs; /* twice the live ones, about: its own, and those of all tasks of its KV head */
};

/* One query row of a tile, as far as most of its work asks. */
struct flash_row {
    struct group_place at;
    int64_t key_begin, key_end; /* the keys it sees are among these */
    bool plain;                 /* it sees all of them, and their scores are scale * dot */
};

/* Sizes and places of everything in the workspace, 64-byte aligned. Per thread: a tile's queries, weights, sums. */
struct flash_plan {
    int64_t rows, tile_rows, tiles, tasks;
    int64_t block_keys, blocks, panels;
    int64_t out_stride; /* value_dim, padded to whole registers */
    bool widen;         /* values are 16 bit: float copies are made */
    float threshold;
    size_t keys_at, values_at, finite_at, packed_at, tasks_at, threads_at;
    size_t queries_at, weights_at, scores_at, sums_at, rows_at, states_at, thread_bytes, bytes;
};

static inline size_t flash_place(size_t *end, int64_t bytes) {
    const size_t at = *end;
    *end += (size_t)group_round_up(bytes, 64);
    return at;
}

/* What one way of tiling asks of the workspace. */
struct flash_sizes {
    int64_t panel_keys;                /* keys that are packed together */
    int64_t key_panel_bytes;           /* of one panel of packed keys */
    int64_t value_panel_bytes;         /* of its values, where copies are made; else 0 */
    int64_t query_bytes, weight_bytes; /* of one row of a tile; the weights of a block of keys */
    int64_t score_bytes;               /* of a thread's scores on their way to weights; 0 where they share the place */
    int64_t out_stride;                /* floats of one row's sums */
};

/* `tile_rows` is a multiple of the rows worked on at a time, `block_keys` of panel_keys; `threshold` is the log2 of how
 * far a score may outgrow its row's reference. */
static inline struct flash_plan flash_lay_out(const struct attn_problem *problem, int threads, int64_t tile_rows,
                                              int64_t block_keys, float threshold, const struct flash_sizes *sizes) {
    struct flash_plan plan = {
        .rows = group_rows(problem),
        .tile_rows = tile_rows,
        .block_keys = block_keys,
        .out_stride = sizes->out_stride,
        .widen = problem->type != ATTN_F32,
        .threshold = threshold,
    };
    const int64_t key_heads = problem->batch * problem->key_heads;
    plan.tiles = (plan.rows + plan.tile_rows - 1) / plan.tile_rows;
    plan.tasks = key_heads * plan.tiles;
    plan.blocks = (problem->key_len + plan.block_keys - 1) / plan.block_keys;
    plan.panels = (problem->key_len + sizes->panel_keys - 1) / sizes->panel_keys;

    size_t end = 0;
    plan.keys_at = flash_place(&end, key_heads * plan.panels * sizes->key_panel_bytes);
    plan.values_at = flash_place(&end, key_heads * plan.panels * sizes->value_panel_bytes);
    plan.finite_at = flash_place(&end, key_heads * plan.blocks * (int64_t)sizeof(bool));
    plan.packed_at = flash_place(&end, key_heads * (int64_t)sizeof(int64_t));
    plan.tasks_at = flash_place(&end, plan.tasks * (int64_t)sizeof(struct flash_task));
    plan.threads_at = end;
    size_t thread_end = 0;
    plan.queries_at = flash_place(&thread_end, plan.tile_rows * sizes->query_bytes);
    plan.weights_at = flash_place(&thread_end, plan.tile_rows * sizes->weight_bytes);
    plan.scores_at = flash_place(&thread_end, sizes->score_bytes);
    plan.sums_at = flash_place(&thread_end, plan.tile_rows * plan.out_stride * (int64_t)sizeof(float));
    plan.rows_at = flash_place(&thread_end, plan.tile_rows * (int64_t)sizeof(struct flash_row));
    plan.states_at = flash_place(&thread_end, plan.tile_rows * (int64_t)sizeof(struct edge_state));
    plan.thread_bytes = thread_end;
    plan.bytes = plan.threads_at + (size_t)threads * plan.thread_bytes;
    return plan;
}

/* The layout of register tiles: `tile_rows` is a multiple of PANEL_ROWS. */
static inline struct flash_plan flash_plan_of(const struct attn_problem *problem, int threads, int64_t tile_rows,
                                              int64_t block_keys, float threshold) {
    const int64_t f32 = sizeof(float);
    const struct flash_sizes sizes = {
        .panel_keys = PANEL_KEYS,
        .key_panel_bytes = PANEL_KEYS * problem->head_dim * f32,
        .value_panel_bytes = problem->type == ATTN_F32 ? 0 : PANEL_KEYS * problem->value_dim * f32,
        .query_bytes = problem->head_dim * f32,
        .weight_bytes = block_keys * f32,
        .out_stride = group_round_up(problem->value_dim, VEC_LANES),
    };
    return flash_lay_out(problem, threads, tile_rows, block_keys, threshold, &sizes);
}

/* One call, as all its threads see it. */
struct flash_call {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    struct flash_plan plan;
    char *workspace;
    const struct attn_profile *profile;
};

static inline float *flash_packed_panel(const struct flash_call *call, int64_t b, int64_t key_head, int64_t panel) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (float *)(call->workspace + call->plan.keys_at) +
           (head * call->plan.panels + panel) * call->problem->head_dim * PANEL_KEYS;
}

/* The float copy of the value of key `j`; only where the plan widens. */
static inline float *flash_widened_value(const struct flash_call *call, int64_t b, int64_t key_head, int64_t j) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (float *)(call->workspace + call->plan.values_at) +
           (head * call->plan.panels * PANEL_KEYS + j) * call->problem->value_dim;
}

/* The value of key `j`, as floats, and the distance from one to the next. */
static inline const float *flash_values_from(const struct flash_call *call, int64_t b, int64_t key_head, int64_t j,
                                             int64_t *stride) {
    *stride = call->plan.widen ? call->problem->value_dim : call->operands->v.stride[2];
    return call->plan.widen ? flash_widened_value(call, b, key_head, j)
                            : attn_tensor_row(&call->operands->v, b, key_head, j);
}

/* Whether a mask may take some of the keys from some of the rows. */
static inline bool flash_may_cut(const struct attn_problem *problem) {
    const struct attn_mask *const mask = &problem->mask;
    return mask->causal || mask->windowed || mask->key_lengths || mask->segments > 0 || mask->bias || mask->allowed;
}

/* Whether all values of a block are known to be finite; where no mask may cut, tiles in registers do not look. */
static inline bool *flash_finite_flag(const struct flash_call *call, int64_t b, int64_t key_head, int64_t block) {
    const int64_t head = b * call->problem->key_heads + key_head;
    return (bool *)(call->workspace + call->plan.finite_at) + head * call->plan.blocks + block;
}

/* How many blocks of keys of KV head `head` (b * key_heads + key_head) are packed. */
static inline int64_t *flash_packed_blocks(const struct flash_call *call, int64_t head) {
    return (int64_t *)(call->workspace + call->plan.packed_at) + head;
}

/* Packs the keys of one block, widens its values where needed, and notes whether they are known to be finite. */
static inline void flash_prepare_block(const struct flash_call *call, int64_t b, int64_t key_head, int64_t block) {
    const struct attn_problem *const problem = call->problem;
    const int64_t first = block * call->plan.block_keys;
    const int64_t last =
        first + call->plan.block_keys < problem->key_len ? first + call->plan.block_keys : problem->key_len;
    for (int64_t j = first; j < last; j += PANEL_KEYS)
        panel_pack(&call->operands->k, b, key_head, j, flash_packed_panel(call, b, key_head, j / PANEL_KEYS));
    for (int64_t j = first; j < last && call->plan.widen; ++j)
        convert_row_from(flash_widened_value(call, b, key_head, j), attn_tensor_row(&call->operands->v, b, key_head, j),
                         problem->type, problem->value_dim, 1.0f);
    int64_t stride;
    const float *const values = flash_values_from(call, b, key_head, first, &stride);
    *flash_finite_flag(call, b, key_head, block) =
        flash_may_cut(problem) && edge_rows_finite(last - first, problem->value_dim, values, stride);
}

#endif
