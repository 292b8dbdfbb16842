/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's first reading: where each trial's line stands, in the order of the result file, and which columns all
 * lines together need. A line's samples are not kept. Private to record/. */
#ifndef RECORD_RESULT_INDEX_H
#define RECORD_RESULT_INDEX_H

#include "record/column_profile.h"
#include "record/planfile.h"

struct record_entry {
    uint32_t point, invocation; /* point: index into the plan */
    struct record_place place;
    size_t sample_count;
    enum record_status status;
};

struct record_index {
    struct record_entry *entries; /* by point, then invocation; a (point, invocation) that occurs again is left out */
    size_t count, capacity;
    size_t sample_count; /* of all entries */
    struct record_profile profile;
    char first_utc[32]; /* the earliest start of a trial; empty: none */
    bool complete;      /* every point has a line of every invocation, or one that is final (not MEASURED) */
};

/* ATTN_INVALID names the journal's line that fits no point or invocation of the plan. Release it in any case. */
enum attn_status record_index_build(const struct record_plan *plan, const char *journal_path,
                                    struct record_index *index, struct attn_error *error);
void record_index_release(struct record_index *index);

/* The columns of /trial that every line has. */
enum attn_status record_line_columns(const struct record_line *line, int64_t trial, int64_t point, int64_t sample_start,
                                     struct record_fields *columns);

#endif
