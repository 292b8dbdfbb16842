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
    const char *capture_digest;             /* of the file's bytes, 16 hexadecimal digits */
    const char *capture_tensor;             /* "paragraph/layer3" */
    int64_t overrides[ATTN_MAX_PARAMETERS]; /* in the variant's parameter order; 0: auto */
    int block;                              /* points of one block share inputs and oracle: same form and capture */
    int baseline;                           /* index of the point this one's speed-up refers to; -1: none */
    double flops, min_bytes;                /* contract/problem.h */
    int64_t live_pairs;                     /* likewise */
    double memory_bytes;                    /* operands (all sets, when cold) and workspace */
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
    const char *baseline;     /* variant; NULL: none named */
    const char *resolved;     /* the resolved config; NULL for a plan that was loaded: its run directory has the file */
    int invocations;
    uint64_t seed;
    double timeout_s; /* per point */
    struct measure_options measure;
    bool peaks;                   /* measure those that points stand under */
    uint32_t *order;              /* [invocations][point_count] */
    struct campaign_texts *texts; /* private: owns the strings */
};

void campaign_plan_free(struct campaign_plan *plan);

/* "online_tiled/avx2/threads=2/compact/batch=1/query_heads=8/query_len=512/head_dim=64/f32/causal=top_left/normal":
 * what --only is matched with and tables print. Defaults after head_dim are left out. */
#define CAMPAIGN_LABEL_BYTES 1024
void campaign_point_label(const struct campaign_point *point, const struct attn_registry *registry,
                          char label[CAMPAIGN_LABEL_BYTES]);

/* What a plan will take. Times are a guess that assumes the speed of plain loops; the bounds come from min_time and
 * max_time. */
struct campaign_estimate {
    size_t points, blocks, without_baseline;
    double least_s, most_s;
    double peak_bytes;      /* operands and workspace of the largest point */
    double available_bytes; /* what the machine has left now */
};
struct campaign_estimate campaign_plan_estimate(const struct campaign_plan *plan);

/* To and from the stored form; nothing is lost. campaign_plan_load needs the registry to resolve variant names and
 * parameter names (a variant that is gone is ATTN_INVALID). */
enum attn_status campaign_plan_store(const struct campaign_plan *plan, const struct attn_registry *registry,
                                     struct record_plan *stored, struct attn_error *error);
enum attn_status campaign_plan_load(const struct record_plan *stored, const struct attn_registry *registry,
                                    struct campaign_plan **plan, struct attn_error *error);

#endif
