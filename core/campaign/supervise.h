/* SPDX-License-Identifier: Apache-2.0 */
/* One worker process at a time: exec, lines on a pipe of their own, a BEGIN line per item that gives timeout
 * and blame to the right place. Serves `run` and `check`.
 *
 * The worker's side is campaign/worker_pipe.h. */
#ifndef CAMPAIGN_SUPERVISE_H
#define CAMPAIGN_SUPERVISE_H

#include <signal.h>
#include <stddef.h>

#include "contract/status.h"

struct supervise_worker;

/* Set by a handler of SIGINT and SIGTERM. One request: the current item is finished, then the worker
 * leaves. Two: the worker is killed where it stands. */
struct supervise_stop {
    volatile sig_atomic_t requests;
    volatile sig_atomic_t signal; /* the first one */
};

/* How a worker's life went on, as seen by one call of supervise_next. */
enum supervise_event {
    SUPERVISE_BEGIN, /* item is set */
    SUPERVISE_LINE,  /* item, code and text are set; text is valid until the next call */
    SUPERVISE_DONE,  /* exited 0 with no item open */
    SUPERVISE_DIED,  /* exited otherwise or by a signal: reason is set, item is the one begun and not finished, or -1 */
    SUPERVISE_TIMEOUT, /* the item begun passed its time; the worker was killed */
    SUPERVISE_STOPPED, /* killed at the second stop request */
};

struct supervise_report {
    enum supervise_event event;
    long item;
    int code;
    const char *text;
    char reason[128]; /* "signal 11 (Segmentation fault)", "exit status 3", "no result within 60 s" */
};

/* execs `program` with `argv`: the line pipe is descriptor 3, the leave pipe 4, standard input is `input` (-1:
 * nothing), standard output goes to standard error. In its environment GEMM libraries are held to one thread,
 * OMP_DYNAMIC is false and OMP_NUM_THREADS unset. The worker ignores SIGINT, SIGTERM and SIGXFSZ and dies with this
 * process. ATTN_IO: no process or pipe. */
enum attn_status supervise_start(const char *program, char *const argv[], int input, struct supervise_worker **worker,
                                 struct attn_error *error);
/* Blocks for the next event. `timeout_s` bounds the time from BEGIN to LINE; <= 0: unbounded. SIGINT and SIGTERM are
 * delivered while it waits and at no other time, so no request is slept through. */
struct supervise_report supervise_next(struct supervise_worker *worker, double timeout_s,
                                       const struct supervise_stop *stop);
/* Kills the worker if it still lives, reaps it, frees everything. NULL is allowed. */
void supervise_finish(struct supervise_worker *worker);

#endif
