/* SPDX-License-Identifier: Apache-2.0 */
#include "saboteurs_backward.h"

#include <math.h>
#include <string.h>

#include "contract/row.h"

/* name, what is wrong */
#define SABOTEURS(X)                                                                                                   \
    X(honest, "right: pair by pair")                                                                                   \
    X(missing_d, "takes dP for dP - D")                                                                                \
    X(scale_squared, "scales dS as well as the score's slope")                                                         \
    X(scale_missing, "forgets the scale of dQ")                                                                        \
    X(loses_a_head, "leaves the last query head of a group out of dK and dV")                                          \
    X(overwrites_heads, "writes each query head's dK over that of the one before")                                     \
    X(drops_last_key, "leaves the last live key of every row out")                                                     \
    X(drops_last_query, "leaves the last query out of dK and dV")                                                      \
    X(causal_leaks_next, "reads the key behind the last live one")                                                     \
    X(no_bend, "forgets the softcap's derivative")                                                                     \
    X(renormalises, "divides by its own sum, which holds no sink, instead of trusting lse")                            \
    X(swaps_roles, "adds dS times the key to dK")                                                                      \
    X(bf16_sums, "rounds the partial sums of dV to bf16")                                                              \
    X(bf16_weights, "rounds the weights to bf16")                                                                      \
    X(dead_keys_unwritten, "writes no dK of keys that no query reads")                                                 \
    X(dead_rows_nan, "subtracts lse of a fully masked row from its scores")                                            \
    X(leaks_masked_nan, "weights masked pairs by 0")                                                                   \
    X(modifies_out, "keeps D in the first element of every row of out")                                                \
    X(adds_to_garbage, "adds to dQ without clearing it first")

enum fault {
#define FAULT(name, idea) FAULT_##name,
    SABOTEURS(FAULT)
#undef FAULT
        FAULT_COUNT
};

static float dot(const float *a, const float *b, int64_t count) {
    float sum = 0.0f;
    for (int64_t c = 0; c < count; ++c)
        sum += a[c] * b[c];
    return sum;
}

static void add(float *to, float weight, const float *vector, int64_t count) {
    for (int64_t c = 0; c < count; ++c)
        to[c] += weight * vector[c];
}

static float bf16(float value) {
    return attn_f32_of_bf16(attn_bf16_of_f32(value));
}

/* exp(score - lse), or by the sum of the row's own weights. */
static float weight_of(const struct attn_problem *problem, const struct attn_operands *operands, enum fault fault,
                       const struct attn_row *row, const int64_t place[3], int64_t j, float score) {
    const float lse = *(const float *)attn_tensor_row(&operands->lse, place[0], place[1], place[2]);
    const float *const query = attn_tensor_row(&operands->q, place[0], place[1], place[2]);
    const int64_t key_head = place[1] * problem->key_heads / problem->query_heads;
    if (fault == FAULT_renormalises) {
        float sum = 0.0f;
        for (int64_t other = row->key_begin; other < row->key_end; ++other) {
            const float *const key = attn_tensor_row(&operands->k, place[0], key_head, other);
            sum += expf(attn_score(row, other, dot(query, key, problem->head_dim)) - score);
        }
        return 1.0f / sum;
    }
    (void)j;
    const float weight = expf(score - lse);
    return fault == FAULT_bf16_weights ? bf16(weight) : weight;
}

/* One pair of row `place` and key j. */
static void add_pair(const struct attn_problem *problem, const struct attn_operands *operands, enum fault fault,
                     const struct attn_row *row, const int64_t place[3], int64_t j, float d) {
    const int64_t head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads, key_head = place[1] / group;
    const float *const query = attn_tensor_row(&operands->q, place[0], place[1], place[2]);
    const float *const dout = attn_tensor_row(&operands->dout, place[0], place[1], place[2]);
    const float *const key = attn_tensor_row(&operands->k, place[0], key_head, j);
    const float *const value = attn_tensor_row(&operands->v, place[0], key_head, j);
    float *const dq = attn_tensor_row(&operands->dq, place[0], place[1], place[2]);
    float *const dk = attn_tensor_row(&operands->dk, place[0], key_head, j);
    float *const dv = attn_tensor_row(&operands->dv, place[0], key_head, j);
    const float product = dot(query, key, head_dim), score = attn_score(row, j, product);
    const bool masked = score == -INFINITY;
    if (masked && fault != FAULT_leaks_masked_nan && fault != FAULT_dead_rows_nan)
        return;
    const float weight =
        masked && fault == FAULT_leaks_masked_nan ? 0.0f : weight_of(problem, operands, fault, row, place, j, score);
    const float off = dot(dout, value, value_dim) - (fault == FAULT_missing_d ? 0.0f : d);
    float slope = weight * off * (fault == FAULT_no_bend ? problem->scale : attn_score_slope(row, product));
    if (fault == FAULT_scale_squared)
        slope *= problem->scale;
    add(dq, fault == FAULT_scale_missing ? slope / problem->scale : slope, key, head_dim);
    if ((fault == FAULT_loses_a_head && group > 1 && place[1] % group == group - 1) ||
        (fault == FAULT_drops_last_query && place[2] == problem->query_len - 1))
        return;
    if (fault == FAULT_overwrites_heads && place[2] == 0)
        memset(dk, 0, (size_t)head_dim * sizeof *dk);
    add(dk, slope, fault == FAULT_swaps_roles ? key : query, head_dim);
    add(dv, weight, dout, value_dim);
    for (int64_t c = 0; c < value_dim && fault == FAULT_bf16_sums; ++c)
        dv[c] = bf16(dv[c]);
}

static void add_row(const struct attn_problem *problem, const struct attn_operands *operands, enum fault fault,
                    const int64_t place[3]) {
    struct attn_row row = attn_row_begin(problem, place[0], place[1], place[2]);
    const float *const dout = attn_tensor_row(&operands->dout, place[0], place[1], place[2]);
    float *const out = attn_tensor_row(&operands->out, place[0], place[1], place[2]);
    const float d = dot(dout, out, problem->value_dim);
    if (fault == FAULT_modifies_out)
        *out = d;
    if (fault == FAULT_drops_last_key && row.key_end > row.key_begin + 1)
        --row.key_end;
    if (fault == FAULT_causal_leaks_next && problem->mask.causal && row.key_end < problem->key_len)
        ++row.key_end;
    for (int64_t j = row.key_begin; j < row.key_end; ++j)
        add_pair(problem, operands, fault, &row, place, j, d);
}

static void clear(const struct attn_tensor *tensor) {
    for (int64_t b = 0; b < tensor->shape[0]; ++b)
        for (int64_t h = 0; h < tensor->shape[1]; ++h)
            for (int64_t i = 0; i < tensor->shape[2]; ++i)
                memset(attn_tensor_row(tensor, b, h, i), 0, (size_t)tensor->shape[3] * sizeof(float));
}

/* Of the first batch and KV head. */
static int64_t last_live_key(const struct attn_problem *problem) {
    int64_t last = 0;
    for (int64_t i = 0; i < problem->query_len; ++i) {
        const struct attn_row row = attn_row_begin(problem, 0, 0, i);
        last = row.key_end > last ? row.key_end : last;
    }
    return last;
}

static void sabotage(const struct attn_problem *problem, const struct attn_operands *operands, enum fault fault) {
    if (fault != FAULT_adds_to_garbage)
        clear(&operands->dq);
    clear(&operands->dk);
    clear(&operands->dv);
    int64_t place[3];
    for (place[0] = 0; place[0] < problem->batch; ++place[0])
        for (place[1] = 0; place[1] < problem->query_heads; ++place[1])
            for (place[2] = 0; place[2] < problem->query_len; ++place[2])
                add_row(problem, operands, fault, place);
    const size_t row_bytes = (size_t)problem->head_dim * sizeof(float);
    for (int64_t j = last_live_key(problem); j < problem->key_len && fault == FAULT_dead_keys_unwritten; ++j)
        memset(attn_tensor_row(&operands->dk, 0, 0, j), ATTN_POISON_BYTE, row_bytes);
}

static const char *objection(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    return problem->type == ATTN_F32 ? NULL : "f32 only";
}

#define VARIANT(fault_name, wrong)                                                                                     \
    static void run_##fault_name(const struct attn_problem *problem, const struct attn_operands *operands,             \
                                 const struct attn_execution *execution) {                                             \
        (void)execution;                                                                                               \
        sabotage(problem, operands, FAULT_##fault_name);                                                               \
    }                                                                                                                  \
    static const struct attn_variant saboteur_##fault_name = {                                                         \
        .name = #fault_name,                                                                                           \
        .idea = wrong,                                                                                                 \
        .traits = ATTN_REPEATABLE,                                                                                     \
        .backward = {.objection = objection, .run = run_##fault_name},                                                 \
    };
SABOTEURS(VARIANT)

static const struct attn_variant *const saboteurs[] = {
#define ENTRY(fault_name, wrong) &saboteur_##fault_name,
    SABOTEURS(ENTRY)
#undef ENTRY
};
static const char *const levels[] = {"baseline"};

const struct attn_registry backward_saboteur_registry = {
    .variant_count = FAULT_COUNT, .level_count = 1, .levels = levels, .variants = saboteurs};
