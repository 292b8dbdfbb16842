/* SPDX-License-Identifier: Apache-2.0 */
/* Where the studies of one call are recorded. */
#ifndef CLI_STUDY_RECORD_H
#define CLI_STUDY_RECORD_H

#include "campaign/run.h"
#include "record/journal.h"
#include "study/runner.h"

struct cli_study_record {
    char directory[4096];
    struct record_journal *journal;
};

/* Makes the directory, `output` or one under results/raw/ named after `name`. Errors as campaign_run's. */
enum attn_status cli_study_record_open(struct cli_study_record *record, const char *output, const char *name,
                                       int threads, const struct campaign_launch *launch, struct attn_error *error);
/* Appends one study's line. */
enum attn_status cli_study_record_add(struct cli_study_record *record, const struct study_report *report,
                                      const struct study_options *options, struct attn_error *error);
/* Closes the journal and derives results.h5. */
enum attn_status cli_study_record_close(struct cli_study_record *record, struct attn_error *error);

#endif
