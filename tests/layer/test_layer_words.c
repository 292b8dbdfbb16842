/* SPDX-License-Identifier: Apache-2.0 */
/* The layer around the float64 oracle against exact answers for five words of a tutorial. */
#include <math.h>
#include <string.h>

#include "check/oracle_attention.h"
#include "layer/plain_gemm.h"
#include "layer/self_attention.h"
#include "words.h"

#include <criterion/criterion.h>

#define INVERSE_ROOT_2 0.70710678118654752440

static const struct layer_attention oracle = {NULL, check_oracle_attention};
static const struct layer_sequences five = {1, WORDS, {.causal = false}};

static void expect_near(double got, double want, double relative, const char *what, int word) {
    cr_expect(fabs(got - want) <= relative * fabs(want), "%s of word %d: %.17g, not %.17g (off by %.2g)", what, word,
              got, want, got - want);
}

Test(words, weightless_attention) {
    double y[WORDS][2];
    float lse[WORDS];
    struct attn_error error;
    cr_assert(layer_weightless_forward(LAYER_SCALE_NONE, &oracle, &five, 2, word_values[0], y[0], lse, &error) ==
                  ATTN_OK,
              "%s", error.message);
    for (int n = 0; n < WORDS; ++n)
        for (int c = 0; c < 2; ++c)
            expect_near(y[n][c], first_principles[n].out[c], 1e-15, "out", n);
}

/* Identity maps and scale 1 are no maps at all: the same bits. */
Test(words, identity_weights_are_no_weights) {
    double identity[4] = {1, 0, 0, 1}, y[WORDS][2], memory[4][WORDS * 2], weighted[WORDS][2];
    float lse[WORDS];
    const struct layer_linear map = {2, 2, identity, NULL};
    const struct layer_self_attention layer = {1, 2, 1.0f, 0, map, map, map, map};
    const struct layer_attention_saved saved = {memory[0], memory[1], memory[2], memory[3], lse};
    struct attn_error error;
    cr_assert(layer_weightless_forward(LAYER_SCALE_NONE, &oracle, &five, 2, word_values[0], y[0], lse, &error) ==
              ATTN_OK);
    cr_assert(layer_self_attention_forward(&layer, &oracle, &(struct layer_compute){layer_plain_gemm, 1}, &five,
                                           word_values[0], &saved, weighted[0], &error) == ATTN_OK,
              "%s", error.message);
    cr_expect(memcmp(y, weighted, sizeof y) == 0);
}

/* The context word that turns [0.9, 0.3] into [0.5, 0.8], to 8 digits. */
Test(words, the_context_that_moves_a_word) {
    const double x[2][2] = {{.9, .3}, {-0.22024702, 1.70030877}};
    double y[2][2];
    float lse[2];
    struct attn_error error;
    const struct layer_sequences two = {1, 2, {.causal = false}};
    cr_assert(layer_weightless_forward(LAYER_SCALE_NONE, &oracle, &two, 2, x[0], y[0], lse, &error) == ATTN_OK);
    expect_near(y[0][0], .5, 2e-8, "out", 0);
    expect_near(y[0][1], .8, 2e-8, "out", 0);
}

/* All tokens' queries scaled by hand, because a problem's scale is a float32. */
Test(words, oracle_attention_both_ways) {
    double q[WORDS][2], dout[WORDS][2], out[WORDS][2], dq[WORDS][2], dk[WORDS][2], dv[WORDS][2];
    for (int n = 0; n < WORDS; ++n)
        for (int c = 0; c < 2; ++c) {
            q[n][c] = word_queries[n][c] * INVERSE_ROOT_2;
            dout[n][c] = 1;
        }
    struct attn_problem problem = {
        .batch = 1, .query_heads = 1, .query_len = WORDS, .head_dim = 2, .scale = 1, .type = ATTN_F32};
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK);
    const struct attn_operands operands = {
        .q = layer_heads_view(q[0], &five, 1, 2),
        .k = layer_heads_view(word_keys[0], &five, 1, 2),
        .v = layer_heads_view(word_values[0], &five, 1, 2),
        .out = layer_heads_view(out[0], &five, 1, 2),
        .dout = layer_heads_view(dout[0], &five, 1, 2),
        .dq = layer_heads_view(dq[0], &five, 1, 2),
        .dk = layer_heads_view(dk[0], &five, 1, 2),
        .dv = layer_heads_view(dv[0], &five, 1, 2),
    };
    int threads = 2;
    cr_assert(check_oracle_attention(&threads, &problem, &operands, &error) == ATTN_OK, "%s", error.message);
    problem.direction = ATTN_BACKWARD;
    cr_assert(check_oracle_attention(&threads, &problem, &operands, &error) == ATTN_OK, "%s", error.message);
    double sum = 0;
    for (int n = 0; n < WORDS; ++n)
        for (int c = 0; c < 2; ++c) {
            sum += out[n][c];
            expect_near(out[n][c], five_scaled[n].out[c], 1e-15, "out", n);
            expect_near(dq[n][c] * INVERSE_ROOT_2, word_dq[n][c], 1e-14, "dq", n);
            expect_near(dk[n][c], word_dk[n][c], 1e-14, "dk", n);
            expect_near(dv[n][c], word_dv[n], 1e-14, "dv", n);
        }
    expect_near(sum, word_loss, 1e-15, "loss", MAT);
}

Test(words, two_heads_are_two_narrow_attentions) {
    double x[WORDS][4], joined[WORDS][4], half[WORDS][2], y[WORDS][2];
    float lse[2 * WORDS];
    struct attn_error error;
    for (int n = 0; n < WORDS; ++n) {
        memcpy(x[n], word_values[n], sizeof word_values[n]);
        memcpy(x[n] + 2, word_keys[n], sizeof word_keys[n]);
    }
    struct attn_problem problem = {
        .batch = 1, .query_heads = 2, .query_len = WORDS, .head_dim = 2, .scale = 1, .type = ATTN_F32};
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK);
    const struct attn_tensor heads = layer_heads_view(x[0], &five, 2, 2);
    const struct attn_operands operands = {
        .q = heads, .k = heads, .v = heads, .out = layer_heads_view(joined[0], &five, 2, 2)};
    cr_assert(check_oracle_attention(NULL, &problem, &operands, &error) == ATTN_OK, "%s", error.message);
    for (int h = 0; h < 2; ++h) {
        for (int n = 0; n < WORDS; ++n)
            memcpy(half[n], x[n] + 2 * h, sizeof half[n]);
        cr_assert(layer_weightless_forward(LAYER_SCALE_NONE, &oracle, &five, 2, half[0], y[0], lse, &error) == ATTN_OK);
        for (int n = 0; n < WORDS; ++n)
            cr_expect(memcmp(joined[n] + 2 * h, y[n], sizeof y[n]) == 0, "head %d, word %d", h, n);
    }
}

Test(scales, values_and_names) {
    cr_expect(layer_scale_value(LAYER_SCALE_NONE, 64) == 1.0f);
    cr_expect(layer_scale_value(LAYER_SCALE_ROOT, 64) == 0.125f);
    cr_expect(layer_scale_value(LAYER_SCALE_DIMENSION, 64) == 0.015625f);
    cr_expect_str_eq(layer_scale_name(LAYER_SCALE_DIMENSION), "dimension");
}
