/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "campaign/worker_pipe.h"
#include "machine/clock.h"

extern char **environ;

struct supervise_worker {
    pid_t pid; /* 0: reaped */
    int lines, leave;
    int wait_status;
    long item; /* begun and not finished; -1: none */
    int64_t begun_ns;
    bool silent; /* the line pipe has ended */
    char *buffer;
    size_t filled, capacity, taken; /* [0, taken) was handed out by the last call */
};

/* What a worker's environment must not leave to chance. NULL value: unset. */
static const struct {
    const char *name, *value;
} settings[] = {
    {"OPENBLAS_NUM_THREADS", "1"}, {"MKL_NUM_THREADS", "1"},  {"BLIS_NUM_THREADS", "1"},
    {"OMP_DYNAMIC", "false"},      {"OMP_NUM_THREADS", NULL},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

static bool is_setting(const char *entry) {
    for (size_t i = 0; i < SETTING_COUNT; ++i) {
        const size_t length = strlen(settings[i].name);
        if (!strncmp(entry, settings[i].name, length) && entry[length] == '=')
            return true;
    }
    return false;
}

/* The environment with the settings applied, one allocation; made before fork, where allocating is safe. */
static char **worker_environment(void) {
    size_t count = 0;
    while (environ[count])
        ++count;
    enum { SETTING_BYTES = 64 };
    char **const entries = malloc((count + SETTING_COUNT + 1) * sizeof *entries + SETTING_COUNT * SETTING_BYTES);
    if (!entries)
        return NULL;
    char *text = (char *)(entries + count + SETTING_COUNT + 1);
    size_t kept = 0;
    for (size_t i = 0; i < count; ++i)
        if (!is_setting(environ[i]))
            entries[kept++] = environ[i];
    for (size_t i = 0; i < SETTING_COUNT; ++i) {
        if (!settings[i].value)
            continue;
        snprintf(text, SETTING_BYTES, "%s=%s", settings[i].name, settings[i].value);
        entries[kept++] = text;
        text += SETTING_BYTES;
    }
    entries[kept] = NULL;
    return entries;
}

/* In the child, between fork and exec: system calls only. Descriptors were made >= 10, so that dup2 to 0..4 always
 * copies, and with close-on-exec, so that only the copies survive. */
static _Noreturn void become_worker(const char *program, char *const argv[], char **environment, pid_t parent,
                                    int input, int lines, int leave) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* the parent died before the line above took effect */
    const int ignored[] = {SIGINT, SIGTERM, SIGXFSZ};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; ++i)
        signal(ignored[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    const bool ready = dup2(input, STDIN_FILENO) >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 &&
                       dup2(lines, WORKER_LINE_FD) >= 0 && dup2(leave, WORKER_LEAVE_FD) >= 0;
    if (ready)
        execve(program, argv, environment);
    _exit(127);
}

static void close_if_open(int descriptor) {
    if (descriptor >= 0)
        close(descriptor);
}

/* A copy of `descriptor` at 10 or above, close-on-exec; the original is closed. */
static int lift(int descriptor) {
    const int lifted = fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
    close(descriptor);
    return lifted;
}

static bool open_pipe(int ends[2]) {
    if (pipe2(ends, O_CLOEXEC)) {
        ends[0] = ends[1] = -1;
        return false;
    }
    ends[0] = lift(ends[0]);
    ends[1] = lift(ends[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

enum attn_status supervise_start(const char *program, char *const argv[], int input, struct supervise_worker **worker,
                                 struct attn_error *error) {
    struct supervise_worker *const made = calloc(1, sizeof *made);
    char **const environment = worker_environment();
    int lines[2] = {-1, -1}, leave[2] = {-1, -1};
    const int source = input >= 0 ? fcntl(input, F_DUPFD_CLOEXEC, 10) : lift(open("/dev/null", O_RDONLY | O_CLOEXEC));
    enum attn_status status = ATTN_OK;
    if (!made || !environment)
        status = attn_fail(error, ATTN_NO_MEMORY, "no memory to start a worker");
    else if (source < 0 || !open_pipe(lines) || !open_pipe(leave))
        status = attn_fail(error, ATTN_IO, "cannot open a worker's pipes: %s", strerror(errno));
    if (status == ATTN_OK) {
        /* Room for the longest line: a worker must not wait for its reader while it measures. */
        fcntl(lines[1], F_SETPIPE_SZ, 1 << 20);
        const pid_t parent = getpid();
        *made = (struct supervise_worker){.pid = fork(), .lines = lines[0], .leave = leave[1], .item = -1};
        if (made->pid == 0)
            become_worker(program, argv, environment, parent, source, lines[1], leave[0]);
        if (made->pid < 0)
            status = attn_fail(error, ATTN_IO, "cannot start a worker: %s", strerror(errno));
    }
    close_if_open(source);
    close_if_open(lines[1]);
    close_if_open(leave[0]);
    free(environment);
    if (status != ATTN_OK) {
        close_if_open(lines[0]);
        close_if_open(leave[1]);
        free(made);
        return status;
    }
    *worker = made;
    return ATTN_OK;
}

static void reap(struct supervise_worker *worker) {
    if (worker->pid)
        while (waitpid(worker->pid, &worker->wait_status, 0) < 0 && errno == EINTR)
            ;
    worker->pid = 0;
}

static void kill_worker(struct supervise_worker *worker) {
    if (worker->pid)
        kill(worker->pid, SIGKILL);
    reap(worker);
    worker->silent = true;
}

/* The next whole line in the buffer without its newline, or NULL. */
static char *take_line(struct supervise_worker *worker) {
    if (worker->taken) {
        worker->filled -= worker->taken;
        memmove(worker->buffer, worker->buffer + worker->taken, worker->filled);
        worker->taken = 0;
    }
    char *const end = worker->filled ? memchr(worker->buffer, '\n', worker->filled) : NULL;
    if (!end)
        return NULL;
    *end = '\0';
    worker->taken = (size_t)(end - worker->buffer) + 1;
    return worker->buffer;
}

/* Reads what is there; false when memory ran out. */
static bool read_some(struct supervise_worker *worker) {
    enum { STEP = 1 << 16 };
    if (worker->capacity - worker->filled < STEP) {
        char *const grown = realloc(worker->buffer, worker->capacity * 2 + STEP);
        if (!grown)
            return false;
        worker->buffer = grown;
        worker->capacity = worker->capacity * 2 + STEP;
    }
    const ssize_t got = read(worker->lines, worker->buffer + worker->filled, STEP);
    if (got > 0)
        worker->filled += (size_t)got;
    else if (got == 0 || errno != EINTR)
        worker->silent = true;
    return true;
}

/* Turns a line into a report; false when it is not one of ours. */
static bool understand(struct supervise_worker *worker, const char *line, struct supervise_report *report) {
    int offset = 0;
    if (sscanf(line, "BEGIN %ld%n", &report->item, &offset) == 1 && line[offset] == '\0') {
        report->event = SUPERVISE_BEGIN;
        worker->item = report->item;
        worker->begun_ns = machine_clock_ns();
        return true;
    }
    if (sscanf(line, "LINE %ld %d %n", &report->item, &report->code, &offset) == 2 && offset > 0) {
        report->event = SUPERVISE_LINE;
        report->text = line + offset;
        worker->item = -1;
        return true;
    }
    return false;
}

static struct supervise_report farewell(struct supervise_worker *worker) {
    reap(worker);
    struct supervise_report report = {.event = SUPERVISE_DIED, .item = worker->item};
    const int status = worker->wait_status;
    if (WIFSIGNALED(status))
        snprintf(report.reason, sizeof report.reason, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 127)
        snprintf(report.reason, sizeof report.reason, "the worker could not be executed");
    else if (WEXITSTATUS(status) || worker->item >= 0)
        snprintf(report.reason, sizeof report.reason, "exit status %d", WEXITSTATUS(status));
    else
        report.event = SUPERVISE_DONE;
    return report;
}

/* Waits for a line, a signal or the deadline; false: the deadline has passed. */
static bool wait_for_line(const struct supervise_worker *worker, double timeout_s, const sigset_t *unblocked) {
    struct pollfd poller = {.fd = worker->lines, .events = POLLIN};
    struct timespec left = {0}, *limit = NULL;
    if (worker->item >= 0 && timeout_s > 0) {
        const double left_ns = timeout_s * 1e9 - (double)(machine_clock_ns() - worker->begun_ns);
        if (!(left_ns > 0))
            return false;
        left.tv_sec = (time_t)(left_ns / 1e9);
        left.tv_nsec = (long)(left_ns - (double)left.tv_sec * 1e9);
        limit = &left;
    }
    ppoll(&poller, 1, limit, unblocked);
    return true;
}

static struct supervise_report next_event(struct supervise_worker *worker, double timeout_s,
                                          const struct supervise_stop *stop, const sigset_t *unblocked) {
    for (;;) {
        struct supervise_report report = {.item = worker->item};
        if (stop->requests >= 2) {
            kill_worker(worker);
            report.event = SUPERVISE_STOPPED;
            return report;
        }
        if (stop->requests && worker->leave >= 0) {
            close(worker->leave);
            worker->leave = -1;
        }
        const char *const line = take_line(worker);
        if (line && understand(worker, line, &report))
            return report;
        if (line) {
            kill_worker(worker);
            report.event = SUPERVISE_DIED;
            snprintf(report.reason, sizeof report.reason, "wrote to the harness's pipe: %.60s", line);
            return report;
        }
        if (worker->silent)
            return farewell(worker);
        if (!wait_for_line(worker, timeout_s, unblocked)) {
            kill_worker(worker);
            report.event = SUPERVISE_TIMEOUT;
            snprintf(report.reason, sizeof report.reason, "no result within %g s", timeout_s);
            return report;
        }
        struct pollfd poller = {.fd = worker->lines, .events = POLLIN};
        if (poll(&poller, 1, 0) > 0 && !read_some(worker)) {
            kill_worker(worker);
            report.event = SUPERVISE_DIED;
            snprintf(report.reason, sizeof report.reason, "no memory to hold the worker's line");
            return report;
        }
    }
}

struct supervise_report supervise_next(struct supervise_worker *worker, double timeout_s,
                                       const struct supervise_stop *stop) {
    sigset_t stops, before, unblocked;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    sigprocmask(SIG_BLOCK, &stops, &before);
    unblocked = before;
    sigdelset(&unblocked, SIGINT);
    sigdelset(&unblocked, SIGTERM);
    const struct supervise_report report = next_event(worker, timeout_s, stop, &unblocked);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return report;
}

void supervise_finish(struct supervise_worker *worker) {
    if (!worker)
        return;
    kill_worker(worker);
    close_if_open(worker->lines);
    close_if_open(worker->leave);
    free(worker->buffer);
    free(worker);
}
