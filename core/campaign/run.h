/* SPDX-License-Identifier: Apache-2.0 */
/* Running a plan: run directory, worker processes, journal, result file, resume. */
#ifndef CAMPAIGN_RUN_H
#define CAMPAIGN_RUN_H

#include "campaign/plan.h"

struct campaign_summary {
    size_t points, measured, skipped, rejected, failed, weak;
};

/* Makes the run directory (it must not exist) and runs the plan. `program` is the path that is exec'ed as worker.
 * ATTN_INTERRUPTED after SIGINT/SIGTERM: the current point was finished, the run can be resumed. */
enum attn_status campaign_run(const struct campaign_plan *plan, const struct attn_registry *registry,
                              const char *program, const char *run_directory, struct campaign_summary *summary,
                              struct attn_error *error);
/* Goes on with an interrupted or killed run: the recorded order minus what the journal holds. Refuses a changed build
 * unless `accept_changes`. A finished run is ATTN_OK. */
enum attn_status campaign_resume(const char *run_directory, const struct attn_registry *registry, const char *program,
                                 bool accept_changes, struct campaign_summary *summary, struct attn_error *error);
/* Derives results.h5 anew. */
enum attn_status campaign_rebuild(const char *run_directory, struct attn_error *error);

/* The worker's side: walks invocation `invocation` of the run's plan from position `from`, skipping the positions in
 * the done bitmap file; lines go to descriptor `line_fd`. Returns the process's exit status. */
int campaign_worker(const char *run_directory, int invocation, int line_fd, const struct attn_registry *registry);

#endif
