/* SPDX-License-Identifier: Apache-2.0 */
/* Every backward pass against central differences in float64, the oracle as attention. Differences of step h err by
 * about h^2 f''' / 6 + u f / h: with h = 1e-5 and numbers near 1, less than the 1e-8 allowed here. */
#include <math.h>
#include <string.h>

#include "check/oracle_attention.h"
#include "layer/block.h"
#include "layer/embedding.h"
#include "layer/gelu.h"
#include "layer/plain_gemm.h"
#include "layer/readout.h"
#include "layer_draw.h"

#define STEP      1e-5
#define TOLERANCE 1e-8

enum { MODEL = 6, HEADS = 2, HEAD_DIM = 4, HIDDEN = 10, TOKENS = 5, CLASSES = 3 };

static const struct layer_compute one_thread = {layer_plain_gemm, 1};
static const struct layer_attention oracle = {NULL, check_oracle_attention};
static const int64_t packed_offsets[] = {0, 2, TOKENS};

/* What a loss is a function of; each test uses what it needs. The loss is target . y unless it has its own. */
struct subject {
    struct layer_sequences sequences;
    struct layer_block block;
    struct layer_norm norm;
    struct layer_linear linear;
    struct layer_embedding embedding;
    enum layer_scale scale;
    const int64_t *ids;
    int64_t rows;
    double *x;      /* input */
    double *target; /* [TOKENS * MODEL] or more */
};

typedef double loss_function(const struct subject *subject);

static double weigh(const double *y, const double *target, int64_t count) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n)
        sum += target[n] * y[n];
    return sum;
}

static void expect_slopes(const char *what, loss_function *loss, const struct subject *subject, double *values,
                          const double *slopes, int64_t count) {
    double largest = 0;
    for (int64_t n = 0; n < count; ++n) {
        const double kept = values[n];
        values[n] = kept + STEP;
        const double above = loss(subject);
        values[n] = kept - STEP;
        const double below = loss(subject);
        values[n] = kept;
        const double want = (above - below) / (2 * STEP);
        largest = fmax(largest, fabs(want));
        cr_expect(fabs(slopes[n] - want) <= TOLERANCE, "%s[%lld]: slope %.12g, by differences %.12g (off by %.2g)",
                  what, (long long)n, slopes[n], want, slopes[n] - want);
    }
    cr_expect(largest > 1e-3, "%s: a loss that does not depend on it tests nothing", what);
}

/* ---- linear, norm, GELU ---- */

static double linear_loss(const struct subject *subject) {
    double y[TOKENS * HIDDEN];
    layer_linear_forward(&subject->linear, &one_thread, TOKENS, subject->x, y);
    return weigh(y, subject->target, TOKENS * HIDDEN);
}

Test(gradients, linear) {
    struct subject subject = {.x = draw(1, TOKENS * MODEL, 1), .target = draw(2, TOKENS * HIDDEN, 1)};
    subject.linear = (struct layer_linear){MODEL, HIDDEN, draw(3, MODEL * HIDDEN, 1), draw(4, HIDDEN, 1)};
    const struct layer_linear gradient = {MODEL, HIDDEN, zeros(MODEL * HIDDEN), zeros(HIDDEN)};
    double dx[TOKENS * MODEL];
    layer_linear_backward(&subject.linear, &one_thread, TOKENS, subject.x, subject.target, dx, false, &gradient);
    expect_slopes("x", linear_loss, &subject, subject.x, dx, TOKENS * MODEL);
    expect_slopes("weight", linear_loss, &subject, subject.linear.weight, gradient.weight, MODEL * HIDDEN);
    expect_slopes("bias", linear_loss, &subject, subject.linear.bias, gradient.bias, HIDDEN);
}

static double norm_loss(const struct subject *subject) {
    double y[TOKENS * MODEL];
    layer_norm_forward(&subject->norm, &one_thread, TOKENS, subject->x, y);
    return weigh(y, subject->target, TOKENS * MODEL);
}

Test(gradients, layer_norm_of_both_kinds) {
    for (int kind = 0; kind < 2; ++kind) {
        struct subject subject = {.x = draw(1, TOKENS * MODEL, 1), .target = draw(2, TOKENS * MODEL, 1)};
        subject.norm =
            (struct layer_norm){(enum layer_norm_kind)kind, MODEL, 0.1, draw(3, MODEL, 1), draw(4, MODEL, 1)};
        const struct layer_norm gradient = {.features = MODEL, .gain = zeros(MODEL), .bias = zeros(MODEL)};
        double dx[TOKENS * MODEL];
        layer_norm_backward(&subject.norm, &one_thread, TOKENS, subject.x, subject.target, dx, &gradient);
        expect_slopes("x", norm_loss, &subject, subject.x, dx, TOKENS * MODEL);
        expect_slopes("gain", norm_loss, &subject, subject.norm.gain, gradient.gain, MODEL);
        expect_slopes("bias", norm_loss, &subject, subject.norm.bias, gradient.bias, MODEL);
    }
}

static double gelu_loss(const struct subject *subject) {
    double y[TOKENS * MODEL];
    layer_gelu_forward(&one_thread, TOKENS * MODEL, subject->x, y);
    return weigh(y, subject->target, TOKENS * MODEL);
}

Test(gradients, gelu) {
    const struct subject subject = {.x = draw(1, TOKENS * MODEL, 2), .target = draw(2, TOKENS * MODEL, 1)};
    double dx[TOKENS * MODEL];
    layer_gelu_backward(&one_thread, TOKENS * MODEL, subject.x, subject.target, dx);
    expect_slopes("x", gelu_loss, &subject, subject.x, dx, TOKENS * MODEL);
}

/* ---- embeddings and learned positions ---- */

static double embedding_loss(const struct subject *subject) {
    double y[TOKENS * MODEL];
    struct attn_error error;
    cr_assert(layer_embedding_forward(&subject->embedding, TOKENS, subject->ids, y, &error) == ATTN_OK);
    cr_assert(layer_positions_forward(&subject->embedding, &subject->sequences, y, &error) == ATTN_OK);
    for (int n = 0; n < TOKENS * MODEL; ++n)
        y[n] *= y[n];
    return weigh(y, subject->target, TOKENS * MODEL);
}

/* One table serves words and positions, so that its gradient has both parts. */
Test(gradients, embedding_and_learned_positions) {
    const int64_t ids[TOKENS] = {3, 0, 3, 1, 2};
    struct subject subject = {.ids = ids, .target = draw(2, TOKENS * MODEL, 1)};
    subject.embedding = (struct layer_embedding){4, MODEL, draw(1, 4 * MODEL, 1)};
    subject.sequences = (struct layer_sequences){
        1, TOKENS, {.segments = 2, .query_offsets = packed_offsets, .key_offsets = packed_offsets}};
    double y[TOKENS * MODEL];
    struct attn_error error;
    cr_assert(layer_embedding_forward(&subject.embedding, TOKENS, ids, y, &error) == ATTN_OK);
    cr_assert(layer_positions_forward(&subject.embedding, &subject.sequences, y, &error) == ATTN_OK);
    for (int n = 0; n < TOKENS * MODEL; ++n)
        y[n] *= 2 * subject.target[n];
    const struct layer_embedding gradient = {4, MODEL, zeros(4 * MODEL)};
    layer_embedding_backward(TOKENS, ids, y, &gradient);
    layer_positions_backward(&subject.sequences, y, &gradient);
    expect_slopes("table", embedding_loss, &subject, subject.embedding.table, gradient.table, 4 * MODEL);
}

/* ---- attention without weights ---- */

static double weightless_loss(const struct subject *subject) {
    double y[TOKENS * MODEL];
    float lse[TOKENS];
    struct attn_error error;
    cr_assert(layer_weightless_forward(subject->scale, &oracle, &subject->sequences, MODEL, subject->x, y, lse,
                                       &error) == ATTN_OK,
              "%s", error.message);
    return weigh(y, subject->target, TOKENS * MODEL);
}

Test(gradients, weightless_attention_under_every_scale) {
    for (int scale = 0; scale < LAYER_SCALE_COUNT; ++scale) {
        const struct subject subject = {.scale = (enum layer_scale)scale,
                                        .sequences = {1, TOKENS, {.causal = true}},
                                        .x = draw(1, TOKENS * MODEL, .7),
                                        .target = draw(2, TOKENS * MODEL, 1)};
        double y[TOKENS * MODEL], slopes[2 * TOKENS * MODEL], dx[TOKENS * MODEL];
        float lse[TOKENS];
        struct attn_error error;
        cr_assert(layer_weightless_forward(subject.scale, &oracle, &subject.sequences, MODEL, subject.x, y, lse,
                                           &error) == ATTN_OK);
        cr_assert(layer_weightless_backward(subject.scale, &oracle, &subject.sequences, MODEL, subject.x, y, lse,
                                            subject.target, slopes, dx, &error) == ATTN_OK);
        expect_slopes(layer_scale_name(subject.scale), weightless_loss, &subject, subject.x, dx, TOKENS * MODEL);
    }
}

/* ---- the block ---- */

static double block_loss(const struct subject *subject) {
    double *const saved = zeros(layer_block_saved_count(&subject->block, TOKENS)), y[TOKENS * MODEL];
    struct attn_error error;
    cr_assert(layer_block_forward(&subject->block, &oracle, &one_thread, &subject->sequences, subject->x, saved, y,
                                  &error) == ATTN_OK,
              "%s", error.message);
    free(saved);
    return weigh(y, subject->target, TOKENS * MODEL);
}

static void expect_block(enum layer_norm_place place, double rotary_base, struct layer_sequences sequences) {
    struct subject subject = {
        .sequences = sequences, .x = draw(1, TOKENS * MODEL, 1), .target = draw(2, TOKENS * MODEL, 1)};
    struct layer_block gradient;
    layer_block_place(&subject.block, place, MODEL, HEADS, HEAD_DIM, HIDDEN, NULL);
    const int64_t count = layer_block_parameter_count(&subject.block);
    double *const parameters = draw(3, count, .4), *const slopes = zeros(count), dx[TOKENS * MODEL], y[TOKENS * MODEL];
    layer_block_place(&subject.block, place, MODEL, HEADS, HEAD_DIM, HIDDEN, parameters);
    layer_block_place(&gradient, place, MODEL, HEADS, HEAD_DIM, HIDDEN, slopes);
    cr_expect(subject.block.network_norm.bias + MODEL == parameters + count, "the count is that of the arrays");
    subject.block.attention.rotary_base = rotary_base;
    subject.block.attention_norm.epsilon = subject.block.network_norm.epsilon = 0.1;
    double *const saved = zeros(layer_block_saved_count(&subject.block, TOKENS));
    double *const scratch = zeros(layer_block_scratch_count(&subject.block, TOKENS));
    struct attn_error error;
    cr_assert(layer_block_forward(&subject.block, &oracle, &one_thread, &subject.sequences, subject.x, saved, y,
                                  &error) == ATTN_OK,
              "%s", error.message);
    cr_assert(layer_block_backward(&subject.block, &oracle, &one_thread, &subject.sequences, subject.x, saved,
                                   subject.target, scratch, dx, &gradient, &error) == ATTN_OK,
              "%s", error.message);
    expect_slopes("x", block_loss, &subject, subject.x, dx, TOKENS * MODEL);
    expect_slopes("parameters", block_loss, &subject, parameters, slopes, count);
    /* A constant added to all scores of a row changes no weight: a bias of the keys can't matter. */
    for (int c = 0; rotary_base == 0 && c < HEADS * HEAD_DIM; ++c)
        cr_expect(fabs(gradient.attention.key.bias[c]) <= 1e-14);
    free(parameters);
    free(slopes);
    free(saved);
    free(scratch);
}

Test(gradients, post_norm_block) {
    expect_block(LAYER_POST_NORM, 0, (struct layer_sequences){1, TOKENS, {.causal = false}});
}

Test(gradients, pre_norm_block) {
    expect_block(LAYER_PRE_NORM, 0, (struct layer_sequences){1, TOKENS, {.causal = true}});
}

Test(gradients, packed_block_with_rotary_positions) {
    expect_block(LAYER_PRE_NORM, 100,
                 (struct layer_sequences){
                     1, TOKENS, {.segments = 2, .query_offsets = packed_offsets, .key_offsets = packed_offsets}});
}

/* ---- losses ---- */

static double softmax_loss(const struct subject *subject) {
    double loss;
    struct attn_error error;
    cr_assert(layer_softmax_loss(TOKENS, CLASSES, subject->x, subject->ids, &loss, NULL, &error) == ATTN_OK);
    return loss;
}

static double logistic_loss(const struct subject *subject) {
    double loss;
    struct attn_error error;
    cr_assert(layer_logistic_loss(TOKENS, subject->x, subject->ids, &loss, NULL, &error) == ATTN_OK);
    return loss;
}

Test(gradients, losses) {
    const int64_t classes[TOKENS] = {2, 0, 1, 1, 0}, sides[TOKENS] = {1, 0, 0, 1, 1};
    struct subject subject = {.ids = classes, .x = draw(1, TOKENS * CLASSES, 1)};
    double loss, slopes[TOKENS * CLASSES];
    struct attn_error error;
    cr_assert(layer_softmax_loss(TOKENS, CLASSES, subject.x, classes, &loss, slopes, &error) == ATTN_OK);
    expect_slopes("softmax", softmax_loss, &subject, subject.x, slopes, TOKENS * CLASSES);
    subject.ids = sides;
    cr_assert(layer_logistic_loss(TOKENS, subject.x, sides, &loss, slopes, &error) == ATTN_OK);
    expect_slopes("logistic", logistic_loss, &subject, subject.x, slopes, TOKENS);
}
