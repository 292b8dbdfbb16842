/* SPDX-License-Identifier: Apache-2.0 */
#include "record/studyfile.h"

#include <stdlib.h>
#include <string.h>

#include "record/column_profile.h"
#include "record/json_read.h"
#include "record/json_text.h"
#include "record/runfile.h"
#include "record/wholefile.h"

#define STUDY_SCHEMA         "attnbench-studies"
#define STUDY_SCHEMA_VERSION 1

static void release_all(struct record_fields *rows, size_t count) {
    for (size_t i = 0; i < count; ++i)
        record_fields_release(&rows[i]);
    free(rows);
}

void record_study_release(struct record_study *study) {
    record_fields_release(&study->study);
    release_all(study->claims, study->claim_count);
    release_all(study->quantities, study->quantity_count);
    *study = (struct record_study){.claims = NULL};
}

/* ---- lines ---- */

static void encode_rows(struct record_json_text *text, const struct record_fields *rows, size_t count) {
    record_json_literal(text, "[");
    for (size_t i = 0; i < count; ++i) {
        record_json_literal(text, i ? ", " : "");
        record_json_object(text, &rows[i]);
    }
    record_json_literal(text, "]");
}

char *record_study_encode(const struct record_study *study) {
    struct record_json_text text = {0};
    record_json_literal(&text, "{\"study\": ");
    record_json_object(&text, &study->study);
    record_json_literal(&text, ", \"claims\": ");
    encode_rows(&text, study->claims, study->claim_count);
    record_json_literal(&text, ", \"quantities\": ");
    encode_rows(&text, study->quantities, study->quantity_count);
    record_json_literal(&text, "}");
    return record_json_finish(&text);
}

static enum attn_status decode_rows(const json_t *root, const char *key, struct record_fields **rows, size_t *count,
                                    struct attn_error *error) {
    const json_t *const array = json_object_get(root, key);
    if (!json_is_array(array))
        return attn_fail(error, ATTN_INVALID, "'%s' must be an array", key);
    const size_t length = json_array_size(array);
    *rows = calloc(length + 1, sizeof **rows);
    if (!*rows)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for %zu rows", length);
    *count = length;
    enum attn_status status = ATTN_OK;
    for (size_t i = 0; i < length && status == ATTN_OK; ++i)
        status = record_json_fields(json_array_get(array, i), key, &(*rows)[i], error);
    return status;
}

enum attn_status record_study_decode(const char *text, size_t bytes, struct record_study *study,
                                     struct attn_error *error) {
    *study = (struct record_study){.claims = NULL};
    json_t *const root = record_json_parse(text, bytes, error);
    if (!root)
        return ATTN_INVALID;
    enum attn_status status = record_json_get_fields(root, "study", &study->study, error);
    if (status == ATTN_OK && !record_text(&study->study, "name", "")[0])
        status = attn_fail(error, ATTN_INVALID, "'study' must have a 'name'");
    if (status == ATTN_OK)
        status = decode_rows(root, "claims", &study->claims, &study->claim_count, error);
    if (status == ATTN_OK)
        status = decode_rows(root, "quantities", &study->quantities, &study->quantity_count, error);
    json_decref(root);
    return status;
}

/* ---- the journal ---- */

struct journal {
    struct record_study *studies; /* owned */
    size_t count, capacity;
};

static void release_journal(struct journal *journal) {
    for (size_t i = 0; i < journal->count; ++i)
        record_study_release(&journal->studies[i]);
    free(journal->studies);
}

/* Takes the study over; one of the same name gives way to it. */
static enum attn_status take_study(struct journal *journal, struct record_study *study, struct attn_error *error) {
    const char *const name = record_text(&study->study, "name", "");
    for (size_t i = 0; i < journal->count; ++i)
        if (!strcmp(record_text(&journal->studies[i].study, "name", ""), name)) {
            record_study_release(&journal->studies[i]);
            journal->studies[i] = *study;
            return ATTN_OK;
        }
    if (journal->count == journal->capacity) {
        const size_t capacity = journal->capacity ? 2 * journal->capacity : 64;
        struct record_study *const grown = realloc(journal->studies, capacity * sizeof *grown);
        if (!grown) {
            record_study_release(study);
            return attn_fail(error, ATTN_NO_MEMORY, "no memory for %zu studies", capacity);
        }
        journal->studies = grown;
        journal->capacity = capacity;
    }
    journal->studies[journal->count++] = *study;
    return ATTN_OK;
}

static enum attn_status read_journal(const char *run_directory, struct journal *journal, struct attn_error *error) {
    char *const path = record_path_in(run_directory, "journal.jsonl"), *text = NULL;
    size_t bytes = 0;
    enum attn_status status =
        path ? record_file_read(path, &text, &bytes, error) : attn_fail(error, ATTN_NO_MEMORY, "no memory for a path");
    long long number = 0;
    const char *line = text, *end;
    while (status == ATTN_OK && (end = memchr(line, '\n', bytes - (size_t)(line - text)))) {
        struct record_study study;
        struct attn_error why = {0};
        ++number;
        status = record_study_decode(line, (size_t)(end - line), &study, &why);
        if (status == ATTN_OK) {
            status = take_study(journal, &study, error);
        } else {
            record_study_release(&study);
            attn_fail(error, status, "%s:%lld: %s", path, number, why.message);
        }
        line = end + 1;
    }
    free(text);
    free(path);
    return status;
}

/* ---- the file ---- */

/* A table of all rows that `rows` gives, study after study, the study's index in front. */
static bool write_rows(hid_t file, const char *group, const struct journal *journal,
                       const struct record_fields *(*rows)(const struct record_study *study, size_t *count)) {
    struct record_profile profile = {0};
    struct record_fields index = {0};
    size_t total = 0, count;
    bool written = record_add_integer(&index, "study_index", 0) == ATTN_OK;
    for (size_t i = 0; i < journal->count; ++i) {
        rows(&journal->studies[i], &count);
        total += count;
    }
    for (size_t i = 0, row = 0; i < journal->count && written; ++i) {
        const struct record_fields *const fields = rows(&journal->studies[i], &count);
        for (size_t n = 0; n < count && written; ++n, ++row)
            written = record_profile_see(&profile, RECORD_PART_OWN, &index, row) == ATTN_OK &&
                      record_profile_see(&profile, RECORD_PART_SUMMARY, &fields[n], row) == ATTN_OK;
    }
    if (written && total == 0)
        written = record_profile_see(&profile, RECORD_PART_OWN, &index, 0) == ATTN_OK;
    written = written && record_profile_finish(&profile, total) == ATTN_OK;
    struct record_table *const table =
        written ? record_table_create(file, group, profile.columns, profile.count, total) : NULL;
    written = table != NULL;
    for (size_t i = 0; i < journal->count && written; ++i) {
        const struct record_fields *const fields = rows(&journal->studies[i], &count);
        for (size_t n = 0; n < count && written; ++n) {
            record_table_integer(table, 0, (int64_t)i);
            record_profile_put(&profile, RECORD_PART_SUMMARY, &fields[n], table);
            written = record_table_next(table);
        }
    }
    written = record_table_close(table) && written;
    record_profile_release(&profile);
    record_fields_release(&index);
    return written;
}

static const struct record_fields *own(const struct record_study *study, size_t *count) {
    *count = 1;
    return &study->study;
}

static const struct record_fields *claims(const struct record_study *study, size_t *count) {
    *count = study->claim_count;
    return study->claims;
}

static const struct record_fields *quantities(const struct record_study *study, size_t *count) {
    *count = study->quantity_count;
    return study->quantities;
}

static enum attn_status write_file(struct record_run_build *build, void *context, struct attn_error *error) {
    const struct journal *const journal = context;
    const bool written =
        record_hdf5_set_text(build->file, "schema", STUDY_SCHEMA) &&
        record_hdf5_set_integer(build->file, "schema_version", STUDY_SCHEMA_VERSION) &&
        record_hdf5_set_text(build->file, "software", "attnbench") &&
        record_hdf5_set_text(build->file, "softwareVersion",
                             record_text(&build->facts, "software_version", "unknown")) &&
        record_hdf5_set_text(build->file, "date", record_text(&build->facts, "created_utc", "unknown")) &&
        record_hdf5_set_text(build->file, "machine", record_text(&build->facts, "hostname", "unknown")) &&
        write_rows(build->file, "study", journal, own) && write_rows(build->file, "claim", journal, claims) &&
        write_rows(build->file, "quantity", journal, quantities) &&
        record_hdf5_put_provenance(build->file, build->run_directory, &build->facts);
    return written ? ATTN_OK : record_run_refuse(build, "cannot write the studies", error);
}

enum attn_status record_study_build(const char *run_directory, const char *path, struct attn_error *error) {
    struct record_run_build build = {.run_directory = run_directory, .path = path};
    struct journal journal = {0};
    enum attn_status status = read_journal(run_directory, &journal, error);
    if (status == ATTN_OK)
        status = record_run_facts(run_directory, &build.facts, error);
    if (status == ATTN_OK)
        status = record_run_build_file(&build, write_file, &journal, error);
    release_journal(&journal);
    record_fields_release(&build.facts);
    return status;
}
