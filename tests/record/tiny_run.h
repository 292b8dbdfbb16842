/* SPDX-License-Identifier: Apache-2.0 */
/* A run of three points and two invocations in the scratch directory, its result file, and a column's length. Included
 * once per test program. */
#ifndef TESTS_RECORD_TINY_RUN_H
#define TESTS_RECORD_TINY_RUN_H

#include <hdf5.h>
#include <hdf5_hl.h>
#include <math.h>

#include "record/resultfile.h"
#include "record_scratch.h"

#define POINTS      3
#define INVOCATIONS 2

static void point_id(int point, char id[RECORD_ID_CHARS + 1]) {
    snprintf(id, RECORD_ID_CHARS + 1, "%016x", 0xabc0 - point); /* ids descend: plan order is not id order */
}

static void write_plan(void) {
    struct record_point points[POINTS] = {0};
    uint32_t order[INVOCATIONS * POINTS] = {0, 1, 2, 2, 1, 0};
    struct record_plan plan = {.points = points, .point_count = POINTS, .invocations = INVOCATIONS, .order = order};
    record_add_text(&plan.header, "name", "tiny");
    record_add_integer(&plan.header, "order_seed", 7);
    for (int i = 0; i < POINTS; ++i) {
        point_id(i, points[i].id);
        record_add_text(&points[i].factors, "variant", i == 1 ? "online_tiled" : "naive");
        record_add_integer(&points[i].factors, "query_len", 64 << i);
        if (i == 1)
            record_add_integer(&points[i].factors, "online_tiled.block_keys", 32);
    }
    cr_assert_eq(record_plan_write(scratch_path("plan.json"), &plan, NULL), ATTN_OK);
    for (int i = 0; i < POINTS; ++i)
        record_fields_release(&points[i].factors);
    record_fields_release(&plan.header);
}

/* The line of a trial: its samples are 1000 * point + 100 * invocation + n, as many as asked for. */
static char *trial_line(int point, int invocation, enum record_status status, size_t sample_count) {
    struct record_line line = {.invocation = invocation, .position = 7 * point, .status = status, .cpu_count = 2};
    int64_t cpus[2] = {0, 2};
    line.cpus = cpus;
    line.samples_ns = malloc((sample_count + 1) * sizeof(double));
    line.sample_count = sample_count;
    for (size_t n = 0; n < sample_count; ++n)
        line.samples_ns[n] = 1000 * point + 100 * invocation + (double)n;
    point_id(point, line.point);
    snprintf(line.started_utc, sizeof line.started_utc, "2026-01-31T12:00:%02d.000Z", 10 * invocation + point);
    if (status == RECORD_MEASURED) {
        line.timing_valid = true;
        record_add_real(&line.summary, "median_ns", 1000 * point + 100 * invocation);
        record_add_integer(&line.check, "checked_rows", 64);
        record_add_real(&line.check, "max_abs", point == 0 ? INFINITY : 0.5);
    } else {
        strcpy(line.reason, "takes f32 only");
    }
    /* Where strip_keys is seen first depends on the journal's order; where its column stands must not. */
    record_add_integer(&line.parameters, point == 1 ? "block_keys" : "strip_keys", 32);
    char *const text = record_line_encode(&line);
    record_fields_release(&line.summary);
    record_fields_release(&line.check);
    record_fields_release(&line.parameters);
    free(line.samples_ns);
    return text;
}

static void append(char *text) {
    struct record_journal *journal;
    cr_assert_eq(record_journal_open(scratch_path("journal.jsonl"), &journal, NULL), ATTN_OK);
    cr_assert_eq(record_journal_append(journal, text, NULL), ATTN_OK);
    record_journal_close(journal, NULL);
    free(text);
}

/* Points 0 and 1 measured twice, point 2 skipped for good: a complete run. */
static void write_run(void) {
    write_plan();
    append(trial_line(2, 0, RECORD_SKIPPED, 0));
    append(trial_line(1, 0, RECORD_MEASURED, 3));
    append(trial_line(0, 0, RECORD_MEASURED, 2));
    append(trial_line(0, 1, RECORD_MEASURED, 4));
    append(trial_line(1, 1, RECORD_MEASURED, 1));
}

static void build(void) {
    struct attn_error error = {0};
    cr_assert_eq(record_result_build(scratch, scratch_path("results.h5"), &error), ATTN_OK, "%s", error.message);
    cr_expect_not(scratch_exists("results.h5.tmp"));
}

static hid_t open_results(void) {
    const hid_t file = H5Fopen(scratch_path("results.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    cr_assert(file >= 0);
    return file;
}

static size_t length_of(hid_t file, const char *column) {
    hsize_t length = 0;
    cr_assert(H5LTget_dataset_info(file, column, &length, NULL, NULL) >= 0, "%s", column);
    return (size_t)length;
}

#endif
