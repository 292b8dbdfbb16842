/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are names: variants and globs, ISA levels, placements, captures, mask forms. */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/reading.h"
#include "machine/isa.h"
#include "machine/placement.h"

static bool read_variants(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                          struct campaign_place place) {
    const char *names[256];
    size_t known = 0;
    bool matched = false;
    if (campaign_variant_is_foreign(item) && !strpbrk(item, "*?[")) { /* behind the ladder, in the order given */
        const int64_t rung = config->registry->variant_count + (int64_t)axis->count;
        return campaign_value_add(
            config, axis, (struct campaign_value){.text = campaign_texts_intern(config->texts, item), .integer = rung},
            place);
    }
    for (int v = 0; v < config->registry->variant_count; ++v) {
        const char *const name = campaign_variant_at(config->registry, v)->name;
        if (known < sizeof names / sizeof *names)
            names[known++] = name;
        if (fnmatch(item, name, 0) != 0)
            continue;
        matched = true;
        if (!campaign_value_add(config, axis, (struct campaign_value){.text = name, .integer = v}, place))
            return false;
    }
    if (!matched && strpbrk(item, "*?["))
        campaign_complain(&config->complaints, place,
                          "no variant matches '%s'; 'attnbench list variants' prints their names", item);
    else if (!matched)
        campaign_complain_unknown(&config->complaints, place, "variant", item, names, known);
    return matched;
}

static bool read_isa(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                     struct campaign_place place) {
    const struct attn_registry *const registry = config->registry;
    const char *known[64] = {"all", "best"};
    size_t count = 2;
    for (const char *const *level = machine_isa_levels; *level && count < 32; ++level)
        known[count++] = *level;
    for (int level = 0; level < registry->level_count && count < 64; ++level)
        if (!machine_isa_known(registry->levels[level]))
            known[count++] = registry->levels[level];
    if (strcmp(item, "all") == 0) {
        for (int level = 0; level < registry->level_count; ++level)
            if (!campaign_value_add(config, axis, (struct campaign_value){.text = registry->levels[level]}, place))
                return false;
        return true;
    }
    if (strcmp(item, "best") == 0) { /* the first level is what every machine of this kind runs */
        int best = registry->level_count - 1;
        while (best > 0 && machine_isa_objection(registry->levels[best]))
            --best;
        return campaign_value_add(config, axis, (struct campaign_value){.text = registry->levels[best]}, place);
    }
    for (size_t n = 2; n < count; ++n)
        if (strcmp(known[n], item) == 0)
            return campaign_value_add(config, axis, (struct campaign_value){.text = known[n]}, place);
    campaign_complain_unknown(&config->complaints, place, "ISA level", item, known, count);
    return false;
}

static bool read_placement(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                           struct campaign_place place) {
    struct machine_placement *const placement = malloc(sizeof *placement);
    struct attn_error error = {0};
    const enum attn_status status =
        placement ? machine_placement_plan(config->topology, item, 1, placement, &error) : ATTN_NO_MEMORY;
    free(placement);
    if (status == ATTN_OK || status == ATTN_UNSUPPORTED) /* the latter depends on threads: SKIPPED when it is run */
        return campaign_value_add(config, axis,
                                  (struct campaign_value){.text = campaign_texts_intern(config->texts, item)}, place);
    campaign_complain(&config->complaints, place, "%s", status == ATTN_NO_MEMORY ? "out of memory" : error.message);
    return false;
}

static bool read_capture_path(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                              struct campaign_place place) {
    const bool from_file = place.line > 0; /* on the command line paths are the shell's */
    const char *const joined =
        *item == '/' || !from_file ? item : campaign_texts_format(config->texts, "%s/%s", config->directory, item);
    char *const absolute = joined ? realpath(joined, NULL) : NULL;
    if (!absolute) {
        campaign_complain(&config->complaints, place, "cannot find the capture '%s': %s%s", joined ? joined : item,
                          strerror(errno), from_file ? "; paths in a config are relative to it" : "");
        return false;
    }
    const char *const path = campaign_texts_intern(config->texts, absolute);
    free(absolute);
    return path && campaign_value_add(config, axis, (struct campaign_value){.text = path}, place);
}

bool campaign_name_read(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                        struct campaign_place place) {
    switch (axis->factor) {
    case FACTOR_VARIANT: return read_variants(config, axis, item, place);
    case FACTOR_ISA: return read_isa(config, axis, item, place);
    case FACTOR_PLACEMENT: return read_placement(config, axis, item, place);
    case FACTOR_CAPTURE: return read_capture_path(config, axis, item, place);
    default: break;
    }
    const char *choices[CAMPAIGN_MAX_CHOICES];
    const size_t count = campaign_factor_choices(axis->factor, choices);
    for (size_t n = 0; n < count; ++n)
        if (strcmp(choices[n], item) == 0)
            return campaign_value_add(config, axis, (struct campaign_value){.text = choices[n]}, place);
    if (count > 0) {
        campaign_complain_unknown(&config->complaints, place, campaign_axis_label(config, axis), item, choices, count);
        return false;
    }
    return campaign_value_add(config, axis, (struct campaign_value){.text = campaign_texts_intern(config->texts, item)},
                              place);
}

/* A window side: a count or "inf". */
static bool read_side(const char *text, size_t length, int64_t *side) {
    char digits[32];
    bool beyond;
    if (length >= sizeof digits)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (strcmp(digits, "inf") == 0) {
        *side = ATTN_UNBOUNDED;
        return true;
    }
    return campaign_integer_parse(digits, side, &beyond) && !beyond && *side >= 0 && *side < ATTN_UNBOUNDED;
}

bool campaign_pair_read(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                        struct campaign_place place) {
    struct campaign_value value = {.integer = -1, .second = -1};
    const char *const colon = strchr(item, ':');
    if (strcmp(item, "none") != 0 && (!colon || !read_side(item, (size_t)(colon - item), &value.integer) ||
                                      !read_side(colon + 1, strlen(colon + 1), &value.second))) {
        campaign_complain(&config->complaints, place, "%s is '%s'; write LEFT:RIGHT, counts from 0 or 'inf', or none",
                          campaign_axis_label(config, axis), item);
        return false;
    }
    return campaign_value_add(config, axis, value, place);
}

bool campaign_pair_list_read(struct campaign_config *config, struct campaign_axis *axis,
                             const struct campaign_node *list) {
    const struct campaign_node *const left = list->first, *const right = left ? left->next : NULL;
    if (!right || right->next || left->kind != CAMPAIGN_SCALAR || right->kind != CAMPAIGN_SCALAR) {
        campaign_complain(&config->complaints, list->place, "%s as a list is [LEFT, RIGHT]",
                          campaign_axis_label(config, axis));
        return false;
    }
    const char *const text = campaign_texts_format(config->texts, "%s:%s", left->text, right->text);
    return text && campaign_pair_read(config, axis, text, left->place);
}

bool campaign_form_read(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                        struct campaign_place place) {
    struct campaign_value value = {0};
    struct attn_error error;
    if (check_mask_parse(item, &value.form, &error) != ATTN_OK) {
        campaign_complain(&config->complaints, place, "%s", error.message);
        return false;
    }
    return campaign_value_add(config, axis, value, place);
}

/* {causal: top_left, window: [8, 0], alibi: true}: every key is a factor of its own; together they are a form. */
bool campaign_form_map_read(struct campaign_config *config, struct campaign_axis *axis,
                            const struct campaign_node *map) {
    const char *terms[FACTOR_COUNT];
    size_t term_count = 0;
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        if (campaign_factor_info((enum campaign_factor)factor)->home == HOME_MASK)
            terms[term_count++] = campaign_factor_info((enum campaign_factor)factor)->name;
    struct campaign_point scratch = {0};
    bool good = true;
    for (const struct campaign_node *child = map->first; child; child = child->next) {
        struct campaign_axis term = {.factor = campaign_factor_find(child->key), .place = child->key_place};
        if (term.factor == FACTOR_NONE || campaign_factor_info(term.factor)->home != HOME_MASK) {
            campaign_complain_unknown(&config->complaints, child->key_place, "mask key", child->key, terms, term_count);
            good = false;
        } else if (campaign_axis_read(config, &term, child, true)) {
            campaign_factor_set(&scratch, term.factor, &term.values[0]);
        } else {
            good = false;
        }
    }
    return good && campaign_value_add(config, axis, (struct campaign_value){.form = scratch.form.mask}, map->place);
}
