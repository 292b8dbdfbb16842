/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables, --quick, --set and the words of `time`: each puts a value into the tree, and takes the same
 * factor out of wherever else the config gives it. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign/reading.h"
#include "contract/nearest.h"

#define PREFIX "ATTNBENCH_"

static const char *const sections[] = {"inputs", "problem", "matrix", "zip", "measure"};
#define SECTION_COUNT (sizeof sections / sizeof *sections)

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names; ++names)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* Takes a factor (or VARIANT.PARAMETER) out of the whole tree. */
static void forget(struct campaign_node *root, const char *key) {
    struct campaign_node *const zip = campaign_node_find(root, "zip");
    struct campaign_node *const cases = campaign_node_find(root, "cases");
    if (campaign_factor_find(key) != FACTOR_NONE)
        campaign_node_remove(root, key);
    campaign_node_remove(campaign_node_find(root, "inputs"), key);
    campaign_node_remove(campaign_node_find(root, "problem"), key);
    campaign_node_remove(campaign_node_find(root, "matrix"), key);
    campaign_node_remove(zip, key);
    for (struct campaign_node *group = zip && zip->kind == CAMPAIGN_LIST ? zip->first : NULL; group;
         group = group->next)
        campaign_node_remove(group, key);
    for (struct campaign_node *one = cases && cases->kind == CAMPAIGN_LIST ? cases->first : NULL; one;
         one = one->next) {
        campaign_node_remove(campaign_node_find(one, "inputs"), key);
        campaign_node_remove(campaign_node_find(one, "problem"), key);
    }
}

/* The map under `key`, made when it is not there; NULL after a complaint. */
static struct campaign_node *section_of(struct campaign_config *config, struct campaign_node *parent, const char *key,
                                        struct campaign_place place) {
    struct campaign_node *section = campaign_node_find(parent, key);
    if (section && section->kind == CAMPAIGN_MAP)
        return section;
    if (section && section->kind != CAMPAIGN_NOTHING) {
        campaign_complain(&config->complaints, place, "%s is %s in the config; set the whole of it", key,
                          campaign_node_kind_name(section));
        return NULL;
    }
    section = campaign_texts_allocate(config->texts, sizeof *section);
    if (!section) {
        campaign_complain(&config->complaints, place, "out of memory");
        return NULL;
    }
    *section = (struct campaign_node){.kind = CAMPAIGN_MAP, .place = place, .key = key, .key_place = place};
    campaign_node_put(parent, section);
    return section;
}

static void put(struct campaign_node *map, const char *key, struct campaign_node *value, struct campaign_place place) {
    if (!map)
        return;
    value->key = key;
    value->key_place = place;
    campaign_node_put(map, value);
}

/* Lists and maps are YAML; anything else is a text as it stands, so that '*' needs no quotes of its own. */
static struct campaign_node *parse_value(struct campaign_config *config, const char *text,
                                         struct campaign_place place) {
    text += strspn(text, " ");
    if (*text && strchr("[{\"'", *text))
        return campaign_yaml_parse(text, strlen(text), place, &config->complaints);
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == ' ')
        --length;
    struct campaign_node *const node = campaign_texts_allocate(config->texts, sizeof *node);
    if (!node) {
        campaign_complain(&config->complaints, place, "out of memory");
        return NULL;
    }
    *node = (struct campaign_node){.kind = length ? CAMPAIGN_SCALAR : CAMPAIGN_NOTHING, .place = place};
    node->text = length ? campaign_texts_copy(config->texts, text, length) : NULL;
    return node;
}

/* Whether some variant has a parameter of this name. */
static bool is_parameter(const struct campaign_config *config, const char *name) {
    for (int v = 0; v < config->registry->variant_count; ++v)
        if (campaign_parameter_index(campaign_variant_at(config->registry, v), name) >= 0)
            return true;
    return false;
}

static void complain_unknown(struct campaign_config *config, const char *key, struct campaign_place place, bool words) {
    const char *known[128];
    size_t count = 0;
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        known[count++] = campaign_factor_info((enum campaign_factor)factor)->name;
    for (size_t n = 0; campaign_measure_keys[n]; ++n)
        known[count++] = campaign_measure_keys[n];
    for (size_t n = 0; !words && campaign_top_keys[n]; ++n)
        known[count++] = campaign_top_keys[n];
    for (int v = 0; words && v < config->registry->variant_count; ++v) {
        const struct attn_variant *const variant = campaign_variant_at(config->registry, v);
        for (int p = 0; p < variant->parameter_count && count < sizeof known / sizeof *known; ++p)
            known[count++] = variant->parameters[p].name;
    }
    campaign_complain_unknown(&config->complaints, place, "key", key, known, count);
}

/* A capture or tensor goes where captures are: into every case that has one, else into inputs. */
static void put_capture(struct campaign_config *config, const char *key, struct campaign_node *value,
                        struct campaign_place place) {
    const struct campaign_node *const cases = campaign_node_find(config->root, "cases");
    bool found = false;
    for (struct campaign_node *one = cases && cases->kind == CAMPAIGN_LIST ? cases->first : NULL; one;
         one = one->next) {
        struct campaign_node *const inputs = campaign_node_find(one, "inputs");
        struct campaign_node *const copy = campaign_texts_allocate(config->texts, sizeof *copy);
        if (!copy || !campaign_node_find(inputs, "capture"))
            continue;
        *copy = *value;
        put(inputs, key, copy, place);
        found = true;
    }
    if (!found) {
        forget(config->root, key);
        put(section_of(config, config->root, "inputs", place), key, value, place);
    }
}

/* A key without dots: a factor, a measure key, a key of the top level, with words a parameter. */
static void override_bare(struct campaign_config *config, const char *key, struct campaign_node *value,
                          struct campaign_place place, bool words) {
    struct campaign_node *const root = config->root;
    const enum campaign_factor factor = campaign_factor_find(key);
    if (factor == FACTOR_CAPTURE || factor == FACTOR_TENSOR) {
        put_capture(config, key, value, place);
    } else if (factor != FACTOR_NONE) {
        forget(root, key);
        put(section_of(config, root, "matrix", place), key, value, place);
    } else if (is_one_of(key, campaign_measure_keys)) {
        put(section_of(config, root, "measure", place), key, value, place);
    } else if (words && is_parameter(config, key)) {
        put(section_of(config, root, "matrix", place), campaign_texts_format(config->texts, "*.%s", key), value, place);
    } else if (is_one_of(key, campaign_top_keys) && !words) {
        put(root, key, value, place);
    } else {
        complain_unknown(config, key, place, words);
    }
}

static void override_dotted(struct campaign_config *config, const char *key, const char *dot,
                            struct campaign_node *value, struct campaign_place place) {
    const char *const head = campaign_texts_copy(config->texts, key, (size_t)(dot - key)), *const rest = dot + 1;
    bool section = false;
    for (size_t n = 0; head && n < SECTION_COUNT; ++n)
        section |= strcmp(head, sections[n]) == 0;
    if (!head) {
        campaign_complain(&config->complaints, place, "out of memory");
    } else if (!section) { /* VARIANT.PARAMETER, checked when matrix is read */
        forget(config->root, key);
        put(section_of(config, config->root, "matrix", place), key, value, place);
    } else if (strcmp(head, "problem") == 0 && strncmp(rest, "mask.", 5) == 0) {
        struct campaign_node *const problem = section_of(config, config->root, head, place);
        put(problem ? section_of(config, problem, "mask", place) : NULL, rest + 5, value, place);
    } else {
        if (strcmp(head, "measure") != 0)
            forget(config->root, rest);
        put(section_of(config, config->root, head, place), rest, value, place);
    }
}

void campaign_override(struct campaign_config *config, const char *assignment, struct campaign_place place,
                       bool words) {
    const char *const equals = strchr(assignment, '=');
    if (!equals || equals == assignment) {
        campaign_complain(&config->complaints, place, "is no assignment; write key=value");
        return;
    }
    struct campaign_node *const value = parse_value(config, equals + 1, place);
    const char *const key = campaign_texts_copy(config->texts, assignment, (size_t)(equals - assignment));
    if (!value || !key)
        return;
    const char *const dot = strchr(key, '.');
    if (dot)
        override_dotted(config, key, dot, value, place);
    else
        override_bare(config, key, value, place, words);
}

/* ATTNBENCH_MEASURE_MIN_TIME is measure.min_time; ATTNBENCH_THREADS is threads. A name that only resembles one of
 * these is a complaint; any other belongs to somebody else. */
static void read_variable(struct campaign_config *config, const char *variable) {
    static const char *const bare[] = {"name", "question", "baseline",  "only",  "variant",
                                       "isa",  "threads",  "placement", "cache", NULL};
    static const char *const heads[] = {"inputs", "problem", "matrix", "measure"};
    const char *const equals = strchr(variable, '=');
    char name[96];
    const size_t length = equals ? (size_t)(equals - variable) : 0;
    if (length <= strlen(PREFIX) || length - strlen(PREFIX) >= sizeof name)
        return;
    for (size_t n = strlen(PREFIX); n < length; ++n)
        name[n - strlen(PREFIX)] = (char)tolower((unsigned char)variable[n]);
    name[length - strlen(PREFIX)] = '\0';
    const struct campaign_place place = {campaign_texts_copy(config->texts, variable, length), 0, 0};
    if (!place.source)
        return;
    const char *assignment = NULL;
    if (is_one_of(name, bare))
        assignment = campaign_texts_format(config->texts, "%s=%s", name, equals + 1);
    for (size_t n = 0; n < sizeof heads / sizeof *heads && !assignment; ++n) {
        const size_t head = strlen(heads[n]);
        if (strncmp(name, heads[n], head) == 0 && name[head] == '_')
            assignment = campaign_texts_format(config->texts, "%s.%s=%s", heads[n], name + head + 1, equals + 1);
    }
    if (assignment) {
        campaign_override(config, assignment, place, false);
        return;
    }
    const char *known[64];
    size_t count = 0;
    for (size_t n = 0; bare[n]; ++n)
        known[count++] = bare[n];
    for (size_t n = 0; campaign_measure_keys[n]; ++n)
        known[count++] = campaign_texts_format(config->texts, "measure_%s", campaign_measure_keys[n]);
    const char *const near = attn_nearest(name, known, count);
    if (!near)
        return;
    for (size_t n = 0; n <= strlen(near); ++n)
        name[n] = (char)toupper((unsigned char)near[n]);
    campaign_complain(&config->complaints, place, "unknown variable; did you mean '" PREFIX "%s'?", name);
}

void campaign_overrides_apply(struct campaign_config *config, const struct campaign_options *options) {
    for (char **variable = environ; *variable; ++variable)
        if (strncmp(*variable, PREFIX, strlen(PREFIX)) == 0)
            read_variable(config, *variable);
    static const char *const quick[] = {"measure.invocations=1", "measure.min_time=5 ms", "measure.max_time=50 ms"};
    for (size_t n = 0; options && options->quick && n < sizeof quick / sizeof *quick; ++n)
        campaign_override(config, quick[n], (struct campaign_place){"--quick", 0, 0}, false);
    for (size_t n = 0; options && n < options->set_count; ++n) {
        const struct campaign_place place = {campaign_texts_format(config->texts, "--set %s", options->sets[n]), 0, 0};
        if (place.source)
            campaign_override(config, options->sets[n], place, false);
    }
    if (options && options->only) {
        const struct campaign_place place = {"--only", 0, 0};
        struct campaign_node *const value = campaign_texts_allocate(config->texts, sizeof *value);
        if (value) {
            *value = (struct campaign_node){.kind = CAMPAIGN_SCALAR, .place = place, .text = options->only};
            put(config->root, "only", value, place);
        }
    }
}
