/* SPDX-License-Identifier: Apache-2.0 */
#include "record/result_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/json_text.h"

/* What the visits of a scan share. */
struct scan {
    const struct record_plan *plan;
    const char *path;
    struct record_index *index;
    uint32_t *by_id;      /* the plan's points in ascending order of their ids */
    unsigned char *taken; /* a bit for each point and invocation */
};

/* "0,2,4": CPUs in thread order; malloc'ed. */
static char *cpu_list(const struct record_line *line) {
    struct record_json_text text = {0};
    for (size_t i = 0; i < line->cpu_count; ++i) {
        record_json_literal(&text, i ? "," : "");
        record_json_integer(&text, line->cpus[i]);
    }
    return record_json_finish(&text);
}

enum attn_status record_line_columns(const struct record_line *line, int64_t trial, int64_t point, int64_t sample_start,
                                     struct record_fields *columns) {
    char *const cpus = cpu_list(line);
    const bool added = cpus && record_add_integer(columns, "trial_index", trial) == ATTN_OK &&
                       record_add_integer(columns, "point_index", point) == ATTN_OK &&
                       record_add_text(columns, "point_id", line->point) == ATTN_OK &&
                       record_add_integer(columns, "invocation", line->invocation) == ATTN_OK &&
                       record_add_integer(columns, "position", line->position) == ATTN_OK &&
                       record_add_text(columns, "status", record_status_name(line->status)) == ATTN_OK &&
                       record_add_text(columns, "reason", line->reason) == ATTN_OK &&
                       record_add_text(columns, "started_utc", line->started_utc) == ATTN_OK &&
                       record_add_integer(columns, "sample_start", sample_start) == ATTN_OK &&
                       record_add_integer(columns, "sample_count", (int64_t)line->sample_count) == ATTN_OK &&
                       record_add_text(columns, "ended_by", line->ended_by) == ATTN_OK &&
                       record_add_integer(columns, "threads_delivered", line->threads_delivered) == ATTN_OK &&
                       record_add_text(columns, "cpus", cpus) == ATTN_OK &&
                       record_add_integer(columns, "workspace_bytes", line->workspace_bytes) == ATTN_OK &&
                       record_add_integer(columns, "timing_valid", line->timing_valid) == ATTN_OK &&
                       record_add_text(columns, "timing_reason", line->timing_reason) == ATTN_OK;
    free(cpus);
    return added ? ATTN_OK : ATTN_NO_MEMORY;
}

/* ---- points by id ---- */

static int by_id(const void *left, const void *right, void *scan) {
    const struct record_point *const points = ((const struct scan *)scan)->plan->points;
    return strcmp(points[*(const uint32_t *)left].id, points[*(const uint32_t *)right].id);
}

/* Index of the point `id` in the plan, -1: none. */
static int64_t point_index(const struct scan *scan, const char *id) {
    size_t low = 0, high = scan->plan->point_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(id, scan->plan->points[scan->by_id[middle]].id);
        if (order == 0)
            return scan->by_id[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

/* ---- one line ---- */

static enum attn_status profile_line(struct record_index *index, const struct record_line *line, uint64_t row) {
    struct record_fields columns = {0};
    enum attn_status status = record_line_columns(line, 0, 0, 0, &columns);
    if (status == ATTN_OK)
        status = record_profile_see(&index->profile, RECORD_PART_OWN, &columns, row);
    if (status == ATTN_OK)
        status = record_profile_see(&index->profile, RECORD_PART_SUMMARY, &line->summary, row);
    if (status == ATTN_OK)
        status = record_profile_see(&index->profile, RECORD_PART_PARAMETER, &line->parameters, row);
    if (status == ATTN_OK)
        status = record_profile_see(&index->profile, RECORD_PART_CHECK, &line->check, row);
    if (status == ATTN_OK)
        status = record_profile_see(&index->profile, RECORD_PART_ROOF, &line->roof, row);
    record_fields_release(&columns);
    return status;
}

static bool grow(struct record_index *index) {
    if (index->count < index->capacity)
        return true;
    const size_t capacity = index->capacity ? 2 * index->capacity : 256;
    struct record_entry *const entries = realloc(index->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    index->entries = entries;
    index->capacity = capacity;
    return true;
}

static enum attn_status visit(void *context, const struct record_line *line, const struct record_place *place,
                              struct attn_error *error) {
    struct scan *const scan = context;
    struct record_index *const index = scan->index;
    const int64_t point = point_index(scan, line->point);
    if (point < 0)
        return attn_fail(error, ATTN_INVALID, "%s:%" PRId64 ": the plan has no point %s", scan->path, place->number,
                         line->point);
    if ((uint64_t)line->invocation >= scan->plan->invocations)
        return attn_fail(error, ATTN_INVALID,
                         "%s:%" PRId64 ": invocation %" PRId64 ", counted from 0; the plan has %zu", scan->path,
                         place->number, line->invocation, scan->plan->invocations);
    const uint64_t row = (uint64_t)point * scan->plan->invocations + (uint64_t)line->invocation;
    if (scan->taken[row / 8] >> row % 8 & 1)
        return ATTN_OK; /* the first line of a trial counts */
    scan->taken[row / 8] |= (unsigned char)(1 << row % 8);
    if (!grow(index) || profile_line(index, line, row) != ATTN_OK)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for %zu trials", scan->path, index->count);
    index->entries[index->count++] = (struct record_entry){
        .point = (uint32_t)point,
        .invocation = (uint32_t)line->invocation,
        .place = *place,
        .sample_count = line->sample_count,
        .status = line->status,
    };
    index->sample_count += line->sample_count;
    if (line->started_utc[0] && (!index->first_utc[0] || strcmp(line->started_utc, index->first_utc) < 0))
        memcpy(index->first_utc, line->started_utc, sizeof index->first_utc);
    return ATTN_OK;
}

/* ---- the whole journal ---- */

static int by_point_invocation(const void *left, const void *right) {
    const struct record_entry *const a = left, *const b = right;
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    return (a->invocation > b->invocation) - (a->invocation < b->invocation);
}

/* A point is done when each invocation has measured it or one has ended it for good. */
static bool is_complete(const struct record_plan *plan, const struct record_index *index) {
    size_t done = 0;
    for (size_t i = 0; i < index->count;) {
        const size_t first = i;
        bool final = false;
        for (; i < index->count && index->entries[i].point == index->entries[first].point; ++i)
            final = final || index->entries[i].status != RECORD_MEASURED;
        done += final || i - first == plan->invocations;
    }
    return done == plan->point_count;
}

static enum attn_status scan_journal(struct scan *scan, struct attn_error *error) {
    const struct record_plan *const plan = scan->plan;
    struct record_index *const index = scan->index;
    for (size_t i = 0; i < plan->point_count; ++i)
        scan->by_id[i] = (uint32_t)i;
    qsort_r(scan->by_id, plan->point_count, sizeof *scan->by_id, by_id, scan);
    /* An empty line's columns, so that a run without trials has them too. */
    const struct record_line blank = {0};
    if (profile_line(index, &blank, UINT64_MAX) != ATTN_OK)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for its columns", scan->path);
    const enum attn_status status = record_journal_scan(scan->path, visit, scan, error);
    if (status != ATTN_OK)
        return status;
    if (index->count > 0)
        qsort(index->entries, index->count, sizeof *index->entries, by_point_invocation);
    index->complete = is_complete(plan, index);
    if (record_profile_finish(&index->profile, index->count) != ATTN_OK)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for its columns", scan->path);
    return ATTN_OK;
}

enum attn_status record_index_build(const struct record_plan *plan, const char *journal_path,
                                    struct record_index *index, struct attn_error *error) {
    *index = (struct record_index){0};
    struct scan scan = {
        .plan = plan,
        .path = journal_path,
        .index = index,
        .by_id = malloc((plan->point_count + 1) * sizeof *scan.by_id),
        .taken = calloc(plan->point_count * plan->invocations / 8 + 1, 1),
    };
    const enum attn_status status =
        scan.by_id && scan.taken
            ? scan_journal(&scan, error)
            : attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for %zu points", journal_path, plan->point_count);
    free(scan.by_id);
    free(scan.taken);
    return status;
}

void record_index_release(struct record_index *index) {
    record_profile_release(&index->profile);
    free(index->entries);
    *index = (struct record_index){0};
}
