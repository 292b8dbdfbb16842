/* SPDX-License-Identifier: Apache-2.0 */
/* inputs, problem, cases, matrix, zip and top-level factors, read into axes. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/reading.h"

#define MAX_NAMES (FACTOR_COUNT + 32)

/* Names of the factors that `section` may hold: those at home there, or all. */
static size_t factor_names(bool all, enum campaign_home home, const char *names[MAX_NAMES]) {
    size_t count = 0;
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        if (all || campaign_factor_info((enum campaign_factor)factor)->home == home)
            names[count++] = campaign_factor_info((enum campaign_factor)factor)->name;
    return count;
}

/* A dotted key: some variant that the part before the dot matches has a parameter of that name. */
static bool name_parameter(struct campaign_config *config, const struct campaign_node *node, const char *dot,
                           struct campaign_axis *axis) {
    const char *variants[256], *parameters[256];
    size_t variant_count = 0, parameter_count = 0;
    bool matched = false, found = false;
    axis->factor = FACTOR_PARAMETER;
    axis->owner = campaign_texts_copy(config->texts, node->key, (size_t)(dot - node->key));
    axis->parameter = dot + 1;
    for (int v = 0; axis->owner && v < config->registry->variant_count; ++v) {
        const struct attn_variant *const variant = campaign_variant_at(config->registry, v);
        if (variant_count < sizeof variants / sizeof *variants)
            variants[variant_count++] = variant->name;
        if (fnmatch(axis->owner, variant->name, 0) != 0)
            continue;
        matched = true;
        found |= campaign_parameter_index(variant, axis->parameter) >= 0;
        for (int p = 0; p < variant->parameter_count && parameter_count < sizeof parameters / sizeof *parameters; ++p)
            parameters[parameter_count++] = variant->parameters[p].name;
    }
    char kind[128];
    snprintf(kind, sizeof kind, "%s parameter", axis->owner ? axis->owner : "");
    struct campaign_place dot_place = node->key_place;
    dot_place.column += dot_place.line ? (int)(dot + 1 - node->key) : 0;
    if (!matched)
        campaign_complain_unknown(&config->complaints, node->key_place, "variant", axis->owner ? axis->owner : "",
                                  variants, variant_count);
    else if (!found && parameter_count == 0)
        campaign_complain(&config->complaints, node->key_place, "variant '%s' has no parameters", axis->owner);
    else if (!found)
        campaign_complain_unknown(&config->complaints, dot_place, kind, axis->parameter, parameters, parameter_count);
    return found;
}

bool campaign_axis_name(struct campaign_config *config, const struct campaign_node *node, struct campaign_axis *axis) {
    *axis = (struct campaign_axis){.factor = campaign_factor_find(node->key), .place = node->key_place};
    const char *const dot = strchr(node->key, '.');
    if (axis->factor != FACTOR_NONE)
        return true;
    if (dot)
        return name_parameter(config, node, dot, axis);
    const char *names[MAX_NAMES];
    const size_t count = factor_names(true, HOME_TOP, names);
    campaign_complain_unknown(&config->complaints, node->key_place, "factor", node->key, names, count);
    return false;
}

static struct campaign_dimension *add_dimension(struct campaign_config *config, struct campaign_dimensions *dimensions,
                                                size_t axis_count) {
    if (dimensions->count == dimensions->capacity) {
        const size_t capacity = dimensions->capacity ? 2 * dimensions->capacity : 16;
        struct campaign_dimension *const items = campaign_texts_allocate(config->texts, capacity * sizeof *items);
        if (!items)
            return NULL;
        if (dimensions->count)
            memcpy(items, dimensions->items, dimensions->count * sizeof *items);
        dimensions->items = items;
        dimensions->capacity = capacity;
    }
    struct campaign_axis *const axes = campaign_texts_allocate(config->texts, axis_count * sizeof *axes);
    if (!axes)
        return NULL;
    struct campaign_dimension *const dimension = &dimensions->items[dimensions->count++];
    *dimension = (struct campaign_dimension){.axes = axes, .axis_count = axis_count};
    return dimension;
}

static int by_rung(const void *a, const void *b) {
    const int64_t left = ((const struct campaign_value *)a)->integer,
                  right = ((const struct campaign_value *)b)->integer;
    return (left > right) - (left < right);
}

static void add_axis(struct campaign_config *config, struct campaign_dimensions *dimensions,
                     const struct campaign_axis *axis) {
    struct campaign_dimension *const dimension = add_dimension(config, dimensions, 1);
    if (!dimension) {
        campaign_complain(&config->complaints, axis->place, "out of memory");
        return;
    }
    dimension->axes[0] = *axis;
    dimension->length = axis->count;
    if (axis->factor == FACTOR_VARIANT) /* in ladder order, however they are listed */
        qsort(axis->values, axis->count, sizeof *axis->values, by_rung);
}

static bool is_map(struct campaign_config *config, const struct campaign_node *node, const char *what) {
    if (!node || node->kind == CAMPAIGN_NOTHING)
        return false;
    if (node->kind == CAMPAIGN_MAP)
        return true;
    campaign_complain(&config->complaints, node->place, "%s is %s; it must be a map of keys", what,
                      campaign_node_kind_name(node));
    return false;
}

/* inputs or problem: one value a factor, but any number of tensors. */
static void read_home(struct campaign_config *config, const struct campaign_node *map, const char *what,
                      enum campaign_home home, struct campaign_dimensions *dimensions) {
    if (!is_map(config, map, what))
        return;
    for (const struct campaign_node *child = map->first; child; child = child->next) {
        struct campaign_axis axis = {.factor = campaign_factor_find(child->key), .place = child->key_place};
        if (axis.factor == FACTOR_NONE || campaign_factor_info(axis.factor)->home != home) {
            const char *names[MAX_NAMES];
            const size_t count = factor_names(false, home, names);
            if (axis.factor != FACTOR_NONE)
                campaign_complain(&config->complaints, child->key_place, "key '%s' does not belong in %s; put it in %s",
                                  child->key, what,
                                  campaign_factor_info(axis.factor)->home == HOME_INPUTS    ? "inputs"
                                  : campaign_factor_info(axis.factor)->home == HOME_PROBLEM ? "problem"
                                  : campaign_factor_info(axis.factor)->home == HOME_MASK    ? "problem's mask"
                                                                                            : "matrix");
            else
                campaign_complain_unknown(&config->complaints, child->key_place, "key", child->key, names, count);
        } else if (campaign_axis_read(config, &axis, child, axis.factor != FACTOR_TENSOR)) {
            add_axis(config, dimensions, &axis);
        }
    }
}

static void read_matrix(struct campaign_config *config, const struct campaign_node *map) {
    if (!is_map(config, map, "matrix"))
        return;
    for (const struct campaign_node *child = map->first; child; child = child->next) {
        struct campaign_axis axis;
        if (campaign_axis_name(config, child, &axis) && campaign_axis_read(config, &axis, child, false))
            add_axis(config, &config->dimensions, &axis);
    }
}

static void read_zip_group(struct campaign_config *config, const struct campaign_node *map) {
    if (!is_map(config, map, "zip"))
        return;
    size_t count = 0;
    for (const struct campaign_node *child = map->first; child; child = child->next)
        ++count;
    struct campaign_dimension *const dimension = count > 0 ? add_dimension(config, &config->dimensions, count) : NULL;
    if (!dimension)
        return;
    dimension->tied = true;
    dimension->axis_count = 0;
    for (const struct campaign_node *child = map->first; child; child = child->next) {
        struct campaign_axis *const axis = &dimension->axes[dimension->axis_count];
        if (!campaign_axis_name(config, child, axis) || !campaign_axis_read(config, axis, child, false))
            continue;
        const struct campaign_axis *const first = &dimension->axes[0];
        if (axis->count != first->count)
            campaign_complain(
                &config->complaints, child->key_place, "zip walks its lists together: %s has %zu values, %s has %zu",
                campaign_axis_label(config, axis), axis->count, campaign_axis_label(config, first), first->count);
        ++dimension->axis_count;
    }
    dimension->length = dimension->axis_count ? dimension->axes[0].count : 0;
    if (dimension->axis_count == 0)
        --config->dimensions.count;
}

static void read_case(struct campaign_config *config, const struct campaign_node *inputs,
                      const struct campaign_node *problem, struct campaign_place place) {
    struct campaign_case *const one = campaign_texts_allocate(config->texts, sizeof *one);
    if (!one)
        return;
    one->place = place;
    read_home(config, inputs, "inputs", HOME_INPUTS, &one->dimensions);
    read_home(config, problem, "problem", HOME_PROBLEM, &one->dimensions);
    struct campaign_case **link = &config->cases;
    while (*link)
        link = &(*link)->next;
    *link = one;
}

static void read_cases(struct campaign_config *config) {
    const struct campaign_node *const inputs = campaign_node_find(config->root, "inputs");
    const struct campaign_node *const problem = campaign_node_find(config->root, "problem");
    const struct campaign_node *const cases = campaign_node_find(config->root, "cases");
    if (!cases || cases->kind == CAMPAIGN_NOTHING) {
        read_case(config, inputs, problem, problem ? problem->key_place : config->root->place);
        return;
    }
    if (inputs || problem)
        campaign_complain(&config->complaints, (inputs ? inputs : problem)->key_place,
                          "%s stands beside cases; put it into each case", (inputs ? inputs : problem)->key);
    if (cases->kind != CAMPAIGN_LIST) {
        campaign_complain(&config->complaints, cases->place, "cases is %s; it must be a list of {inputs, problem}",
                          campaign_node_kind_name(cases));
        return;
    }
    static const char *const keys[] = {"inputs", "problem"};
    for (const struct campaign_node *one = cases->first; one; one = one->next) {
        if (!is_map(config, one, "a case"))
            continue;
        for (const struct campaign_node *child = one->first; child; child = child->next)
            if (strcmp(child->key, keys[0]) != 0 && strcmp(child->key, keys[1]) != 0)
                campaign_complain_unknown(&config->complaints, child->key_place, "key", child->key, keys, 2);
        read_case(config, campaign_node_find(one, "inputs"), campaign_node_find(one, "problem"), one->place);
    }
}

void campaign_sections_read(struct campaign_config *config) {
    read_cases(config);
    for (const struct campaign_node *child = config->root->first; child; child = child->next) {
        struct campaign_axis axis = {.factor = campaign_factor_find(child->key), .place = child->key_place};
        if (axis.factor != FACTOR_NONE && campaign_factor_info(axis.factor)->home == HOME_TOP &&
            campaign_axis_read(config, &axis, child, false))
            add_axis(config, &config->dimensions, &axis);
    }
    read_matrix(config, campaign_node_find(config->root, "matrix"));
    const struct campaign_node *const zip = campaign_node_find(config->root, "zip");
    if (zip && zip->kind == CAMPAIGN_LIST)
        for (const struct campaign_node *group = zip->first; group; group = group->next)
            read_zip_group(config, group);
    else
        read_zip_group(config, zip);
}
