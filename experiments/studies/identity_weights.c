/* SPDX-License-Identifier: Apache-2.0 */
/* Attention from first principles, y = softmax(scale X X^T) X, against the layer whose maps are all the identity, and
 * both against the definition in plain loops. */
#include <math.h>

#include "layer/plain_gemm.h"
#include "layer/self_attention.h"
#include "study/attend.h"
#include "study/sample.h"

enum { TOKENS = 48, FEATURES = 24, COUNT = TOKENS * FEATURES };

struct subject {
    double *x, *weightless, *mapped, *defined;
    struct layer_self_attention layer; /* identity */
    struct layer_attention_saved saved;
};

/* y by the definition. */
static void define(double scale, const double *x, double *y) {
    double weights[TOKENS];
    for (int64_t i = 0; i < TOKENS; ++i) {
        for (int64_t j = 0; j < TOKENS; ++j)
            weights[j] = scale * study_dot(FEATURES, x + i * FEATURES, x + j * FEATURES);
        study_softmax(TOKENS, weights, weights);
        for (int64_t c = 0; c < FEATURES; ++c) {
            double sum = 0;
            for (int64_t j = 0; j < TOKENS; ++j)
                sum += weights[j] * x[j * FEATURES + c];
            y[i * FEATURES + c] = sum;
        }
    }
}

/* Largest difference that rounding may leave between two evaluations: 2 max|ds| + (2 keys + 16) u of max|x|, where a
 * score of FEATURES products is off by at most (FEATURES + 2) u scale sum |x x'|; twice, for there are two. */
static double rounding(double scale, const double *x) {
    double longest = 0, largest = 0;
    for (int64_t i = 0; i < TOKENS; ++i)
        longest = fmax(longest, study_dot(FEATURES, x + i * FEATURES, x + i * FEATURES));
    for (int64_t n = 0; n < COUNT; ++n)
        largest = fmax(largest, fabs(x[n]));
    return 2 * largest * (2 * (FEATURES + 2) * scale * longest + 2 * TOKENS + 16) * 0x1p-53;
}

static enum attn_status compare(struct study_run *run, enum layer_scale scale, struct subject *subject,
                                double *difference, struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    const struct layer_sequences sequences = {1, TOKENS, {.causal = false}};
    const struct layer_compute compute = {layer_plain_gemm, study_threads(run)};
    subject->layer.scale = layer_scale_value(scale, FEATURES);
    enum attn_status status = layer_weightless_forward(scale, &attention, &sequences, FEATURES, subject->x,
                                                       subject->weightless, subject->saved.lse, error);
    if (!status)
        status = layer_self_attention_forward(&subject->layer, &attention, &compute, &sequences, subject->x,
                                              &subject->saved, subject->mapped, error);
    if (status)
        return status;
    const char *const series = layer_scale_name(scale);
    define((double)subject->layer.scale, subject->x, subject->defined);
    *difference = study_largest_difference(COUNT, subject->weightless, subject->mapped);
    study_expect(run, "C4", "largest |without weights - identity weights|", STUDY_BAR(series), *difference, 0, 0);
    study_expect(run, "C4", "largest |without weights - definition|", STUDY_BAR(series),
                 study_largest_difference(COUNT, subject->weightless, subject->defined), 0,
                 rounding((double)subject->layer.scale, subject->x));
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, 8 * COUNT + FEATURES * FEATURES, double, error);
    float *const lse = STUDY_ARRAY(run, TOKENS, float, error);
    if (!memory || !lse)
        return ATTN_NO_MEMORY;
    double *const identity = memory + 8 * COUNT;
    for (int64_t c = 0; c < FEATURES; ++c)
        identity[c * FEATURES + c] = 1;
    const struct layer_linear map = {FEATURES, FEATURES, identity, NULL};
    struct subject subject = {memory,
                              memory + COUNT,
                              memory + 2 * COUNT,
                              memory + 3 * COUNT,
                              {1, FEATURES, 1, 0, map, map, map, map},
                              {memory + 4 * COUNT, memory + 5 * COUNT, memory + 6 * COUNT, memory + 7 * COUNT, lse}};
    study_normals(study_seed(run), 0, COUNT, 1, subject.x);
    double most = 0;
    for (int scale = 0; scale < LAYER_SCALE_COUNT; ++scale) {
        double difference;
        const enum attn_status status = compare(run, (enum layer_scale)scale, &subject, &difference, error);
        if (status)
            return status;
        most = fmax(most, difference);
    }
    study_conclude(run, "C4", study_holds(run, "C4") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "under all three scales the answers without weights and with identity weights differ by %g", most);
    return ATTN_OK;
}

STUDY(identity_weights) = {
    .name = "identity_weights",
    .claims = "C4",
    .source = "S0 S1",
    .statement = "Attention from first principles, softmax(X X^T) X, has no weights: each word is its own query, key "
                 "and value.",
    .law = "the same bits as a layer whose query, key, value and output maps are the identity",
    .run = run,
};
