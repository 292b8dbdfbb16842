/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle against an implementation that shares nothing with this project: the context tensors that PyTorch
 * computed for a real model, judged like any variant's answer. */
#include <criterion/criterion.h>
#include <math.h>

#include "check/oracle.h"
#include "record/capture.h"

static struct attn_problem problem_of(const struct record_capture *capture, bool with_lengths) {
    struct attn_problem problem = {
        .batch = capture->q.shape[0],
        .query_heads = capture->q.shape[1],
        .query_len = capture->q.shape[2],
        .head_dim = capture->q.shape[3],
        .mask = {.key_lengths = with_lengths ? capture->key_lengths : NULL},
    };
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
    return problem;
}

static struct check_verdict judge(const struct attn_problem *problem, const struct record_capture *capture) {
    const struct attn_operands operands = {.q = capture->q, .k = capture->k, .v = capture->v, .out = capture->context};
    struct check_oracle *oracle;
    struct check_verdict verdict;
    struct attn_error error;
    cr_assert(check_oracle_create(problem, &operands, 1, 0, 2, &oracle, &error) == ATTN_OK, "%s", error.message);
    cr_assert(check_oracle_rows(oracle) == problem->batch * problem->query_heads * problem->query_len);
    check_oracle_judge(oracle, &operands, 0, false, &verdict);
    check_oracle_destroy(oracle);
    return verdict;
}

static struct record_capture read_capture(const char *tensor) {
    struct record_capture capture;
    struct attn_error error;
    cr_assert(record_capture_read(CAPTURE, tensor, &capture, &error) == ATTN_OK, "%s", error.message);
    cr_assert(capture.context.data, "%s has no context", tensor);
    return capture;
}

static void expect_context(const char *tensor) {
    struct record_capture capture = read_capture(tensor);
    struct attn_problem problem = problem_of(&capture, true);
    struct check_verdict verdict = judge(&problem, &capture);
    cr_expect(verdict.accepted, "%s: %s", tensor, verdict.reason);
    cr_expect(verdict.bound_fraction < 0.25, "%s: %g of the bound", tensor, verdict.bound_fraction);
    cr_expect(!verdict.weak && verdict.power_heaviest_median > 100.0);

    problem.scale = nextafterf(problem.scale * 1.001f, 1.0f); /* agreement is no accident */
    verdict = judge(&problem, &capture);
    cr_expect(!verdict.accepted, "%s: a scale 0.1 %% off passes at %g of the bound", tensor, verdict.bound_fraction);
    record_capture_release(&capture);
}

Test(oracle_capture, a_paragraph) {
    expect_context("paragraph/layer3");
}

Test(oracle_capture, ragged_sentences) {
    expect_context("sentences/layer5");
    struct record_capture capture = read_capture("sentences/layer5");
    const struct attn_problem problem = problem_of(&capture, false);
    const struct check_verdict verdict = judge(&problem, &capture);
    cr_expect(!verdict.accepted, "padding keys matter");
    record_capture_release(&capture);
}
