/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/study_record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/directory.h"
#include "machine/clock.h"
#include "record/studyfile.h"

struct filling {
    int threads;
    const struct campaign_launch *launch;
};

static enum attn_status fill(const char *directory, const void *context, struct attn_error *error) {
    const struct filling *const filling = context;
    const enum attn_status status = campaign_directory_write(directory, CAMPAIGN_JOURNAL_FILE, strdup(""), error);
    return status ? status : campaign_directory_provenance(directory, filling->threads, filling->launch, NULL, error);
}

enum attn_status cli_study_record_open(struct cli_study_record *record, const char *output, const char *name,
                                       int threads, const struct campaign_launch *launch, struct attn_error *error) {
    const struct filling filling = {threads, launch};
    if (output)
        snprintf(record->directory, sizeof record->directory, "%s", output);
    else
        campaign_directory_name(name, name, record->directory, sizeof record->directory);
    enum attn_status status = campaign_directory_make(record->directory, fill, &filling, error);
    char path[4096];
    campaign_rundir_path(record->directory, CAMPAIGN_JOURNAL_FILE, path);
    return status ? status : record_journal_open(path, &record->journal, error);
}

/* ---- a line ---- */

static bool add_text(struct record_fields *fields, const char *name, const char *value) {
    return record_add_text(fields, name, value) == ATTN_OK;
}

static bool study_fields(const struct study_report *report, const struct study_options *options,
                         struct record_fields *fields) {
    const struct study *const study = report->study;
    char sets[1024] = "", now[32];
    size_t used = 0;
    for (int i = 0; i < options->set_count && used < sizeof sets; ++i)
        used += (size_t)snprintf(sets + used, sizeof sets - used, "%s%s", i ? "," : "", options->sets[i]);
    machine_utc_now(now);
    return add_text(fields, "name", study->name) && add_text(fields, "claims", study->claims) &&
           add_text(fields, "source", study->source) && add_text(fields, "statement", study->statement) &&
           add_text(fields, "law", study->law) && add_text(fields, "settings", sets) &&
           record_add_integer(fields, "seed", (int64_t)options->seed) == ATTN_OK &&
           record_add_integer(fields, "threads", options->threads) == ATTN_OK &&
           record_add_real(fields, "elapsed_ns", report->elapsed_ns) == ATTN_OK && add_text(fields, "ended_utc", now);
}

static bool claim_fields(const struct study_claim *claim, struct record_fields *fields) {
    return add_text(fields, "claim", claim->claim) && add_text(fields, "law_verdict", study_law_name(claim->law)) &&
           add_text(fields, "claim_verdict", study_verdict_name(claim->verdict)) &&
           add_text(fields, "because", claim->because);
}

static bool quantity_fields(const struct study_quantity *quantity, struct record_fields *fields) {
    const char *const verdict = isnan(quantity->low) ? "RECORDED" : quantity->inside ? "HOLDS" : "DEPARTS";
    return add_text(fields, "claim", quantity->claim) && add_text(fields, "quantity", quantity->name) &&
           add_text(fields, "series", quantity->series) && add_text(fields, "axis", quantity->axis) &&
           record_add_real(fields, "at", quantity->at) == ATTN_OK &&
           record_add_real(fields, "measured", quantity->measured) == ATTN_OK &&
           record_add_real(fields, "low", quantity->low) == ATTN_OK &&
           record_add_real(fields, "high", quantity->high) == ATTN_OK && add_text(fields, "law_verdict", verdict);
}

static bool describe(const struct study_report *report, const struct study_options *options,
                     struct record_study *study) {
    study->claims = calloc((size_t)report->claim_count + 1, sizeof *study->claims);
    study->quantities = calloc((size_t)report->quantity_count + 1, sizeof *study->quantities);
    bool whole = study->claims && study->quantities && study_fields(report, options, &study->study);
    for (int i = 0; i < report->claim_count && whole; ++i)
        whole = claim_fields(&report->claims[i], &study->claims[study->claim_count++]);
    for (int i = 0; i < report->quantity_count && whole; ++i)
        whole = quantity_fields(&report->quantities[i], &study->quantities[study->quantity_count++]);
    return whole;
}

enum attn_status cli_study_record_add(struct cli_study_record *record, const struct study_report *report,
                                      const struct study_options *options, struct attn_error *error) {
    struct record_study study = {.claims = NULL};
    char *const line = describe(report, options, &study) ? record_study_encode(&study) : NULL;
    const enum attn_status status =
        line ? record_journal_append(record->journal, line, error)
             : attn_fail(error, ATTN_NO_MEMORY, "no memory for the line of %s", report->study->name);
    free(line);
    record_study_release(&study);
    return status;
}

enum attn_status cli_study_record_close(struct cli_study_record *record, struct attn_error *error) {
    char path[4096];
    campaign_rundir_path(record->directory, CAMPAIGN_RESULT_FILE, path);
    const enum attn_status status = record_journal_close(record->journal, error);
    record->journal = NULL;
    return status ? status : record_study_build(record->directory, path, error);
}
