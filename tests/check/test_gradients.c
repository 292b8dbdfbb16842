/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's gradients: exact answers, central differences of the forward oracle, invariants. */
#include <criterion/criterion.h>

#include "check/gradients.h"
#include "check/oracle.h"
#include "drawn_operands.h"
#include "words.h"

static void expect_near(double got, double want, double tolerance, const char *what, int word) {
    cr_expect(fabs(got - want) <= tolerance, "%s of word %d: %.17g, not %.17g (off by %.2g)", what, word, got, want,
              got - want);
}

/* Five words, loss = sum of all outputs. 1/sqrt(2) goes into the queries; the chain rule takes dq back. */
Test(gradients, goldens_of_the_word_table) {
    const double factor = 0.70710678118654752440;
    double q[WORDS][2], k[WORDS][2], v[WORDS][2], dout[WORDS][2];
    for (int n = 0; n < WORDS; ++n)
        for (int c = 0; c < 2; ++c) {
            q[n][c] = factor * word_queries[n][c];
            k[n][c] = word_keys[n][c];
            v[n][c] = word_values[n][c];
            dout[n][c] = 1.0;
        }
    struct attn_problem problem = {.batch = 1, .query_heads = 1, .query_len = WORDS, .head_dim = 2, .scale = 1.0f};
    cr_assert(attn_problem_build(&problem, NULL) == ATTN_OK);
    const struct attn_operands operands = {
        .q = attn_tensor_dense(q, ATTN_F64, 1, 1, WORDS, 2),
        .k = attn_tensor_dense(k, ATTN_F64, 1, 1, WORDS, 2),
        .v = attn_tensor_dense(v, ATTN_F64, 1, 1, WORDS, 2),
        .dout = attn_tensor_dense(dout, ATTN_F64, 1, 1, WORDS, 2),
    };
    struct check_gradients gradients;
    cr_assert(check_oracle_gradients(&problem, &operands, 1, &gradients, NULL) == ATTN_OK);
    for (int n = 0; n < WORDS; ++n)
        for (int c = 0; c < 2; ++c) {
            const double dq = word_dq[n][c], dk = word_dk[n][c];
            expect_near(factor * gradients.dq[2 * n + c], dq, 1e-14 * fabs(dq), "dq", n);
            expect_near(gradients.dk[2 * n + c], dk, 1e-14 * fabs(dk), "dk", n);
            expect_near(gradients.dv[2 * n + c], word_dv[n], 1e-14 * word_dv[n], "dv", n);
        }
    check_gradients_release(&gradients);
}

/* sum of dout * out by the forward oracle. */
static double loss(const struct attn_problem *problem, const struct attn_operands *operands) {
    struct check_oracle *oracle;
    cr_assert(check_oracle_create(problem, operands, 1, 0, 1, &oracle, NULL) == ATTN_OK);
    double sum = 0.0;
    for (int64_t n = 0; n < check_oracle_rows(oracle); ++n) {
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(oracle, n, place, &lse);
        for (int64_t c = 0; c < problem->value_dim; ++c)
            sum += row[c] * brute_element(&operands->dout, place[0], place[1], place[2], c);
    }
    check_oracle_destroy(oracle);
    return sum;
}

/* Element n, counted densely, of a float64 tensor. */
static double *dense_element(const struct attn_tensor *tensor, int64_t n) {
    const int64_t features = tensor->shape[3], positions = tensor->shape[2], heads = tensor->shape[1];
    const int64_t row = n / features;
    return (double *)attn_tensor_row(tensor, row / positions / heads, row / positions % heads, row % positions) +
           n % features;
}

static void expect_central_differences(const struct attn_problem *problem, const struct attn_operands *operands,
                                       const struct attn_tensor *tensor, const double *gradient, uint64_t seed,
                                       const char *name) {
    const double step = 1e-5;
    uint64_t state = seed;
    for (int draw = 0; draw < 6; ++draw) {
        const int64_t n = draw_int(&state, 0, attn_tensor_count(tensor) - 1);
        double *const element = dense_element(tensor, n);
        const double value = *element;
        *element = value + step;
        const double above = loss(problem, operands);
        *element = value - step;
        const double below = loss(problem, operands);
        *element = value;
        const double want = (above - below) / (2.0 * step);
        cr_assert(fabs(gradient[n] - want) <= 1e-8, "seed %d, %s[%d]: %.12g, by differences %.12g", (int)seed, name,
                  (int)n, gradient[n], want);
    }
}

/* Every mask, sinks, softcap, grouped heads, packing: dq, dk and dv against differences of the forward oracle. */
Test(gradients, agree_with_central_differences) {
    static struct drawn drawn;
    static struct drawn_operands memory;
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        cr_assert(draw_problem(seed, &drawn, NULL) == ATTN_OK);
        draw_operands(seed, &drawn.problem, ATTN_F64, &memory);
        const struct attn_operands *const operands = &memory.operands;
        struct check_gradients gradients;
        cr_assert(check_oracle_gradients(&drawn.problem, operands, 1, &gradients, NULL) == ATTN_OK);
        expect_central_differences(&drawn.problem, operands, &operands->q, gradients.dq, seed, "dq");
        expect_central_differences(&drawn.problem, operands, &operands->k, gradients.dk, seed, "dk");
        expect_central_differences(&drawn.problem, operands, &operands->v, gradients.dv, seed, "dv");
        check_gradients_release(&gradients);
    }
}

enum { POSITIONS = 40, DIM = 8, HEADS = 4, KEY_HEADS = 2 };
struct wide {
    struct attn_problem problem;
    struct attn_operands operands;
    double q[HEADS * POSITIONS * DIM], k[KEY_HEADS * POSITIONS * DIM], v[KEY_HEADS * POSITIONS * DIM];
    double dout[HEADS * POSITIONS * DIM];
    struct check_gradients gradients;
};

static void make_wide(struct wide *wide, enum attn_type type, int threads) {
    uint64_t state = 9;
    wide->problem = (struct attn_problem){.batch = 1,
                                          .query_heads = HEADS,
                                          .key_heads = KEY_HEADS,
                                          .query_len = POSITIONS,
                                          .head_dim = DIM,
                                          .mask = wide->problem.mask};
    cr_assert(attn_problem_build(&wide->problem, NULL) == ATTN_OK);
    wide->operands = (struct attn_operands){
        .q = attn_tensor_dense(wide->q, type, 1, HEADS, POSITIONS, DIM),
        .k = attn_tensor_dense(wide->k, type, 1, KEY_HEADS, POSITIONS, DIM),
        .v = attn_tensor_dense(wide->v, type, 1, KEY_HEADS, POSITIONS, DIM),
        .dout = attn_tensor_dense(wide->dout, type, 1, HEADS, POSITIONS, DIM),
    };
    draw_tensor(&state, &wide->operands.q);
    draw_tensor(&state, &wide->operands.k);
    draw_tensor(&state, &wide->operands.v);
    draw_tensor(&state, &wide->operands.dout);
    cr_assert(check_oracle_gradients(&wide->problem, &wide->operands, threads, &wide->gradients, NULL) == ATTN_OK);
}

/* Rows of weights sum to 1, so dv sums to dout's sum over the group; adding one vector to all keys changes no weight,
 * so dk sums to 0. */
Test(gradients, sums_that_must_hold) {
    static struct wide wide;
    wide.problem.mask.causal = true;
    make_wide(&wide, ATTN_F32, 1);
    for (int64_t g = 0; g < KEY_HEADS; ++g)
        for (int64_t c = 0; c < DIM; ++c) {
            double dk = 0.0, dv = 0.0, dout = 0.0;
            for (int64_t j = 0; j < POSITIONS; ++j) {
                dk += wide.gradients.dk[(g * POSITIONS + j) * DIM + c];
                dv += wide.gradients.dv[(g * POSITIONS + j) * DIM + c];
                for (int64_t h = g * HEADS / KEY_HEADS; h < (g + 1) * HEADS / KEY_HEADS; ++h)
                    dout += brute_element(&wide.operands.dout, 0, h, j, c);
            }
            cr_expect(fabs(dk) < 1e-14, "dk sums to %g", dk);
            cr_expect(fabs(dv - dout) < 1e-13, "dv sums to %g, dout to %g", dv, dout);
        }
    check_gradients_release(&wide.gradients);
}

Test(gradients, any_number_of_threads_gives_the_same_bits) {
    static struct wide one, two;
    make_wide(&one, ATTN_F32, 1);
    make_wide(&two, ATTN_F32, 2);
    cr_expect(memcmp(one.gradients.dk, two.gradients.dk, sizeof one.k) == 0);
    cr_expect(memcmp(one.gradients.dq, two.gradients.dq, sizeof one.q) == 0);
    check_gradients_release(&one.gradients);
    check_gradients_release(&two.gradients);
}

Test(gradients, a_masked_nan_does_not_leak_and_a_dead_row_has_none) {
    static struct wide wide;
    static bool allowed[POSITIONS * POSITIONS];
    for (int n = 0; n < POSITIONS * POSITIONS; ++n)
        allowed[n] = n % POSITIONS != 7 && n / POSITIONS != 3;
    wide.problem.mask.allowed = allowed;
    wide.problem.mask.allowed_stride[2] = POSITIONS;
    wide.problem.mask.allowed_stride[3] = 1;
    make_wide(&wide, ATTN_F64, 1);
    check_gradients_release(&wide.gradients);
    wide.k[7 * DIM] = wide.v[7 * DIM] = NAN;
    cr_assert(check_oracle_gradients(&wide.problem, &wide.operands, 1, &wide.gradients, NULL) == ATTN_OK);
    for (int n = 0; n < HEADS * POSITIONS * DIM; ++n)
        cr_expect(isfinite(wide.gradients.dq[n]) && (n / DIM % POSITIONS != 3 || wide.gradients.dq[n] == 0.0));
    for (int n = 0; n < KEY_HEADS * POSITIONS * DIM; ++n)
        cr_expect(isfinite(wide.gradients.dk[n]) && isfinite(wide.gradients.dv[n]) &&
                  (n / DIM % POSITIONS != 7 || wide.gradients.dk[n] == 0.0));
    check_gradients_release(&wide.gradients);
}

Test(gradients, operands_are_checked) {
    static struct wide wide;
    struct attn_error error;
    make_wide(&wide, ATTN_F32, 1);
    check_gradients_release(&wide.gradients);
    wide.operands.dout.shape[3] = 3;
    cr_expect(check_oracle_gradients(&wide.problem, &wide.operands, 1, &wide.gradients, &error) == ATTN_INVALID);
    cr_expect(strstr(error.message, "dout has 3"), "%s", error.message);
    wide.operands.dout.data = NULL;
    cr_expect(check_oracle_gradients(&wide.problem, &wide.operands, 1, &wide.gradients, &error) == ATTN_INVALID);
    check_gradients_release(&wide.gradients);
}

/* Metrics on a tensor made by hand: want 1..6, got off by +0.25 at one place. */
Test(gradients, error_metrics) {
    double want[6];
    float got[6];
    const struct attn_tensor tensor = attn_tensor_dense(got, ATTN_F32, 1, 1, 2, 3);
    struct check_tensor_error error;
    for (int n = 0; n < 6; ++n)
        got[n] = (float)(want[n] = n + 1.0);
    check_gradient_error(want, &tensor, &error);
    cr_expect(error.max_abs == 0.0 && error.rms == 0.0 && error.frobenius == 0.0 && error.want_max_abs == 6.0);
    got[4] += 0.25f;
    check_gradient_error(want, &tensor, &error);
    cr_expect(error.max_abs == 0.25 && error.worst[2] == 1 && error.worst[3] == 1);
    cr_expect(error.worst_got == 5.25 && error.worst_want == 5.0);
    cr_expect(fabs(error.rms - 0.25 / sqrt(6.0)) < 1e-15);
    cr_expect(fabs(error.frobenius - 0.25 / sqrt(91.0)) < 1e-15);
    got[4] = NAN;
    check_gradient_error(want, &tensor, &error);
    cr_expect(error.nonfinite == 1 && error.max_abs == INFINITY && error.rms == INFINITY);
    memset(&got[4], ATTN_POISON_BYTE, sizeof got[4]);
    check_gradient_error(want, &tensor, &error);
    cr_expect(error.unwritten == 1 && error.nonfinite == 0 && error.max_abs == INFINITY);
    want[4] = NAN;
    got[4] = INFINITY;
    check_gradient_error(want, &tensor, &error);
    cr_expect(error.max_abs == 0.0, "where the oracle is not finite any non-finite value will do");
    got[4] = 5.0f;
    check_gradient_error(want, &tensor, &error);
    cr_expect(error.max_abs == INFINITY && error.rms == INFINITY);
}

Test(gradients, the_gate_is_a_multiple_of_the_expected_error) {
    const struct check_noise noise = {.peak = 1e-5, .rms = 1e-6};
    struct check_tensor_error error = {.max_abs = 1e-5, .rms = 2e-6};
    const double margin = CHECK_NOISE_MARGIN;
    cr_expect(fabs(check_gradient_fraction(&error, &noise, ATTN_F32) * margin - 2.0) < 1e-12, "by root mean square");
    error.max_abs = 3e-5;
    cr_expect(fabs(check_gradient_fraction(&error, &noise, ATTN_F32) * margin - 3.0) < 1e-12, "by the largest error");
    const struct check_noise none = {0};
    cr_expect(check_gradient_fraction(&error, &none, ATTN_F32) > 1.0);
    error = (struct check_tensor_error){.max_abs = 0x1p-26, .rms = 0x1p-26};
    cr_expect(check_gradient_fraction(&error, &none, ATTN_F16) <= 1.0, "below the smallest f16 number");
    cr_expect(check_gradient_fraction(&error, &none, ATTN_F32) > 1.0);
    error.max_abs = NAN;
    cr_expect(check_gradient_fraction(&error, &noise, ATTN_F32) == INFINITY);
    error.max_abs = INFINITY;
    cr_expect(check_gradient_fraction(&error, &noise, ATTN_F32) == INFINITY);
}
