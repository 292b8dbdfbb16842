/* SPDX-License-Identifier: Apache-2.0 */
/* Every combination of the axes, as points: defaults filled in, rules applied, nothing twice, blocks together. */
#include <fnmatch.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/feasible.h"
#include "campaign/points.h"
#include "campaign/reading.h"

struct expansion {
    struct campaign_config *config;
    struct campaign_plan *plan;
    const struct campaign_case *now;
    const struct campaign_dimension **dimensions; /* of this case and of all, outermost first */
    size_t dimension_count;
    struct campaign_choice *choices; /* what the current combination says, one entry an axis */
    size_t choice_count;
    size_t combinations, capacity;
    struct campaign_ids points, blocks;
    struct campaign_feasibility feasibility;
    regex_t only;
    bool failed; /* out of memory or too many: told once */
};

static const char *axis_text(const struct campaign_config *config, const struct campaign_axis *axis) {
    return axis->factor == FACTOR_PARAMETER ? campaign_axis_label(config, axis) : "";
}

/* The outermost axis of a dimension. */
static const struct campaign_axis *leader(const struct campaign_dimension *dimension) {
    const struct campaign_axis *first = &dimension->axes[0];
    for (size_t n = 1; n < dimension->axis_count; ++n)
        if (dimension->axes[n].factor < first->factor)
            first = &dimension->axes[n];
    return first;
}

/* By factor, so that the points come out alike whatever order a config lists its axes in. */
static void sort_dimensions(struct expansion *expansion) {
    for (size_t n = 1; n < expansion->dimension_count; ++n)
        for (size_t m = n; m > 0; --m) {
            const struct campaign_dimension **const pair = expansion->dimensions + m - 1;
            const struct campaign_axis *const a = leader(pair[0]), *const b = leader(pair[1]);
            if (a->factor < b->factor || (a->factor == b->factor && strcmp(axis_text(expansion->config, a),
                                                                           axis_text(expansion->config, b)) <= 0))
                break;
            const struct campaign_dimension *const other = pair[0];
            pair[0] = pair[1];
            pair[1] = other;
        }
}

static void give_up(struct expansion *expansion, const char *why) {
    const struct campaign_node *const matrix = campaign_node_find(expansion->config->root, "matrix");
    if (!expansion->failed)
        campaign_complain(&expansion->config->complaints, matrix ? matrix->key_place : expansion->config->root->place,
                          "%s", why);
    expansion->failed = true;
}

/* Terms refine a whole mask, and sizes say nothing about masks: two passes over the choices are enough. */
static void apply_choices(const struct expansion *expansion, struct campaign_point *point) {
    for (int terms = 0; terms < 2; ++terms)
        for (size_t n = 0; n < expansion->choice_count; ++n) {
            const struct campaign_axis *const axis = expansion->choices[n].axis;
            if (axis->factor != FACTOR_PARAMETER &&
                (campaign_factor_info(axis->factor)->home == HOME_MASK) == (terms == 1))
                campaign_factor_set(point, axis->factor, expansion->choices[n].value);
        }
    const struct attn_variant *const variant = campaign_variant_any(expansion->config->registry, point->variant);
    for (size_t n = 0; n < expansion->choice_count; ++n) {
        const struct campaign_axis *const axis = expansion->choices[n].axis;
        if (axis->factor != FACTOR_PARAMETER || fnmatch(axis->owner, point->variant, 0) != 0)
            continue;
        const int index = campaign_parameter_index(variant, axis->parameter);
        if (index >= 0)
            point->overrides[index] = expansion->choices[n].value->integer;
    }
}

/* The capture behind the point; false after a complaint. */
static bool apply_capture(const struct expansion *expansion, struct campaign_point *point,
                          const struct campaign_capture **capture) {
    *capture = NULL;
    if (!point->capture_path)
        return true;
    struct campaign_place place = expansion->now->place;
    for (size_t n = 0; n < expansion->choice_count; ++n)
        if (expansion->choices[n].axis->factor == FACTOR_TENSOR)
            place = expansion->choices[n].value->place;
    *capture = campaign_capture_get(expansion->config, point->capture_path, point->capture_tensor, place);
    if (!*capture)
        return false;
    const struct check_capture *const view = &(*capture)->view;
    const int64_t sizes[] = {view->q.shape[0], view->q.shape[1], view->k.shape[1], view->q.shape[2],
                             view->k.shape[2], view->q.shape[3], view->v.shape[3]};
    for (int n = 0; n < 7; ++n)
        campaign_factor_set(point, (enum campaign_factor)(FACTOR_BATCH + n),
                            &(struct campaign_value){.integer = sizes[n]});
    point->capture_digest = (*capture)->digest;
    return true;
}

static bool store(struct expansion *expansion, const struct campaign_point *point) {
    struct campaign_plan *const plan = expansion->plan;
    if (plan->point_count == expansion->capacity) {
        const size_t capacity = expansion->capacity ? 2 * expansion->capacity : 64;
        struct campaign_point *const points = realloc(plan->points, capacity * sizeof *points);
        if (!points)
            return false;
        plan->points = points;
        expansion->capacity = capacity;
    }
    plan->points[plan->point_count++] = *point;
    return true;
}

static bool wanted(const struct expansion *expansion, const struct campaign_point *point) {
    char label[CAMPAIGN_LABEL_BYTES];
    if (!expansion->config->only)
        return true;
    campaign_point_label(point, expansion->config->registry, label);
    return regexec(&expansion->only, label, 0, NULL, 0) == 0;
}

/* One combination of all axes. */
static void visit(struct expansion *expansion) {
    struct campaign_config *const config = expansion->config;
    struct campaign_point point = {
        .form = {.batch = 1, .query_heads = 1, .seed = 1},
        .baseline = -1,
    };
    const struct campaign_capture *capture;
    char block[RECORD_ID_CHARS + 1];
    apply_choices(expansion, &point);
    if (!apply_capture(expansion, &point, &capture))
        return;
    campaign_point_complete(&point);
    const struct attn_variant *const variant = campaign_variant_any(config->registry, point.variant);
    if (!(variant->traits & ATTN_PARALLEL) && point.threads != 1) {
        ++expansion->plan->left_out_threads;
        return;
    }
    if (campaign_excluded(config, &point) || !wanted(expansion, &point)) {
        ++expansion->plan->left_out_excluded;
        return;
    }
    bool added;
    campaign_point_identify(&point, config->registry, block);
    if (campaign_ids_add(&expansion->points, point.id, 0, &added) < 0) {
        give_up(expansion, "out of memory");
        return;
    }
    if (!added) /* max may equal a number listed beside it; a tied parameter may not concern the variant */
        return;
    const int64_t number = campaign_ids_add(&expansion->blocks, block, (int64_t)expansion->blocks.count, &added);
    point.block = (int)number;
    if (number < 0) {
        give_up(expansion, "out of memory");
        return;
    }
    if (!campaign_feasible(&expansion->feasibility, expansion->choices, expansion->choice_count, expansion->now->place,
                           capture, &point))
        return;
    if (!store(expansion, &point))
        give_up(expansion, "out of memory");
}

/* A parameter axis of its own multiplies only the variants it belongs to; the variant is already chosen. */
static bool concerns(const struct expansion *expansion, const struct campaign_dimension *dimension) {
    if (dimension->tied || dimension->axes[0].factor != FACTOR_PARAMETER)
        return true;
    for (size_t n = 0; n < expansion->choice_count; ++n)
        if (expansion->choices[n].axis->factor == FACTOR_VARIANT) {
            const char *const name = expansion->choices[n].value->text;
            return fnmatch(dimension->axes[0].owner, name, 0) == 0 &&
                   campaign_parameter_index(campaign_variant_any(expansion->config->registry, name),
                                            dimension->axes[0].parameter) >= 0;
        }
    return true;
}

/* Every combination; the first walk only counts them, so that too many are refused before any work is done. */
static void walk(struct expansion *expansion, size_t depth, bool counting) {
    if (depth == expansion->dimension_count) {
        if (!counting)
            visit(expansion);
        else if (++expansion->combinations > CAMPAIGN_MAX_POINTS)
            give_up(expansion, "the axes make more than 1000000 points; shorten some lists");
        return;
    }
    const struct campaign_dimension *const dimension = expansion->dimensions[depth];
    if (!concerns(expansion, dimension)) {
        walk(expansion, depth + 1, counting);
        return;
    }
    for (size_t row = 0; row < dimension->length && !expansion->failed; ++row) {
        for (size_t n = 0; n < dimension->axis_count; ++n)
            expansion->choices[expansion->choice_count++] =
                (struct campaign_choice){&dimension->axes[n], &dimension->axes[n].values[row]};
        walk(expansion, depth + 1, counting);
        expansion->choice_count -= dimension->axis_count;
    }
}

static void expand_case(struct expansion *expansion, const struct campaign_case *one) {
    struct campaign_config *const config = expansion->config;
    const struct campaign_dimensions *const parts[] = {&one->dimensions, &config->dimensions};
    const size_t count = parts[0]->count + parts[1]->count;
    size_t axes = 0;
    expansion->now = one;
    expansion->dimension_count = expansion->choice_count = 0;
    expansion->dimensions = campaign_texts_allocate(config->texts, (count + 1) * sizeof *expansion->dimensions);
    for (int part = 0; part < 2 && expansion->dimensions; ++part)
        for (size_t n = 0; n < parts[part]->count; ++n) {
            expansion->dimensions[expansion->dimension_count++] = &parts[part]->items[n];
            axes += parts[part]->items[n].axis_count;
        }
    expansion->choices = campaign_texts_allocate(config->texts, (axes + 1) * sizeof *expansion->choices);
    if (!expansion->dimensions || !expansion->choices) {
        give_up(expansion, "out of memory");
        return;
    }
    sort_dimensions(expansion);
    walk(expansion, 0, true);
    walk(expansion, 0, false);
}

static void complain_empty(const struct expansion *expansion) {
    struct campaign_config *const config = expansion->config;
    const struct campaign_plan *const plan = expansion->plan;
    const struct campaign_place place = config->only ? config->only_place : config->root->place;
    campaign_complain(
        &config->complaints, place,
        "no point is left: %zu left out by exclude and only%s%s%s, %zu because a serial variant keeps one "
        "thread",
        plan->left_out_excluded, config->only ? " '" : "", config->only ? config->only : "", config->only ? "'" : "",
        plan->left_out_threads);
}

void campaign_expand(struct campaign_config *config, struct campaign_plan *plan) {
    struct expansion expansion = {.config = config, .plan = plan};
    if (config->only && regcomp(&expansion.only, config->only, REG_EXTENDED | REG_NOSUB) != 0)
        return; /* told when it was read */
    campaign_feasibility_open(&expansion.feasibility, config);
    for (const struct campaign_case *one = config->cases; one && !expansion.failed; one = one->next)
        expand_case(&expansion, one);
    campaign_feasibility_close(&expansion.feasibility);
    if (config->complaints.count == 0 && plan->point_count == 0)
        complain_empty(&expansion);
    if (config->complaints.count == 0 && !campaign_blocks_gather(plan, expansion.blocks.count))
        give_up(&expansion, "out of memory");
    if (config->complaints.count == 0)
        campaign_baselines_find(plan, config->baseline);
    campaign_ids_release(&expansion.points);
    campaign_ids_release(&expansion.blocks);
    if (config->only)
        regfree(&expansion.only);
}
