/* SPDX-License-Identifier: Apache-2.0 */
#include "record/resultfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record/hdf5_columns.h"
#include "record/result_index.h"
#include "record/runfile.h"
#include "record/wholefile.h"

#define RESULT_SCHEMA         "attnbench-results"
#define RESULT_SCHEMA_VERSION 1

/* Everything one build works on. */
struct build {
    struct record_run_build run;
    char *journal_path;
    char *plan_text;
    struct record_plan plan;
    struct record_index index;
};

/* ---- gathering ---- */

static enum attn_status read_plan(struct build *build, struct attn_error *error) {
    char *const path = record_path_in(build->run.run_directory, "plan.json");
    size_t bytes = 0;
    struct attn_error why = {0};
    enum attn_status status = path ? record_file_read(path, &build->plan_text, &bytes, error) : ATTN_NO_MEMORY;
    if (status == ATTN_OK) {
        status = record_plan_decode(build->plan_text, bytes, &build->plan, &why);
        if (status != ATTN_OK)
            attn_fail(error, status, "%s: %s", path, why.message);
    }
    free(path);
    return status;
}

/* ---- groups ---- */

static bool write_root(const struct build *build) {
    const struct record_index *const index = &build->index;
    char plan_hash[RECORD_ID_CHARS + 1];
    record_id(build->plan_text, plan_hash);
    return record_hdf5_set_text(build->run.file, "schema", RESULT_SCHEMA) &&
           record_hdf5_set_integer(build->run.file, "schema_version", RESULT_SCHEMA_VERSION) &&
           record_hdf5_set_text(build->run.file, "software", "attnbench") &&
           record_hdf5_set_text(build->run.file, "softwareVersion",
                                record_text(&build->run.facts, "software_version", "unknown")) &&
           record_hdf5_set_text(build->run.file, "date", index->first_utc[0] ? index->first_utc : "unknown") &&
           record_hdf5_set_text(build->run.file, "machine", record_text(&build->run.facts, "hostname", "unknown")) &&
           record_hdf5_set_text(build->run.file, "status", index->complete ? "complete" : "partial") &&
           record_hdf5_set_text(build->run.file, "plan_hash", plan_hash) &&
           record_hdf5_set_integer(build->run.file, "seed", record_integer(&build->plan.header, "order_seed", 0)) &&
           record_hdf5_set_integer(build->run.file, "invocation_count", (int64_t)build->plan.invocations) &&
           record_hdf5_set_integer(build->run.file, "point_count", (int64_t)build->plan.point_count) &&
           record_hdf5_set_integer(build->run.file, "trial_count", (int64_t)index->count) &&
           record_hdf5_set_integer(build->run.file, "sample_count", (int64_t)index->sample_count);
}

/* Factors become columns behind the point's id; facts of the whole plan become attributes of the group. */
static bool write_plan_rows(const struct build *build, struct record_profile *profile) {
    const struct record_plan *const plan = &build->plan;
    struct record_fields id = {0};
    bool written = record_add_text(&id, "point_id", "0123456789abcdef") == ATTN_OK &&
                   record_profile_see(profile, RECORD_PART_OWN, &id, 0) == ATTN_OK;
    record_fields_release(&id);
    for (size_t i = 0; written && i < plan->point_count; ++i)
        written = record_profile_see(profile, RECORD_PART_SUMMARY, &plan->points[i].factors, i) == ATTN_OK;
    if (!written || record_profile_finish(profile, plan->point_count) != ATTN_OK)
        return false;
    struct record_table *const table =
        record_table_create(build->run.file, "plan", profile->columns, profile->count, plan->point_count);
    written = table && record_hdf5_set_fields(record_table_group(table), &plan->header);
    for (size_t i = 0; written && i < plan->point_count; ++i) {
        record_table_text(table, 0, plan->points[i].id);
        record_profile_put(profile, RECORD_PART_SUMMARY, &plan->points[i].factors, table);
        written = record_table_next(table);
    }
    return record_table_close(table) && written;
}

static bool write_plan(const struct build *build) {
    struct record_profile profile = {0};
    const bool written = write_plan_rows(build, &profile);
    record_profile_release(&profile);
    return written;
}

static bool write_samples(struct record_table *samples, const struct record_line *line, size_t trial, size_t first) {
    for (size_t n = 0; n < line->sample_count; ++n) {
        record_table_integer(samples, 0, (int64_t)(first + n));
        record_table_integer(samples, 1, (int64_t)trial);
        record_table_integer(samples, 2, (int64_t)n);
        record_table_real(samples, 3, line->samples_ns[n]);
        if (!record_table_next(samples))
            return false;
    }
    return true;
}

static bool write_trial(struct build *build, const struct record_line *line, size_t trial, size_t first_sample,
                        struct record_table *trials) {
    struct record_profile *const profile = &build->index.profile;
    struct record_fields own = {0};
    const bool made = record_line_columns(line, (int64_t)trial, build->index.entries[trial].point,
                                          (int64_t)first_sample, &own) == ATTN_OK;
    record_profile_put(profile, RECORD_PART_OWN, &own, trials);
    record_profile_put(profile, RECORD_PART_SUMMARY, &line->summary, trials);
    record_profile_put(profile, RECORD_PART_PARAMETER, &line->parameters, trials);
    record_profile_put(profile, RECORD_PART_CHECK, &line->check, trials);
    record_profile_put(profile, RECORD_PART_ROOF, &line->roof, trials);
    record_fields_release(&own);
    return made && record_table_next(trials);
}

/* The journal's second reading, line by line in the order of the result file. */
static enum attn_status write_lines(struct build *build, struct record_table *trials, struct record_table *samples,
                                    struct attn_error *error) {
    const int journal = open(build->journal_path, O_RDONLY | O_CLOEXEC);
    if (journal < 0)
        return attn_fail(error, ATTN_IO, "%s: cannot open the journal: %s", build->journal_path, strerror(errno));
    enum attn_status status = ATTN_OK;
    size_t first_sample = 0, capacity = 0;
    char *text = NULL;
    for (size_t trial = 0; status == ATTN_OK && trial < build->index.count; ++trial) {
        const struct record_entry *const entry = &build->index.entries[trial];
        if (entry->place.bytes > capacity) {
            free(text);
            text = malloc(capacity = entry->place.bytes);
        }
        struct record_line line;
        if (!text)
            status = attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for a line", build->journal_path);
        else if (pread(journal, text, entry->place.bytes, entry->place.offset) != (ssize_t)entry->place.bytes ||
                 record_line_decode(text, entry->place.bytes, &line, NULL) != ATTN_OK)
            status = attn_fail(error, ATTN_IO, "%s:%lld: the line cannot be read a second time", build->journal_path,
                               (long long)entry->place.number);
        if (status != ATTN_OK)
            break;
        if (!write_trial(build, &line, trial, first_sample, trials) ||
            !write_samples(samples, &line, trial, first_sample))
            status = record_run_refuse(&build->run, "cannot write the trials", error);
        first_sample += line.sample_count;
        record_line_release(&line);
    }
    free(text);
    close(journal);
    return status;
}

static enum attn_status write_trials(struct build *build, struct attn_error *error) {
    static const struct record_column sample_columns[] = {{.name = "sample_index", .kind = RECORD_INTEGER},
                                                          {.name = "trial_index", .kind = RECORD_INTEGER},
                                                          {.name = "iteration", .kind = RECORD_INTEGER},
                                                          {.name = "elapsed_ns", .kind = RECORD_REAL}};
    const struct record_index *const index = &build->index;
    struct record_table *const trials =
        record_table_create(build->run.file, "trial", index->profile.columns, index->profile.count, index->count);
    struct record_table *const samples = record_table_create(
        build->run.file, "sample", sample_columns, sizeof sample_columns / sizeof *sample_columns, index->sample_count);
    enum attn_status status = trials && samples ? write_lines(build, trials, samples, error)
                                                : record_run_refuse(&build->run, "cannot make the tables", error);
    const bool trials_closed = record_table_close(trials), samples_closed = record_table_close(samples);
    if (status == ATTN_OK && !(trials_closed && samples_closed))
        status = record_run_refuse(&build->run, "cannot write the trials", error);
    return status;
}

static enum attn_status write_file(struct record_run_build *run, void *context, struct attn_error *error) {
    struct build *const build = context;
    const enum attn_status status = write_root(build) && write_plan(build)
                                        ? write_trials(build, error)
                                        : record_run_refuse(run, "cannot write the plan", error);
    return status == ATTN_OK && !record_hdf5_put_provenance(run->file, run->run_directory, &run->facts)
               ? record_run_refuse(run, "cannot write the provenance", error)
               : status;
}

enum attn_status record_result_build(const char *run_directory, const char *path, struct attn_error *error) {
    struct build build = {.run = {.run_directory = run_directory, .path = path},
                          .journal_path = record_path_in(run_directory, "journal.jsonl")};
    enum attn_status status = build.journal_path ? read_plan(&build, error)
                                                 : attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for its name", path);
    if (status == ATTN_OK)
        status = record_run_facts(run_directory, &build.run.facts, error);
    if (status == ATTN_OK)
        status = record_index_build(&build.plan, build.journal_path, &build.index, error);
    if (status == ATTN_OK)
        status = record_run_build_file(&build.run, write_file, &build, error);
    record_index_release(&build.index);
    record_plan_release(&build.plan);
    record_fields_release(&build.run.facts);
    free(build.plan_text);
    free(build.journal_path);
    return status;
}
