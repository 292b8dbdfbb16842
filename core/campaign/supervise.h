/* SPDX-License-Identifier: Apache-2.0 */
/* One worker process at a time: exec, lines on a pipe of their own, a BEGIN line per item that gives timeout
 * and blame to the right place. Serves `run` and `check`. */
#ifndef CAMPAIGN_SUPERVISE_H
#define CAMPAIGN_SUPERVISE_H

#include <signal.h>
#include <stddef.h>

#include "contract/status.h"

struct supervise_worker;

/* How a worker's life went on, as seen by one call of supervise_next. */
enum supervise_event {
    SUPERVISE_BEGIN,   /* "BEGIN <item>": item is set */
    SUPERVISE_LINE,    /* a result line: text is set, valid until the next call */
    SUPERVISE_DONE,    /* exited 0 */
    SUPERVISE_DIED,    /* exited otherwise or by signal: reason is set, item is the one begun and not finished, or -1 */
    SUPERVISE_TIMEOUT, /* the item begun passed its time; the worker was killed */
};

struct supervise_report {
    enum supervise_event event;
    long item;
    const char *text;
    char reason[128]; /* "signal 11 (Segmentation fault)", "exit status 3", "no result within 60 s" */
};

/* execs argv with descriptor `3` as the line pipe, OPENBLAS_NUM_THREADS=1 in its environment, PR_SET_PDEATHSIG set,
 * SIGINT ignored. */
enum attn_status supervise_start(char *const argv[], struct supervise_worker **worker, struct attn_error *error);
/* Blocks for the next event. `timeout_s` bounds the time from BEGIN to result. `stop`: set by a signal handler; a
 * blocked call returns to look at it but the current item is finished first. */
struct supervise_report supervise_next(struct supervise_worker *worker, double timeout_s);
/* Asks the worker to end after the current item (closes its permission pipe / SIGTERM) and reaps it. */
void supervise_finish(struct supervise_worker *worker);

#endif
