/* SPDX-License-Identifier: Apache-2.0 */
/* Operands for a drawn problem, normal values, and its answer by brute force in long double. */
#ifndef TESTS_DRAWN_OPERANDS_H
#define TESTS_DRAWN_OPERANDS_H

#include "drawn.h"

enum { DRAWN_ELEMENTS = DRAWN_BATCH * DRAWN_HEADS * DRAWN_LEN * DRAWN_DIM };

struct drawn_operands {
    struct attn_operands operands; /* of the problem's type; strides of q, k, v differ from dense ones */
    double q[DRAWN_ELEMENTS], k[DRAWN_ELEMENTS], v[DRAWN_ELEMENTS], out[DRAWN_ELEMENTS], dout[DRAWN_ELEMENTS];
    float lse[DRAWN_ELEMENTS];
};

/* [batch][position][head][feature] in memory, seen as [batch][head][position][feature]. */
static inline struct attn_tensor drawn_interleaved(void *data, enum attn_type type, int64_t batch, int64_t heads,
                                                   int64_t positions, int64_t features) {
    struct attn_tensor tensor = attn_tensor_dense(data, type, batch, heads, positions, features);
    tensor.stride[1] = features;
    tensor.stride[2] = heads * features;
    return tensor;
}

static inline void draw_tensor(uint64_t *state, const struct attn_tensor *tensor) {
    for (int64_t n = 0; n < attn_tensor_count(tensor); ++n)
        if (tensor->type == ATTN_F64)
            ((double *)tensor->data)[n] = draw_normal(state);
        else
            attn_store(tensor->data, tensor->type, n, (float)draw_normal(state));
}

/* `type` of q, k, v, dout may be f64; out has it too. */
static inline void draw_operands(uint64_t seed, const struct attn_problem *problem, enum attn_type type,
                                 struct drawn_operands *drawn) {
    uint64_t state = seed * 31 + 7;
    const struct attn_problem *const p = problem;
    struct attn_operands *const o = &drawn->operands;
    *o = (struct attn_operands){
        .q = drawn_interleaved(drawn->q, type, p->batch, p->query_heads, p->query_len, p->head_dim),
        .k = drawn_interleaved(drawn->k, type, p->batch, p->key_heads, p->key_len, p->head_dim),
        .v = drawn_interleaved(drawn->v, type, p->batch, p->key_heads, p->key_len, p->value_dim),
        .out = attn_tensor_dense(drawn->out, type, p->batch, p->query_heads, p->query_len, p->value_dim),
        .dout = attn_tensor_dense(drawn->dout, type, p->batch, p->query_heads, p->query_len, p->value_dim),
        .lse = attn_tensor_dense(drawn->lse, ATTN_F32, p->batch, p->query_heads, p->query_len, 1),
    };
    draw_tensor(&state, &o->q);
    draw_tensor(&state, &o->k);
    draw_tensor(&state, &o->v);
    draw_tensor(&state, &o->dout);
}

static inline double brute_element(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i, int64_t c) {
    const int64_t index = b * tensor->stride[0] + h * tensor->stride[1] + i * tensor->stride[2] + c;
    return tensor->type == ATTN_F64 ? ((const double *)tensor->data)[index]
                                    : (double)attn_load(tensor->data, tensor->type, index);
}

/* Weights [key_len] of one row by definition, masked ones 0; returns lse. No maximum is subtracted: scores are
 * small and long double has room. */
static inline long double brute_weights(const struct attn_problem *problem, const struct attn_operands *operands,
                                        int64_t b, int64_t h, int64_t i, long double *weights) {
    const int64_t key_head = h * problem->key_heads / problem->query_heads;
    long double sum = problem->mask.sinks ? expl((long double)problem->mask.sinks[h]) : 0.0L;
    for (int64_t j = 0; j < problem->key_len; ++j) {
        weights[j] = 0.0L;
        if (!brute_pair_lives(problem, b, h, i, j))
            continue;
        double dot = 0.0;
        for (int64_t c = 0; c < problem->head_dim; ++c)
            dot += brute_element(&operands->q, b, h, i, c) * brute_element(&operands->k, b, key_head, j, c);
        weights[j] = expl((long double)brute_score(problem, b, h, i, j, dot));
        sum += weights[j];
    }
    for (int64_t j = 0; j < problem->key_len; ++j)
        if (weights[j] > 0.0L)
            weights[j] /= sum;
    return logl(sum);
}

static inline long double brute_answer(const struct attn_problem *problem, const struct attn_operands *operands,
                                       int64_t b, int64_t h, int64_t c, const long double *weights) {
    const int64_t key_head = h * problem->key_heads / problem->query_heads;
    long double answer = 0.0L;
    for (int64_t j = 0; j < problem->key_len; ++j)
        if (weights[j] > 0.0L)
            answer += weights[j] * (long double)brute_element(&operands->v, b, key_head, j, c);
    return answer;
}

#endif
