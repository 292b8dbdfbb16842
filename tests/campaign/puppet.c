/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that does what its argument says: the other end of test_supervise.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign/worker_pipe.h"

/* Items until it is asked to leave, a hundredth of a second each. */
static int work_on(void) {
    for (long item = 0; worker_pipe_may_go_on(); ++item) {
        worker_pipe_begin(item);
        usleep(10000);
        worker_pipe_line(item, 0, "done");
    }
    return 0;
}

/* A line longer than any pipe. */
static int long_line(void) {
    enum { BYTES = 3000000 };
    char *const text = malloc(BYTES + 1);
    if (!text)
        return 1;
    memset(text, 'x', BYTES);
    text[BYTES] = '\0';
    worker_pipe_begin(0);
    worker_pipe_line(0, 2, text);
    free(text);
    return 0;
}

static int tell_environment(void) {
    static const char *const names[] = {"OPENBLAS_NUM_THREADS", "OMP_DYNAMIC", "OMP_NUM_THREADS", "PUPPET_KEEPS"};
    for (int i = 0; i < 4; ++i) {
        const char *const value = getenv(names[i]);
        worker_pipe_line(i, 0, value ? value : "(unset)");
    }
    return 0;
}

static int survive_signals(void) {
    worker_pipe_begin(0);
    raise(SIGINT);
    raise(SIGTERM);
    char input[16] = "";
    const ssize_t got = read(STDIN_FILENO, input, sizeof input - 1);
    printf("on standard output\n"); /* goes to standard error: tables must stay clean */
    worker_pipe_line(0, (int)got, input);
    return 0;
}

int main(int argc, char **argv) {
    const char *const act = argc > 1 ? argv[1] : "";
    if (!strcmp(act, "works"))
        return work_on();
    if (!strcmp(act, "long_line"))
        return long_line();
    if (!strcmp(act, "environment"))
        return tell_environment();
    if (!strcmp(act, "signals"))
        return survive_signals();
    if (!strcmp(act, "dies_between")) {
        worker_pipe_begin(7);
        worker_pipe_line(7, 1, "seven");
        return 3;
    }
    worker_pipe_begin(5);
    if (!strcmp(act, "crashes"))
        abort();
    if (!strcmp(act, "hangs"))
        for (;;)
            pause();
    if (!strcmp(act, "babbles"))
        return write(WORKER_LINE_FD, "What?\n", 6) == 6 ? 0 : 1;
    if (!strcmp(act, "torn"))
        return write(WORKER_LINE_FD, "LINE 5 0 half", 13) == 13 ? 0 : 1;
    return 9;
}
