/* SPDX-License-Identifier: Apache-2.0 */
/* From a config file, or from the words of `time`, to a plan. */
#include "campaign/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/points.h"
#include "campaign/reading.h"

static const struct campaign_axis *find_axis(const struct campaign_dimensions *dimensions,
                                             enum campaign_factor factor) {
    for (size_t n = 0; n < dimensions->count; ++n)
        for (size_t m = 0; m < dimensions->items[n].axis_count; ++m)
            if (dimensions->items[n].axes[m].factor == factor)
                return &dimensions->items[n].axes[m];
    return NULL;
}

static bool same_axis(const struct campaign_axis *a, const struct campaign_axis *b) {
    return a->factor == b->factor && (a->factor != FACTOR_PARAMETER ||
                                      (strcmp(a->owner, b->owner) == 0 && strcmp(a->parameter, b->parameter) == 0));
}

/* The axes of two sets of dimensions in one sequence; NULL behind the last. */
static const struct campaign_axis *axis_at(const struct campaign_dimensions *const parts[2], size_t index) {
    for (int part = 0; part < 2; ++part)
        for (size_t n = 0; n < parts[part]->count; ++n) {
            if (index < parts[part]->items[n].axis_count)
                return &parts[part]->items[n].axes[index];
            index -= parts[part]->items[n].axis_count;
        }
    return NULL;
}

static void refuse_twins(struct campaign_config *config, const struct campaign_case *one) {
    const struct campaign_dimensions *const parts[2] = {&one->dimensions, &config->dimensions};
    const struct campaign_axis *axis, *twin;
    for (size_t n = 0; (axis = axis_at(parts, n)); ++n)
        for (size_t m = 0; m < n && (twin = axis_at(parts, m)); ++m)
            if (same_axis(axis, twin))
                campaign_complain(&config->complaints, axis->place, "%s is given twice, also at %s; keep one",
                                  campaign_axis_label(config, axis), campaign_place_text(config->texts, twin->place));
}

/* A capture brings its shape and values; drawn inputs need the sizes that have no default. */
static void check_case(struct campaign_config *config, const struct campaign_case *one) {
    const struct campaign_dimensions *const parts[2] = {&one->dimensions, &config->dimensions};
    const struct campaign_axis *seen[FACTOR_COUNT] = {NULL}, *axis;
    for (size_t n = 0; (axis = axis_at(parts, n)); ++n)
        if (axis->factor != FACTOR_PARAMETER)
            seen[axis->factor] = axis;
    const struct campaign_axis *const capture = seen[FACTOR_CAPTURE], *const tensor = seen[FACTOR_TENSOR];
    if (capture && !tensor)
        campaign_complain(&config->complaints, capture->place,
                          "capture needs tensor, the group that holds q, k and v, such as paragraph/layer3");
    if (tensor && !capture)
        campaign_complain(&config->complaints, tensor->place, "tensor needs capture, the file that holds it");
    for (int factor = FACTOR_PATTERN; factor <= FACTOR_VALUE_DIM && capture; ++factor)
        if (seen[factor] && factor != FACTOR_SEED)
            campaign_complain(&config->complaints, seen[factor]->place,
                              "%s stands beside a capture, which brings its own; remove it",
                              campaign_factor_info((enum campaign_factor)factor)->name);
    static const enum campaign_factor needed[] = {FACTOR_QUERY_LEN, FACTOR_HEAD_DIM};
    for (size_t n = 0; n < sizeof needed / sizeof *needed && !capture; ++n)
        if (!seen[needed[n]])
            campaign_complain(&config->complaints, one->place, "the problem has no %s; give one, such as %s: %d",
                              campaign_factor_info(needed[n])->name, campaign_factor_info(needed[n])->name,
                              needed[n] == FACTOR_QUERY_LEN ? 1024 : 64);
}

/* What is wrong with a capture's tensors is told beside whatever else is wrong. */
static void look_at_captures(struct campaign_config *config, const struct campaign_case *one) {
    const struct campaign_axis *const capture = find_axis(&one->dimensions, FACTOR_CAPTURE);
    const struct campaign_axis *const tensor = find_axis(&one->dimensions, FACTOR_TENSOR);
    for (size_t n = 0; capture && tensor && capture->count == 1 && n < tensor->count; ++n)
        campaign_capture_get(config, capture->values[0].text, tensor->values[n].text, tensor->values[n].place);
}

/* Adds `key: text` to the top level when no axis of that factor was read. */
static void add_default(struct campaign_config *config, enum campaign_factor factor, const char *text) {
    const char *const name = campaign_factor_info(factor)->name;
    const struct campaign_node *const matrix = campaign_node_find(config->root, "matrix");
    const struct campaign_node *const zip = campaign_node_find(config->root, "zip");
    bool given =
        campaign_node_find(config->root, name) || campaign_node_find(matrix, name) || campaign_node_find(zip, name);
    for (const struct campaign_node *group = zip && zip->kind == CAMPAIGN_LIST ? zip->first : NULL; group;
         group = group->next)
        given |= campaign_node_find(group, name) != NULL;
    struct campaign_node *const node = given ? NULL : campaign_texts_allocate(config->texts, sizeof *node);
    if (!node)
        return;
    *node = (struct campaign_node){.kind = CAMPAIGN_SCALAR,
                                   .text = text,
                                   .place = config->root->place,
                                   .key = name,
                                   .key_place = config->root->place};
    campaign_node_append(config->root, node);
}

static void read_all(struct campaign_config *config) {
    campaign_settings_read(config);
    add_default(config, FACTOR_ISA, "best");
    add_default(config, FACTOR_THREADS, "1");
    add_default(config, FACTOR_PLACEMENT, "compact");
    add_default(config, FACTOR_CACHE, "warm");
    campaign_sections_read(config);
    campaign_exclude_read(config);
    /* What is missing is only told when what is there could be read. */
    const size_t before = config->complaints.count;
    for (const struct campaign_case *one = config->cases; one; one = one->next) {
        refuse_twins(config, one);
        look_at_captures(config, one);
        if (before == 0)
            check_case(config, one);
    }
    if (before == 0 && !find_axis(&config->dimensions, FACTOR_VARIANT))
        campaign_complain(&config->complaints, config->root->place,
                          "no variant is named; write matrix: {variant: [...]}, names or globs such as \"*\"");
}

static void fill_plan(const struct campaign_config *config, struct campaign_plan *plan) {
    snprintf(plan->name, sizeof plan->name, "%s", config->name);
    snprintf(plan->question, sizeof plan->question, "%s", config->question);
    snprintf(plan->config_path, sizeof plan->config_path, "%s", config->directory ? config->path : "");
    plan->invocations = config->invocations;
    plan->seed = config->seed;
    plan->timeout_s = config->timeout_s;
    plan->measure = config->measure;
    plan->peaks = config->peaks;
}

static enum attn_status plan_config(struct campaign_config *config, struct campaign_plan **plan,
                                    struct attn_error *error) {
    if (config->root && config->root->kind == CAMPAIGN_MAP)
        read_all(config);
    struct campaign_plan *const made = calloc(1, sizeof *made);
    enum attn_status status = made ? ATTN_OK : attn_fail(error, ATTN_NO_MEMORY, "no memory for a plan");
    if (made && config->complaints.count == 0) {
        fill_plan(config, made);
        campaign_expand(config, made);
    }
    if (!status)
        status = campaign_complaints_tell(&config->complaints, error);
    if (!status)
        status = campaign_plan_shuffle(made, error);
    if (status) {
        campaign_plan_free(made);
        campaign_texts_free(config->texts);
        return status;
    }
    made->texts = config->texts; /* every text of the plan lives there */
    made->resolved = campaign_resolve_text(config);
    *plan = made;
    return ATTN_OK;
}

static bool open_config(struct campaign_config *config, const struct attn_registry *registry,
                        const struct machine_topology *topology) {
    struct campaign_texts *const texts = campaign_texts_create();
    *config = (struct campaign_config){
        .texts = texts, .complaints = {.texts = texts}, .registry = registry, .topology = topology};
    return texts != NULL;
}

enum attn_status campaign_config_plan(const char *path, const struct campaign_options *options,
                                      const struct attn_registry *registry, const struct machine_topology *topology,
                                      struct campaign_plan **plan, struct attn_error *error) {
    struct campaign_config config;
    *plan = NULL;
    if (!open_config(&config, registry, topology))
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a config");
    config.path = campaign_texts_copy(config.texts, path, strlen(path));
    const char *const slash = strrchr(path, '/');
    config.directory = slash ? campaign_texts_copy(config.texts, path, (size_t)(slash - path) + (slash == path)) : ".";
    if (!config.path || !config.directory) {
        campaign_texts_free(config.texts);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a config");
    }
    config.root = campaign_yaml_read(config.path, &config.complaints);
    if (config.root)
        campaign_overrides_apply(&config, options);
    return plan_config(&config, plan, error);
}

enum attn_status campaign_words_plan(const char *variant, const char *const *words, size_t word_count,
                                     const struct campaign_options *options, const struct attn_registry *registry,
                                     const struct machine_topology *topology, struct campaign_plan **plan,
                                     struct attn_error *error) {
    struct campaign_config config;
    *plan = NULL;
    if (!open_config(&config, registry, topology))
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a config");
    config.path = "time"; /* names the plan; paths are relative to the shell's directory */
    config.root = campaign_texts_allocate(config.texts, sizeof *config.root);
    const char *const source = campaign_texts_format(config.texts, "time %s", variant);
    const char *const assignment = campaign_texts_format(config.texts, "variant=%s", variant);
    if (!config.root || !source || !assignment) {
        campaign_texts_free(config.texts);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a config");
    }
    *config.root = (struct campaign_node){.kind = CAMPAIGN_MAP, .place = {source, 0, 0}};
    campaign_overrides_apply(&config, options);
    campaign_override(&config, assignment, config.root->place, true);
    for (size_t n = 0; n < word_count; ++n) {
        const struct campaign_place place = {campaign_texts_copy(config.texts, words[n], strlen(words[n])), 0, 0};
        if (place.source)
            campaign_override(&config, place.source, place, true);
    }
    return plan_config(&config, plan, error);
}

char *campaign_config_resolved(const struct campaign_plan *plan) {
    return plan->resolved ? strdup(plan->resolved) : NULL;
}
