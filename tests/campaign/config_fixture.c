/* SPDX-License-Identifier: Apache-2.0 */
#include "config_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct attn_parameter tiled_parameters[] = {{"block_keys", 0, 1, 4096, "keys of a block"}};
static const struct attn_parameter online_parameters[] = {{"block_queries", 0, 1, 512, "queries of a block"},
                                                          {"block_keys", 0, 1, 2048, "keys of a block"}};
static const struct attn_parameter split_parameters[] = {{"splits", 0, 1, 64, "parts of the keys"}};

static void resolve_to_one(const struct attn_problem *problem, struct attn_execution *execution) {
    (void)problem;
    for (int n = 0; n < ATTN_MAX_PARAMETERS; ++n)
        execution->parameters[n] = execution->parameters[n] ? execution->parameters[n] : 1;
}

static size_t scores_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    return (size_t)problem->query_len * (size_t)problem->key_len * sizeof(float);
}

static void compute_nothing(const struct attn_problem *problem, const struct attn_operands *operands,
                            const struct attn_execution *execution) {
    (void)problem;
    (void)operands;
    (void)execution;
}

static const struct attn_variant naive = {.name = "naive",
                                          .forward = {.workspace_bytes = scores_bytes, .run = compute_nothing}};
static const struct attn_variant tiled = {.name = "tiled",
                                          .parameters = tiled_parameters,
                                          .parameter_count = 1,
                                          .resolve = resolve_to_one,
                                          .forward = {.run = compute_nothing}};
static const struct attn_variant online_tiled = {.name = "online_tiled",
                                                 .parameters = online_parameters,
                                                 .parameter_count = 2,
                                                 .resolve = resolve_to_one,
                                                 .forward = {.run = compute_nothing}};
static const struct attn_variant parallel_heads = {
    .name = "parallel_heads", .traits = ATTN_PARALLEL, .forward = {.run = compute_nothing}};
static const struct attn_variant parallel_splits = {.name = "parallel_splits",
                                                    .traits = ATTN_PARALLEL,
                                                    .parameters = split_parameters,
                                                    .parameter_count = 1,
                                                    .resolve = resolve_to_one,
                                                    .forward = {.run = compute_nothing}};

static const char *const levels[] = {"baseline"};
static const struct attn_variant *const rungs[] = {&naive, &tiled, &online_tiled, &parallel_heads, &parallel_splits};
const struct attn_registry fake_registry = {.variant_count = 5, .level_count = 1, .levels = levels, .variants = rungs};

struct machine_topology *fake_topology;
static char folder[] = "/tmp/config-XXXXXX";
static struct campaign_plan *plans[64];
static size_t plan_count;
static struct attn_error last_error;

void fixture_open(void) {
    struct attn_error error;
    cr_assert(machine_topology_synthetic("pack:1 l3:1 core:4 pu:1", &fake_topology, &error) == ATTN_OK, "%s",
              error.message);
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

void fixture_close(void) {
    while (plan_count > 0)
        campaign_plan_free(plans[--plan_count]);
    machine_topology_free(fake_topology);
    unlink("c.yaml");
    cr_assert_eq(chdir("/"), 0);
    rmdir(folder);
}

static void write_config(const char *yaml) {
    FILE *const file = fopen("c.yaml", "w");
    cr_assert_not_null(file);
    fputs(yaml, file);
    fclose(file);
}

static struct campaign_plan *keep(struct campaign_plan *plan) {
    cr_assert_lt(plan_count, sizeof plans / sizeof *plans);
    return plans[plan_count++] = plan;
}

struct campaign_plan *planned_with(const char *yaml, const struct campaign_options *options) {
    struct campaign_plan *plan;
    write_config(yaml);
    const enum attn_status status =
        campaign_config_plan("c.yaml", options, &fake_registry, fake_topology, &plan, &last_error);
    cr_assert(status == ATTN_OK, "refused: %s", last_error.message);
    return keep(plan);
}

struct campaign_plan *planned(const char *yaml) {
    return planned_with(yaml, NULL);
}

const char *refused_with(const char *yaml, const struct campaign_options *options) {
    struct campaign_plan *plan;
    write_config(yaml);
    const enum attn_status status =
        campaign_config_plan("c.yaml", options, &fake_registry, fake_topology, &plan, &last_error);
    cr_assert_eq(status, ATTN_INVALID);
    cr_assert_null(plan);
    return last_error.message;
}

const char *refused(const char *yaml) {
    return refused_with(yaml, NULL);
}

static enum attn_status plan_words(const char *variant, const char *const *words, struct campaign_plan **plan) {
    size_t count = 0;
    while (words[count])
        ++count;
    return campaign_words_plan(variant, words, count, NULL, &fake_registry, fake_topology, plan, &last_error);
}

struct campaign_plan *planned_words(const char *variant, const char *const *words) {
    struct campaign_plan *plan;
    cr_assert(plan_words(variant, words, &plan) == ATTN_OK, "refused: %s", last_error.message);
    return keep(plan);
}

const char *refused_words(const char *variant, const char *const *words) {
    struct campaign_plan *plan;
    cr_assert_eq(plan_words(variant, words, &plan), ATTN_INVALID);
    cr_assert_null(plan);
    return last_error.message;
}

void expect_only(const char *message, const char *line) {
    cr_expect_str_eq(message, line, "have:\n%s\nwant:\n%s", message, line);
}

void expect_begins(const char *message, const char *begin) {
    cr_expect_eq(strncmp(message, begin, strlen(begin)), 0, "have:\n%s\nwant:\n%s", message, begin);
}

void expect_line(const char *message, const char *line) {
    const size_t length = strlen(line);
    for (const char *at = message; at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncmp(at, line, length) == 0 && (at[length] == '\n' || at[length] == '\0'))
            return;
    cr_expect_fail("no line:\n%s\namong:\n%s", line, message);
}

size_t count_points(const struct campaign_plan *plan, const char *variant, int threads) {
    size_t count = 0;
    for (size_t n = 0; n < plan->point_count; ++n)
        count += (*variant == '\0' || strcmp(plan->points[n].variant, variant) == 0) &&
                 (threads == 0 || plan->points[n].threads == threads);
    return count;
}
