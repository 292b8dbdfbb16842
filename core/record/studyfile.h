/* SPDX-License-Identifier: Apache-2.0 */
/* What studies measured: one journal line a study, and the result file derived from these lines. Schema:
 * results/README.md. */
#ifndef RECORD_STUDYFILE_H
#define RECORD_STUDYFILE_H

#include "record/field.h"

/* The facts of one study, of its claims and of its quantities, as named values. */
struct record_study {
    struct record_fields study;
    struct record_fields *claims, *quantities; /* owned */
    size_t claim_count, quantity_count;
};
void record_study_release(struct record_study *study);

/* The line without newline, malloc'ed; NULL when memory is short. For record_journal_append. */
char *record_study_encode(const struct record_study *study);
/* ATTN_INVALID when it is no such line. `study` need not be initialised; release it whatever comes back. */
enum attn_status record_study_decode(const char *text, size_t bytes, struct record_study *study,
                                     struct attn_error *error);

/* Builds `path` from journal.jsonl and provenance.json of `run_directory`: columnar groups /study, /claim and
 * /quantity, the last two with the column study_index, and /provenance. A torn last line is passed over; a study that
 * stands in the journal twice counts as it was last. Made as record_result_build makes its file. */
enum attn_status record_study_build(const char *run_directory, const char *path, struct attn_error *error);

#endif
