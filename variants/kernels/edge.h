/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of a block's scores where the fused step can't go: biased, capped or chosen scores, rows that see none of the
 * keys looked at first, references out of reach, NaNs, and maxima that rose too far. Scores are in base 2: s * log2(e).
 * Buffers are padded to whole registers, so loops over them may run past the last key. */
#ifndef KERNELS_EDGE_H
#define KERNELS_EDGE_H

#include "contract/row.h"
#include "kernels/vector.h"

#define EDGE_LOG2E 1.44269504088896341f
#define EDGE_LN2   0.693147180559945309f

/* A masked pair's weight. It adds nothing, and unlike a weight that underflowed it says: don't touch the value. */
#define EDGE_MASKED (-0.0f)

/* tanh within 3 units in the last place: below 0.625 an odd polynomial (minimax in relative error), above by
 * exponentials; beyond 20 it is 1. A NaN stays one. */
VEC_INLINE vec edge_tanh(vec x) {
    const vec square = x * x;
    vec p = vec_all(-5.704966374e-3f);
    p = p * square + vec_all(2.063906938e-2f);
    p = p * square + vec_all(-5.373971164e-2f);
    p = p * square + vec_all(1.333144158e-1f);
    p = p * square + vec_all(-3.333328068e-1f);
    const vec near = x + x * square * p;

    const vec_bits sign = (vec_bits)x & ~(vec_bits)vec_all(attn_f32_of_bits(0x7FFFFFFF));
    const vec magnitude = (vec)((vec_bits)x & (vec_bits)vec_all(attn_f32_of_bits(0x7FFFFFFF)));
    const vec_bits beyond = magnitude > vec_all(20.0f);
    const vec bounded = vec_select(beyond, vec_all(20.0f), magnitude);
    const vec far = vec_all(1.0f) - vec_all(2.0f) / (vec_exp2(bounded * vec_all(2 * EDGE_LOG2E)) + vec_all(1.0f));
    const vec_bits small = magnitude < vec_all(0.625f);
    return vec_select(small, near, (vec)((vec_bits)far | sign));
}

/* Turns scale * dot of keys [first, last) into base-2 scores: softcap, bias, ALiBi, boolean mask. `scores` points
 * at the score of key `first`. Only for rows that are not plain. */
static inline void edge_finish_scores(const struct attn_row *row, int64_t first, int64_t last, float *scores) {
    const int64_t count = last - first;
    if (row->softcap > 0.0f)
        for (int64_t n = 0; n < count; n += VEC_LANES)
            vec_store(scores + n,
                      vec_all(row->softcap) * edge_tanh(vec_load(scores + n) * vec_all(1.0f / row->softcap)));
    if (row->bias) {
        const float *const bias = row->bias + first * row->bias_stride;
        for (int64_t n = 0; n < count; ++n) /* an infinite bias masks even a NaN */
            scores[n] = bias[n * row->bias_stride] == -INFINITY ? -INFINITY : scores[n] + bias[n * row->bias_stride];
    }
    if (row->slope != 0.0f)
        for (int64_t n = 0; n < count; ++n) {
            const int64_t distance = row->distance - first - n;
            scores[n] -= row->slope * (float)(distance < 0 ? -distance : distance);
        }
    if (row->allowed) {
        const bool *const allowed = row->allowed + first * row->allowed_stride;
        for (int64_t n = 0; n < count; ++n)
            scores[n] = allowed[n * row->allowed_stride] ? scores[n] : -INFINITY;
    }
    for (int64_t n = 0; n < count; n += VEC_LANES)
        vec_store(scores + n, vec_load(scores + n) * vec_all(EDGE_LOG2E));
}

/* One row's running softmax. */
struct edge_state {
    float reference; /* weights are 2^(score - reference); -inf: no live key yet */
    float sum;       /* of weights */
};

/* References are integers, so that moving one scales everything by an exact power of two; beyond this magnitude, where
 * vec_exp2_from does not reach, they are the scores themselves. */
#define EDGE_INTEGER_LIMIT 2097152.0f

static inline float edge_reference(float top) {
    return fabsf(top) < EDGE_INTEGER_LIMIT ? ceilf(top) : top;
}

/* Before any key: nothing, or the sink. */
static inline struct edge_state edge_state_begin(const struct attn_row *row) {
    const float score = row->max * EDGE_LOG2E, reference = edge_reference(score);
    return (struct edge_state){reference, row->sum > 0.0f ? exp2f(score - reference) : 0.0f};
}

/* Turns the base-2 scores of `count` keys into weights and adds their sum to the state. The reference moves when a
 * score lies more than `threshold` above it. Returns the factor by which everything accumulated before must be
 * multiplied. */
static inline float edge_weights(struct edge_state *state, float threshold, int64_t count, float *scores) {
    const int64_t whole = count - count % VEC_LANES;
    vec tops = vec_all(-INFINITY);
    for (int64_t n = 0; n < whole; n += VEC_LANES)
        tops = vec_max(vec_load(scores + n), tops);
    float top = vec_top(tops);
    for (int64_t n = whole; n < count; ++n)
        top = fmaxf(top, scores[n]);
    float factor = 1.0f;
    if (top > state->reference + threshold || state->reference == -INFINITY) {
        const float moved = edge_reference(top);
        factor = state->reference == -INFINITY ? 1.0f : exp2f(state->reference - moved); /* nothing yet: sums are 0 */
        state->reference = moved;
    }
    /* With nothing live yet any finite reference does: all weights are 0, unless a score is NaN. */
    const float reference = state->reference == -INFINITY ? 0.0f : state->reference;
    vec sums = vec_all(0.0f);
    float sum = 0.0f;
    for (int64_t n = 0; n < count; n += VEC_LANES) {
        const vec score = vec_load(scores + n);
        const vec weight = vec_exp2(score - vec_all(reference));
        const vec marked = vec_select(score == vec_all(-INFINITY), vec_all(EDGE_MASKED), weight);
        if (n < whole)
            sums += marked;
        else
            for (int64_t lane = 0; lane < count - whole; ++lane)
                sum += marked[lane];
        vec_store(scores + n, marked);
    }
    state->sum = state->sum * factor + (vec_sum(sums) + sum);
    return factor;
}

/* out[c] += weights . values, passing over masked pairs: for blocks whose values hold a NaN or an infinity, which
 * a weight of zero would not silence. */
static inline void edge_values(int64_t keys, int64_t value_dim, const float *weights, const float *values,
                               int64_t value_stride, float *out) {
    for (int64_t j = 0; j < keys; ++j) {
        if (weights[j] == 0.0f && signbit(weights[j]))
            continue;
        for (int64_t c = 0; c < value_dim; ++c)
            out[c] += weights[j] * values[j * value_stride + c];
    }
}

/* Whether `count` values hold no NaN and no infinity. */
static inline bool edge_all_finite(const float *values, int64_t count) {
    float sum = 0.0f; /* 0 * x is 0 for a finite x, else NaN */
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < count; ++c)
        sum += 0.0f * values[c];
    return sum == 0.0f;
}

/* The same of `rows` rows of `count` values. */
static inline bool edge_rows_finite(int64_t rows, int64_t count, const float *values, int64_t stride) {
    if (stride == count)
        return edge_all_finite(values, rows * count);
    bool finite = true;
    for (int64_t n = 0; n < rows; ++n)
        finite &= edge_all_finite(values + n * stride, count);
    return finite;
}

#endif
