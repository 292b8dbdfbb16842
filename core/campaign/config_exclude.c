/* SPDX-License-Identifier: Apache-2.0 */
/* exclude: a list of rules; a rule takes out the points for which all its conditions hold. */
#include <fnmatch.h>
#include <string.h>

#include "campaign/reading.h"

/* Takes the comparison off the front of a condition's text. */
static enum campaign_comparison read_comparison(const char **text) {
    static const struct {
        const char *sign;
        enum campaign_comparison comparison;
    } signs[] = {{">=", AT_LEAST}, {"<=", AT_MOST}, {"!=", IS_NOT}, {"==", IS}, {">", ABOVE}, {"<", BELOW}};
    for (size_t n = 0; n < sizeof signs / sizeof *signs; ++n) {
        const size_t length = strlen(signs[n].sign);
        if (strncmp(*text, signs[n].sign, length) == 0) {
            *text += length;
            *text += strspn(*text, " ");
            return signs[n].comparison;
        }
    }
    return IS;
}

static bool is_number(enum campaign_factor factor) {
    return factor == FACTOR_PARAMETER || campaign_factor_info(factor)->kind == FACTOR_INTEGER ||
           campaign_factor_info(factor)->kind == FACTOR_REAL;
}

static bool read_condition(struct campaign_config *config, const struct campaign_node *node,
                           struct campaign_condition *condition) {
    struct campaign_node value = *node;
    *condition = (struct campaign_condition){.comparison = IS};
    if (!campaign_axis_name(config, node, &condition->wanted))
        return false;
    if (value.kind == CAMPAIGN_SCALAR) {
        condition->comparison = read_comparison(&value.text);
        value.place.column += value.place.line ? (int)(value.text - node->text) : 0;
    }
    const bool ordered = condition->comparison != IS && condition->comparison != IS_NOT;
    if (ordered && !is_number(condition->wanted.factor)) {
        campaign_complain(&config->complaints, node->place, "%s has no order; compare it with a value, != or a list",
                          node->key);
        return false;
    }
    if (!campaign_axis_read(config, &condition->wanted, &value, false))
        return false;
    if (ordered && condition->wanted.count != 1) {
        campaign_complain(&config->complaints, node->place, "%s is compared with several values; '<' and '>' take one",
                          node->key);
        return false;
    }
    return true;
}

static void read_rule(struct campaign_config *config, const struct campaign_node *map) {
    if (map->kind != CAMPAIGN_MAP || !map->first) {
        campaign_complain(&config->complaints, map->place,
                          "an exclude rule is a map such as {variant: naive, "
                          "query_len: \">2048\"}; this is %s",
                          map->kind == CAMPAIGN_MAP ? "empty" : campaign_node_kind_name(map));
        return;
    }
    size_t count = 0;
    for (const struct campaign_node *child = map->first; child; child = child->next)
        ++count;
    struct campaign_rule *const rule = campaign_texts_allocate(config->texts, sizeof *rule);
    struct campaign_condition *const conditions =
        campaign_texts_allocate(config->texts, count * sizeof *rule->conditions);
    if (!rule || !conditions)
        return;
    rule->conditions = conditions;
    for (const struct campaign_node *child = map->first; child; child = child->next)
        if (read_condition(config, child, &conditions[rule->count]))
            ++rule->count;
    struct campaign_rule **link = &config->rules;
    while (*link)
        link = &(*link)->next;
    *link = rule;
}

void campaign_exclude_read(struct campaign_config *config) {
    const struct campaign_node *const exclude = campaign_node_find(config->root, "exclude");
    if (!exclude || exclude->kind == CAMPAIGN_NOTHING)
        return;
    if (exclude->kind == CAMPAIGN_MAP)
        read_rule(config, exclude);
    else if (exclude->kind == CAMPAIGN_LIST)
        for (const struct campaign_node *rule = exclude->first; rule; rule = rule->next)
            read_rule(config, rule);
    else
        campaign_complain(&config->complaints, exclude->place, "exclude is %s; it must be a list of maps",
                          campaign_node_kind_name(exclude));
}

/* -1, 0, 1 for numbers; 0 or 1 for what has no order. */
static int compare(enum campaign_factor factor, const struct campaign_value *have, const struct campaign_value *want) {
    char a[256], b[256];
    if (factor != FACTOR_PARAMETER && campaign_factor_info(factor)->kind == FACTOR_REAL)
        return (have->real > want->real) - (have->real < want->real);
    if (is_number(factor))
        return (have->integer > want->integer) - (have->integer < want->integer);
    campaign_value_text(factor, have, a, sizeof a);
    campaign_value_text(factor, want, b, sizeof b);
    return strcmp(a, b) != 0;
}

static bool holds(const struct campaign_config *config, const struct campaign_condition *condition,
                  const struct campaign_point *point) {
    const struct campaign_axis *const wanted = &condition->wanted;
    struct campaign_value have;
    if (wanted->factor == FACTOR_PARAMETER) {
        const struct attn_variant *const variant = campaign_variant_any(config->registry, point->variant);
        const int index =
            fnmatch(wanted->owner, point->variant, 0) == 0 ? campaign_parameter_index(variant, wanted->parameter) : -1;
        if (index < 0)
            return false;
        have = (struct campaign_value){.integer = point->overrides[index]};
    } else {
        have = campaign_factor_get(point, wanted->factor);
    }
    bool any = false;
    for (size_t n = 0; n < wanted->count; ++n) {
        const int order = compare(wanted->factor, &have, &wanted->values[n]);
        switch (condition->comparison) {
        case IS:
        case IS_NOT: any |= order == 0; break;
        case BELOW: any |= order < 0; break;
        case AT_MOST: any |= order <= 0; break;
        case ABOVE: any |= order > 0; break;
        case AT_LEAST: any |= order >= 0; break;
        }
    }
    return condition->comparison == IS_NOT ? !any : any;
}

bool campaign_excluded(const struct campaign_config *config, const struct campaign_point *point) {
    for (const struct campaign_rule *rule = config->rules; rule; rule = rule->next) {
        bool all = true;
        for (size_t n = 0; all && n < rule->count; ++n)
            all = holds(config, &rule->conditions[n], point);
        if (all)
            return true;
    }
    return false;
}
