/* SPDX-License-Identifier: Apache-2.0 */
/* Running a plan: run directory, worker processes, journal, result file, resume. */
#ifndef CAMPAIGN_RUN_H
#define CAMPAIGN_RUN_H

#include "campaign/plan.h"
#include "campaign/supervise.h"

/* The files of a run directory. */
#define CAMPAIGN_PLAN_FILE    "plan.json"
#define CAMPAIGN_JOURNAL_FILE "journal.jsonl"
#define CAMPAIGN_RESULT_FILE  "results.h5"
#define CAMPAIGN_LOCK_FILE    "lock"

struct campaign_progress {
    size_t done, total; /* lines held and lines there will be, all invocations; shrinks when a point turns final */
    int invocation;     /* from 0 */
    double left_s;      /* estimate; negative: not known yet */
};

/* What a run needs besides its plan. */
struct campaign_launch {
    const struct attn_registry *registry;
    const char *program; /* exec'ed as `attnbench worker RUN_DIRECTORY INVOCATION` */
    int argc;            /* the command line, for the provenance */
    char *const *argv;
    const struct supervise_stop *stop;
    bool accept_changes; /* resume although the build or the plan changed */
    void (*progress)(void *context, const struct campaign_progress *progress); /* after every line; may be NULL */
    void *context;
};

struct campaign_summary {
    size_t points, measured, skipped, rejected, failed; /* points by their worst status */
    size_t weak;                                        /* measured points whose check has no power */
    size_t timing_invalid;                              /* measured points with an invalid timing */
};

/* "results/raw/<UTC>-<name>-<host>-<hash8>". */
void campaign_run_directory_name(const struct campaign_plan *plan, char *path, size_t path_bytes);

/* Makes the run directory and measures nothing: campaign_resume begins the run. */
enum attn_status campaign_prepare(const struct campaign_plan *plan, const char *run_directory,
                                  const struct campaign_launch *launch, struct attn_error *error);

/* Makes the run directory (ATTN_INVALID: it exists already) and runs the plan. ATTN_INTERRUPTED after a stop request:
 * the current point was finished, the run can be resumed. ATTN_IO: the journal could not be written; what it
 * holds is whole and the run can be resumed. */
enum attn_status campaign_run(const struct campaign_plan *plan, const char *run_directory,
                              const struct campaign_launch *launch, struct campaign_summary *summary,
                              struct attn_error *error);
/* Goes on with an interrupted or killed run: the recorded order minus what the journal holds. ATTN_INVALID: another
 * process works on it, or plan or build changed (unless accept_changes). A finished run is ATTN_OK. */
enum attn_status campaign_resume(const char *run_directory, const struct campaign_launch *launch,
                                 struct campaign_summary *summary, struct attn_error *error);
/* Derives results.h5 anew from plan and journal. */
enum attn_status campaign_rebuild(const char *run_directory, struct attn_error *error);

/* Removes the files that a run makes, and the directory when nothing else is in it. */
void campaign_run_remove(const char *run_directory);

/* The plan that a run directory holds. */
enum attn_status campaign_plan_of_run(const char *run_directory, const struct attn_registry *registry,
                                      struct campaign_plan **plan, struct attn_error *error);

/* The worker's side: walks invocation `invocation` of the run's plan, skipping the positions that the list on standard
 * input marks as done; lines go to worker_pipe.h. Returns the process's exit status. */
int campaign_worker(const char *run_directory, int invocation, const struct attn_registry *registry);

#endif
