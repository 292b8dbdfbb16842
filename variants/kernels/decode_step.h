/* SPDX-License-Identifier: Apache-2.0 */
/* The two products of streaming attention over a block of keys where they stand: dots of a few queries with every key,
 * and sums of weighted values. Loads are shared by as many keys and rows as registers hold; what comes next is fetched
 * ahead, because a stream that is cut into rows, and taken in turn with another, is one that hardware loses sight of.
 */
#ifndef KERNELS_DECODE_STEP_H
#define KERNELS_DECODE_STEP_H

#include "kernels/convert.h"

#define DECODE_BLOCK 64 /* keys between two looks at the running maximum: rows of scores are this long */
#define DECODE_FOUR  VEC_UNROLL(4)

/* Every 64 bytes of a row, as its element `c` is read, fetches what a stream reaches `ahead_bytes` later; 0: nothing. A
 * line for every line that is read: fetched row by row they would wait for each other. */
VEC_INLINE void decode_fetch(const char *row, enum attn_type type, int64_t c, int64_t ahead_bytes) {
    const int64_t at = c * (int64_t)attn_type_bytes(type);
    if (ahead_bytes && at % 64 == 0)
        vec_fetch(row, ahead_bytes + at);
}

/* Bytes from a row to the one that a stream reaches after VEC_AHEAD_BYTES. */
VEC_INLINE int64_t decode_ahead_bytes(int64_t features, enum attn_type type, int64_t stride_bytes) {
    return (VEC_AHEAD_BYTES / (features * (int64_t)attn_type_bytes(type)) + 1) * stride_bytes;
}

/* scores[r * DECODE_BLOCK + m] = queries[r] . keys[m] for four keys and `rows` rows (1, 2 or 4, constant at each call).
 * Queries are padded with zeros to whole registers. `ahead_bytes`: as decode_fetch takes it. */
VEC_INLINE void decode_four_dots(int rows, int64_t head_dim, const float *queries, int64_t query_stride,
                                 const char *const keys[4], enum attn_type type, int64_t ahead_bytes, float *scores) {
    vec acc[4][4];
    const int64_t whole = head_dim - head_dim % VEC_LANES;
    DECODE_FOUR for (int r = 0; r < rows; ++r) DECODE_FOUR for (int m = 0; m < 4; ++m) acc[r][m] = vec_all(0.0f);
    for (int64_t c = 0; c < whole; c += VEC_LANES) {
        vec features[4];
        DECODE_FOUR for (int m = 0; m < 4; ++m) features[m] = convert_load(keys[m], type, c);
        DECODE_FOUR for (int m = 0; m < 4; ++m) decode_fetch(keys[m], type, c, ahead_bytes);
        DECODE_FOUR for (int r = 0; r < rows; ++r) {
            const vec query = vec_load(queries + r * query_stride + c);
            DECODE_FOUR for (int m = 0; m < 4; ++m) acc[r][m] += query * features[m];
        }
    }
    if (whole < head_dim)
        DECODE_FOUR for (int m = 0; m < 4; ++m) {
            decode_fetch(keys[m], type, whole, ahead_bytes);
            const vec features = convert_load_part(keys[m], type, whole, head_dim - whole);
            DECODE_FOUR for (int r = 0; r < rows; ++r) acc[r][m] +=
                vec_load(queries + r * query_stride + whole) * features;
        }
    DECODE_FOUR for (int r = 0; r < rows; ++r) {
        const vec_four sums = vec_sums(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
        memcpy(scores + r * DECODE_BLOCK, &sums, sizeof sums);
    }
}

/* scores[r * DECODE_BLOCK + n] = queries[r] . key n for `keys` keys. Writes up to three scores beyond the last. */
VEC_INLINE void decode_dots_of(int rows, int64_t keys, int64_t head_dim, const float *queries, int64_t query_stride,
                               const char *key, int64_t stride_bytes, enum attn_type type, float *scores) {
    const int64_t ahead_bytes = decode_ahead_bytes(head_dim, type, stride_bytes);
    for (int64_t n = 0; n < keys; n += 4, key += 4 * stride_bytes) {
        const char *four[4];
        for (int64_t m = 0; m < 4; ++m)
            four[m] = key + (n + m < keys ? m : 0) * stride_bytes;
        int r = 0;
        for (; r + 4 <= rows && VEC_REGISTERS == 32; r += 4)
            decode_four_dots(4, head_dim, queries + r * query_stride, query_stride, four, type,
                             r == 0 ? ahead_bytes : 0, scores + r * DECODE_BLOCK + n);
        for (; r + 2 <= rows; r += 2)
            decode_four_dots(2, head_dim, queries + r * query_stride, query_stride, four, type,
                             r == 0 ? ahead_bytes : 0, scores + r * DECODE_BLOCK + n);
        if (r < rows)
            decode_four_dots(1, head_dim, queries + r * query_stride, query_stride, four, type,
                             r == 0 ? ahead_bytes : 0, scores + r * DECODE_BLOCK + n);
    }
}

/* sums[r] += weights[r * DECODE_BLOCK + m] * values[m] for four values and `rows` rows (1, 2 or 4, constant at each
 * call), whose weights stay in registers. `ahead_bytes`: as decode_fetch takes it. */
VEC_INLINE void decode_four_values(int rows, int64_t value_dim, const float *weights, const char *const values[4],
                                   enum attn_type type, int64_t ahead_bytes, float *sums, int64_t sums_stride) {
    const int64_t whole = value_dim - value_dim % VEC_LANES;
    vec factors[4][4];
    DECODE_FOUR for (int r = 0; r < rows; ++r) DECODE_FOUR for (int m = 0; m < 4; ++m) factors[r][m] =
        vec_all(weights[r * DECODE_BLOCK + m]);
    for (int64_t c = 0; c < value_dim; c += VEC_LANES) {
        vec features[4];
        DECODE_FOUR for (int m = 0; m < 4; ++m) features[m] =
            c < whole ? convert_load(values[m], type, c) : convert_load_part(values[m], type, c, value_dim - c);
        DECODE_FOUR for (int m = 0; m < 4; ++m) decode_fetch(values[m], type, c, ahead_bytes);
        DECODE_FOUR for (int r = 0; r < rows; ++r) {
            float *const sum = sums + r * sums_stride + c;
            vec_store(sum, vec_load(sum) + ((factors[r][0] * features[0] + factors[r][1] * features[1]) +
                                            (factors[r][2] * features[2] + factors[r][3] * features[3])));
        }
    }
}

/* sums[r] += weights[r] . values. Weights beyond the last key, up to a multiple of four, are 0. Sums are padded to
 * whole registers. */
VEC_INLINE void decode_values_of(int rows, int64_t keys, int64_t value_dim, const float *weights, const char *value,
                                 int64_t stride_bytes, enum attn_type type, float *sums, int64_t sums_stride) {
    const int64_t ahead_bytes = decode_ahead_bytes(value_dim, type, stride_bytes);
    for (int64_t n = 0; n < keys; n += 4, value += 4 * stride_bytes) {
        const char *four[4];
        for (int64_t m = 0; m < 4; ++m)
            four[m] = value + (n + m < keys ? m : 0) * stride_bytes;
        int r = 0;
        for (; r + 4 <= rows && VEC_REGISTERS == 32; r += 4)
            decode_four_values(4, value_dim, weights + r * DECODE_BLOCK + n, four, type, r == 0 ? ahead_bytes : 0,
                               sums + r * sums_stride, sums_stride);
        for (; r + 2 <= rows; r += 2)
            decode_four_values(2, value_dim, weights + r * DECODE_BLOCK + n, four, type, r == 0 ? ahead_bytes : 0,
                               sums + r * sums_stride, sums_stride);
        if (r < rows)
            decode_four_values(1, value_dim, weights + r * DECODE_BLOCK + n, four, type, r == 0 ? ahead_bytes : 0,
                               sums + r * sums_stride, sums_stride);
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
