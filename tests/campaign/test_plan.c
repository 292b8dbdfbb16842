/* SPDX-License-Identifier: Apache-2.0 */
/* Ids, blocks, orders, baselines, estimates. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "config_fixture.h"

TestSuite(plan, .init = fixture_open, .fini = fixture_close);

static const char *const sweep = "name: sweep\nquestion: how?\nproblem: {query_heads: 4, head_dim: 16}\n"
                                 "matrix: {variant: \"*\", query_len: [8, 16, 32], threads: [1, 2], type: [f32, bf16], "
                                 "tiled.block_keys: [0, 8], cache: [warm, cold]}\n"
                                 "measure: {invocations: 5, seed: 3}\nbaseline: naive\n";

static const struct campaign_point *find_id(const struct campaign_plan *plan, const char *id) {
    for (size_t n = 0; n < plan->point_count; ++n)
        if (strcmp(plan->points[n].id, id) == 0)
            return &plan->points[n];
    return NULL;
}

Test(plan, ids_are_distinct) {
    const struct campaign_plan *const plan = planned(sweep);
    cr_assert_eq(plan->point_count, 3 * 2 * 2 * (1 + 2 + 1 + 2 + 2));
    for (size_t n = 0; n < plan->point_count; ++n)
        cr_expect_eq(find_id(plan, plan->points[n].id), &plan->points[n]);
}

Test(plan, ids_do_not_depend_on_how_a_config_is_written) {
    const struct campaign_plan *const plan = planned(sweep);
    const struct campaign_plan *const other = planned(
        "matrix: {cache: [cold, warm], tiled.block_keys: [8, 0], type: \"bf16,f32\", threads: 1-2, seed: [7, 1], "
        "query_len: [64, 8-32*2], variant: [\"parallel_*\", tiled, online_tiled, naive]}\n"
        "problem: {head_dim: 16, value_dim: 16, key_heads: 4, query_heads: 4, scale: 0.25, mask: none}\n"
        "placement: compact\n");
    for (size_t n = 0; n < plan->point_count; ++n) {
        const struct campaign_point *const same = find_id(other, plan->points[n].id);
        cr_assert_not_null(same, "point %zu is gone", n);
        cr_expect_eq(same->form.query_len, plan->points[n].form.query_len);
        cr_expect_str_eq(same->variant, plan->points[n].variant);
    }
    cr_expect_gt(other->point_count, plan->point_count); /* other points beside them change nothing */
}

Test(plan, points_stand_in_the_same_order_however_axes_are_listed) {
    const struct campaign_plan *const plan =
        planned("problem: {head_dim: 16}\nmatrix: {query_len: [8, 16], variant: \"*\", tiled.block_keys: [0, 8], "
                "cache: [warm, cold], threads: [1, 2], type: [f32, bf16]}\n");
    const struct campaign_plan *const other =
        planned("matrix: {type: [f32, bf16], threads: [1, 2], cache: [warm, cold], tiled.block_keys: [0, 8], "
                "variant: \"*\", query_len: [8, 16]}\nproblem: {head_dim: 16}\n");
    cr_assert_eq(other->point_count, plan->point_count);
    for (size_t n = 0; n < plan->point_count; ++n)
        cr_expect_str_eq(other->points[n].id, plan->points[n].id);
}

Test(plan, ids_change_with_every_factor) {
    const char *const changes[] = {"batch=2",       "query_heads=8",      "key_heads=2",        "query_len=33",
                                   "key_len=31",    "head_dim=8",         "value_dim=8",        "scale=0.5",
                                   "type=f16",      "lse=true",           "mask=alibi",         "pattern=needles",
                                   "seed=2",        "placement=spread",   "cache=cold",         "isa=avx2",
                                   "variant=naive", "tiled.block_keys=8", "layout=interleaved", "causal=top_left"};
    const char *const yaml = WITH_MATRIX("{variant: tiled}");
    char ids[32][RECORD_ID_CHARS + 1];
    strcpy(ids[0], planned(yaml)->points[0].id);
    const size_t count = sizeof changes / sizeof *changes;
    for (size_t n = 0; n < count; ++n) {
        strcpy(ids[n + 1],
               planned_with(yaml, &(struct campaign_options){.sets = &changes[n], .set_count = 1})->points[0].id);
        for (size_t m = 0; m <= n; ++m)
            cr_expect_str_neq(ids[n + 1], ids[m], "%s", changes[n]);
    }
}

Test(plan, blocks_share_inputs_and_stand_together) {
    const struct campaign_plan *const plan =
        planned("problem: {query_heads: 4, head_dim: 16}\nmatrix: {variant: \"*\", query_len: [8, 16]}\n"
                "zip: {threads: [1, 2, 1], seed: [1, 1, 2]}\n"); /* the blocks of seed 1 come apart */
    cr_assert_eq(plan->block_count, 4);
    int block = 0;
    for (size_t n = 0; n < plan->point_count; ++n) {
        const struct campaign_point *const point = &plan->points[n];
        cr_assert(point->block == block || point->block == block + 1);
        const bool same = n > 0 && plan->points[n - 1].form.query_len == point->form.query_len &&
                          plan->points[n - 1].form.seed == point->form.seed;
        cr_expect_eq(same, n > 0 && point->block == block);
        block = point->block;
    }
    cr_expect_eq(block, 3);
}

Test(plan, orders_are_permutations_with_whole_blocks) {
    const struct campaign_plan *const plan = planned(sweep);
    const size_t count = plan->point_count;
    cr_assert_eq(plan->invocations, 5);
    for (int invocation = 0; invocation < plan->invocations; ++invocation) {
        const uint32_t *const order = plan->order + (size_t)invocation * count;
        bool *const seen = calloc(count, 1), *const closed = calloc(plan->block_count, 1);
        for (size_t position = 0; position < count; ++position) {
            cr_assert_lt(order[position], count);
            cr_expect_not(seen[order[position]]);
            seen[order[position]] = true;
            const int block = plan->points[order[position]].block;
            cr_expect_not(closed[block], "block %d comes twice", block);
            if (position + 1 < count && plan->points[order[position + 1]].block != block)
                closed[block] = true;
        }
        free(seen);
        free(closed);
        for (int earlier = 0; earlier < invocation; ++earlier)
            cr_expect_neq(memcmp(order, plan->order + (size_t)earlier * count, count * sizeof *order), 0);
    }
}

Test(plan, blocks_are_shuffled_too) {
    const struct campaign_plan *const plan =
        planned("problem: {head_dim: 16}\nmatrix: {variant: [naive, tiled], query_len: 1-50}\n");
    size_t in_place = 0;
    for (size_t position = 0; position < plan->point_count; ++position)
        in_place += (size_t)plan->points[plan->order[position]].block == position / 2;
    cr_expect_lt(in_place, plan->point_count / 2, "%zu of 100 points stand in their block's old place", in_place);
}

Test(plan, orders_follow_the_seed_alone) {
    const struct campaign_plan *const plan = planned(sweep), *const again = planned(sweep);
    const size_t bytes = (size_t)plan->invocations * plan->point_count * sizeof *plan->order;
    cr_expect_eq(memcmp(plan->order, again->order, bytes), 0);
    const char *const set = "measure.seed=4";
    const struct campaign_plan *const other =
        planned_with(sweep, &(struct campaign_options){.sets = &set, .set_count = 1});
    cr_expect_neq(memcmp(plan->order, other->order, bytes), 0);
}

Test(plan, first_places_are_shared_fairly) {
    const struct campaign_plan *const plan = planned(WITH_MATRIX("{variant: \"*\"}") "measure: {invocations: 1000}\n");
    int first[5] = {0};
    for (size_t invocation = 0; invocation < 1000; ++invocation)
        ++first[plan->order[invocation * 5]];
    for (int n = 0; n < 5; ++n) /* 200 expected; five standard deviations are 63 */
        cr_expect(first[n] > 137 && first[n] < 263, "point %d comes first %d times", n, first[n]);
}

Test(plan, baselines) {
    const struct campaign_plan *const plan = planned(sweep);
    for (size_t n = 0; n < plan->point_count; ++n) {
        const struct campaign_point *const point = &plan->points[n];
        cr_assert_geq(point->baseline, 0);
        const struct campaign_point *const base = &plan->points[point->baseline];
        cr_expect_str_eq(base->variant, "naive");
        cr_expect_eq(base->threads, 1);
        cr_expect_eq(base->block, point->block);
        cr_expect_eq(base->cold, point->cold);
    }
    cr_expect_eq(campaign_plan_estimate(plan).without_baseline, 0);
    const struct campaign_plan *const tuned =
        planned(WITH_MATRIX("{variant: [tiled, parallel_heads], tiled.block_keys: [8, 0], placement: [spread, "
                            "compact]}") "baseline: tiled\n");
    for (size_t n = 0; n < tuned->point_count; ++n) {
        const struct campaign_point *const base = &tuned->points[tuned->points[n].baseline];
        cr_expect_eq(base->overrides[0], 0, "the untuned point is the baseline");
        cr_expect_str_eq(base->placement, tuned->points[n].placement);
    }
    const struct campaign_plan *const parallel =
        planned(WITH_MATRIX("{variant: [tiled, parallel_heads], threads: [4, 2, 1]}") "baseline: parallel_heads\n");
    for (size_t n = 0; n < parallel->point_count; ++n)
        cr_expect_eq(parallel->points[parallel->points[n].baseline].threads, 1);
    const struct campaign_plan *const partial =
        planned("problem: {head_dim: 16}\nmatrix: {variant: [naive, tiled], query_len: [8, 16]}\nbaseline: naive\n"
                "exclude: {variant: naive, query_len: 16}\n");
    cr_expect_eq(campaign_plan_estimate(partial).without_baseline, 1);
}

Test(plan, estimates) {
    const struct campaign_plan *const plan =
        planned("problem: {query_heads: 2, head_dim: 16}\nmatrix: {variant: [naive, tiled], query_len: [8, 1024]}\n"
                "measure: {invocations: 2, min_time: 100 ms, max_time: 1 s}\n");
    const struct campaign_estimate estimate = campaign_plan_estimate(plan);
    cr_expect_eq(estimate.points, 4);
    cr_expect_eq(estimate.blocks, 2);
    /* q, k, v, out of 2 x 1024 x 16 floats; naive stores one head's scores. */
    cr_expect_eq(estimate.peak_bytes, 4.0 * 2 * 1024 * 16 * 4 + 1024.0 * 1024 * 4);
    cr_expect_geq(estimate.least_s, 2 * 4 * 0.1);
    cr_expect_lt(estimate.least_s, estimate.most_s);
    cr_expect_leq(estimate.most_s, 2 * (4 * 1.5 + 1));
    cr_expect_eq(plan->points[0].flops, 2.0 * 8 * 8 * (2 * 16 + 2 * 16));
    cr_expect_eq(plan->points[0].live_pairs, 2 * 8 * 8);
}

Test(plan, cold_points_count_all_their_sets) {
    const struct campaign_plan *const plan = planned(WITH_MATRIX("{variant: tiled, cache: [warm, cold]}"));
    const double last_level = (double)machine_topology_caches(fake_topology).l3_bytes;
    cr_expect_gt(plan->points[1].memory_bytes, 2 * last_level);
    cr_expect_lt(plan->points[0].memory_bytes, last_level);
}

Test(plan, labels) {
    char label[CAMPAIGN_LABEL_BYTES];
    const struct campaign_plan *plan = planned(WITH_MATRIX("{variant: parallel_heads, threads: 2}"));
    campaign_point_label(&plan->points[0], &fake_registry, label);
    cr_expect_str_eq(
        label, "parallel_heads/baseline/threads=2/compact/batch=1/query_heads=4/query_len=32/head_dim=16/f32/normal");
    plan = planned(WITH_MATRIX("{variant: tiled, tiled.block_keys: 8, cache: cold, key_len: 5, mask: causal=top_left, "
                               "seed: 4, type: bf16, pattern: needles, lse: true}"));
    campaign_point_label(&plan->points[0], &fake_registry, label);
    cr_expect_str_eq(label, "tiled/baseline/threads=1/compact/cold/batch=1/query_heads=4/query_len=32/key_len=5/"
                            "head_dim=16/bf16/lse=true/causal=top_left/needles/seed=4/block_keys=8");
}
