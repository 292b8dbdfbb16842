/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache-blocked rungs share: how large tiles are, and a block of keys and values made ready for the many
 * queries of a tile. */
#ifndef KERNELS_TILE_H
#define KERNELS_TILE_H

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

/* A block of keys and values, f32. */
struct tile_block {
    int64_t first, last; /* its keys */
    float *keys;         /* [head_dim][key_stride]: feature by feature, so that a loop over keys is contiguous */
    int64_t key_stride;  /* at least last - first */
    const float *values; /* row of key `first` */
    int64_t value_stride;
};

/* Memory for one block of up to block_keys keys. */
struct tile_buffers {
    float *keys;   /* [head_dim][block_keys] */
    float *values; /* [block_keys][value_dim]; only 16-bit values are copied */
    float *row;    /* [head_dim]; a 16-bit key or query widened */
};

static inline struct tile_buffers tile_lay_out(const struct attn_problem *problem, int64_t block_keys,
                                               struct scratch *scratch) {
    const bool wide = problem->type == ATTN_F32;
    return (struct tile_buffers){
        .keys = scratch_floats(scratch, problem->head_dim * block_keys),
        .values = wide ? NULL : scratch_floats(scratch, block_keys * problem->value_dim),
        .row = wide ? NULL : scratch_floats(scratch, problem->head_dim),
    };
}

/* Reads keys and values [first, last) of KV head h. */
static inline struct tile_block tile_load(const struct attn_operands *operands, int64_t b, int64_t h, int64_t first,
                                          int64_t last, int64_t block_keys, const struct tile_buffers *buffers) {
    const int64_t head_dim = operands->k.shape[3], value_dim = operands->v.shape[3];
    for (int64_t j = first; j < last; ++j) {
        const float *const key = attn_tensor_row_f32(&operands->k, b, h, j, buffers->row);
        float *const column = buffers->keys + (j - first);
        for (int64_t c = 0; c < head_dim; ++c)
            column[c * block_keys] = key[c];
    }
    struct tile_block block = {.first = first, .last = last, .keys = buffers->keys, .key_stride = block_keys};
    if (operands->v.type == ATTN_F32) {
        block.values = attn_tensor_row(&operands->v, b, h, first);
        block.value_stride = operands->v.stride[2];
        return block;
    }
    for (int64_t j = first; j < last; ++j)
        attn_tensor_row_f32(&operands->v, b, h, j, buffers->values + (j - first) * value_dim);
    block.values = buffers->values;
    block.value_stride = value_dim;
    return block;
}

/* dots[n] = query . key span.begin + n. */
static inline void tile_dots(const struct tile_block *block, const float *query, int64_t head_dim,
                             struct plain_span span, float *dots) {
    memset(dots, 0, (size_t)(span.end - span.begin) * sizeof *dots);
    plain_add_rows(dots, span.end - span.begin, query, block->keys + (span.begin - block->first), block->key_stride,
                   head_dim);
}

/* sum += weights times the values of the keys in span; weights[n] belongs to key span.begin + n. */
static inline void tile_add_values(const struct tile_block *block, const struct attn_row *row, struct plain_span span,
                                   const float *weights, int64_t value_dim, float *restrict sum) {
    plain_add_values(row, sum, value_dim, weights, block->values + (span.begin - block->first) * block->value_stride,
                     block->value_stride, span.end - span.begin);
}

#endif
