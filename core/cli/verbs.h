/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs, one file each. A verb prints tables on standard output, everything else on standard error. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "campaign/run.h"
#include "cli/arguments.h"
#include "cli/cli.h"

struct cli_call {
    const struct attn_registry *registry;
    const struct study_registry *studies;
    struct cli_arguments arguments;
    int argc; /* the whole command line, for the provenance */
    char **argv;
};

/* All return an exit code. */
int cli_list(const struct cli_call *call);
int cli_describe(const struct cli_call *call);
int cli_plan(const struct cli_call *call);
int cli_run(const struct cli_call *call);
int cli_time(const struct cli_call *call);
int cli_resume(const struct cli_call *call);
int cli_rebuild(const struct cli_call *call);
int cli_check(const struct cli_call *call);
int cli_study(const struct cli_call *call);
int cli_machine(const struct cli_call *call);
int cli_show(const struct cli_call *call);
int cli_export(const struct cli_call *call);
int cli_worker(const struct cli_call *call);
int cli_check_worker(const struct cli_call *call);

void cli_version(const struct attn_registry *registry);

/* Prints every line of an error on standard error and returns the exit code that goes with it. */
int cli_fail(const struct attn_error *error);

/* Counts SIGINT and SIGTERM from here on; ignores SIGXFSZ, so that a full disk is an error and no death. */
struct supervise_stop *cli_watch_signals(void);
/* 128 + the signal that asked to stop. */
int cli_stop_exit(const struct supervise_stop *stop);

/* How workers are started; `stop` from cli_watch_signals. Progress goes to standard error. */
struct campaign_launch cli_launch(const struct cli_call *call, const struct supervise_stop *stop);

/* On standard error: a bar drawn over itself on a terminal, ten times a second at most; elsewhere a line every ten
 * seconds. `left_s` < 0: not known. */
void cli_progress(size_t done, size_t total, double left_s, const char *note);

/* Ends a run: its table and counts, or what went wrong. */
int cli_conclude(const struct cli_call *call, const char *run_directory, enum attn_status status,
                 const struct campaign_summary *summary, const struct supervise_stop *stop,
                 const struct attn_error *error);

/* `time --loop` and `time --profile`: the plan's first point in this process until the time is over. Changes the
 * plan's measure options. */
int cli_loop(const struct cli_call *call, struct campaign_plan *plan);

/* The table of a run on standard output, as `show` prints it. */
int cli_print_run(const struct attn_registry *registry, const char *run_directory);

#endif
