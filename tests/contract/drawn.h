/* SPDX-License-Identifier: Apache-2.0 */
/* Random small problems with every kind of mask, and liveness by brute force from the definitions: what the
 * row helpers and the oracle are compared with. */
#ifndef TESTS_DRAWN_H
#define TESTS_DRAWN_H

#include <math.h>

#include "contract/problem.h"

enum { DRAWN_LEN = 12, DRAWN_HEADS = 6, DRAWN_BATCH = 3, DRAWN_DIM = 9 };
enum { DRAWN_PAIRS = DRAWN_BATCH * DRAWN_HEADS * DRAWN_LEN * DRAWN_LEN };

struct drawn {
    struct attn_problem problem; /* built; its mask points into this struct */
    int64_t query_start[DRAWN_LEN], key_lengths[DRAWN_BATCH], query_offsets[DRAWN_LEN + 1], key_offsets[DRAWN_LEN + 1];
    float bias[DRAWN_PAIRS], slopes[DRAWN_HEADS], sinks[DRAWN_HEADS];
    bool allowed[DRAWN_PAIRS];
};

static inline uint64_t draw_bits(uint64_t *state) {
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Uniform in low..high, both included. */
static inline int64_t draw_int(uint64_t *state, int64_t low, int64_t high) {
    return low + (int64_t)(draw_bits(state) % (uint64_t)(high - low + 1));
}

static inline double draw_uniform(uint64_t *state) {
    return (double)(draw_bits(state) >> 11) * 0x1p-53;
}

static inline double draw_normal(uint64_t *state) {
    const double radius = sqrt(-2.0 * log(1.0 - draw_uniform(state)));
    return radius * cos(6.283185307179586 * draw_uniform(state));
}

/* Ascending offsets from 0 to total; empty segments are common. */
static inline void draw_offsets(uint64_t *state, int64_t segments, int64_t total, int64_t *offsets) {
    offsets[0] = 0;
    for (int64_t s = 1; s < segments; ++s)
        offsets[s] = draw_int(state, offsets[s - 1], total);
    offsets[segments] = total;
}

static inline int64_t draw_window_side(uint64_t *state) {
    return draw_int(state, 0, 4) == 0 ? ATTN_UNBOUNDED : draw_int(state, 0, 6);
}

/* Strides of a [batch][query_heads][query_len][key_len] array, some of its dimensions broadcast. */
static inline void draw_strides(uint64_t *state, const struct attn_problem *problem, int64_t stride[4]) {
    const int64_t dense[4] = {problem->query_heads * problem->query_len * problem->key_len,
                              problem->query_len * problem->key_len, problem->key_len, 1};
    for (int n = 0; n < 4; ++n)
        stride[n] = draw_int(state, 0, 4) == 0 ? 0 : dense[n];
}

static inline void draw_mask(uint64_t *state, struct drawn *drawn) {
    struct attn_problem *const problem = &drawn->problem;
    struct attn_mask *const mask = &problem->mask;
    mask->causal = draw_int(state, 0, 1);
    mask->windowed = draw_int(state, 0, 2) == 0;
    mask->window_left = draw_window_side(state);
    mask->window_right = draw_window_side(state);
    mask->alignment = draw_int(state, 0, 1) ? ATTN_BOTTOM_RIGHT : ATTN_TOP_LEFT;
    mask->key_start = draw_int(state, 0, 2) == 0 ? draw_int(state, -5, 5) : 0;
    if (problem->batch == 1 && draw_int(state, 0, 1)) {
        mask->segments = draw_int(state, 1, problem->query_len);
        draw_offsets(state, mask->segments, problem->query_len, drawn->query_offsets);
        draw_offsets(state, mask->segments, problem->key_len, drawn->key_offsets);
        mask->query_offsets = drawn->query_offsets;
        mask->key_offsets = drawn->key_offsets;
    } else if (draw_int(state, 0, 1)) {
        for (int64_t b = 0; b < problem->batch; ++b)
            drawn->key_lengths[b] = draw_int(state, 0, problem->key_len);
        mask->key_lengths = drawn->key_lengths;
    }
    if (draw_int(state, 0, 2) == 0) {
        for (int n = 0; n < DRAWN_LEN; ++n)
            drawn->query_start[n] = draw_int(state, -6, 9);
        mask->query_start = drawn->query_start;
    }
    if (draw_int(state, 0, 2) == 0) {
        for (int n = 0; n < DRAWN_PAIRS; ++n)
            drawn->bias[n] = draw_int(state, 0, 4) == 0 ? -INFINITY : (float)draw_normal(state);
        mask->bias = drawn->bias;
        draw_strides(state, problem, mask->bias_stride);
    }
    if (draw_int(state, 0, 2) == 0) {
        for (int n = 0; n < DRAWN_PAIRS; ++n)
            drawn->allowed[n] = draw_int(state, 0, 3) != 0;
        mask->allowed = drawn->allowed;
        draw_strides(state, problem, mask->allowed_stride);
    }
    for (int h = 0; h < DRAWN_HEADS; ++h) {
        drawn->slopes[h] = h == 1 ? 0.0f : (float)draw_uniform(state);
        drawn->sinks[h] = draw_int(state, 0, 3) == 0 ? -INFINITY : (float)draw_normal(state);
    }
    mask->alibi_slopes = draw_int(state, 0, 2) == 0 ? drawn->slopes : NULL;
    mask->sinks = draw_int(state, 0, 2) == 0 ? drawn->sinks : NULL;
    mask->softcap = draw_int(state, 0, 3) == 0 ? 1.5f : 0.0f;
}

/* Draws sizes and mask from the seed and builds the problem; the type is f32. */
static inline enum attn_status draw_problem(uint64_t seed, struct drawn *drawn, struct attn_error *error) {
    uint64_t state = seed;
    *drawn = (struct drawn){0};
    struct attn_problem *const problem = &drawn->problem;
    problem->batch = draw_int(&state, 1, DRAWN_BATCH);
    problem->key_heads = draw_int(&state, 1, 2);
    problem->query_heads = problem->key_heads * draw_int(&state, 1, 3);
    problem->query_len = draw_int(&state, 1, DRAWN_LEN);
    problem->key_len = draw_int(&state, 1, DRAWN_LEN);
    problem->head_dim = draw_int(&state, 1, DRAWN_DIM);
    problem->value_dim = draw_int(&state, 1, DRAWN_DIM);
    draw_mask(&state, drawn);
    return attn_problem_build(problem, error);
}

/* Position of query i and key j, counted in the sequence both belong to; false: they share none. */
static inline bool brute_positions(const struct attn_problem *problem, int64_t b, int64_t i, int64_t j,
                                   int64_t *query_position, int64_t *key_position) {
    const struct attn_mask *const mask = &problem->mask;
    int64_t sequence = b, i0 = 0, j0 = 0, queries = problem->query_len, keys = problem->key_len;
    if (mask->segments > 0) {
        bool found = false;
        for (int64_t s = 0; s < mask->segments && !found; ++s)
            if (i >= mask->query_offsets[s] && i < mask->query_offsets[s + 1]) {
                if (j < mask->key_offsets[s] || j >= mask->key_offsets[s + 1])
                    return false;
                found = true;
                sequence = s;
                i0 = mask->query_offsets[s];
                j0 = mask->key_offsets[s];
                queries = mask->query_offsets[s + 1] - i0;
                keys = mask->key_offsets[s + 1] - j0;
            }
    }
    int64_t start = mask->alignment == ATTN_BOTTOM_RIGHT ? keys - queries : 0;
    if (mask->query_start)
        start = mask->query_start[sequence];
    *query_position = start + (i - i0);
    *key_position = mask->key_start + (j - j0);
    return true;
}

/* What causal, window, lengths and segments say of the pair. */
static inline bool brute_structure_lives(const struct attn_problem *problem, int64_t b, int64_t i, int64_t j) {
    const struct attn_mask *const mask = &problem->mask;
    int64_t pi, pj;
    if (!brute_positions(problem, b, i, j, &pi, &pj))
        return false;
    if (mask->key_lengths && j >= mask->key_lengths[b])
        return false;
    if (mask->causal && pj > pi)
        return false;
    if (mask->windowed && mask->window_left != ATTN_UNBOUNDED && pj < pi - mask->window_left)
        return false;
    return !(mask->windowed && mask->window_right != ATTN_UNBOUNDED && pj > pi + mask->window_right);
}

static inline int64_t brute_offset(const int64_t stride[4], int64_t b, int64_t h, int64_t i, int64_t j) {
    return b * stride[0] + h * stride[1] + i * stride[2] + j * stride[3];
}

static inline bool brute_pair_lives(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, int64_t j) {
    const struct attn_mask *const mask = &problem->mask;
    if (!brute_structure_lives(problem, b, i, j))
        return false;
    if (mask->allowed && !mask->allowed[brute_offset(mask->allowed_stride, b, h, i, j)])
        return false;
    return !(mask->bias && mask->bias[brute_offset(mask->bias_stride, b, h, i, j)] == -INFINITY);
}

/* The score of a live pair, given dot = q_i . k_j. */
static inline double brute_score(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, int64_t j,
                                 double dot) {
    const struct attn_mask *const mask = &problem->mask;
    int64_t pi = 0, pj = 0;
    brute_positions(problem, b, i, j, &pi, &pj);
    double score = (double)problem->scale * dot;
    if (mask->softcap > 0.0f)
        score = (double)mask->softcap * tanh(score / (double)mask->softcap);
    if (mask->bias)
        score += (double)mask->bias[brute_offset(mask->bias_stride, b, h, i, j)];
    if (mask->alibi_slopes)
        score -= (double)mask->alibi_slopes[h] * (double)(pi > pj ? pi - pj : pj - pi);
    return score;
}

#endif
