/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/points.h"
#include "campaign/reading.h"

struct loading {
    const struct attn_registry *registry;
    struct campaign_plan *plan;
    const struct record_point *stored; /* the point being read */
    struct attn_error *error;
};

static enum attn_status refuse(const struct loading *loading, const char *column, const char *text) {
    return attn_fail(loading->error, ATTN_INVALID,
                     "the plan's point %s has no %s that this build knows%s%s; was it made by another version?",
                     loading->stored->id, column, text ? ": " : "", text ? text : "");
}

static enum attn_status load_name(const struct loading *loading, enum campaign_factor factor, const char *text,
                                  struct campaign_value *value) {
    const char *choices[CAMPAIGN_MAX_CHOICES];
    const size_t count = campaign_factor_choices(factor, choices);
    bool known = count == 0;
    for (size_t n = 0; n < count; ++n)
        known |= strcmp(choices[n], text) == 0;
    if (!known)
        return refuse(loading, campaign_factor_info(factor)->name, text);
    value->text = *text ? campaign_texts_intern(loading->plan->texts, text) : NULL;
    return ATTN_OK;
}

static enum attn_status load_factor(const struct loading *loading, enum campaign_factor factor,
                                    struct campaign_point *point) {
    const struct campaign_factor_info *const info = campaign_factor_info(factor);
    const struct record_field *const field = record_find(&loading->stored->factors, info->name);
    const bool integral = info->kind == FACTOR_INTEGER || info->kind == FACTOR_FLAG;
    const enum record_kind kind = integral ? RECORD_INTEGER : info->kind == FACTOR_REAL ? RECORD_REAL : RECORD_TEXT;
    struct campaign_value value = {.integer = 0};
    enum attn_status status = ATTN_OK;
    if (!field || (field->kind != kind && !(kind == RECORD_REAL && field->kind == RECORD_INTEGER)))
        return refuse(loading, info->name, NULL);
    if (integral)
        value.integer = field->integer;
    else if (kind == RECORD_REAL)
        value.real = record_real(&loading->stored->factors, info->name, 0.0);
    else if (info->kind == FACTOR_FORM)
        status = check_mask_parse(field->text, &value.form, loading->error);
    else
        status = load_name(loading, factor, field->text, &value);
    if (!status)
        campaign_factor_set(point, factor, &value);
    return status;
}

/* "block_keys=64,block_queries=32", or "auto". */
static enum attn_status load_parameters(const struct loading *loading, struct campaign_point *point) {
    const struct attn_variant *const variant = campaign_variant_any(loading->registry, point->variant);
    char words[CAMPAIGN_PARAMETERS_BYTES];
    snprintf(words, sizeof words, "%s", record_text(&loading->stored->factors, "parameters", "auto"));
    char *rest = strcmp(words, "auto") == 0 ? NULL : words;
    for (char *word; (word = strsep(&rest, ","));) {
        char *const equals = strchr(word, '=');
        bool beyond = false;
        int64_t value = 0;
        if (equals)
            *equals = '\0';
        const int index = campaign_parameter_index(variant, word);
        if (index < 0 || !equals || !campaign_integer_parse(equals + 1, &value, &beyond) || beyond)
            return refuse(loading, "parameter", word);
        point->overrides[index] = value;
    }
    return ATTN_OK;
}

static enum attn_status load_point(struct loading *loading, struct campaign_point *point) {
    const struct record_fields *const fields = &loading->stored->factors;
    *point = (struct campaign_point){.baseline = -1};
    snprintf(point->id, sizeof point->id, "%s", loading->stored->id);
    for (int n = 0; n < FACTOR_COUNT; ++n) {
        const enum campaign_factor factor = (enum campaign_factor)n;
        const enum attn_status status =
            campaign_factor_info(factor)->home == HOME_MASK ? ATTN_OK : load_factor(loading, factor, point);
        if (status)
            return status;
    }
    if (!point->variant || !point->isa || !point->placement)
        return refuse(loading, !point->variant ? "variant" : !point->isa ? "isa" : "placement", NULL);
    if (!campaign_variant_any(loading->registry, point->variant))
        return refuse(loading, "variant", point->variant);
    const char *const digest = record_text(fields, "capture_digest", "");
    point->capture_digest = *digest ? campaign_texts_intern(loading->plan->texts, digest) : NULL;
    point->flops = record_real(fields, "flops", 0.0);
    point->min_bytes = record_real(fields, "min_bytes", 0.0);
    point->memory_bytes = record_real(fields, "memory_bytes", 0.0);
    point->live_pairs = record_integer(fields, "live_pairs", 0);
    point->block = (int)record_integer(fields, "block", -1);
    if (point->block < 0 || (size_t)point->block >= loading->plan->block_count)
        return refuse(loading, "block", NULL);
    campaign_point_complete(point);
    return load_parameters(loading, point);
}

static void load_header(const struct record_plan *stored, struct campaign_plan *plan) {
    const struct record_fields *const header = &stored->header;
    const char *const baseline = record_text(header, "baseline", "");
    snprintf(plan->name, sizeof plan->name, "%s", record_text(header, "name", ""));
    snprintf(plan->question, sizeof plan->question, "%s", record_text(header, "question", ""));
    snprintf(plan->config_path, sizeof plan->config_path, "%s", record_text(header, "config_path", ""));
    plan->baseline = *baseline ? campaign_texts_intern(plan->texts, baseline) : NULL;
    plan->point_count = stored->point_count;
    plan->invocations = (int)stored->invocations;
    plan->seed = (uint64_t)record_integer(header, "order_seed", 0);
    plan->block_count = (size_t)record_integer(header, "blocks", 0);
    plan->left_out_threads = (size_t)record_integer(header, "left_out_threads", 0);
    plan->left_out_excluded = (size_t)record_integer(header, "left_out_excluded", 0);
    plan->peaks = record_integer(header, "peaks", 0) != 0;
    plan->timeout_s = record_real(header, "timeout_s", 0.0);
    plan->measure = (struct measure_options){
        .min_time_ns = record_real(header, "min_time_ns", 0.0),
        .max_time_ns = record_real(header, "max_time_ns", 0.0),
        .target_ci = record_real(header, "target_ci", 0.0),
        .max_iterations = record_integer(header, "max_iterations", MEASURE_MAX_SAMPLES),
    };
}

/* Baselines are stored as ids of other points. */
static enum attn_status link_baselines(struct loading *loading, const struct record_plan *stored) {
    struct campaign_ids ids = {.count = 0};
    enum attn_status status = ATTN_OK;
    bool added;
    for (size_t n = 0; n < stored->point_count && !status; ++n)
        if (campaign_ids_add(&ids, stored->points[n].id, (int64_t)n, &added) < 0)
            status =
                attn_fail(loading->error, ATTN_NO_MEMORY, "no memory for the ids of %zu points", stored->point_count);
    for (size_t n = 0; n < stored->point_count && !status; ++n) {
        const char *const id = record_text(&stored->points[n].factors, "baseline", "");
        const int64_t index = *id ? campaign_ids_add(&ids, id, -1, &added) : -1;
        loading->stored = &stored->points[n];
        if (*id && index < 0)
            status = refuse(loading, "baseline", id);
        loading->plan->points[n].baseline = (int)index;
    }
    campaign_ids_release(&ids);
    return status;
}

enum attn_status campaign_plan_load(const struct record_plan *stored, const struct attn_registry *registry,
                                    struct campaign_plan **plan, struct attn_error *error) {
    struct campaign_plan *const made = calloc(1, sizeof *made);
    struct loading loading = {.registry = registry, .plan = made, .error = error};
    const size_t order_count = stored->invocations * stored->point_count;
    *plan = NULL;
    if (made) {
        made->texts = campaign_texts_create();
        made->points = calloc(stored->point_count + 1, sizeof *made->points);
        made->order = malloc((order_count + 1) * sizeof *made->order);
    }
    enum attn_status status = ATTN_OK;
    if (!made || !made->texts || !made->points || !made->order)
        status = attn_fail(error, ATTN_NO_MEMORY, "no memory for a plan of %zu points", stored->point_count);
    if (!status) {
        load_header(stored, made);
        memcpy(made->order, stored->order, order_count * sizeof *made->order);
    }
    for (size_t n = 0; n < stored->point_count && !status; ++n) {
        loading.stored = &stored->points[n];
        status = load_point(&loading, &made->points[n]);
    }
    for (size_t n = 0; n < order_count && !status; ++n)
        if (made->order[n] >= stored->point_count)
            status = attn_fail(error, ATTN_INVALID, "the plan's order names point %u of %zu", made->order[n],
                               stored->point_count);
    if (!status)
        status = link_baselines(&loading, stored);
    if (status)
        campaign_plan_free(made);
    else
        *plan = made;
    return status;
}
