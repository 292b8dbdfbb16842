/* SPDX-License-Identifier: Apache-2.0 */
/* The trial against a clock that the test turns itself: every duration is exact, nothing depends on the machine. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "machine/clock.h"
#include "measure/trial.h"

static int64_t now_ns;

int64_t machine_clock_ns(void) {
    return now_ns;
}

/* A pass whose n-th timed call takes durations_ns[n % duration_count]; it notes what it saw. */
static struct {
    double durations_ns[16];
    int duration_count;
    int64_t poison_ns; /* what before_each takes */
    char values;       /* 'w' warm, 'r' real */
    int poisoned;      /* the set that was poisoned last, -1: none since the last call */
    int64_t warm_calls, timed_calls;
    int last_operands, last_problem; /* sets that the last call was given */
    char events[64];                 /* the first of them: W warm values, R real values, p poison, c call */
} scene;

static struct attn_problem problems[3];
static struct attn_operands operands[3];
static struct measure_trial trial;

static void note(char event) {
    const size_t length = strlen(scene.events);
    if (length + 1 < sizeof scene.events)
        scene.events[length] = event;
}

static void fake_run(const struct attn_problem *problem, const struct attn_operands *given,
                     const struct attn_execution *execution) {
    (void)execution;
    note('c');
    scene.last_problem = (int)(problem - problems);
    scene.last_operands = (int)(given - operands);
    if (scene.values == 'r') {
        cr_assert_eq(scene.poisoned, scene.last_operands, "a timed call on a set that was not poisoned for it");
        scene.poisoned = -1;
        now_ns += (int64_t)scene.durations_ns[scene.timed_calls++ % scene.duration_count];
    } else {
        ++scene.warm_calls;
        now_ns += (int64_t)scene.durations_ns[0];
    }
}

static void fake_warm(void *context) {
    note('W');
    *(char *)context = 'w';
}

static void fake_real(void *context) {
    note('R');
    *(char *)context = 'r';
}

static void fake_before(void *context, int set) {
    (void)context;
    note('p');
    cr_assert_eq(scene.values, 'r', "poisoned before the real values were back");
    scene.poisoned = set;
    now_ns += scene.poison_ns;
}

static const struct attn_pass fake_pass = {.run = fake_run};

static void run_trial(int set_count, const struct measure_options *options, const double *durations_ns, int count) {
    now_ns = 12345;
    memset(&scene, 0, sizeof scene);
    memcpy(scene.durations_ns, durations_ns, (size_t)count * sizeof *durations_ns);
    scene.duration_count = count;
    scene.poison_ns = 777;
    scene.poisoned = -1;
    const struct attn_execution execution = {.threads = 1};
    const struct measure_subject subject = {
        .pass = &fake_pass,
        .problem = problems,
        .operands = operands,
        .set_count = set_count,
        .execution = &execution,
        .warm_values = fake_warm,
        .real_values = fake_real,
        .before_each = fake_before,
        .context = &scene.values,
    };
    memset(&trial, 0xa5, sizeof trial);
    measure_trial_run(&subject, options, &trial);
    cr_assert_eq(trial.count, scene.timed_calls);
    cr_expect_eq(trial.last_set, scene.last_operands, "the set to verify is not the one timed last");
    cr_expect_eq(scene.last_problem, scene.last_operands);
}

#define RUN(sets, options, ...)                                                                                        \
    run_trial(sets, &(options), (const double[]){__VA_ARGS__},                                                         \
              (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)))

Test(trial, warms_on_other_values_then_poisons_before_every_timed_call) {
    const struct measure_options options = {
        .min_time_ns = 40, .max_time_ns = 1000, .target_ci = 0.1, .max_iterations = 7};
    RUN(1, options, 10);
    cr_expect_str_eq(scene.events, "WcRpcpcpcpcpcpc");
    cr_expect_eq(trial.count, 6); /* fewer than six cannot reach 95 % */
    cr_expect_eq(trial.ended_by, MEASURE_TARGET_REACHED);
    cr_expect_eq(trial.first_call_ns, 10);
}

Test(trial, samples_hold_the_call_alone) {
    const struct measure_options options = {
        .min_time_ns = 1, .max_time_ns = 1e9, .target_ci = 1e-9, .max_iterations = 8};
    RUN(1, options, 10, 30, 20, 50);
    const double expected[] = {10, 30, 20, 50, 10, 30, 20, 50};
    for (int i = 0; i < 8; ++i)
        cr_expect_eq(trial.samples_ns[i], expected[i]); /* not the 777 of poisoning */
    const double sorted[] = {10, 10, 20, 20, 30, 30, 50, 50};
    for (int i = 0; i < 8; ++i)
        cr_expect_eq(trial.sorted_ns[i], sorted[i]);
    cr_expect_eq(trial.within_process.median, 25);
    cr_expect_eq(trial.within_process.count, 8);
}

Test(trial, warm_up_lasts_a_tenth_of_min_time) {
    const struct measure_options options = {
        .min_time_ns = 1000, .max_time_ns = 5000, .target_ci = 0.1, .max_iterations = 10000};
    RUN(1, options, 10);
    cr_expect_eq(scene.warm_calls, 10); /* 10 calls of 10 ns = 100 ns */
    cr_expect_eq(trial.count, 100);
    cr_expect_eq(trial.ended_by, MEASURE_TARGET_REACHED);
}

Test(trial, one_warm_call_is_enough_for_a_long_one) {
    const struct measure_options options = {
        .min_time_ns = 1000, .max_time_ns = 5000, .target_ci = 0.1, .max_iterations = 10000};
    RUN(1, options, 9000);
    cr_expect_eq(scene.warm_calls, 1);
    cr_expect_eq(trial.count, 1);
    cr_expect_eq(trial.ended_by, MEASURE_TIME_CAP);
    cr_expect_not(trial.unstable);
}

Test(trial, ends_by_time_when_the_target_stays_out_of_reach) {
    const struct measure_options options = {
        .min_time_ns = 100, .max_time_ns = 5050, .target_ci = 0.001, .max_iterations = 10000};
    RUN(1, options, 10, 1000);
    cr_expect_eq(trial.count, 10);
    cr_expect_eq(trial.ended_by, MEASURE_TIME_CAP);
}

Test(trial, ends_by_count) {
    const struct measure_options options = {
        .min_time_ns = 100, .max_time_ns = 1e12, .target_ci = 0.001, .max_iterations = MEASURE_MAX_SAMPLES};
    RUN(1, options, 10, 1000);
    cr_expect_eq(trial.count, MEASURE_MAX_SAMPLES);
    cr_expect_eq(trial.ended_by, MEASURE_COUNT_CAP);
    cr_expect_eq(trial.within_process.median, 505);
}

Test(trial, a_clock_that_stands_still_ends_by_count) {
    const struct measure_options options = {
        .min_time_ns = 100, .max_time_ns = 1000, .target_ci = 0.1, .max_iterations = 50};
    RUN(1, options, 0);
    cr_expect_eq(scene.warm_calls, 50);
    cr_expect_eq(trial.count, 50);
    cr_expect_eq(trial.ended_by, MEASURE_COUNT_CAP);
}

Test(trial, the_target_waits_for_min_time_and_ends_it_soon_after_it_is_met) {
    /* One call in eight is slow: the median's interval closes as calls accumulate. */
    const struct measure_options options = {
        .min_time_ns = 50, .max_time_ns = 1e9, .target_ci = 0.02, .max_iterations = 10000};
    RUN(1, options, 100, 104, 96, 112, 88, 103, 97, 400);
    cr_expect_eq(trial.ended_by, MEASURE_TARGET_REACHED);
    const struct measure_estimate *const estimate = &trial.within_process;
    cr_expect(estimate->coverage >= 0.95);
    cr_expect(0.02 * estimate->median >= (estimate->high - estimate->low) / 2);
    cr_expect(trial.count > 6 && trial.count < 500, "%d", (int)trial.count);
    const struct measure_estimate again = measure_estimate_median(trial.samples_ns, (size_t)trial.count, 0.95);
    cr_expect(again.median == estimate->median && again.low == estimate->low && again.high == estimate->high);
}

Test(trial, sets_take_turns_and_the_last_one_is_named) {
    const struct measure_options options = {
        .min_time_ns = 1e6, .max_time_ns = 1e9, .target_ci = 0.01, .max_iterations = 8};
    RUN(3, options, 10);
    cr_expect_eq(trial.count, 8);
    cr_expect_eq(trial.last_set, 7 % 3);
}

Test(trial, callbacks_may_be_missing) {
    const struct measure_options options = {
        .min_time_ns = 1, .max_time_ns = 100, .target_ci = 0.01, .max_iterations = 3};
    const struct attn_execution execution = {.threads = 1};
    const struct measure_subject subject = {
        .pass = &fake_pass, .problem = problems, .operands = operands, .set_count = 1, .execution = &execution};
    scene.duration_count = 1;
    measure_trial_run(&subject, &options, &trial);
    cr_expect_eq(trial.count, 3);
}

/* ---- stability ---- */

Test(trial, drift_between_the_halves_is_unstable) {
    const struct measure_options options = {
        .min_time_ns = 1e9, .max_time_ns = 1e12, .target_ci = 0.02, .max_iterations = 16};
    RUN(1, options, 100, 101, 100, 101, 100, 101, 100, 101, 120, 121, 120, 121, 120, 121, 120, 121);
    cr_expect(trial.unstable);
    for (int i = 1; i < 16; ++i)
        cr_expect(trial.sorted_ns[i - 1] <= trial.sorted_ns[i]);
}

Test(trial, drift_within_the_target_is_stable) {
    const struct measure_options options = {
        .min_time_ns = 1e9, .max_time_ns = 1e12, .target_ci = 0.02, .max_iterations = 16};
    RUN(1, options, 1000, 1001, 1000, 1001, 1000, 1001, 1000, 1001, 1010, 1011, 1010, 1011, 1010, 1011, 1010, 1011);
    cr_expect_not(trial.unstable);
}

Test(trial, wide_quartiles_are_unstable_and_a_lone_outlier_is_not) {
    const struct measure_options options = {
        .min_time_ns = 1e9, .max_time_ns = 1e12, .target_ci = 0.02, .max_iterations = 16};
    RUN(1, options, 100, 140);
    cr_expect(trial.unstable);
    RUN(1, options, 100, 101, 100, 101, 100, 9000, 100, 101, 100, 101, 100, 101, 100, 101, 100, 101);
    cr_expect_not(trial.unstable);
}

Test(trial, few_samples_are_judged_by_their_quartiles_alone) {
    struct measure_options options = {.min_time_ns = 1e9, .max_time_ns = 1e12, .target_ci = 0.02};
    for (options.max_iterations = 2; options.max_iterations < 8; ++options.max_iterations) {
        RUN(1, options, 100, 900);
        cr_expect(trial.unstable, "%d samples", (int)trial.count);
        RUN(1, options, 100, 120);
        cr_expect_not(trial.unstable, "%d samples", (int)trial.count);
    }
    options.max_iterations = 7;
    RUN(1, options, 100, 101, 100, 900, 100, 101, 100);
    cr_expect_not(trial.unstable, "a lone outlier");
    RUN(1, options, 100, 100, 100, 110, 110, 110, 110);
    cr_expect_not(trial.unstable, "halves of three have no quartiles worth the name");
    options.max_iterations = 1;
    RUN(1, options, 100);
    cr_expect_not(trial.unstable);
}

Test(trial, names_of_ends) {
    cr_expect_str_eq(measure_end_name(MEASURE_TARGET_REACHED), "target");
    cr_expect_str_eq(measure_end_name(MEASURE_TIME_CAP), "max_time");
    cr_expect_str_eq(measure_end_name(MEASURE_COUNT_CAP), "max_iterations");
    cr_expect_str_eq(measure_end_name((enum measure_end)99), "unknown");
}
