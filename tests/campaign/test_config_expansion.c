/* SPDX-License-Identifier: Apache-2.0 */
/* What a config means: lists, ranges, globs, tied axes, exclusion, defaults. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "config_fixture.h"

TestSuite(config_expansion, .init = fixture_open, .fini = fixture_close);

/* query_len of every point, in plan order, as "8,16,32". */
static const char *query_lens(const struct campaign_plan *plan) {
    static char text[512];
    text[0] = '\0';
    for (size_t n = 0; n < plan->point_count; ++n)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%lld", n ? "," : "",
                 (long long)plan->points[n].form.query_len);
    return text;
}

/* Likewise the variants, parameters and threads: "tiled(64)x1 parallel_heads()x4". */
static const char *runs(const struct campaign_plan *plan) {
    static char text[1024];
    text[0] = '\0';
    for (size_t n = 0; n < plan->point_count; ++n) {
        const struct campaign_point *const point = &plan->points[n];
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s(%lld,%lld)x%d", n ? " " : "", point->variant,
                 (long long)point->overrides[0], (long long)point->overrides[1], point->threads);
    }
    return text;
}

#define LENGTHS(values) "problem: {query_heads: 4, head_dim: 16}\nmatrix: {variant: tiled, query_len: " values "}\n"

Test(config_expansion, lists_and_ranges) {
    cr_expect_str_eq(query_lens(planned(LENGTHS("\"8,16, 32\""))), "8,16,32");
    cr_expect_str_eq(query_lens(planned(LENGTHS("[8, 16, 32]"))), "8,16,32");
    cr_expect_str_eq(query_lens(planned(LENGTHS("5-8"))), "5,6,7,8");
    cr_expect_str_eq(query_lens(planned(LENGTHS("8-64*2"))), "8,16,32,64");
    cr_expect_str_eq(query_lens(planned(LENGTHS("8-63*2"))), "8,16,32");
    cr_expect_str_eq(query_lens(planned(LENGTHS("64-512+192"))), "64,256,448");
    cr_expect_str_eq(query_lens(planned(LENGTHS("[1-3, 16-64*4, 100]"))), "1,2,3,16,64,100");
    cr_expect_str_eq(query_lens(planned(LENGTHS("1-max*2"))), "1,2,4");
    cr_expect_str_eq(query_lens(planned(LENGTHS("[max, 3-max]"))), "4,3"); /* 4 again is the same point */
}

Test(config_expansion, variants_stand_in_ladder_order) {
    cr_expect_str_eq(runs(planned(WITH_MATRIX("{variant: [\"parallel_*\", naive]}"))),
                     "naive(0,0)x1 parallel_heads(0,0)x1 parallel_splits(0,0)x1");
    cr_expect_str_eq(runs(planned(WITH_MATRIX("{variant: \"*tiled, naive\"}"))),
                     "naive(0,0)x1 tiled(0,0)x1 online_tiled(0,0)x1");
    cr_expect_eq(planned(WITH_MATRIX("{variant: \"*\"}"))->point_count, 5);
    cr_expect_eq(planned(WITH_MATRIX("{variant: [tiled, \"t*\", \"*\"]}"))->point_count, 5);
}

Test(config_expansion, variants_of_other_libraries_stand_behind_the_ladder) {
    const struct campaign_plan *const plan =
        planned(WITH_MATRIX("{variant: [\"peer:b-1.2\", naive, \"peer:a\", \"peer:b-1.2\"], threads: [1, 2]}"));
    const char *const wanted[] = {"naive", "peer:b-1.2", "peer:b-1.2", "peer:a", "peer:a"};
    cr_assert_eq(plan->point_count, sizeof wanted / sizeof *wanted);
    for (size_t n = 0; n < plan->point_count; ++n)
        cr_expect_str_eq(plan->points[n].variant, wanted[n]);
    expect_begins(refused(WITH_MATRIX("{variant: \"peer:*\"}")), "c.yaml:2:20: no variant matches 'peer:*'");
    expect_begins(refused(WITH_MATRIX("{variant: \"peer:\"}")), "c.yaml:2:20: unknown variant 'peer:'");
}

Test(config_expansion, serial_variants_keep_one_thread) {
    const struct campaign_plan *const plan =
        planned(WITH_MATRIX("{variant: [tiled, parallel_heads], threads: 1-max*2}"));
    cr_expect_str_eq(runs(plan), "tiled(0,0)x1 parallel_heads(0,0)x1 parallel_heads(0,0)x2 parallel_heads(0,0)x4");
    cr_expect_eq(plan->left_out_threads, 2);
    cr_expect_eq(plan->left_out_excluded, 0);
}

Test(config_expansion, dotted_axes_multiply_their_variant_alone) {
    cr_expect_str_eq(
        runs(planned(WITH_MATRIX("{variant: [naive, tiled, online_tiled], online_tiled.block_keys: [0, 64]}"))),
        "naive(0,0)x1 tiled(0,0)x1 online_tiled(0,0)x1 online_tiled(0,64)x1");
    cr_expect_str_eq(runs(planned(WITH_MATRIX("{variant: [naive, tiled, online_tiled], \"*tiled.block_keys\": 8-16*2, "
                                              "online_tiled.block_queries: [4, 5]}"))),
                     "naive(0,0)x1 tiled(8,0)x1 tiled(16,0)x1 online_tiled(4,8)x1 online_tiled(5,8)x1 "
                     "online_tiled(4,16)x1 online_tiled(5,16)x1");
    cr_expect_eq(planned(WITH_MATRIX("{variant: naive, tiled.block_keys: 1-64}"))->point_count, 1);
    /* Axes of different variants add up, they do not multiply each other beyond any bound. */
    cr_expect_eq(planned(WITH_MATRIX("{variant: [tiled, online_tiled, parallel_splits], tiled.block_keys: 1-400, "
                                     "online_tiled.block_queries: 1-500, parallel_splits.splits: 1-64}"))
                     ->point_count,
                 400 + 500 + 64);
}

Test(config_expansion, zip_walks_together) {
    const struct campaign_plan *plan = planned("problem: {query_heads: 4, head_dim: 16}\nmatrix: {variant: tiled}\n"
                                               "zip: {query_len: [8, 16, 32], batch: [4, 2, 1]}\n");
    cr_assert_eq(plan->point_count, 3);
    for (size_t n = 0; n < 3; ++n)
        cr_expect_eq(plan->points[n].form.query_len * plan->points[n].form.batch, 32);
    plan = planned("problem: {query_heads: 4, head_dim: 16}\nmatrix: {variant: tiled}\n"
                   "zip:\n  - {query_len: 8-32*2, seed: 1-3}\n  - {type: \"f32,bf16\", batch: [1, 2]}\n");
    cr_expect_eq(plan->point_count, 6);
    /* A tied parameter means nothing to the other variants: they are there once. */
    plan = planned(WITH_MATRIX("{variant: [naive, tiled]}") "zip: {tiled.block_keys: [8, 16], threads: [1, 1]}\n");
    cr_expect_str_eq(runs(plan), "naive(0,0)x1 tiled(8,0)x1 tiled(16,0)x1");
    cr_expect_eq(planned(WITH_MATRIX("{variant: tiled}") "zip: {}\n")->point_count, 1);
}

#define EXCLUDING(rules)                                                                                               \
    "problem: {query_heads: 4, head_dim: 16}\nmatrix: {variant: [naive, tiled], query_len: [8, 16, 32]}\n"             \
    "exclude: " rules "\n"

Test(config_expansion, exclude) {
    const struct campaign_plan *const plan = planned(EXCLUDING("[{variant: naive, query_len: \">8\"}]"));
    cr_expect_str_eq(query_lens(plan), "8,8,16,32");
    cr_expect_eq(plan->left_out_excluded, 2);
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{variant: naive, query_len: \">=16\"}"))), "8,8,16,32");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("[{query_len: \"<16\"}, {query_len: \"<= 16\", variant: tiled}]"))),
                     "16,32,32");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{query_len: \"!=16\"}"))), "16,16");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{query_len: \"!=8,16\"}"))), "8,8,16,16");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{query_len: [8, 32]}"))), "16,16");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{query_len: 8-16}"))), "32,32");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{variant: \"t*\"}"))), "8,16,32");
    cr_expect_str_eq(query_lens(planned(EXCLUDING("{key_len: 8}"))), "16,16,32,32"); /* after defaults */
    cr_expect_eq(
        planned(WITH_MATRIX(
                    "{variant: [naive, tiled], tiled.block_keys: [0, 8, 16]}") "exclude: {tiled.block_keys: \">8\"}\n")
            ->point_count,
        3);
}

Test(config_expansion, exclude_masks_and_names) {
    const char *const matrix = WITH_MATRIX("{variant: naive, mask: [none, causal=top_left, \"causal=top_left,alibi\"], "
                                           "type: [f32, bf16]}");
    char yaml[1024];
    const struct {
        const char *rule;
        size_t left;
    } rules[] = {{"{mask: causal=top_left}", 4}, {"{causal: top_left}", 2},    {"{alibi: true, type: f32}", 5},
                 {"{type: \"!=f32\"}", 3},       {"{mask: {alibi: true}}", 6}, {"{causal: \"!=none\", type: bf16}", 4}};
    for (size_t n = 0; n < sizeof rules / sizeof *rules; ++n) {
        snprintf(yaml, sizeof yaml, "%sexclude: %s\n", matrix, rules[n].rule);
        cr_expect_eq(planned(yaml)->point_count, rules[n].left, "%s: %zu", rules[n].rule, planned(yaml)->point_count);
    }
}

Test(config_expansion, masks_as_map_text_and_terms) {
    const char *const ways[] = {
        "problem: {query_len: 9, head_dim: 8, mask: {causal: bottom_right, window: [3, inf], alibi: true}}\n"
        "matrix: {variant: naive}\n",
        "problem: {query_len: 9, head_dim: 8, mask: \"alibi, window=3:inf,causal=bottom_right\"}\n"
        "matrix: {variant: naive}\n",
        "problem: {query_len: 9, head_dim: 8}\n"
        "matrix: {variant: naive, causal: bottom_right, window: [[3, inf]], alibi: true}\n",
        "problem: {query_len: 9, head_dim: 8, mask: {causal: top_left, window: 3:inf}}\n"
        "matrix: {variant: naive, causal: bottom_right, alibi: true}\n",
    };
    const struct campaign_plan *const first = planned(ways[0]);
    const struct check_mask_form *const mask = &first->points[0].form.mask;
    cr_expect(mask->causal && mask->alignment == ATTN_BOTTOM_RIGHT && mask->alibi && mask->windowed);
    cr_expect_eq(mask->window_left, 3);
    cr_expect_eq(mask->window_right, ATTN_UNBOUNDED);
    for (size_t n = 1; n < sizeof ways / sizeof *ways; ++n)
        cr_expect_str_eq(planned(ways[n])->points[0].id, first->points[0].id, "way %zu", n);
}

Test(config_expansion, every_mask_key) {
    const struct campaign_plan *const plan =
        planned("problem: {query_len: 9, head_dim: 8, mask: {lengths: ragged, bias: true, boolean: true, sinks: true, "
                "softcap: 30, query_start: 4, key_start: -1, dead_rows: true, dead_block: true, align: bottom_right}}\n"
                "matrix: {variant: naive, packed: [0]}\n");
    const struct check_mask_form *const mask = &plan->points[0].form.mask;
    cr_expect(mask->ragged && mask->bias && mask->boolean && mask->sinks && mask->shifted && mask->dead_rows &&
              mask->dead_block);
    cr_expect_eq(mask->softcap, 30.0);
    cr_expect_eq(mask->query_start, 4);
    cr_expect_eq(mask->key_start, -1);
    cr_expect_eq(mask->alignment, ATTN_BOTTOM_RIGHT);
    cr_expect_eq(planned("problem: {query_len: 9, head_dim: 8}\nmatrix: {variant: naive, packed: [0, 3]}\n")
                     ->points[1]
                     .form.mask.packed,
                 3);
}

Test(config_expansion, defaults) {
    const struct campaign_plan *const plan =
        planned("problem: {query_len: 9, query_heads: 3, head_dim: 8}\nmatrix: {variant: naive}\n");
    cr_assert_eq(plan->point_count, 1);
    const struct campaign_point *const point = &plan->points[0];
    cr_expect_eq(point->form.batch, 1);
    cr_expect_eq(point->form.key_heads, 3);
    cr_expect_eq(point->form.key_len, 9);
    cr_expect_eq(point->form.value_dim, 8);
    cr_expect_eq(point->form.seed, 1);
    cr_expect_eq(point->threads, 1);
    cr_expect_str_eq(point->isa, "baseline");
    cr_expect_str_eq(point->placement, "compact");
    cr_expect_not(point->cold);
    cr_expect_eq(point->baseline, -1);
    cr_expect_str_eq(plan->name, "c");
    cr_expect_eq(plan->invocations, 3);
    cr_expect_eq(plan->measure.min_time_ns, 200e6);
    cr_expect_eq(plan->measure.max_time_ns, 5e9);
    cr_expect_eq(plan->measure.target_ci, 0.02);
    cr_expect_eq(plan->measure.max_iterations, MEASURE_MAX_SAMPLES);
    cr_expect_eq(plan->timeout_s, 60.0);
    cr_expect_eq(plan->seed, 1);
    cr_expect_not(plan->peaks);
}

Test(config_expansion, measure_and_name) {
    const struct campaign_plan *const plan = planned("name: a_b-1.2\nquestion: \"Why?\"\n" WITH_MATRIX(
        "{variant: naive}") "measure: {invocations: 6, min_time: 1500us, max_time: 0.5 min, timeout: 40 s, target_ci: "
                            "0.1, "
                            "max_iterations: 7, seed: 9, peaks: true}\n");
    cr_expect_str_eq(plan->name, "a_b-1.2");
    cr_expect_str_eq(plan->question, "Why?");
    cr_expect_str_eq(plan->config_path, "c.yaml");
    cr_expect_eq(plan->invocations, 6);
    cr_expect_eq(plan->measure.min_time_ns, 1.5e6);
    cr_expect_eq(plan->measure.max_time_ns, 30e9);
    cr_expect_eq(plan->timeout_s, 40.0);
    cr_expect_eq(plan->measure.target_ci, 0.1);
    cr_expect_eq(plan->measure.max_iterations, 7);
    cr_expect_eq(plan->seed, 9);
    cr_expect(plan->peaks);
}

Test(config_expansion, isa_levels) {
    /* A level that machines know but this build or CPU may lack stays in the plan: SKIPPED when it is run. */
    const struct campaign_plan *plan = planned(WITH_MATRIX("{variant: naive, isa: [baseline, neon, avx512]}"));
    cr_assert_eq(plan->point_count, 3);
    cr_expect_str_eq(plan->points[1].isa, "neon");
    plan = planned(WITH_MATRIX("{variant: naive, isa: all}"));
    cr_assert_eq(plan->point_count, 1);
    cr_expect_str_eq(plan->points[0].isa, "baseline");
}

Test(config_expansion, captures_bring_their_shape) {
    char yaml[8192];
    snprintf(yaml, sizeof yaml,
             "inputs: {capture: %s, tensor: [paragraph/layer3, sentences/layer5]}\nmatrix: {variant: naive}\n",
             CAPTURE);
    const struct campaign_plan *const plan = planned(yaml);
    cr_assert_eq(plan->point_count, 2);
    cr_assert_eq(plan->block_count, 2);
    const struct check_form *const paragraph = &plan->points[0].form, *const sentences = &plan->points[1].form;
    cr_expect_eq(paragraph->query_len, 203);
    cr_expect_eq(paragraph->head_dim, 32);
    cr_expect_eq(sentences->batch, 12);
    cr_expect_eq(sentences->query_heads, 12);
    cr_expect_str_eq(plan->points[1].capture_tensor, "sentences/layer5");
    cr_expect_str_eq(plan->points[1].capture_path, CAPTURE);
    cr_expect_eq(plan->points[0].live_pairs, 12 * 203 * 203);
    cr_expect_lt(plan->points[1].live_pairs, 12 * 12 * 12 * 12); /* ragged: the lengths were read too */
    cr_expect_gt(plan->points[1].live_pairs, 0);
}

Test(config_expansion, cases_stand_side_by_side) {
    char yaml[8192];
    snprintf(yaml, sizeof yaml,
             "cases:\n  - inputs: {capture: %s, tensor: paragraph/layer3}\n"
             "  - {inputs: {pattern: needles, seed: 2}, problem: {query_len: 9, head_dim: 8}}\n"
             "matrix: {variant: [naive, tiled]}\n",
             CAPTURE);
    const struct campaign_plan *const plan = planned(yaml);
    cr_assert_eq(plan->point_count, 4);
    cr_expect_not_null(plan->points[0].capture_path);
    cr_expect_null(plan->points[2].capture_path);
    cr_expect_eq(plan->points[2].form.pattern, CHECK_NEEDLES);
    cr_expect_eq(plan->points[2].form.query_heads, 1);
}
