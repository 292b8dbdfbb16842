/* SPDX-License-Identifier: Apache-2.0 */
/* The values an axis takes: lists of numbers, ranges, flags; names are config_names.c's. */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/reading.h"

const char *campaign_axis_label(const struct campaign_config *config, const struct campaign_axis *axis) {
    if (axis->factor != FACTOR_PARAMETER)
        return campaign_factor_info(axis->factor)->name;
    const char *const name = campaign_texts_format(config->texts, "%s.%s", axis->owner, axis->parameter);
    return name ? name : axis->parameter;
}

bool campaign_value_add(struct campaign_config *config, struct campaign_axis *axis, struct campaign_value value,
                        struct campaign_place place) {
    if (axis->count == CAMPAIGN_MAX_AXIS_VALUES) {
        campaign_complain(&config->complaints, place, "%s takes more than %d values; make the list shorter",
                          campaign_axis_label(config, axis), CAMPAIGN_MAX_AXIS_VALUES);
        return false;
    }
    if (axis->count == axis->capacity) {
        const size_t capacity = axis->capacity ? 4 * axis->capacity : 4;
        struct campaign_value *const values = campaign_texts_allocate(config->texts, capacity * sizeof *values);
        if (!values) {
            campaign_complain(&config->complaints, place, "out of memory");
            return false;
        }
        if (axis->count)
            memcpy(values, axis->values, axis->count * sizeof *values);
        axis->values = values;
        axis->capacity = capacity;
    }
    value.place = place;
    axis->values[axis->count++] = value;
    return true;
}

bool campaign_integer_parse(const char *text, int64_t *value, bool *beyond) {
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    *beyond = errno == ERANGE;
    return (isdigit((unsigned char)*text) || ((*text == '-' || *text == '+') && isdigit((unsigned char)text[1]))) &&
           *end == '\0';
}

/* The end of a range: digits or `max`. Moves *text behind it. */
static bool read_bound(const struct campaign_config *config, const char **text, int64_t *value, bool *beyond) {
    if (strncmp(*text, "max", 3) == 0) {
        *value = machine_topology_cores(config->topology);
        *text += 3;
        return true;
    }
    if (!isdigit((unsigned char)**text))
        return false;
    char *end;
    errno = 0;
    *value = strtoll(*text, &end, 10);
    *beyond |= errno == ERANGE;
    *text = end;
    return true;
}

/* Limits of the axis: the factor's, or those of the variants the parameter belongs to. Where a glob names several, one
 * that takes the value is enough here: the others need not be asked for, and are looked at when they are. */
static bool in_range(struct campaign_config *config, const struct campaign_axis *axis, int64_t value, bool beyond,
                     struct campaign_place place) {
    if (axis->factor != FACTOR_PARAMETER) {
        const struct campaign_factor_info *const info = campaign_factor_info(axis->factor);
        if (!beyond && value >= info->min && value <= info->max)
            return true;
        if (beyond)
            campaign_complain(&config->complaints, place, "%s is beyond 64 bits; it must be in %" PRId64 "..%" PRId64,
                              info->name, info->min, info->max);
        else
            campaign_complain(&config->complaints, place, "%s is %" PRId64 "; it must be in %" PRId64 "..%" PRId64,
                              info->name, value, info->min, info->max);
        return false;
    }
    const struct attn_variant *refusing = NULL;
    for (int v = 0; v < config->registry->variant_count; ++v) {
        const struct attn_variant *const variant = campaign_variant_at(config->registry, v);
        const int index = variant && fnmatch(axis->owner, variant->name, 0) == 0
                              ? campaign_parameter_index(variant, axis->parameter)
                              : -1;
        if (index < 0)
            continue;
        const struct attn_parameter *const parameter = &variant->parameters[index];
        if (!beyond && (value == 0 || (value >= parameter->min && value <= parameter->max)))
            return true;
        refusing = refusing ? refusing : variant;
    }
    if (!refusing)
        return true;
    const struct attn_parameter *const parameter =
        &refusing->parameters[campaign_parameter_index(refusing, axis->parameter)];
    campaign_complain(&config->complaints, place,
                      "%s.%s is %" PRId64 "; it must be in %" PRId64 "..%" PRId64 ", or 0 for automatic",
                      refusing->name, parameter->name, value, parameter->min, parameter->max);
    return false;
}

/* a, a-b, a-b+step, a-b*factor. */
static bool read_integers(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                          struct campaign_place place) {
    int64_t first, last, step = 1;
    bool beyond = false;
    if (campaign_integer_parse(item, &first, &beyond))
        return in_range(config, axis, first, beyond, place) &&
               campaign_value_add(config, axis, (struct campaign_value){.integer = first}, place);
    const char *rest = item;
    bool understood = read_bound(config, &rest, &first, &beyond);
    last = first;
    const bool range = understood && *rest == '-';
    if (range) {
        ++rest;
        understood = read_bound(config, &rest, &last, &beyond);
    }
    const char walk = range && understood && (*rest == '+' || *rest == '*') ? *rest++ : '+';
    if (understood && range && (rest[-1] == '+' || rest[-1] == '*'))
        understood = read_bound(config, &rest, &step, &beyond);
    if (!understood || *rest) {
        campaign_complain(&config->complaints, place,
                          "%s is '%s'; write whole numbers: 4, 1-8, 1-16*2, 64-512+64, max (allowed cores)",
                          campaign_axis_label(config, axis), item);
        return false;
    }
    if (!in_range(config, axis, first, beyond, place) || !in_range(config, axis, last, beyond, place))
        return false;
    if (first > last) {
        campaign_complain(&config->complaints, place, "range '%s' is empty: it runs from %" PRId64 " down to %" PRId64,
                          item, first, last);
        return false;
    }
    if (walk == '*' ? step < 2 || first < 1 : step < 1) {
        campaign_complain(&config->complaints, place, "range '%s' never ends; %s", item,
                          walk == '+' ? "the step must be 1 or more"
                          : first < 1 ? "multiplying must start at 1 or more"
                                      : "the factor must be 2 or more");
        return false;
    }
    for (int64_t value = first; value <= last;) {
        if (!campaign_value_add(config, axis, (struct campaign_value){.integer = value}, place))
            return false;
        if (walk == '+' ? __builtin_add_overflow(value, step, &value) : __builtin_mul_overflow(value, step, &value))
            break;
    }
    return true;
}

static bool read_real(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                      struct campaign_place place) {
    char *end;
    const double real = strtod(item, &end);
    const bool scale = axis->factor == FACTOR_SCALE;
    if (end == item || *end || !isfinite(real) || (scale ? real == 0.0 || !isfinite((float)real) : !(real >= 0.0))) {
        campaign_complain(&config->complaints, place, "%s is '%s'; write %s", campaign_axis_label(config, axis), item,
                          scale ? "a finite number other than 0, or leave it out for 1/sqrt(head_dim)"
                                : "a positive number, or 0 for none");
        return false;
    }
    return campaign_value_add(config, axis, (struct campaign_value){.real = real}, place);
}

bool campaign_flag_parse(const char *text, bool *flag) {
    *flag = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    return *flag || strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
}

static bool read_flag(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                      struct campaign_place place) {
    bool yes;
    if (!campaign_flag_parse(item, &yes)) {
        campaign_complain(&config->complaints, place, "%s is '%s'; write true or false",
                          campaign_axis_label(config, axis), item);
        return false;
    }
    return campaign_value_add(config, axis, (struct campaign_value){.integer = yes}, place);
}

static bool read_item(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                      struct campaign_place place) {
    switch (axis->factor == FACTOR_PARAMETER ? FACTOR_INTEGER : campaign_factor_info(axis->factor)->kind) {
    case FACTOR_INTEGER: return read_integers(config, axis, item, place);
    case FACTOR_REAL: return read_real(config, axis, item, place);
    case FACTOR_FLAG: return read_flag(config, axis, item, place);
    case FACTOR_NAME: return campaign_name_read(config, axis, item, place);
    case FACTOR_FORM: return campaign_form_read(config, axis, item, place);
    default: return campaign_pair_read(config, axis, item, place);
    }
}

/* Commas separate items, except in texts that have commas of their own. */
static bool has_items(enum campaign_factor factor) {
    return factor != FACTOR_MASK && factor != FACTOR_PLACEMENT && factor != FACTOR_CAPTURE;
}

static bool read_scalar(struct campaign_config *config, struct campaign_axis *axis, const char *text,
                        struct campaign_place place) {
    if (!has_items(axis->factor))
        return read_item(config, axis, text, place);
    bool good = true;
    for (const char *rest = text; rest;) {
        const char *const comma = strchr(rest, ',');
        size_t length = comma ? (size_t)(comma - rest) : strlen(rest);
        const size_t blanks = strspn(rest, " ");
        const char *const first = rest + (blanks < length ? blanks : length);
        length -= (size_t)(first - rest);
        while (length > 0 && first[length - 1] == ' ')
            --length;
        const char *const item = campaign_texts_copy(config->texts, first, length);
        struct campaign_place here = place;
        here.column += here.line ? (int)(first - text) : 0;
        if (length == 0) {
            campaign_complain(&config->complaints, here, "%s has an empty value", campaign_axis_label(config, axis));
            good = false;
        } else {
            good = item && read_item(config, axis, item, here) && good;
        }
        rest = comma ? comma + 1 : NULL;
    }
    return good;
}

static bool read_node(struct campaign_config *config, struct campaign_axis *axis, const struct campaign_node *node) {
    if (node->kind == CAMPAIGN_SCALAR)
        return read_scalar(config, axis, node->text, node->place);
    if (axis->factor == FACTOR_MASK && node->kind == CAMPAIGN_MAP)
        return campaign_form_map_read(config, axis, node);
    if (axis->factor == FACTOR_WINDOW && node->kind == CAMPAIGN_LIST)
        return campaign_pair_list_read(config, axis, node);
    campaign_complain(&config->complaints, node->place, "%s is %s; write %s", campaign_axis_label(config, axis),
                      campaign_node_kind_name(node), "a value, or a list of values");
    return false;
}

bool campaign_axis_read(struct campaign_config *config, struct campaign_axis *axis, const struct campaign_node *node,
                        bool single) {
    const bool pair = single && axis->factor == FACTOR_WINDOW;
    bool good = true;
    if (node->kind == CAMPAIGN_LIST && !pair) {
        for (const struct campaign_node *item = node->first; item; item = item->next)
            good = read_node(config, axis, item) && good;
        if (!node->first) {
            campaign_complain(&config->complaints, node->place, "%s has an empty list; give it a value or drop it",
                              campaign_axis_label(config, axis));
            good = false;
        }
    } else {
        good = read_node(config, axis, node);
    }
    if (good && single && axis->count != 1) {
        campaign_complain(&config->complaints, node->place,
                          "%s takes one value here; a list of values belongs in matrix",
                          campaign_axis_label(config, axis));
        return false;
    }
    return good;
}
