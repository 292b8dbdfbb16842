/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes that kernels get wrong and grids of small sizes do not contain: many ratios of query heads to KV heads, head
 * dimensions between powers of two, very long keys, sequences of no and one position, maxima that rise or fall all the
 * way, blocks of queries wider than blocks of keys. For the variant that $VARIANT names, at every ISA level. */
#include <criterion/criterion.h>

#include "check/exam.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "machine/topology.h"

static struct attn_caches caches(void) {
    struct machine_topology *topology;
    cr_assert_eq(machine_topology_load(&topology, NULL), ATTN_OK);
    const struct attn_caches found = machine_topology_caches(topology);
    machine_topology_free(topology);
    return found;
}

static int64_t value_of(const struct attn_parameter *parameter, const char *overrides[][2], int count) {
    for (int n = 0; n < count; ++n)
        if (!strcmp(parameter->name, overrides[n][0]))
            return strtoll(overrides[n][1], NULL, 10);
    return 0;
}

/* The exam of one variant on a form, with up to two parameters set where the variant has them. */
static void examine(struct check_bench *bench, const struct check_form *form, const struct attn_variant *variant,
                    const char *level, const char *overrides[][2], int count) {
    int64_t values[ATTN_MAX_PARAMETERS] = {0};
    for (int n = 0; n < variant->parameter_count; ++n)
        values[n] = value_of(&variant->parameters[n], overrides, count);
    const struct attn_execution execution = {
        .threads = variant->traits & ATTN_PARALLEL ? 2 : 1, .caches = caches(), .sgemm = machine_gemm()};
    struct check_result result = {0};
    struct attn_error error = {0};
    cr_assert_eq(check_exam_on(bench, variant, &execution, values, &result, &error), ATTN_OK, "%s", error.message);
    cr_expect_neq(result.status, CHECK_REJECTED, "%s at %s, %s %s, heads %d/%d, lengths %d/%d, dims %d/%d: %s",
                  variant->name, level, attn_type_name(form->type),
                  form->direction == ATTN_BACKWARD ? "backward" : "forward", (int)form->query_heads,
                  (int)form->key_heads, (int)form->query_len, (int)form->key_len, (int)form->head_dim,
                  (int)form->value_dim, result.reason);
}

/* The variant under test as compiled for the first level. */
static const struct attn_variant *subject(void) {
    const char *const name = getenv("VARIANT");
    cr_assert_not_null(name, "VARIANT names the variant to test");
    const struct attn_variant *const variant = attn_registry_find(&attn_registry, name, attn_registry.levels[0]);
    cr_assert_not_null(variant, "no variant %s", name);
    return variant;
}

static void examine_levels(struct check_form form, const char *mask, const char *overrides[][2], int count) {
    struct attn_error error = {0};
    struct check_bench *bench;
    if (form.direction == ATTN_BACKWARD && !subject()->backward.run)
        return;
    cr_assert_eq(check_mask_parse(mask, &form.mask, &error), ATTN_OK, "%s", error.message);
    form.lse = true;
    form.seed = 7;
    cr_assert_eq(check_bench_create(&form, 2, &bench, &error), ATTN_OK, "%s", error.message);
    for (int level = 0; level < attn_registry.level_count; ++level) {
        const char *const name = attn_registry.levels[level];
        if (!machine_isa_objection(name))
            examine(bench, &form, attn_registry_find(&attn_registry, subject()->name, name), name, overrides, count);
    }
    check_bench_destroy(bench);
}

static const enum attn_type types[] = {ATTN_F32, ATTN_BF16, ATTN_F16};

Test(shapes, grouped_heads, .timeout = 120) {
    static const int64_t ratios[] = {1, 3, 5, 8, 20};
    for (size_t n = 0; n < sizeof ratios / sizeof *ratios; ++n)
        for (int direction = ATTN_FORWARD; direction <= ATTN_BACKWARD; ++direction) {
            struct check_form form = {.batch = 1,
                                      .query_heads = 2 * ratios[n],
                                      .key_heads = 2,
                                      .query_len = 37,
                                      .key_len = 37,
                                      .head_dim = 40,
                                      .value_dim = 40,
                                      .direction = (enum attn_direction)direction,
                                      .pattern = CHECK_NEEDLES};
            examine_levels(form, "causal=top_left", NULL, 0);
            form.query_len = 1; /* one token against many keys: the other way through the kernels */
            form.key_len = 300;
            examine_levels(form, "causal=bottom_right", NULL, 0);
        }
}

Test(shapes, head_dimensions, .timeout = 120) {
    static const int64_t dims[][2] = {{72, 72}, {80, 80}, {96, 96}, {112, 112}, {192, 128}, {256, 256}};
    for (size_t n = 0; n < sizeof dims / sizeof *dims; ++n)
        for (size_t type = 0; type < sizeof types / sizeof *types; ++type)
            for (int direction = ATTN_FORWARD; direction <= ATTN_BACKWARD; ++direction) {
                const struct check_form form = {.batch = 1,
                                                .query_heads = 2,
                                                .key_heads = 1,
                                                .query_len = 45,
                                                .key_len = 75,
                                                .head_dim = dims[n][0],
                                                .value_dim = dims[n][1],
                                                .type = types[type],
                                                .direction = (enum attn_direction)direction,
                                                .pattern = CHECK_NEEDLES};
                examine_levels(form, "causal=bottom_right", NULL, 0);
            }
}

Test(shapes, a_hundred_thousand_keys, .timeout = 120) {
    for (size_t type = 0; type < sizeof types / sizeof *types; ++type) {
        const struct check_form form = {.batch = 1,
                                        .query_heads = 2,
                                        .key_heads = 1,
                                        .query_len = 1,
                                        .key_len = 100003,
                                        .head_dim = 32,
                                        .value_dim = 32,
                                        .type = types[type],
                                        .pattern = CHECK_NEEDLES};
        examine_levels(form, "none", NULL, 0);
    }
}

/* 9 sequences of 12 positions in all: some have none, some have one. */
Test(shapes, packed_sequences_of_nothing_and_of_one, .timeout = 60) {
    for (size_t type = 0; type < sizeof types / sizeof *types; ++type)
        for (int direction = ATTN_FORWARD; direction <= ATTN_BACKWARD; ++direction) {
            const struct check_form form = {.batch = 1,
                                            .query_heads = 3,
                                            .key_heads = 3,
                                            .query_len = 12,
                                            .key_len = 12,
                                            .head_dim = 24,
                                            .value_dim = 24,
                                            .type = types[type],
                                            .direction = (enum attn_direction)direction,
                                            .pattern = CHECK_NORMAL};
            examine_levels(form, "packed=9", NULL, 0);
            examine_levels(form, "causal=bottom_right,packed=9", NULL, 0);
        }
}

Test(shapes, maxima_that_rise_and_fall_and_blocks_that_are_masked, .timeout = 120) {
    static const enum check_pattern patterns[] = {CHECK_ASCENDING, CHECK_DESCENDING};
    static const char *tiles[][2] = {{"block_queries", "96"}, {"block_keys", "16"}};
    for (size_t n = 0; n < sizeof patterns / sizeof *patterns; ++n)
        for (int direction = ATTN_FORWARD; direction <= ATTN_BACKWARD; ++direction) {
            const struct check_form form = {.batch = 1,
                                            .query_heads = 1,
                                            .key_heads = 1,
                                            .query_len = 200,
                                            .key_len = 200,
                                            .head_dim = 16,
                                            .value_dim = 16,
                                            .direction = (enum attn_direction)direction,
                                            .pattern = patterns[n]};
            examine_levels(form, "causal=top_left", tiles, 2);             /* queries' blocks wider than keys' */
            examine_levels(form, "causal=top_left,window=20:0", tiles, 2); /* first blocks fully masked */
            examine_levels(form, "dead_block", NULL, 0);
        }
}
