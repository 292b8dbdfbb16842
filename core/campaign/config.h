/* SPDX-License-Identifier: Apache-2.0 */
/* Experiment configs: YAML -> plan. Grammar: experiments/README.md. */
#ifndef CAMPAIGN_CONFIG_H
#define CAMPAIGN_CONFIG_H

#include "campaign/plan.h"

struct campaign_options {    /* what the command line adds; precedence default < config < environment < here */
    const char *const *sets; /* "key=value" of each --set */
    size_t set_count;
    const char *only; /* --only REGEX on "variant/isa/threads/..." point labels; NULL: all */
    bool quick;       /* --quick: one invocation, short times */
};

/* Reads, checks and expands a config file. ATTN_INVALID lists all problems, one per line, each as
 * "file:line:column: what is wrong; what would be right". ATTN_INVALID also when no point is left. */
enum attn_status campaign_config_plan(const char *path, const struct campaign_options *options,
                                      const struct attn_registry *registry, const struct machine_topology *topology,
                                      struct campaign_plan **plan, struct attn_error *error);

/* The same for `time VARIANT key=value...`: the text of a config is made from the words and planned. */
enum attn_status campaign_words_plan(const char *variant, const char *const *words, size_t word_count,
                                     const struct campaign_options *options, const struct attn_registry *registry,
                                     const struct machine_topology *topology, struct campaign_plan **plan,
                                     struct attn_error *error);

/* The resolved config of a plan: canonical YAML with ranges, globs and defaults written out, stored with the run
 * (malloc'ed). Planning it gives the same points again. NULL for a plan that was loaded: the run directory has it. */
char *campaign_config_resolved(const struct campaign_plan *plan);

#endif
