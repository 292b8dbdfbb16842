/* SPDX-License-Identifier: Apache-2.0 */
/* Exams of honest variants: accepted under every pattern and mask, skipped only with a reason. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/exam.h"
#include "machine/gemm.h"
#include "saboteurs.h"

static const char *const masks[] = {
    "none",
    "causal=top_left",
    "causal=bottom_right",
    "window=7:3",
    "causal=top_left,window=5:inf",
    "align=bottom_right,window=4:2,alibi",
    "lengths=ragged",
    "lengths=ragged,boolean,sinks",
    "packed=4",
    "packed=3,causal=bottom_right",
    "packed=5,window=3:1,sinks",
    "query_start=5,causal=top_left",
    "query_start=-9,key_start=3,causal=top_left",
    "query_start=-9,starts=ragged,causal=top_left",
    "alibi",
    "bias",
    "boolean",
    "sinks",
    "softcap=5",
    "dead_rows",
    "dead_block",
    "dead_rows,sinks",
    "causal=top_left,alibi,bias,boolean,sinks,softcap=20",
};
static const size_t mask_count = sizeof masks / sizeof *masks;

static struct check_form small_form(const char *mask, enum check_pattern pattern, enum attn_type type) {
    struct check_form form = {.batch = 2,
                              .query_heads = 4,
                              .key_heads = 2,
                              .query_len = 17,
                              .key_len = 35,
                              .head_dim = 9,
                              .value_dim = 5,
                              .type = type,
                              .lse = true,
                              .pattern = pattern,
                              .seed = 3};
    struct attn_error error = {0};
    cr_assert_eq(check_mask_parse(mask, &form.mask, &error), ATTN_OK, "%s", error.message);
    if (form.mask.packed > 0)
        form.batch = 1;
    return form;
}

static struct check_bench *bench_of(const struct check_form *form) {
    struct check_bench *bench;
    struct attn_error error = {0};
    cr_assert_eq(check_bench_create(form, 1, &bench, &error), ATTN_OK, "%s", error.message);
    return bench;
}

static const struct attn_variant *saboteur(const char *name) {
    const struct attn_variant *const variant = attn_registry_find(&saboteur_registry, name, "baseline");
    cr_assert_not_null(variant, "no saboteur %s", name);
    return variant;
}

/* Examines on a bench and returns the result; the status must be OK. */
static struct check_result examined(struct check_bench *bench, const struct attn_variant *variant, int threads) {
    struct check_result result;
    struct attn_error error = {0};
    const struct attn_execution execution = {
        .threads = threads, .caches = {.l1d_bytes = 32768, .l2_bytes = 1 << 20}, .sgemm = machine_gemm()};
    cr_assert_eq(check_exam_on(bench, variant, &execution, NULL, &result, &error), ATTN_OK, "%s", error.message);
    return result;
}

/* The ladder at its baseline level and the honest saboteur on one bench, with one thread and with three. */
static void expect_accepted(const struct check_form *form, const char *mask) {
    struct check_bench *const bench = bench_of(form);
    for (int v = -1; v < attn_registry.variant_count; ++v) {
        const struct attn_variant *const variant =
            v < 0 ? saboteur("honest") : attn_registry.variants[v * attn_registry.level_count];
        for (int threads = 1; threads <= (variant->traits & ATTN_PARALLEL ? 3 : 1); threads += 2) {
            const struct check_result result = examined(bench, variant, threads);
            cr_expect_neq(result.status, CHECK_REJECTED, "%s, %d threads, %s, %s, %s: %s", variant->name, threads,
                          attn_type_name(form->type), check_pattern_name(form->pattern), mask, result.reason);
            cr_expect(result.status != CHECK_SKIPPED || result.reason[0] != '\0');
            cr_expect(result.status != CHECK_SKIPPED || strcmp(variant->name, "naive") != 0, "naive: %s",
                      result.reason);
        }
    }
    check_bench_destroy(bench);
}

ParameterizedTestParameters(exam, honest_variants_are_accepted) {
    static int patterns[CHECK_PATTERN_COUNT];
    for (int n = 0; n < CHECK_PATTERN_COUNT; ++n)
        patterns[n] = n;
    return cr_make_param_array(int, patterns, CHECK_PATTERN_COUNT);
}

ParameterizedTest(int *pattern, exam, honest_variants_are_accepted, .timeout = 300) {
    for (size_t m = 0; m < mask_count; ++m)
        for (int type = ATTN_F32; type <= ATTN_F16; ++type) {
            const struct check_form form = small_form(masks[m], (enum check_pattern) * pattern, (enum attn_type)type);
            expect_accepted(&form, masks[m]);
        }
}

Test(exam, odd_sizes_are_accepted, .timeout = 300) {
    static const int64_t sizes[][4] = {/* query_len, key_len, head_dim, value_dim */
                                       {1, 1, 1, 1},     {1, 2, 1, 3},    {2, 1, 3, 1},     {1, 127, 7, 64},
                                       {64, 64, 64, 64}, {65, 63, 33, 7}, {63, 129, 8, 80}, {3, 257, 65, 1}};
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; ++n)
        for (size_t m = 0; m < mask_count; ++m) {
            struct check_form form = small_form(masks[m], CHECK_NEEDLES, n % 3);
            form.query_len = sizes[n][0];
            form.key_len = sizes[n][1];
            form.head_dim = sizes[n][2];
            form.value_dim = sizes[n][3];
            form.lse = n % 2;
            form.seed = n;
            expect_accepted(&form, masks[m]);
        }
}

Test(exam, a_serial_variant_gets_one_thread) {
    const struct check_form form = small_form("none", CHECK_NORMAL, ATTN_F32);
    struct check_bench *const bench = bench_of(&form);
    const struct check_result result = examined(bench, saboteur("honest"), 2);
    cr_expect_eq(result.status, CHECK_SKIPPED);
    cr_expect_str_eq(result.reason, "not parallel: one thread only");
    check_bench_destroy(bench);
}

Test(exam, an_objection_is_the_reason_to_skip) {
    const struct check_form form = small_form("none", CHECK_NORMAL, ATTN_F16);
    struct check_bench *const bench = bench_of(&form);
    const struct check_result result = examined(bench, saboteur("zeros"), 1);
    cr_expect_eq(result.status, CHECK_SKIPPED);
    cr_expect_str_eq(result.reason, "f32 only");
    check_bench_destroy(bench);
}

/* One bench serves good and bad variants in any order. */
Test(exam, a_bench_is_as_good_after_a_saboteur) {
    const struct check_form form = small_form("causal=bottom_right,boolean", CHECK_NEEDLES, ATTN_F32);
    struct check_bench *const bench = bench_of(&form);
    const struct check_result first = examined(bench, saboteur("honest"), 1);
    static const char *const bad[] = {"modifies_input", "modifies_mask", "remembers_keys", "writes_before_start",
                                      "leaves_unwritten"};
    for (size_t n = 0; n < sizeof bad / sizeof *bad; ++n) {
        cr_expect_eq(examined(bench, saboteur(bad[n]), 1).status, CHECK_REJECTED, "%s", bad[n]);
        const struct check_result again = examined(bench, saboteur("honest"), 1);
        cr_expect_eq(again.status, CHECK_ACCEPTED, "after %s: %s", bad[n], again.reason);
        cr_expect_eq(again.verdict.bound_fraction, first.verdict.bound_fraction);
    }
    check_bench_destroy(bench);
}

static void resolve_tiles(const struct attn_problem *problem, struct attn_execution *execution) {
    if (execution->parameters[0] == 0)
        execution->parameters[0] = problem->key_len;
}

static const struct attn_parameter tile_parameters[] = {
    {.name = "tile", .initial = 0, .min = 1, .max = 64, .meaning = "keys"},
    {.name = "depth", .initial = 3, .min = 2, .max = 4, .meaning = "levels"},
};
static const struct attn_variant tiled = {
    .name = "tiled", .parameters = tile_parameters, .parameter_count = 2, .resolve = resolve_tiles};

static enum attn_status resolved(int64_t key_len, int64_t tile, int64_t depth, struct attn_execution *execution,
                                 struct attn_error *error) {
    const struct attn_problem problem = {.key_len = key_len};
    const int64_t overrides[] = {tile, depth};
    *execution = (struct attn_execution){.threads = 1};
    return check_resolve(&tiled, &problem, overrides, execution, error);
}

Test(exam, parameters_are_resolved_and_their_ranges_checked) {
    struct attn_execution execution;
    struct attn_error error = {0};
    cr_expect_eq(resolved(50, 0, 0, &execution, &error), ATTN_OK);
    cr_expect(execution.parameters[0] == 50 && execution.parameters[1] == 3);
    cr_expect_eq(resolved(50, 7, 4, &execution, &error), ATTN_OK);
    cr_expect(execution.parameters[0] == 7 && execution.parameters[1] == 4);
    cr_expect_eq(resolved(50, 65, 0, &execution, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "tiled.tile is 65; it must be in 1..64"), "%s", error.message);
    cr_expect_eq(resolved(50, 0, -2, &execution, &error), ATTN_INVALID);
    cr_expect_eq(resolved(100, 0, 0, &execution, &error), ATTN_INTERNAL);
    cr_expect(strstr(error.message, "resolved tile to 100"), "%s", error.message);
}
