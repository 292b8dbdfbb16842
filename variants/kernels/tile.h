/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache-blocked rungs share: how large tiles are, and a block of keys and values made ready for the many
 * queries of a tile. */
#ifndef KERNELS_TILE_H
#define KERNELS_TILE_H

#include "contract/variant.h"
#include "kernels/plain.h"
#include "kernels/scratch.h"

/* Caches of a common core, for when their sizes are unknown. */
#define TILE_L1D_BYTES (INT64_C(32) << 10)
#define TILE_L2_BYTES  (INT64_C(512) << 10)

static inline int64_t tile_l1d_bytes(const struct attn_execution *execution) {
    return execution->caches.l1d_bytes > 0 ? execution->caches.l1d_bytes : TILE_L1D_BYTES;
}

static inline int64_t tile_l2_bytes(const struct attn_execution *execution) {
    return execution->caches.l2_bytes > 0 ? execution->caches.l2_bytes : TILE_L2_BYTES;
}

/* Keys of a block: its keys and values together fill L1, where every query of the tile reads them again. A multiple
 * of 16, the floats of the widest register. */
static inline int64_t tile_block_keys(const struct attn_problem *problem, const struct attn_execution *execution) {
    const int64_t key_bytes = (problem->head_dim + problem->value_dim) * (int64_t)sizeof(float);
    return plain_min(plain_max(tile_l1d_bytes(execution) / key_bytes / 16 * 16, 16), 256);
}

/* Queries of a tile: queries and weighted sums together take half of L2, and a block's transposition is shared by
 * many queries. */
static inline int64_t tile_block_queries(const struct attn_problem *problem, const struct attn_execution *execution) {
    const int64_t query_bytes = (problem->head_dim + problem->value_dim) * (int64_t)sizeof(float);
    const int64_t fitting = tile_l2_bytes(execution) / 2 / query_bytes;
    return plain_min(plain_min(plain_max(fitting, 16), 256), problem->query_len);
}

/* The parameters of a rung whose only choices are the two block sizes. */
enum { TILE_BLOCK_QUERIES, TILE_BLOCK_KEYS, TILE_PARAMETER_COUNT };

static const struct attn_parameter tile_parameters[TILE_PARAMETER_COUNT] = {
    [TILE_BLOCK_QUERIES] = {.name = "block_queries", .min = 1, .max = 4096, .meaning = "queries of a tile"},
    [TILE_BLOCK_KEYS] = {.name = "block_keys", .min = 1, .max = 4096, .meaning = "keys of a block"},
};

static inline void tile_resolve(const struct attn_problem *problem, struct attn_execution *execution) {
    int64_t *const parameters = execution->parameters;
    if (parameters[TILE_BLOCK_QUERIES] == 0)
        parameters[TILE_BLOCK_QUERIES] = tile_block_queries(problem, execution);
    if (parameters[TILE_BLOCK_KEYS] == 0)
        parameters[TILE_BLOCK_KEYS] = tile_block_keys(problem, execution);
}

/* Transposing a block pays when this many queries share it. Decided by the problem's queries, not the tile's, so that
 * a row's arithmetic does not depend on how queries are cut into tiles. */
#define TILE_TRANSPOSE_QUERIES 8

/* A block of keys and values, f32. */
struct tile_block {
    int64_t first, last; /* its keys */
    bool transposed;
    const float *keys; /* transposed: [head_dim][key_stride], so that a loop over keys is contiguous; else row of key
                          `first`, rows key_stride apart */
    int64_t key_stride;
    const float *values; /* row of key `first`, rows value_stride apart */
    int64_t value_stride;
};

/* Memory for one block of up to block_keys keys. What is used where it stands needs none. */
struct tile_buffers {
    int64_t block_keys;
    bool transpose;
    float *keys;   /* [head_dim][block_keys], or a 16-bit block's [block_keys][head_dim] */
    float *values; /* [block_keys][value_dim] of a 16-bit block */
    float *row;    /* [head_dim], a 16-bit key or query widened */
};

static inline struct tile_buffers tile_lay_out(const struct attn_problem *problem, int64_t block_keys,
                                               struct scratch *scratch) {
    const bool wide = problem->type == ATTN_F32, transpose = problem->query_len >= TILE_TRANSPOSE_QUERIES;
    return (struct tile_buffers){
        .block_keys = block_keys,
        .transpose = transpose,
        .keys = wide && !transpose ? NULL : scratch_floats(scratch, problem->head_dim * block_keys),
        .values = wide ? NULL : scratch_floats(scratch, block_keys * problem->value_dim),
        .row = wide ? NULL : scratch_floats(scratch, problem->head_dim),
    };
}

/* Rows [first, last) of a 16-bit tensor's head, widened into `rows`. */
static inline void tile_widen(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t first, int64_t last,
                              float *rows) {
    for (int64_t j = first; j < last; ++j)
        attn_tensor_row_f32(tensor, b, h, j, rows + (j - first) * tensor->shape[3]);
}

/* Reads keys and values [first, last) of KV head h. */
static inline struct tile_block tile_load(const struct attn_operands *operands, int64_t b, int64_t h, int64_t first,
                                          int64_t last, const struct tile_buffers *buffers) {
    const struct attn_tensor *const k = &operands->k, *const v = &operands->v;
    struct tile_block block = {.first = first, .last = last, .transposed = buffers->transpose};
    if (buffers->transpose) {
        for (int64_t j = first; j < last; ++j) {
            const float *const key = attn_tensor_row_f32(k, b, h, j, buffers->row);
            float *const column = buffers->keys + (j - first);
            for (int64_t c = 0; c < k->shape[3]; ++c)
                column[c * buffers->block_keys] = key[c];
        }
        block.keys = buffers->keys;
        block.key_stride = buffers->block_keys;
    } else if (k->type == ATTN_F32) {
        block.keys = attn_tensor_row(k, b, h, first);
        block.key_stride = k->stride[2];
    } else {
        tile_widen(k, b, h, first, last, buffers->keys);
        block.keys = buffers->keys;
        block.key_stride = k->shape[3];
    }
    if (v->type == ATTN_F32) {
        block.values = attn_tensor_row(v, b, h, first);
        block.value_stride = v->stride[2];
    } else {
        tile_widen(v, b, h, first, last, buffers->values);
        block.values = buffers->values;
        block.value_stride = v->shape[3];
    }
    return block;
}

/* dots[n] = query . key span.begin + n. */
static inline void tile_dots(const struct tile_block *block, const float *query, int64_t head_dim,
                             struct plain_span span, float *dots) {
    const int64_t skipped = span.begin - block->first, count = span.end - span.begin;
    if (!block->transposed) {
        plain_dots(query, block->keys + skipped * block->key_stride, block->key_stride, count, head_dim, dots);
        return;
    }
    memset(dots, 0, (size_t)count * sizeof *dots);
    plain_add_rows(dots, count, query, block->keys + skipped, block->key_stride, head_dim);
}

/* sum += weights times the values of the keys in span; weights[n] belongs to key span.begin + n. */
static inline void tile_add_values(const struct tile_block *block, const struct attn_row *row, struct plain_span span,
                                   const float *weights, int64_t value_dim, float *restrict sum) {
    plain_add_values(row, sum, value_dim, weights, block->values + (span.begin - block->first) * block->value_stride,
                     block->value_stride, span.end - span.begin);
}

#endif
