/* SPDX-License-Identifier: Apache-2.0 */
/* A plan: every point of a campaign with its stable id, and the order in which each invocation walks them. */
#ifndef CAMPAIGN_PLAN_H
#define CAMPAIGN_PLAN_H

#include "check/form.h"
#include "contract/variant.h"
#include "machine/topology.h"
#include "measure/trial.h"
#include "record/planfile.h"

/* One point: a variant on a problem at a place. Texts are owned by the plan. */
struct campaign_point {
    char id[RECORD_ID_CHARS + 1];
    const char *variant;
    const char *isa; /* ISA level name */
    int threads;
    const char *placement;                  /* policy text, machine/placement.h */
    bool cold;                              /* cache: cold */
    struct check_form form;                 /* form.capture stays NULL here; the two texts below say which */
    const char *capture_path;               /* absolute; NULL: drawn inputs */
    const char *capture_tensor;             /* "paragraph/layer3" */
    int64_t overrides[ATTN_MAX_PARAMETERS]; /* in the variant's parameter order; 0: auto */
    int block;                              /* points of one block share inputs and oracle: same form and capture */
    int baseline;                           /* index of the point this one's speed-up refers to; -1: none */
};

struct campaign_plan {
    char name[64];
    char question[256];
    char config_path[4096];
    struct campaign_point *points;
    size_t point_count;
    size_t block_count;
    size_t left_out_threads;  /* points dropped because a serial variant keeps threads = 1 only */
    size_t left_out_excluded; /* points dropped by exclude or --only */
    int invocations;
    uint64_t seed;
    double timeout_s; /* per point */
    struct measure_options measure;
    uint32_t *order;              /* [invocations][point_count] */
    struct campaign_texts *texts; /* private: owns the strings */
};

void campaign_plan_free(struct campaign_plan *plan);

/* To and from the stored form. campaign_plan_load needs the registry to resolve variant names and
 * parameter names (a variant that is gone is ATTN_INVALID). */
enum attn_status campaign_plan_store(const struct campaign_plan *plan, const struct attn_registry *registry,
                                     struct record_plan *stored, struct attn_error *error);
enum attn_status campaign_plan_load(const struct record_plan *stored, const struct attn_registry *registry,
                                    struct campaign_plan **plan, struct attn_error *error);

#endif
