/* SPDX-License-Identifier: Apache-2.0 */
/* What `--set` changes in a study, and which variant stands in its layers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/nearest.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "machine/topology.h"
#include "study/running.h"

/* Whether `value` is one of the words of `choices`. */
static bool is_choice(const char *choices, const char *value) {
    const size_t length = strlen(value);
    for (const char *word = choices; length && !strchr(value, ' ') && (word = strstr(word, value)); word += length)
        if ((word == choices || word[-1] == ' ') && (word[length] == ' ' || !word[length]))
            return true;
    return false;
}

static bool is_positive_integer(const char *value) {
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    return *value && !*end && !errno && number > 0 && number <= INT32_MAX;
}

static enum attn_status set_one(struct study_run *run, const char *set, struct attn_error *error) {
    const struct study *const study = run->report->study;
    const size_t length = strcspn(set, "=");
    const char *names[STUDY_MAX_SETTINGS];
    for (int i = 0; i < study->setting_count; ++i) {
        const struct study_setting *const setting = &study->settings[i];
        names[i] = setting->name;
        if (!set[length] || strlen(setting->name) != length || strncmp(set, setting->name, length) != 0)
            continue;
        const char *const value = set + length + 1;
        if (setting->choices && !is_choice(setting->choices, value))
            return attn_fail(error, ATTN_INVALID, "%s: %s is '%s'; it must be one of: %s", study->name, setting->name,
                             value, setting->choices);
        if (!setting->choices && !is_positive_integer(value))
            return attn_fail(error, ATTN_INVALID, "%s: %s is '%s'; it must be a positive integer below 2^31",
                             study->name, setting->name, value);
        if (snprintf(run->values[i], sizeof run->values[i], "%s", value) >= (int)sizeof run->values[i])
            return attn_fail(error, ATTN_INVALID, "%s: %s is '%s'; that is too long", study->name, setting->name,
                             value);
        return ATTN_OK;
    }
    char name[64] = "";
    strncat(name, set, length < sizeof name - 1 ? length : sizeof name - 1);
    if (!set[length])
        return attn_fail(error, ATTN_INVALID, "'%s' is no setting; write NAME=VALUE", set);
    if (!study->setting_count)
        return attn_fail(error, ATTN_INVALID, "%s has no settings; '%s' cannot be set", study->name, name);
    const char *const nearest = attn_nearest(name, names, (size_t)study->setting_count);
    return attn_fail(error, ATTN_INVALID, "%s has no setting '%s'; %s '%s'", study->name, name,
                     nearest ? "did you mean" : "the first of its settings is", nearest ? nearest : names[0]);
}

/* "a=1" or "a=1,b=2". */
static enum attn_status set_list(struct study_run *run, const char *sets, struct attn_error *error) {
    char text[512];
    if (snprintf(text, sizeof text, "%s", sets) >= (int)sizeof text)
        return attn_fail(error, ATTN_INVALID, "'%.64s...' is too long for settings; name fewer at a time", sets);
    enum attn_status status = ATTN_OK;
    char *rest = text;
    for (char *set = strsep(&rest, ","); set && !status; set = strsep(&rest, ","))
        status = set_one(run, set, error);
    return status;
}

enum attn_status study_settings_read(struct study_run *run, struct attn_error *error) {
    const struct study *const study = run->report->study;
    if (study->setting_count > STUDY_MAX_SETTINGS)
        return attn_fail(error, ATTN_INTERNAL, "%s: more than %d settings", study->name, STUDY_MAX_SETTINGS);
    for (int i = 0; i < study->setting_count; ++i)
        snprintf(run->values[i], sizeof run->values[i], "%s", study->settings[i].fallback);
    enum attn_status status = ATTN_OK;
    for (int i = 0; i < run->options->set_count && !status; ++i)
        status = set_list(run, run->options->sets[i], error);
    return status;
}

enum attn_status study_settings_check(const struct study *study, const struct study_options *options,
                                      struct attn_error *error) {
    struct study_report report = {.study = study};
    struct study_run run = {.options = options, .report = &report};
    return study_settings_read(&run, error);
}

const char *study_setting_text(const struct study_run *run, const char *name) {
    const struct study *const study = run->report->study;
    for (int i = 0; i < study->setting_count; ++i)
        if (!strcmp(study->settings[i].name, name))
            return run->values[i];
    return "";
}

int64_t study_setting_integer(const struct study_run *run, const char *name) {
    return strtoll(study_setting_text(run, name), NULL, 10);
}

bool study_setting_is(const struct study_run *run, const char *name, const char *value) {
    return !strcmp(study_setting_text(run, name), value);
}

/* ---- variants ---- */

/* The variant at the highest level that is compiled in and runs here. */
static const struct attn_variant *best_level(const struct attn_registry *registry, int index) {
    const struct attn_variant *best = NULL;
    for (int level = 0; level < registry->level_count; ++level) {
        const struct attn_variant *const variant = registry->variants[index * registry->level_count + level];
        if (variant && !machine_isa_objection(registry->levels[level]))
            best = variant;
    }
    return best;
}

static const struct attn_variant *find_variant(const struct attn_registry *registry, const char *name,
                                               struct attn_error *error) {
    const char *names[STUDY_MAX_VARIANTS];
    int count = 0;
    for (int index = 0; registry && index < registry->variant_count; ++index) {
        const struct attn_variant *const variant = best_level(registry, index);
        if (variant && !strcmp(variant->name, name))
            return variant;
        if (variant && count < STUDY_MAX_VARIANTS)
            names[count++] = variant->name;
    }
    const char *const nearest = attn_nearest(name, names, (size_t)count);
    attn_fail(error, ATTN_INVALID, "unknown variant '%s'%s%s%s", name, nearest ? "; did you mean '" : "",
              nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

enum attn_status study_registered(struct study_run *run, const char *name, const struct layer_variant **layer,
                                  struct attn_error *error) {
    const struct attn_variant *const variant = find_variant(run->options->variants, name, error);
    if (!variant)
        return ATTN_INVALID;
    struct machine_topology *topology;
    if (run->variant_count == STUDY_MAX_VARIANTS)
        return attn_fail(error, ATTN_INTERNAL, "%s: more than %d variants", run->report->study->name,
                         STUDY_MAX_VARIANTS);
    const enum attn_status status = machine_topology_load(&topology, error);
    if (status)
        return status;
    struct layer_variant *const added = &run->variants[run->variant_count++];
    *added = (struct layer_variant){.variant = variant,
                                    .execution = {.threads = variant->traits & ATTN_PARALLEL ? study_threads(run) : 1,
                                                  .caches = machine_topology_caches(topology),
                                                  .sgemm = machine_gemm()}};
    machine_topology_free(topology);
    *layer = added;
    return ATTN_OK;
}

enum attn_status study_variant(struct study_run *run, const char *name, struct layer_attention *attention,
                               struct attn_error *error) {
    if (run->options->attention.run) {
        *attention = run->options->attention;
        return ATTN_OK;
    }
    const struct layer_variant *layer;
    const enum attn_status status = study_registered(run, name, &layer, error);
    if (!status)
        *attention =
            (struct layer_attention){.context = &run->variants[run->variant_count - 1], .run = layer_variant_attention};
    return status;
}

void study_variants_release(struct study_run *run) {
    for (int i = 0; i < run->variant_count; ++i)
        layer_variant_release(&run->variants[i]);
    run->variant_count = 0;
}
