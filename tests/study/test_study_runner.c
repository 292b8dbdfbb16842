/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "broken_attention.h"
#include "study/sample.h"

static enum attn_status measure_none(struct study_run *run, struct attn_error *error) {
    (void)error;
    study_conclude(run, "C1", STUDY_OUT_OF_SCOPE, "nothing to measure");
    return ATTN_OK;
}

static enum attn_status forget(struct study_run *run, struct attn_error *error) {
    (void)run, (void)error;
    return ATTN_OK;
}

static enum attn_status measure(struct study_run *run, struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, 10, double, error);
    cr_assert(memory && memory[9] == 0);
    study_expect(run, "C1", "inside", STUDY_AT("curve", "x", 3), 1, 0, 2);
    study_expect(run, "C2", "edge", STUDY_ALONE, 2, 2, INFINITY);
    study_expect(run, "C2", "setting", STUDY_ALONE, (double)study_setting_integer(run, "count"), 0, 4);
    study_record(run, "C3", "free", STUDY_BAR("bar"), study_setting_is(run, "mode", "b"));
    study_conclude(run, "C1", study_holds(run, "C1") ? STUDY_SUPPORTED : STUDY_REFUTED, "%d", 1);
    study_conclude(run, "C2", study_holds(run, "C2") ? STUDY_SUPPORTED : STUDY_REFUTED, "%d", 2);
    study_conclude(run, "C3", STUDY_DEPENDS, "on the mode");
    return ATTN_OK;
}

static enum attn_status nan_is_outside(struct study_run *run, struct attn_error *error) {
    (void)error;
    study_expect(run, "C1", "nothing", STUDY_ALONE, NAN, -INFINITY, INFINITY);
    study_conclude(run, "C1", STUDY_REFUTED, "it is not a number");
    return ATTN_OK;
}

static const struct study_setting settings[] = {{"count", "3", NULL, "how many"}, {"mode", "a", "a b both", "which"}};
static const struct study whole = {
    .name = "whole", .claims = "C1 C2 C3", .settings = settings, .setting_count = 2, .run = measure};

static enum attn_status execute(const struct study *study, const char *set, struct study_report *report,
                                struct attn_error *error) {
    const struct study_options options = {.threads = 1, .sets = &set, .set_count = set != NULL};
    return study_execute(study, &options, report, error);
}

Test(runner, verdicts_follow_from_quantities) {
    struct study_report report;
    struct attn_error error = {0};
    cr_assert_eq(execute(&whole, NULL, &report, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(report.claim_count, 3);
    cr_expect_eq(report.claims[0].law, STUDY_HOLDS);
    cr_expect_eq(report.claims[1].law, STUDY_HOLDS);
    cr_expect_eq(report.claims[2].law, STUDY_RECORDED);
    cr_expect_eq(report.claims[2].verdict, STUDY_DEPENDS);
    cr_expect_str_eq(report.claims[1].because, "2");
    cr_assert_eq(report.quantity_count, 4);
    cr_expect_str_eq(report.quantities[0].series, "curve");
    cr_expect_eq(report.quantities[0].at, 3);
    cr_expect(isnan(report.quantities[3].at) && isnan(report.quantities[3].low));
    study_report_release(&report);
    cr_assert_eq(execute(&whole, "count=5", &report, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(report.claims[0].law, STUDY_HOLDS);
    cr_expect_eq(report.claims[1].law, STUDY_DEPARTS);
    cr_expect_eq(report.claims[1].verdict, STUDY_REFUTED);
    study_report_release(&report);
    cr_assert_eq(execute(&whole, "mode=b", &report, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(report.quantities[3].measured, 1);
    study_report_release(&report);
    cr_assert_eq(execute(&whole, "mode=b,count=4", &report, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(report.quantities[2].measured, 4);
    cr_expect_eq(report.quantities[3].measured, 1);
    study_report_release(&report);
}

Test(runner, what_is_no_number_departs) {
    const struct study study = {.name = "none", .claims = "C1", .run = nan_is_outside};
    cr_expect_eq(broken_law(&study, "C1", BROKEN_NOTHING, NULL), STUDY_DEPARTS);
}

Test(runner, bad_settings_are_refused_with_the_nearest) {
    static const struct {
        const char *set, *says;
    } bad[] = {
        {"cuont=3", "did you mean 'count'"},
        {"count=0", "positive integer"},
        {"count=3x", "positive integer"},
        {"mode=c", "one of: a b both"},
        {"mode=bot", "one of: a b both"},
        {"mode=", "one of"},
        {"mode=a b", "one of"},
        {"count", "write NAME=VALUE"},
        {"=3", "has no setting ''"},
        {"count=99999999999999999999", "positive"},
        {"count=2147483648", "below 2^31"},
        {"count=000000000000000000000000000000000000000000000000003", "too long"},
        {"mode=b,cuont=3", "did you mean 'count'"},
        {"mode=b,", "'' is no setting; write NAME=VALUE"},
        {"mode=a,b", "'b' is no setting"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        struct study_report report;
        struct attn_error error = {0};
        cr_expect_eq(execute(&whole, bad[i].set, &report, &error), ATTN_INVALID, "%s", bad[i].set);
        cr_expect(strstr(error.message, bad[i].says) != NULL, "%s: %s", bad[i].set, error.message);
        study_report_release(&report);
    }
}

Test(runner, a_claim_without_a_conclusion_is_an_error) {
    const struct study forgetful = {.name = "forgetful", .claims = "C1", .run = forget};
    const struct study other = {.name = "other", .claims = "C2", .run = measure_none};
    struct study_report report;
    struct attn_error error = {0};
    cr_expect_eq(execute(&forgetful, NULL, &report, &error), ATTN_INTERNAL);
    cr_expect(strstr(error.message, "no conclusion on C1") != NULL, "%s", error.message);
    study_report_release(&report);
    cr_expect_eq(execute(&other, NULL, &report, &error), ATTN_INTERNAL);
    cr_expect(strstr(error.message, "not its own: C1") != NULL, "%s", error.message);
    study_report_release(&report);
}

Test(runner, shuffles_and_quantiles) {
    int64_t order[100], seen[100] = {0};
    study_shuffled(3, 0, 100, order);
    int64_t moved = 0;
    for (int64_t n = 0; n < 100; ++n) {
        ++seen[order[n]];
        moved += order[n] != n;
    }
    for (int64_t n = 0; n < 100; ++n)
        cr_expect_eq(seen[n], 1);
    cr_expect_gt(moved, 80);
    double values[] = {5, 1, 4, 2, 3}, x[] = {1, 2, 3}, y[] = {5, 7, 9};
    cr_expect_eq(study_quantile(5, values, 0.5), 3);
    cr_expect_eq(study_quantile(5, values, 0.25), 2);
    cr_expect_float_eq(study_variance(5, values), 2.5, 1e-15);
    const struct study_line line = study_fit(3, x, y);
    cr_expect_float_eq(line.slope, 2, 1e-15);
    cr_expect_float_eq(line.intercept, 3, 1e-14);
    cr_expect(isnan(study_largest_difference(2, (double[]){NAN, 1}, (double[]){0, 1})));
}
