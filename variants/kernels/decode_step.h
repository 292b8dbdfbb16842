/* SPDX-License-Identifier: Apache-2.0 */
/* The two products of streaming attention over a block of keys where they stand: dots of a few queries with every key,
 * and sums of weighted values. Loads are shared by as many keys and rows as registers hold; what comes next is fetched
 * ahead, because a stream that is cut into rows, and taken in turn with another, is one that hardware loses sight of.
 */
#ifndef KERNELS_DECODE_STEP_H
#define KERNELS_DECODE_STEP_H

#include "kernels/convert.h"

#define DECODE_BLOCK       64   /* keys between two looks at the running maximum: rows of scores are this long */
#define DECODE_AHEAD_BYTES 8192 /* how far ahead a stream is fetched */
#define DECODE_FOUR        VEC_UNROLL(4)

/* Fetches the row that a stream reaches after DECODE_AHEAD_BYTES. Fetching what isn't there does no harm. */
VEC_INLINE void decode_fetch(const char *row, int64_t row_bytes, int64_t stride_bytes) {
    const uintptr_t ahead = (uintptr_t)row + (uintptr_t)((DECODE_AHEAD_BYTES / row_bytes + 1) * stride_bytes);
    for (int64_t at = 0; at < row_bytes; at += 64)
        __builtin_prefetch((const void *)(ahead + (uintptr_t)at), 0, 2); /* into L2: what waits for L1 is few */
}

/* scores[r * DECODE_BLOCK + m] = queries[r] . keys[m] for four keys and `rows` rows (1 or 2, constant at each call).
 * Queries are padded with zeros to whole registers. */
VEC_INLINE void decode_four_dots(int rows, int64_t head_dim, const float *queries, int64_t query_stride,
                                 const char *const keys[4], enum attn_type type, float *scores) {
    vec acc[2][4];
    const int64_t whole = head_dim - head_dim % VEC_LANES;
    for (int r = 0; r < rows; ++r)
        DECODE_FOUR for (int m = 0; m < 4; ++m) acc[r][m] = vec_all(0.0f);
    for (int64_t c = 0; c < whole; c += VEC_LANES) {
        vec features[4];
        DECODE_FOUR for (int m = 0; m < 4; ++m) features[m] = convert_load(keys[m], type, c);
        for (int r = 0; r < rows; ++r) {
            const vec query = vec_load(queries + r * query_stride + c);
            DECODE_FOUR for (int m = 0; m < 4; ++m) acc[r][m] += query * features[m];
        }
    }
    if (whole < head_dim)
        DECODE_FOUR for (int m = 0; m < 4; ++m) {
            const vec features = convert_load_part(keys[m], type, whole, head_dim - whole);
            for (int r = 0; r < rows; ++r)
                acc[r][m] += vec_load(queries + r * query_stride + whole) * features;
        }
    for (int r = 0; r < rows; ++r) {
        const vec_four sums = vec_sums(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
        memcpy(scores + r * DECODE_BLOCK, &sums, sizeof sums);
    }
}

/* scores[r * DECODE_BLOCK + n] = queries[r] . key n for `keys` keys. Writes up to three scores beyond the last. */
VEC_INLINE void decode_dots_of(int rows, int64_t keys, int64_t head_dim, const float *queries, int64_t query_stride,
                               const char *key, int64_t stride_bytes, enum attn_type type, float *scores) {
    const int64_t row_bytes = head_dim * (type == ATTN_F32 ? 4 : 2);
    for (int64_t n = 0; n < keys; n += 4, key += 4 * stride_bytes) {
        const char *four[4];
        for (int64_t m = 0; m < 4; ++m) {
            four[m] = key + (n + m < keys ? m : 0) * stride_bytes;
            decode_fetch(four[m], row_bytes, stride_bytes);
        }
        int r = 0;
        for (; r + 2 <= rows; r += 2)
            decode_four_dots(2, head_dim, queries + r * query_stride, query_stride, four, type,
                             scores + r * DECODE_BLOCK + n);
        if (r < rows)
            decode_four_dots(1, head_dim, queries + r * query_stride, query_stride, four, type,
                             scores + r * DECODE_BLOCK + n);
    }
}

/* sums[r] += weights[r] . values, four values at a time, each read once for all rows. Weights beyond the last key, up
 * to a multiple of four, are 0. Sums are padded to whole registers. */
VEC_INLINE void decode_values_of(int rows, int64_t keys, int64_t value_dim, const float *weights, const char *value,
                                 int64_t stride_bytes, enum attn_type type, float *sums, int64_t sums_stride) {
    const int64_t row_bytes = value_dim * (type == ATTN_F32 ? 4 : 2), whole = value_dim - value_dim % VEC_LANES;
    for (int64_t n = 0; n < keys; n += 4, value += 4 * stride_bytes) {
        const char *four[4];
        for (int64_t m = 0; m < 4; ++m) {
            four[m] = value + (n + m < keys ? m : 0) * stride_bytes;
            decode_fetch(four[m], row_bytes, stride_bytes);
        }
        for (int64_t c = 0; c < value_dim; c += VEC_LANES) {
            vec features[4];
            DECODE_FOUR for (int m = 0; m < 4; ++m) features[m] =
                c < whole ? convert_load(four[m], type, c) : convert_load_part(four[m], type, c, value_dim - c);
            for (int r = 0; r < rows; ++r) {
                const float *const weight = weights + r * DECODE_BLOCK + n;
                const vec sum = vec_load(sums + r * sums_stride + c);
                vec_store(sums + r * sums_stride + c,
                          sum + ((vec_all(weight[0]) * features[0] + vec_all(weight[1]) * features[1]) +
                                 (vec_all(weight[2]) * features[2] + vec_all(weight[3]) * features[3])));
            }
        }
    }
}

/* The steps, the type a constant in each copy, so that no loop asks for it. */
static __attribute__((noinline)) void decode_dots(int rows, int64_t keys, int64_t head_dim, const float *queries,
                                                  int64_t query_stride, const char *key, int64_t stride_bytes,
                                                  enum attn_type type, float *scores) {
    if (type == ATTN_F32)
        decode_dots_of(rows, keys, head_dim, queries, query_stride, key, stride_bytes, ATTN_F32, scores);
    else if (type == ATTN_BF16)
        decode_dots_of(rows, keys, head_dim, queries, query_stride, key, stride_bytes, ATTN_BF16, scores);
    else
        decode_dots_of(rows, keys, head_dim, queries, query_stride, key, stride_bytes, ATTN_F16, scores);
}

static __attribute__((noinline)) void decode_values(int rows, int64_t keys, int64_t value_dim, const float *weights,
                                                    const char *value, int64_t stride_bytes, enum attn_type type,
                                                    float *sums, int64_t sums_stride) {
    if (type == ATTN_F32)
        decode_values_of(rows, keys, value_dim, weights, value, stride_bytes, ATTN_F32, sums, sums_stride);
    else if (type == ATTN_BF16)
        decode_values_of(rows, keys, value_dim, weights, value, stride_bytes, ATTN_BF16, sums, sums_stride);
    else
        decode_values_of(rows, keys, value_dim, weights, value, stride_bytes, ATTN_F16, sums, sums_stride);
}

#endif
