/* SPDX-License-Identifier: Apache-2.0 */
/* Register-tiled products of the backward pass: weights and their gradients, fused with the two products that they
 * come from, and sums of rows weighted by either. Rows of every buffer are padded to whole registers. */
#ifndef KERNELS_GRADPANEL_H
#define KERNELS_GRADPANEL_H

#include "kernels/convert.h"
#include "kernels/edge.h"
#include "kernels/keypanel.h"

/* Floats from one row of `features` to the next: whole registers, and an odd number of cache lines, so that a column
 * of rows spreads over all sets of a cache. */
static inline int64_t grad_stride(int64_t features) {
    return ((features + 15) / 16 | 1) * 16;
}

/* weights[r][key] = exp(queries[r] . key - lse[r]), PANEL_ROWS rows against one panel; queries carry the scale. */
static __attribute__((noinline)) void grad_weights(int64_t head_dim, const float *queries, int64_t query_stride,
                                                   const float *keys, const float *lse, float *weights,
                                                   int64_t stride) {
    vec acc[PANEL_ROWS][PANEL_VECS];
    panel_dots(head_dim, queries, query_stride, keys, acc);
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r) {
        const vec shift = vec_all(lse[r]);
        PANEL_UNROLL_VECS
        for (int x = 0; x < PANEL_VECS; ++x) /* subtracting before multiplying keeps large weights exact */
            vec_store(weights + r * stride + x * VEC_LANES, vec_exp2((acc[r][x] - shift) * vec_all(EDGE_LOG2E)));
    }
}

/* slopes[r][key] = weights[r][key] * (douts[r] . value - d[r]), PANEL_ROWS rows against one panel of values. */
static __attribute__((noinline)) void grad_slopes(int64_t value_dim, const float *douts, int64_t dout_stride,
                                                  const float *values, const float *d, const float *weights,
                                                  float *slopes, int64_t stride) {
    vec acc[PANEL_ROWS][PANEL_VECS];
    panel_dots(value_dim, douts, dout_stride, values, acc);
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r) {
        const vec shift = vec_all(d[r]);
        PANEL_UNROLL_VECS
        for (int x = 0; x < PANEL_VECS; ++x)
            vec_store(slopes + r * stride + x * VEC_LANES,
                      vec_load(weights + r * stride + x * VEC_LANES) * (acc[r][x] - shift));
    }
}

/* out[r] = (or +=) scale * sum over n of factors[r * row_step + n * step] * vectors[n], PANEL_ROWS rows r, one strip
 * of `vecs` registers. vecs, add, and the step that is 1 are constant at each call. */
VEC_INLINE void grad_strip(int vecs, bool add, int64_t steps, const float *factors, int64_t row_step, int64_t step,
                           const float *vectors, int64_t vector_stride, float scale, float *out, int64_t out_stride) {
    vec acc[PANEL_ROWS][PANEL_VECS];
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r)
        PANEL_UNROLL_VECS
    for (int x = 0; x < vecs; ++x)
        acc[r][x] = add ? vec_load(out + r * out_stride + x * VEC_LANES) : vec_all(0.0f);
    PANEL_UNROLL_LOOP
    for (int64_t n = 0; n < steps; ++n) {
        vec vector[PANEL_VECS];
        PANEL_UNROLL_VECS
        for (int x = 0; x < vecs; ++x)
            vector[x] = vec_load(vectors + n * vector_stride + x * VEC_LANES);
        PANEL_UNROLL_ROWS
        for (int r = 0; r < PANEL_ROWS; ++r) {
            const vec factor = vec_all(factors[r * row_step + n * step]);
            PANEL_UNROLL_VECS
            for (int x = 0; x < vecs; ++x)
                acc[r][x] += factor * vector[x];
        }
    }
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r)
        PANEL_UNROLL_VECS
    for (int x = 0; x < vecs; ++x)
        vec_store(out + r * out_stride + x * VEC_LANES, add ? acc[r][x] : vec_all(scale) * acc[r][x]);
}

/* All strips of `width` features, the last padded to a whole register. */
VEC_INLINE void grad_strips(bool add, int64_t steps, int64_t width, const float *factors, int64_t row_step,
                            int64_t step, const float *vectors, int64_t vector_stride, float scale, float *out,
                            int64_t out_stride) {
    int64_t c = 0;
    for (; c + PANEL_KEYS <= width; c += PANEL_KEYS)
        grad_strip(PANEL_VECS, add, steps, factors, row_step, step, vectors + c, vector_stride, scale, out + c,
                   out_stride);
    switch ((width - c + VEC_LANES - 1) / VEC_LANES) {
#if VEC_REGISTERS == 32
    case 4: /* PANEL_VECS is 4 */
        grad_strip(4, add, steps, factors, row_step, step, vectors + c, vector_stride, scale, out + c, out_stride);
        break;
    case 3:
        grad_strip(3, add, steps, factors, row_step, step, vectors + c, vector_stride, scale, out + c, out_stride);
        break;
#endif
    case 2:
        grad_strip(2, add, steps, factors, row_step, step, vectors + c, vector_stride, scale, out + c, out_stride);
        break;
    case 1:
        grad_strip(1, add, steps, factors, row_step, step, vectors + c, vector_stride, scale, out + c, out_stride);
        break;
    default: break;
    }
}

/* out[r] = scale * factors[r] . vectors: rows of `factors` meet `steps` rows of `vectors`. */
static __attribute__((noinline)) void grad_sum_rows(int64_t steps, int64_t width, const float *factors,
                                                    int64_t factor_stride, const float *vectors, int64_t vector_stride,
                                                    float scale, float *out, int64_t out_stride) {
    grad_strips(false, steps, width, factors, factor_stride, 1, vectors, vector_stride, scale, out, out_stride);
}

/* out[r] += (column r of `factors`) . vectors: the transposed product, without a transposed copy. */
static __attribute__((noinline)) void grad_sum_columns(int64_t steps, int64_t width, const float *factors,
                                                       int64_t factor_stride, const float *vectors,
                                                       int64_t vector_stride, float *out, int64_t out_stride) {
    grad_strips(true, steps, width, factors, 1, factor_stride, vectors, vector_stride, 1.0f, out, out_stride);
}

/* `count` (not 0) features of any type as floats times `factor`; zeros up to a whole register. */
static inline void grad_copy_row(float *to, const void *from, enum attn_type type, int64_t count, float factor) {
    convert_row_from(to, from, type, count, factor);
    for (int64_t c = count; c % VEC_LANES; ++c)
        to[c] = 0.0f;
}

#endif
