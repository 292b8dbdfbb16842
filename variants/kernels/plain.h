/* SPDX-License-Identifier: Apache-2.0 */
/* The loops that every readable variant is made of, in plain C that GCC and Clang turn into vector code without
 * being allowed to reorder sums, save where `omp simd reduction` says so.
 *
 * A masked pair keeps -INFINITY, its score, as its weight too. Zero would not do: a live weight that underflowed to
 * zero must still meet its value (zero times NaN is NaN), a masked pair must not. */
#ifndef KERNELS_PLAIN_H
#define KERNELS_PLAIN_H

#include "contract/execution.h"
#include "contract/exp.h"
#include "contract/row.h"

static inline int64_t plain_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t plain_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The live keys of a row inside [first, last). May be empty (begin >= end). */
struct plain_span {
    int64_t begin, end;
};

static inline struct plain_span plain_live_keys(const struct attn_row *row, int64_t first, int64_t last) {
    return (struct plain_span){plain_max(row->key_begin, first), plain_min(row->key_end, last)};
}

/* query . key, `count` features. */
static inline float plain_dot(const float *query, const float *key, int64_t count) {
    float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
    for (int64_t c = 0; c < count; ++c)
        dot += query[c] * key[c];
    return dot;
}

/* dots[n] = query . key n, for `count` keys of head_dim features that stand `stride` floats apart. Four keys at
 * a time, so that one load of the query serves four products. */
static inline void plain_dots(const float *query, const float *keys, int64_t stride, int64_t count, int64_t head_dim,
                              float *dots) {
    int64_t n = 0;
    for (; n + 4 <= count; n += 4) {
        const float *const k0 = keys + n * stride, *const k1 = k0 + stride, *const k2 = k1 + stride,
                           *const k3 = k2 + stride;
        float dot0 = 0.0f, dot1 = 0.0f, dot2 = 0.0f, dot3 = 0.0f;
#pragma omp simd reduction(+ : dot0, dot1, dot2, dot3)
        for (int64_t c = 0; c < head_dim; ++c) {
            dot0 += query[c] * k0[c];
            dot1 += query[c] * k1[c];
            dot2 += query[c] * k2[c];
            dot3 += query[c] * k3[c];
        }
        dots[n] = dot0;
        dots[n + 1] = dot1;
        dots[n + 2] = dot2;
        dots[n + 3] = dot3;
    }
    for (; n < count; ++n)
        dots[n] = plain_dot(query, keys + n * stride, head_dim);
}

/* sum[c] += weights[0] * rows[0][c] + weights[1] * rows[1][c] + ..., c < width; rows stand `stride` floats apart.
 * This is both products of attention: weights times values, and a query times transposed keys. Four rows at a time,
 * because reading and writing `sum` costs as much as reading a row; their products are added up before `sum` is
 * touched, so that the next four rows need not wait for more than one addition. Not inlined: callers have too many
 * live variables for the loop to keep its own in registers. */
__attribute__((noinline, unused)) static void plain_add_rows(float *restrict sum, int64_t width, const float *weights,
                                                             const float *rows, int64_t stride, int64_t count) {
    int64_t n = 0;
    for (; n + 4 <= count; n += 4) {
        const float w0 = weights[n], w1 = weights[n + 1], w2 = weights[n + 2], w3 = weights[n + 3];
        const float *const r0 = rows + n * stride, *const r1 = r0 + stride, *const r2 = r1 + stride,
                           *const r3 = r2 + stride;
#pragma omp simd
        for (int64_t c = 0; c < width; ++c)
            sum[c] += w0 * r0[c] + w1 * r1[c] + w2 * r2[c] + w3 * r3[c];
    }
    for (; n < count; ++n) {
        const float weight = weights[n];
        const float *const row = rows + n * stride;
#pragma omp simd
        for (int64_t c = 0; c < width; ++c)
            sum[c] += weight * row[c];
    }
}

/* The greatest of max and `count` scores; NaN scores are passed over. Sixteen running maxima, because compilers turn
 * one into vector code only where no NaN can occur. */
static inline float plain_maximum(const float *scores, int64_t count, float max) {
    float running[16];
    for (int lane = 0; lane < 16; ++lane)
        running[lane] = max;
    int64_t n = 0;
    for (; n + 16 <= count; n += 16)
#pragma omp simd
        for (int lane = 0; lane < 16; ++lane)
            running[lane] = scores[n + lane] > running[lane] ? scores[n + lane] : running[lane];
    for (; n < count; ++n)
        max = scores[n] > max ? scores[n] : max;
    for (int lane = 0; lane < 16; ++lane)
        max = running[lane] > max ? running[lane] : max;
    return max;
}

/* Turns q . k of keys [first, first + count), all in the row's range, into scores and returns their maximum or
 * `max`, whichever is greater. */
static inline float plain_scores(const struct attn_row *row, int64_t first, int64_t count, float *scores, float max) {
    if (row->plain) {
        const float scale = row->scale;
#pragma omp simd
        for (int64_t n = 0; n < count; ++n)
            scores[n] *= scale;
    } else
        for (int64_t n = 0; n < count; ++n)
            scores[n] = attn_score(row, first + n, scores[n]);
    return plain_maximum(scores, count, max);
}

/* What a row's weights are relative to: exp(score - base). Its maximum, but never -inf, as -inf - -inf is a NaN. */
static inline float plain_base(float max) {
    return max == -INFINITY ? 0.0f : max;
}

/* Turns scores into weights exp(score - base) and returns their sum. Masked pairs keep -INFINITY and add nothing. */
static inline float plain_weights(float *scores, int64_t count, float base) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t n = 0; n < count; ++n) {
        const float score = scores[n];
        const float weight = plain_exp(score - base);
        sum += weight;
        scores[n] = score == -INFINITY ? score : weight;
    }
    return sum;
}

/* What turns a sum of weights relative to `old_max` into one relative to `base`. */
static inline float plain_rescale(float old_max, float base) {
    return plain_exp(old_max - base);
}

/* sum[0..value_dim) += weights times values; `values` is the first key's row, rows stand `stride` floats apart.
 * Values of masked pairs are passed over. */
static inline void plain_add_values(const struct attn_row *row, float *restrict sum, int64_t value_dim,
                                    const float *weights, const float *values, int64_t stride, int64_t count) {
    if (!row->bias && !row->allowed) { /* nothing inside the range is masked */
        plain_add_rows(sum, value_dim, weights, values, stride, count);
        return;
    }
    for (int64_t n = 0; n < count;) {
        while (n < count && weights[n] == -INFINITY)
            ++n;
        const int64_t first = n;
        while (n < count && weights[n] != -INFINITY)
            ++n;
        plain_add_rows(sum, value_dim, weights + first, values + first * stride, stride, n - first);
    }
}

/* Writes row (b, h, i) of the answer from the softmax's maximum and sum and the weighted sum of values. A sum that is
 * zero means no key and no sink; a NaN must pass. */
static inline void plain_write_row(const struct attn_operands *operands, int64_t b, int64_t h, int64_t i, float max,
                                   float sum, const float *weighted) {
    void *const out = attn_tensor_row(&operands->out, b, h, i);
    const int64_t value_dim = operands->out.shape[3];
    const float factor = sum == 0.0f ? 0.0f : 1.0f / sum;
    if (operands->out.type == ATTN_F32)
        for (int64_t c = 0; c < value_dim; ++c)
            ((float *)out)[c] = weighted[c] * factor;
    else
        for (int64_t c = 0; c < value_dim; ++c)
            attn_store(out, operands->out.type, c, weighted[c] * factor);
    if (operands->lse.data)
        *(float *)attn_tensor_row(&operands->lse, b, h, i) = sum == 0.0f ? -INFINITY : max + logf(sum);
}

/* The objection of rungs that show their idea in f32 alone. */
static inline const char *plain_objects_unless_f32(const struct attn_problem *problem,
                                                   const struct attn_execution *execution) {
    (void)execution;
    return problem->type == ATTN_F32 ? NULL : "f32 only; naive and online_tiled take 16-bit types";
}

#endif
