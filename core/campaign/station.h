/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker keeps from point to point: the inputs and oracle of the current block, and the workspace.
 * Nothing here grows with the number of points. */
#ifndef CAMPAIGN_STATION_H
#define CAMPAIGN_STATION_H

#include "campaign/plan.h"
#include "campaign/roofs.h"
#include "check/instance.h"
#include "check/oracle.h"
#include "record/capture.h"

struct campaign_station {
    const struct campaign_plan *plan;
    const struct attn_registry *registry;
    struct machine_topology *topology;
    struct attn_caches caches;

    /* The block. All sets hold the same values in different memory; sets beyond the first serve cold caches. */
    int block; /* -1: none */
    enum attn_status status;
    struct attn_error trouble; /* why the block has no inputs, when status is not ATTN_OK */
    struct record_capture capture;
    struct check_capture view; /* of capture, for the form */
    struct check_form form;
    int touch_threads; /* threads that first touched the operands */
    struct check_instance **sets;
    struct attn_problem *problems; /* [set_count], copies of the sets' problems and operands for the trial */
    struct attn_operands *operands;
    int set_count;
    double set_bytes;
    struct check_oracle *oracle;

    struct machine_buffer workspace;
    size_t workspace_bytes;       /* of the current point; canaried behind */
    int workspace_threads;        /* threads that first touched it */
    const char *workspace_policy; /* and where they were placed */
    struct measure_trial trial;
    struct campaign_roofs roofs;
    const struct machine_peaks *peaks;  /* that the current point stands under; NULL: not asked for */
    const struct attn_profile *profile; /* of an instrumented run; NULL otherwise */
};

enum attn_status campaign_station_open(struct campaign_station *station, const struct campaign_plan *plan,
                                       const struct attn_registry *registry, struct attn_error *error);
void campaign_station_close(struct campaign_station *station);

/* Makes inputs and oracle for the point's block unless they are there. What keeps the block from having
 * inputs (no memory, an unreadable capture) stays in status and trouble until the next block. */
void campaign_station_enter(struct campaign_station *station, const struct campaign_point *point);
/* Finds the point's peaks where the plan asks for them. Fails like campaign_roofs_find. */
enum attn_status campaign_station_peaks(struct campaign_station *station, const struct campaign_point *point,
                                        struct attn_error *error);
/* Drops the block: its memory can no longer be trusted. */
void campaign_station_leave(struct campaign_station *station);

/* At least `count` operand sets. */
enum attn_status campaign_station_sets(struct campaign_station *station, int count, struct attn_error *error);
/* How many sets exceed twice the last level cache; limited to a number that memory and time allow. */
int campaign_station_cold_sets(const struct campaign_station *station, bool *enough);

/* A poisoned workspace of exactly `bytes` bytes, first touched by `threads` threads. ATTN_UNSUPPORTED when it does
 * not fit into memory. */
enum attn_status campaign_station_workspace(struct campaign_station *station, size_t bytes, int threads,
                                            const char *policy, struct attn_error *error);
bool campaign_station_workspace_intact(const struct campaign_station *station);

#endif
