/* SPDX-License-Identifier: Apache-2.0 */
/* A study under way. Private to study/. */
#ifndef STUDY_RUNNING_H
#define STUDY_RUNNING_H

#include <stddef.h>

#include "layer/variant_attention.h"
#include "study/runner.h"

#define STUDY_MAX_SETTINGS 16
#define STUDY_MAX_VARIANTS 32

struct study_block { /* memory of the study, freed with the run */
    struct study_block *next;
    max_align_t bytes[];
};

struct study_run {
    const struct study_options *options;
    struct study_report *report;
    char values[STUDY_MAX_SETTINGS][48]; /* of the study's settings, in their order */
    struct study_block *blocks;
    struct layer_variant variants[STUDY_MAX_VARIANTS];
    int variant_count;
    bool short_of_memory;
    char blame[160];
};

/* Fills values; see study_execute. */
enum attn_status study_settings_read(struct study_run *run, struct attn_error *error);
void study_variants_release(struct study_run *run);

#endif
