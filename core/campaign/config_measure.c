/* SPDX-License-Identifier: Apache-2.0 */
/* What is not a factor: name, question, how to measure, baseline, filter. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/reading.h"

const char *const campaign_measure_keys[] = {"invocations",    "min_time", "max_time", "timeout", "target_ci",
                                             "max_iterations", "seed",     "peaks",    NULL};
const char *const campaign_top_keys[] = {"name", "question", "inputs",  "problem",  "cases", "matrix",
                                         "zip",  "exclude",  "measure", "baseline", "only",  NULL};

/* The scalar under `key`; NULL when it is absent, or after a complaint. */
static const struct campaign_node *scalar(struct campaign_config *config, const struct campaign_node *map,
                                          const char *key) {
    const struct campaign_node *const node = campaign_node_find(map, key);
    if (!node || node->kind == CAMPAIGN_NOTHING)
        return NULL;
    if (node->kind == CAMPAIGN_SCALAR)
        return node;
    campaign_complain(&config->complaints, node->place, "%s is %s; it takes one value", key,
                      campaign_node_kind_name(node));
    return NULL;
}

static void read_time(struct campaign_config *config, const struct campaign_node *map, const char *key,
                      double *elapsed_ns) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"min", 60e9}};
    static const char *const unit_names[] = {"ns", "us", "ms", "s", "min"};
    const struct campaign_node *const node = scalar(config, map, key);
    if (!node)
        return;
    char *unit;
    const double number = strtod(node->text, &unit);
    const bool no_number = unit == node->text || !isfinite(number) || isalpha((unsigned char)*node->text);
    while (*unit == ' ')
        ++unit;
    if (no_number || *unit == '\0') {
        campaign_complain(&config->complaints, node->place, "%s is '%s'; write a time with its unit, such as 200 ms",
                          key, node->text);
        return;
    }
    for (size_t n = 0; n < sizeof units / sizeof *units; ++n)
        if (strcmp(unit, units[n].unit) == 0) {
            *elapsed_ns = number * units[n].ns;
            if (!(*elapsed_ns > 0))
                campaign_complain(&config->complaints, node->place, "%s is '%s'; it must be greater than 0", key,
                                  node->text);
            return;
        }
    campaign_complain_unknown(&config->complaints, node->place, "unit", unit, unit_names, 5);
}

static void read_count(struct campaign_config *config, const struct campaign_node *map, const char *key, int64_t min,
                       int64_t max, int64_t *count) {
    const struct campaign_node *const node = scalar(config, map, key);
    bool beyond;
    int64_t value;
    if (!node)
        return;
    if (!campaign_integer_parse(node->text, &value, &beyond) || beyond || value < min || value > max)
        campaign_complain(&config->complaints, node->place,
                          "%s is '%s'; it must be a whole number in %" PRId64 "..%" PRId64, key, node->text, min, max);
    else
        *count = value;
}

static void read_fraction(struct campaign_config *config, const struct campaign_node *map, const char *key,
                          double *fraction) {
    const struct campaign_node *const node = scalar(config, map, key);
    if (!node)
        return;
    char *end;
    const double value = strtod(node->text, &end);
    if (end == node->text || *end || !(value > 0 && value < 1))
        campaign_complain(&config->complaints, node->place,
                          "%s is '%s'; write a fraction between 0 and 1, such as 0.02", key, node->text);
    else
        *fraction = value;
}

static void read_flag(struct campaign_config *config, const struct campaign_node *map, const char *key, bool *flag) {
    const struct campaign_node *const node = scalar(config, map, key);
    if (node && !campaign_flag_parse(node->text, flag))
        campaign_complain(&config->complaints, node->place, "%s is '%s'; write true or false", key, node->text);
}

/* The place of a measure key, or of the section when the key was left to its default. */
static struct campaign_place measure_place(const struct campaign_config *config, const struct campaign_node *measure,
                                           const char *key) {
    const struct campaign_node *const node = campaign_node_find(measure, key);
    return node ? node->place : measure ? measure->place : config->root->place;
}

static void read_measure(struct campaign_config *config) {
    const struct campaign_node *const measure = campaign_node_find(config->root, "measure");
    if (measure && measure->kind != CAMPAIGN_MAP && measure->kind != CAMPAIGN_NOTHING)
        campaign_complain(&config->complaints, measure->place, "measure is %s; it must be a map of keys",
                          campaign_node_kind_name(measure));
    size_t known = 0;
    while (campaign_measure_keys[known])
        ++known;
    for (const struct campaign_node *child = measure && measure->kind == CAMPAIGN_MAP ? measure->first : NULL; child;
         child = child->next) {
        bool found = false;
        for (size_t n = 0; n < known; ++n)
            found |= strcmp(child->key, campaign_measure_keys[n]) == 0;
        if (!found)
            campaign_complain_unknown(&config->complaints, child->key_place, "key", child->key, campaign_measure_keys,
                                      known);
    }
    int64_t invocations = 3, seed = 1;
    double timeout_ns = 60e9;
    struct measure_options *const options = &config->measure;
    *options = (struct measure_options){
        .min_time_ns = 200e6, .max_time_ns = 5e9, .target_ci = 0.02, .max_iterations = MEASURE_MAX_SAMPLES};
    read_count(config, measure, "invocations", 1, CAMPAIGN_MAX_INVOCATIONS, &invocations);
    read_count(config, measure, "max_iterations", 1, MEASURE_MAX_SAMPLES, &options->max_iterations);
    read_count(config, measure, "seed", 0, INT64_MAX, &seed);
    read_time(config, measure, "min_time", &options->min_time_ns);
    read_time(config, measure, "max_time", &options->max_time_ns);
    read_time(config, measure, "timeout", &timeout_ns);
    read_fraction(config, measure, "target_ci", &options->target_ci);
    read_flag(config, measure, "peaks", &config->peaks);
    if (options->min_time_ns > options->max_time_ns)
        campaign_complain(&config->complaints, measure_place(config, measure, "max_time"),
                          "max_time, %g ms, is less than min_time, %g ms; give both", options->max_time_ns / 1e6,
                          options->min_time_ns / 1e6);
    if (timeout_ns <= options->max_time_ns)
        campaign_complain(&config->complaints, measure_place(config, measure, "timeout"),
                          "timeout, %g s, is not greater than max_time, %g s; every point would run into it",
                          timeout_ns / 1e9, options->max_time_ns / 1e9);
    config->invocations = (int)invocations;
    config->seed = (uint64_t)seed;
    config->timeout_s = timeout_ns / 1e9;
}

static const char *read_text(struct campaign_config *config, const char *key, size_t limit, const char *otherwise) {
    const struct campaign_node *const node = scalar(config, config->root, key);
    if (!node)
        return otherwise;
    if (strlen(node->text) > limit)
        campaign_complain(&config->complaints, node->place, "%s has %zu bytes; at most %zu", key, strlen(node->text),
                          limit);
    return node->text;
}

/* The file's name without folder and ending. */
static const char *name_of_path(struct campaign_config *config) {
    const char *const slash = strrchr(config->path, '/');
    const char *const base = slash ? slash + 1 : config->path;
    const char *const dot = strrchr(base, '.');
    size_t length = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    const size_t limit = sizeof((struct campaign_plan *)0)->name - 1;
    return campaign_texts_copy(config->texts, base, length < limit ? length : limit);
}

static void check_top_keys(struct campaign_config *config) {
    const char *known[64];
    size_t count = 0;
    for (; campaign_top_keys[count]; ++count)
        known[count] = campaign_top_keys[count];
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        if (campaign_factor_info((enum campaign_factor)factor)->home == HOME_TOP)
            known[count++] = campaign_factor_info((enum campaign_factor)factor)->name;
    for (const struct campaign_node *child = config->root->first; child; child = child->next) {
        bool found = false;
        for (size_t n = 0; n < count; ++n)
            found |= strcmp(child->key, known[n]) == 0;
        const enum campaign_factor factor = campaign_factor_find(child->key);
        if (!found && factor != FACTOR_NONE)
            campaign_complain(&config->complaints, child->key_place, "key '%s' belongs in %s, or in matrix as an axis",
                              child->key, campaign_factor_info(factor)->home == HOME_INPUTS ? "inputs" : "problem");
        else if (!found)
            campaign_complain_unknown(&config->complaints, child->key_place, "key", child->key, known, count);
    }
}

void campaign_settings_read(struct campaign_config *config) {
    check_top_keys(config);
    config->name = read_text(config, "name", sizeof((struct campaign_plan *)0)->name - 1, name_of_path(config));
    config->question = read_text(config, "question", sizeof((struct campaign_plan *)0)->question - 1, "");
    for (const char *c = config->name ? config->name : ""; *c; ++c)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c)) {
            const struct campaign_node *const node = campaign_node_find(config->root, "name");
            if (node)
                campaign_complain(&config->complaints, node->place,
                                  "name is '%s'; run directories carry it: letters, digits, '.', '_' and '-' only",
                                  config->name);
            break;
        }
    read_measure(config);
    const struct campaign_node *const baseline = scalar(config, config->root, "baseline");
    if (baseline) {
        struct campaign_axis axis = {.factor = FACTOR_VARIANT, .place = baseline->place};
        config->baseline = baseline->text;
        config->baseline_place = baseline->place;
        if (campaign_axis_read(config, &axis, baseline, true))
            config->baseline = axis.values[0].text;
    }
    const struct campaign_node *const only = scalar(config, config->root, "only");
    if (only) {
        config->only = only->text;
        config->only_place = only->place;
        regex_t pattern;
        const int fault = regcomp(&pattern, only->text, REG_EXTENDED | REG_NOSUB);
        char message[128];
        if (fault == 0) {
            regfree(&pattern);
        } else {
            regerror(fault, &pattern, message, sizeof message);
            campaign_complain(&config->complaints, only->place, "'%s' is no extended regular expression: %s",
                              only->text, message);
        }
    }
}
