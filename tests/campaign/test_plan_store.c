/* SPDX-License-Identifier: Apache-2.0 */
/* A plan through its stored form and through its resolved config. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_fixture.h"

TestSuite(plan_store, .init = fixture_open, .fini = fixture_close);

static void expect_same_point(const struct campaign_point *a, const struct campaign_point *b) {
    char a_label[CAMPAIGN_LABEL_BYTES], b_label[CAMPAIGN_LABEL_BYTES];
    campaign_point_label(a, &fake_registry, a_label);
    campaign_point_label(b, &fake_registry, b_label);
    cr_expect_str_eq(a_label, b_label);
    cr_expect_str_eq(a->id, b->id);
    cr_expect_eq(a->form.scale, b->form.scale);
    cr_expect_eq(a->form.seed, b->form.seed);
    cr_expect_eq(a->block, b->block);
    cr_expect_eq(a->baseline, b->baseline);
    cr_expect_eq(a->flops, b->flops);
    cr_expect_eq(a->min_bytes, b->min_bytes);
    cr_expect_eq(a->live_pairs, b->live_pairs);
    cr_expect_eq(a->memory_bytes, b->memory_bytes);
    cr_expect_eq(memcmp(a->overrides, b->overrides, sizeof a->overrides), 0);
    cr_expect_eq(!a->capture_path, !b->capture_path);
    if (a->capture_path && b->capture_path) {
        cr_expect_str_eq(a->capture_path, b->capture_path);
        cr_expect_str_eq(a->capture_digest, b->capture_digest);
        cr_expect_str_eq(a->capture_tensor, b->capture_tensor);
    }
}

static void expect_same_plan(const struct campaign_plan *a, const struct campaign_plan *b) {
    cr_expect_str_eq(a->name, b->name);
    cr_expect_str_eq(a->question, b->question);
    cr_expect_eq(a->invocations, b->invocations);
    cr_expect_eq(a->seed, b->seed);
    cr_expect_eq(a->timeout_s, b->timeout_s);
    cr_expect_eq(a->measure.min_time_ns, b->measure.min_time_ns);
    cr_expect_eq(a->measure.max_time_ns, b->measure.max_time_ns);
    cr_expect_eq(a->measure.target_ci, b->measure.target_ci);
    cr_expect_eq(a->measure.max_iterations, b->measure.max_iterations);
    cr_expect_eq(a->peaks, b->peaks);
    cr_expect_eq(a->block_count, b->block_count);
    cr_assert_eq(a->point_count, b->point_count);
    for (size_t n = 0; n < a->point_count; ++n)
        expect_same_point(&a->points[n], &b->points[n]);
    cr_expect_eq(memcmp(a->order, b->order, (size_t)a->invocations * a->point_count * sizeof *a->order), 0);
}

static const char *rich(void) {
    static char yaml[8192];
    snprintf(
        yaml, sizeof yaml,
        "name: rich\nquestion: \"what \\\"is\\\" stored?\"\ncases:\n"
        "  - {inputs: {capture: %s, tensor: [paragraph/layer3, sentences/layer5], seed: 4}, problem: {scale: 0.1}}\n"
        "  - problem: {query_len: 24, head_dim: 8, batch: 3, query_heads: 4, key_heads: 2, mask: {causal: "
        "bottom_right, window: [7, inf], softcap: 12.5, query_start: -3, lengths: ragged, sinks: true}}\n"
        "matrix: {variant: [naive, tiled, parallel_splits], type: [f32, f16], cache: [warm, cold], "
        "\"*tiled.block_keys\": [0, 8]}\n"
        "zip: {threads: [1, 3], parallel_splits.splits: [2, 4]}\n"
        "exclude: [{type: f16, cache: cold}, {variant: naive, query_len: \"<=24\"}]\n"
        "measure: {invocations: 2, min_time: 1.5 ms, target_ci: 0.013, max_iterations: 77, seed: 11, peaks: true}\n"
        "placement: spread\nbaseline: tiled\nonly: \"tiled|splits|naive\"\n",
        CAPTURE);
    return yaml;
}

Test(plan_store, store_and_load_lose_nothing) {
    const struct campaign_plan *const plan = planned(rich());
    struct record_plan stored;
    struct campaign_plan *loaded;
    struct attn_error error;
    cr_assert_gt(plan->point_count, 20);
    cr_assert_eq(campaign_plan_store(plan, &fake_registry, &stored, &error), ATTN_OK);
    cr_assert_eq(record_plan_write("plan.json", &stored, &error), ATTN_OK);
    record_plan_release(&stored);
    cr_assert(record_plan_read("plan.json", &stored, &error) == ATTN_OK, "%s", error.message);
    remove("plan.json");
    cr_assert(campaign_plan_load(&stored, &fake_registry, &loaded, &error) == ATTN_OK, "%s", error.message);
    expect_same_plan(plan, loaded);
    cr_expect_str_eq(loaded->config_path, "c.yaml");
    cr_expect_str_eq(loaded->baseline, "tiled");
    cr_expect_eq(loaded->left_out_threads, plan->left_out_threads);
    cr_expect_eq(loaded->left_out_excluded, plan->left_out_excluded);
    cr_expect_null(campaign_config_resolved(loaded));
    const char *const columns[] = {"variant",   "isa",        "threads", "query_len",  "scale",
                                   "mask",      "capture",    "tensor",  "parameters", "flops",
                                   "min_bytes", "live_pairs", "label",   "block",      "baseline"};
    for (size_t n = 0; n < sizeof columns / sizeof *columns; ++n)
        cr_expect_not_null(record_find(&stored.points[0].factors, columns[n]), "%s", columns[n]);
    campaign_plan_free(loaded);
    record_plan_release(&stored);
}

/* Plans of the time before peaks were a thing to ask for. */
Test(plan_store, a_plan_that_does_not_speak_of_peaks_asks_for_none) {
    const struct campaign_plan *const plan = planned(rich());
    struct record_plan stored;
    struct campaign_plan *loaded;
    struct attn_error error;
    cr_assert(plan->peaks);
    cr_assert_eq(campaign_plan_store(plan, &fake_registry, &stored, &error), ATTN_OK);
    for (size_t n = 0; n < stored.header.count; ++n)
        if (!strcmp(stored.header.items[n].name, "peaks"))
            strcpy(stored.header.items[n].name, "another");
    cr_assert(campaign_plan_load(&stored, &fake_registry, &loaded, &error) == ATTN_OK, "%s", error.message);
    cr_expect_not(loaded->peaks);
    campaign_plan_free(loaded);
    record_plan_release(&stored);
}

Test(plan_store, load_refuses_what_is_gone) {
    const struct campaign_plan *const plan = planned(WITH_MATRIX("{variant: [naive, tiled], tiled.block_keys: 8}"));
    struct record_plan stored;
    struct campaign_plan *loaded;
    struct attn_error error;
    cr_assert_eq(campaign_plan_store(plan, &fake_registry, &stored, &error), ATTN_OK);
    const struct attn_registry shorter = {.variant_count = 1,
                                          .level_count = fake_registry.level_count,
                                          .levels = fake_registry.levels,
                                          .variants = fake_registry.variants};
    cr_expect_eq(campaign_plan_load(&stored, &shorter, &loaded, &error), ATTN_INVALID);
    cr_expect_not_null(strstr(error.message, "has no variant that this build knows: tiled"), "%s", error.message);
    stored.points[1].factors.items[0].kind = RECORD_REAL;
    cr_expect_eq(campaign_plan_load(&stored, &fake_registry, &loaded, &error), ATTN_INVALID);
    stored.points[1].factors.items[0].kind = RECORD_TEXT;
    stored.order[0] = 99;
    cr_expect_eq(campaign_plan_load(&stored, &fake_registry, &loaded, &error), ATTN_INVALID);
    cr_expect_null(loaded);
    record_plan_release(&stored);
}

Test(plan_store, the_resolved_config_plans_the_same_again) {
    const struct campaign_plan *const plan = planned(rich());
    char *const resolved = campaign_config_resolved(plan);
    cr_assert_not_null(resolved);
    const struct campaign_plan *const again = planned(resolved);
    expect_same_plan(plan, again);
    char *const twice = campaign_config_resolved(again);
    cr_expect_str_eq(twice, resolved);
    free(twice);
    free(resolved);
}
