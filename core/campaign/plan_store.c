/* SPDX-License-Identifier: Apache-2.0 */
/* Plans to and from columns: one named factor each, so that a reader of results needs nothing but the table. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/points.h"
#include "campaign/texts.h"

/* A column for every factor; the mask is one, its terms are in its text. */
static bool has_column(enum campaign_factor factor) {
    return campaign_factor_info(factor)->home != HOME_MASK;
}

static enum attn_status store_factor(const struct campaign_point *point, enum campaign_factor factor,
                                     struct record_fields *fields) {
    const struct campaign_factor_info *const info = campaign_factor_info(factor);
    const struct campaign_value value = campaign_factor_get(point, factor);
    char text[512];
    switch (info->kind) {
    case FACTOR_INTEGER:
    case FACTOR_FLAG: return record_add_integer(fields, info->name, value.integer);
    case FACTOR_REAL: /* only scale has a column; the table shows what is used, default or not */
        return record_add_real(fields, info->name, campaign_point_scale(point));
    case FACTOR_NAME: return record_add_text(fields, info->name, value.text ? value.text : "");
    default: campaign_value_text(factor, &value, text, sizeof text); return record_add_text(fields, info->name, text);
    }
}

static enum attn_status store_point(const struct campaign_plan *plan, const struct attn_registry *registry,
                                    const struct campaign_point *point, struct record_point *stored) {
    struct record_fields *const fields = &stored->factors;
    const struct attn_variant *const variant = campaign_variant_any(registry, point->variant);
    enum attn_status status = ATTN_OK;
    char parameters[CAMPAIGN_PARAMETERS_BYTES], label[CAMPAIGN_LABEL_BYTES];
    snprintf(stored->id, sizeof stored->id, "%s", point->id);
    campaign_parameters_text(point, variant, parameters);
    campaign_point_label(point, registry, label);
    for (int factor = 0; factor < FACTOR_COUNT && !status; ++factor)
        if (has_column((enum campaign_factor)factor))
            status = store_factor(point, (enum campaign_factor)factor, fields);
    const struct {
        const char *name, *text;
    } texts[] = {
        {"improves_on", variant && variant->improves_on ? variant->improves_on : ""},
        {"capture_digest", point->capture_digest ? point->capture_digest : ""},
        {"parameters", parameters},
        {"label", label},
        {"baseline", point->baseline >= 0 ? plan->points[point->baseline].id : ""},
    };
    for (size_t n = 0; n < sizeof texts / sizeof *texts && !status; ++n)
        status = record_add_text(fields, texts[n].name, texts[n].text);
    const struct {
        const char *name;
        double value;
    } reals[] = {{"flops", point->flops}, {"min_bytes", point->min_bytes}, {"memory_bytes", point->memory_bytes}};
    for (size_t n = 0; n < sizeof reals / sizeof *reals && !status; ++n)
        status = record_add_real(fields, reals[n].name, reals[n].value);
    if (!status)
        status = record_add_integer(fields, "live_pairs", point->live_pairs);
    return status ? status : record_add_integer(fields, "block", point->block);
}

static enum attn_status store_header(const struct campaign_plan *plan, struct record_fields *header) {
    const struct {
        const char *name, *text;
    } texts[] = {
        {"name", plan->name},
        {"question", plan->question},
        {"config_path", plan->config_path},
        {"baseline", plan->baseline ? plan->baseline : ""},
    };
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {
        {"invocations", plan->invocations},
        {"order_seed", (int64_t)plan->seed},
        {"max_iterations", plan->measure.max_iterations},
        {"blocks", (int64_t)plan->block_count},
        {"left_out_threads", (int64_t)plan->left_out_threads},
        {"left_out_excluded", (int64_t)plan->left_out_excluded},
        {"peaks", plan->peaks},
    };
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"timeout_s", plan->timeout_s},
        {"min_time_ns", plan->measure.min_time_ns},
        {"max_time_ns", plan->measure.max_time_ns},
        {"target_ci", plan->measure.target_ci},
    };
    enum attn_status status = ATTN_OK;
    for (size_t n = 0; n < sizeof texts / sizeof *texts && !status; ++n)
        status = record_add_text(header, texts[n].name, texts[n].text);
    for (size_t n = 0; n < sizeof integers / sizeof *integers && !status; ++n)
        status = record_add_integer(header, integers[n].name, integers[n].value);
    for (size_t n = 0; n < sizeof reals / sizeof *reals && !status; ++n)
        status = record_add_real(header, reals[n].name, reals[n].value);
    return status;
}

enum attn_status campaign_plan_store(const struct campaign_plan *plan, const struct attn_registry *registry,
                                     struct record_plan *stored, struct attn_error *error) {
    const size_t order_bytes = (size_t)plan->invocations * plan->point_count * sizeof *stored->order;
    *stored = (struct record_plan){.point_count = plan->point_count, .invocations = (size_t)plan->invocations};
    stored->points = calloc(plan->point_count ? plan->point_count : 1, sizeof *stored->points);
    stored->order = malloc(order_bytes ? order_bytes : 1);
    enum attn_status status = stored->points && stored->order ? store_header(plan, &stored->header) : ATTN_NO_MEMORY;
    if (!status)
        memcpy(stored->order, plan->order, order_bytes);
    for (size_t n = 0; n < plan->point_count && !status; ++n)
        status = store_point(plan, registry, &plan->points[n], &stored->points[n]);
    if (status) {
        if (!stored->points)
            stored->point_count = 0;
        record_plan_release(stored);
        return attn_fail(error, status, "the plan of %zu points does not fit into its stored form: %s",
                         plan->point_count, attn_status_name(status));
    }
    return ATTN_OK;
}
