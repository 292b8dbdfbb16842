/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "campaign/factors.h"
#include "cli/traits.h"
#include "cli/verbs.h"
#include "contract/nearest.h"
#include "machine/isa.h"

static void list_variants(const struct attn_registry *registry, bool long_form) {
    for (int i = 0; i < registry->variant_count; ++i) {
        const struct attn_variant *const variant = campaign_variant_at(registry, i);
        if (!long_form) {
            printf("%s\n", variant->name);
            continue;
        }
        char traits[128];
        cli_traits_text(variant->traits, traits, sizeof traits);
        printf("%s\n    idea         %s\n    improves on  %s\n    traits       %s\n", variant->name, variant->idea,
               variant->improves_on ? variant->improves_on : "nothing: the first rung", traits);
    }
}

static bool is_compiled(const struct attn_registry *registry, const char *level) {
    for (int i = 0; i < registry->level_count; ++i)
        if (!strcmp(registry->levels[i], level))
            return true;
    return false;
}

static void list_levels(const struct attn_registry *registry, bool long_form) {
    for (const char *const *level = machine_isa_levels; *level; ++level) {
        const char *const objection = machine_isa_objection(*level);
        if (!long_form)
            printf("%s\n", *level);
        else if (!is_compiled(registry, *level))
            printf("%-12s not compiled into this program\n", *level);
        else
            printf("%-12s %s\n", *level, objection ? objection : "runs here");
    }
}

static void list_studies(const struct study_registry *registry, bool long_form) {
    for (int i = 0; i < registry->count; ++i) {
        const struct study *const study = registry->studies[i];
        if (long_form)
            printf("%s\n    claims     %s of %s\n    statement  %s\n    law        %s\n", study->name, study->claims,
                   study->source, study->statement, study->law);
        else
            printf("%s\n", study->name);
        for (int n = 0; long_form && n < study->setting_count; ++n)
            printf("    --set %s=%s  %s%s%s%s\n", study->settings[n].name, study->settings[n].fallback,
                   study->settings[n].meaning, study->settings[n].choices ? " (" : "",
                   study->settings[n].choices ? study->settings[n].choices : "", study->settings[n].choices ? ")" : "");
    }
}

int cli_list(const struct cli_call *call) {
    static const char *const kinds[] = {"variants", "studies", "isa"};
    const char *const kind = call->arguments.word_count ? call->arguments.words[0] : "variants";
    if (!strcmp(kind, "variants")) {
        list_variants(call->registry, call->arguments.long_form);
        return CLI_OK;
    }
    if (!strcmp(kind, "isa")) {
        list_levels(call->registry, call->arguments.long_form);
        return CLI_OK;
    }
    if (!strcmp(kind, "studies")) {
        list_studies(call->studies, call->arguments.long_form);
        return CLI_OK;
    }
    const char *const nearest = attn_nearest(kind, kinds, sizeof kinds / sizeof *kinds);
    fprintf(stderr, "attnbench list: unknown kind '%s'; %s%s%s\n", kind, nearest ? "did you mean '" : "",
            nearest ? nearest : "known are variants, studies and isa", nearest ? "'?" : "");
    return CLI_USAGE;
}
