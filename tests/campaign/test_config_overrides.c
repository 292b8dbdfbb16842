/* SPDX-License-Identifier: Apache-2.0 */
/* What the environment, --set, --only, --quick and the words of `time` change, and which of them wins. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_fixture.h"

TestSuite(config_overrides, .init = fixture_open, .fini = fixture_close);

static struct campaign_plan *planned_setting(const char *yaml, const char *set) {
    return planned_with(yaml, &(struct campaign_options){.sets = &set, .set_count = 1});
}

static const char *refused_setting(const char *yaml, const char *set) {
    return refused_with(yaml, &(struct campaign_options){.sets = &set, .set_count = 1});
}

static const char *const simple = WITH_MATRIX("{variant: [naive, parallel_heads], threads: 1-max*2}");

Test(config_overrides, set_replaces_a_factor_wherever_it_stands) {
    cr_expect_eq(planned(simple)->point_count, 4);
    cr_expect_eq(planned_setting(simple, "threads=1")->point_count, 2);
    cr_expect_eq(planned_setting(simple, "matrix.threads=[1, 3]")->point_count, 3);
    cr_expect_eq(planned_setting(simple, "variant=*")->point_count, 9);
    cr_expect_eq(planned_setting(simple, "query_len=8,16")->point_count, 8);
    cr_expect_eq(planned_setting(simple, "problem.query_len=8")->points[0].form.query_len, 8);
    cr_expect_eq(planned_setting(simple, "seed=1-3")->point_count, 12);
    cr_expect_eq(planned_setting(simple, "problem.mask.causal=top_left")->points[0].form.mask.causal, true);
    cr_expect_eq(planned_setting(simple, "mask=[none, \"causal=top_left,alibi\"]")->block_count, 2);
    cr_expect_eq(planned_setting(simple, "exclude=[{variant: naive}]")->point_count, 3);
    cr_expect_eq(planned_setting(simple, "parallel_splits.splits=2")->point_count, 4);
    cr_expect_eq(planned_setting(simple, "measure.seed=5")->seed, 5);
    cr_expect_eq(planned_setting(simple, "min_time=3 ms")->measure.min_time_ns, 3e6);
    cr_expect_str_eq(planned_setting(simple, "name=other")->name, "other");
    cr_expect_eq(
        planned_setting(WITH_MATRIX("{variant: parallel_heads}") "zip: {threads: [1, 2], batch: [1, 2]}\n", "threads=1")
            ->point_count,
        2);
}

Test(config_overrides, set_complains_with_its_own_text) {
    expect_only(refused_setting(simple, "thread=1"), "--set thread=1: unknown key 'thread'; did you mean 'threads'?");
    expect_only(refused_setting(simple, "threads=0"), "--set threads=0: threads is 0; it must be in 1..1024");
    expect_only(refused_setting(simple, "threads"), "--set threads: is no assignment; write key=value");
    expect_only(refused_setting(simple, "min_time=3"),
                "--set min_time=3: min_time is '3'; write a time with its unit, such as 200 ms");
    expect_only(refused_setting(simple, "tiled.block_key=3"),
                "--set tiled.block_key=3: unknown tiled parameter 'block_key'; did you mean 'block_keys'?");
    expect_begins(refused_setting(simple, "mask=[none"), "--set mask=[none: not valid YAML: ");
    expect_only(refused_setting("problem: {query_len: 8, head_dim: 8, mask: alibi}\nmatrix: {variant: naive}\n",
                                "problem.mask.bias=true"),
                "--set problem.mask.bias=true: mask is text in the config; set the whole of it");
}

Test(config_overrides, a_capture_is_replaced_in_its_case) {
    char yaml[8192];
    snprintf(yaml, sizeof yaml,
             "cases:\n  - inputs: {capture: %s, tensor: [paragraph/layer3, sentences/layer5]}\n"
             "  - problem: {query_len: 9, head_dim: 8}\nmatrix: {variant: naive}\n",
             CAPTURE);
    cr_expect_eq(planned(yaml)->point_count, 3);
    cr_expect_eq(planned_setting(yaml, "tensor=sentences/layer5")->point_count, 2);
}

Test(config_overrides, only) {
    const struct campaign_plan *const plan =
        planned_with(simple, &(struct campaign_options){.only = "heads.*threads=(2|4)"});
    cr_expect_eq(plan->point_count, 2);
    cr_expect_eq(plan->left_out_excluded, 2);
    expect_begins(refused_with(simple, &(struct campaign_options){.only = "flash"}), "--only: no point is left: ");
    cr_expect_eq(planned_with(WITH_MATRIX("{variant: [naive, tiled]}") "only: naive\n",
                              &(struct campaign_options){.only = "^tiled/baseline/threads=1"})
                     ->point_count,
                 1);
}

Test(config_overrides, quick) {
    const struct campaign_plan *const plan = planned_with(simple, &(struct campaign_options){.quick = true});
    cr_expect_eq(plan->invocations, 1);
    cr_expect_lt(plan->measure.max_time_ns, 1e9);
    const char *const set = "invocations=2";
    cr_expect_eq(
        planned_with(simple, &(struct campaign_options){.quick = true, .sets = &set, .set_count = 1})->invocations, 2);
}

Test(config_overrides, environment) {
    const char *const yaml = WITH_MATRIX("{variant: naive, seed: [1, 2]}") "measure: {invocations: 4}\n";
    cr_expect_eq(planned(yaml)->invocations, 4);
    setenv("ATTNBENCH_MEASURE_INVOCATIONS", "5", 1);
    setenv("ATTNBENCH_PROBLEM_QUERY_LEN", "48", 1);
    setenv("ATTNBENCH_INPUTS_SEED", "9", 1);
    setenv("ATTNBENCH_LIBRARY", "somebody else's", 1);
    const struct campaign_plan *const plan = planned(yaml);
    cr_expect_eq(plan->invocations, 5);
    cr_assert_eq(plan->point_count, 1);
    cr_expect_eq(plan->points[0].form.query_len, 48);
    cr_expect_eq(plan->points[0].form.seed, 9);
    cr_expect_eq(planned_setting(yaml, "invocations=6")->invocations, 6);
    setenv("ATTNBENCH_MEASURE_INVOCATIONS", "none", 1);
    expect_only(refused(yaml), "ATTNBENCH_MEASURE_INVOCATIONS: invocations is 'none'; it must be a whole number in "
                               "1..1000");
    unsetenv("ATTNBENCH_MEASURE_INVOCATIONS");
    setenv("ATTNBENCH_MEASRUE_SEED", "1", 1);
    expect_only(refused(yaml), "ATTNBENCH_MEASRUE_SEED: unknown variable; did you mean 'ATTNBENCH_MEASURE_SEED'?");
    unsetenv("ATTNBENCH_MEASRUE_SEED");
    setenv("ATTNBENCH_MEASURE_SEEED", "1", 1);
    expect_only(refused(yaml), "ATTNBENCH_MEASURE_SEEED: unknown key 'seeed'; did you mean 'seed'?");
}

Test(config_overrides, words) {
    const char *const words[] = {"query_len=64,128",
                                 "head_dim=16",
                                 "causal=top_left",
                                 "threads=1-2",
                                 "block_keys=64",
                                 "pattern=needles",
                                 "seed=3",
                                 "min_time=2ms",
                                 "type=bf16",
                                 "measure.seed=8",
                                 NULL};
    const struct campaign_plan *const plan = planned_words("online_tiled", words);
    cr_assert_eq(plan->point_count, 2);
    cr_expect_eq(plan->left_out_threads, 2);
    const struct campaign_point *const point = &plan->points[1];
    cr_expect_str_eq(point->variant, "online_tiled");
    cr_expect_eq(point->form.query_len, 128);
    cr_expect_eq(point->overrides[0], 0);
    cr_expect_eq(point->overrides[1], 64);
    cr_expect(point->form.mask.causal);
    cr_expect_eq(point->form.pattern, CHECK_NEEDLES);
    cr_expect_eq(point->form.type, ATTN_BF16);
    cr_expect_eq(point->form.seed, 3);
    cr_expect_eq(plan->seed, 8);
    cr_expect_eq(plan->measure.min_time_ns, 2e6);
    cr_expect_str_eq(plan->name, "time");
    cr_expect_str_eq(plan->config_path, "");
    cr_expect_eq(
        planned_words("*tiled", (const char *const[]){"query_len=8", "head_dim=8", "block_keys=8", NULL})->point_count,
        2);
    cr_expect_eq(planned_words("tiled", (const char *const[]){"query_len=8", "head_dim=8", "tiled.block_keys=8", NULL})
                     ->points[0]
                     .overrides[0],
                 8);
}

Test(config_overrides, wrong_words) {
    expect_only(refused_words("nave", (const char *const[]){"query_lenn=64", "head_dim=16x", NULL}),
                "query_lenn=64: unknown key 'query_lenn'; did you mean 'query_len'?\n"
                "time nave: unknown variant 'nave'; did you mean 'naive'?\n"
                "head_dim=16x: head_dim is '16x'; write whole numbers: 4, 1-8, 1-16*2, 64-512+64, max (allowed cores)");
    expect_only(refused_words("naive", (const char *const[]){"head_dim=16", NULL}),
                "time naive: the problem has no query_len; give one, such as query_len: 1024");
    expect_only(refused_words("tiled", (const char *const[]){"query_len=8", "head_dim=8", "block_key=4", NULL}),
                "block_key=4: unknown key 'block_key'; did you mean 'block_keys'?");
}
