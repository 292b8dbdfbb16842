/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "campaign/factors.h"
#include "cli/traits.h"
#include "cli/verbs.h"
#include "contract/nearest.h"
#include "machine/isa.h"

void cli_traits_text(unsigned traits, char *text, size_t text_bytes) {
    static const struct {
        enum attn_trait trait;
        const char *name;
    } names[] = {
        {ATTN_PARALLEL, "parallel"},
        {ATTN_REPEATABLE, "repeatable"},
        {ATTN_THREAD_INVARIANT, "thread-count invariant"},
        {ATTN_ROUNDS_WEIGHTS, "rounds its weights to the 16-bit type"},
    };
    size_t used = 0;
    snprintf(text, text_bytes, "none");
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (traits & names[i].trait && used < text_bytes)
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used ? ", " : "", names[i].name);
}

static void print_parameters(const struct attn_variant *variant) {
    if (!variant->parameter_count)
        printf("parameters   none\n");
    for (int i = 0; i < variant->parameter_count; ++i) {
        const struct attn_parameter *const parameter = &variant->parameters[i];
        char initial[32] = "auto";
        if (parameter->initial)
            snprintf(initial, sizeof initial, "%" PRId64, parameter->initial);
        printf("%-12s %s: %s; %" PRId64 "..%" PRId64 ", default %s\n", i ? "" : "parameters", parameter->name,
               parameter->meaning, parameter->min, parameter->max, initial);
    }
}

int cli_describe(const struct cli_call *call) {
    const struct attn_registry *const registry = call->registry;
    const char *const name = call->arguments.words[0];
    const char *names[256];
    int count = 0;
    for (int i = 0; i < registry->variant_count; ++i) {
        const struct attn_variant *const variant = campaign_variant_at(registry, i);
        if (count < (int)(sizeof names / sizeof *names))
            names[count++] = variant->name;
        if (strcmp(variant->name, name) != 0)
            continue;
        char traits[128];
        cli_traits_text(variant->traits, traits, sizeof traits);
        printf("%s\nidea         %s\nimproves on  %s\ntraits       %s\npasses       %s%s\n", variant->name,
               variant->idea, variant->improves_on ? variant->improves_on : "nothing: the first rung", traits,
               variant->forward.run ? "forward" : "", variant->backward.run ? ", backward" : "");
        print_parameters(variant);
        for (int level = 0; level < registry->level_count; ++level) {
            const char *const objection = machine_isa_objection(registry->levels[level]);
            printf("%-12s %s: %s\n", level ? "" : "isa levels", registry->levels[level],
                   objection ? objection : "runs here");
        }
        return CLI_OK;
    }
    const char *const nearest = attn_nearest(name, names, (size_t)count);
    if (nearest)
        fprintf(stderr, "attnbench describe: unknown variant '%s'; did you mean '%s'?\n", name, nearest);
    else
        fprintf(stderr, "attnbench describe: unknown variant '%s'; attnbench list names them all\n", name);
    return CLI_USAGE;
}
