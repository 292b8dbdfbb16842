/* SPDX-License-Identifier: Apache-2.0 */
/* plan.json: the points, every invocation's order, and what the plan was made from. Written once, when the run
 * directory is made. */
#ifndef RECORD_PLANFILE_H
#define RECORD_PLANFILE_H

#include "record/journal.h"

struct record_point {
    char id[RECORD_ID_CHARS + 1];
    struct record_fields factors; /* everything that makes the point, one column each in /plan */
};

struct record_plan {
    struct record_fields header; /* name, question, seed, invocations, measure options, config path, build id, ... */
    struct record_point *points;
    size_t point_count;
    size_t invocations;
    uint32_t *order; /* [invocations][point_count]: indices into points */
};

/* Written under a temporary name, synced and renamed. */
enum attn_status record_plan_write(const char *path, const struct record_plan *plan, struct attn_error *error);
/* ATTN_INVALID with the path and what is wrong: not JSON, another schema, an id twice, an order that is not one. The
 * plan is then zeroed; it need not be initialised. Release it. */
enum attn_status record_plan_read(const char *path, struct record_plan *plan, struct attn_error *error);
enum attn_status record_plan_decode(const char *text, size_t bytes, struct record_plan *plan, struct attn_error *error);
void record_plan_release(struct record_plan *plan);

/* A stable id: the 64-bit FNV-1a hash of a canonical text, which names every factor and its value. */
void record_id(const char *canonical, char id[RECORD_ID_CHARS + 1]);

#endif
