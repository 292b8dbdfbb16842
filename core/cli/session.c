/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs that start workers share: signals, progress, and how a run ends. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"
#include "machine/clock.h"

static struct supervise_stop stop_requests;

static void on_signal(int number) {
    if (!stop_requests.requests)
        stop_requests.signal = number;
    ++stop_requests.requests;
}

struct supervise_stop *cli_watch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
    return &stop_requests;
}

int cli_stop_exit(const struct supervise_stop *stop) {
    return 128 + (int)stop->signal;
}

int cli_fail(const struct attn_error *error) {
    const char *line = error->message;
    while (*line) {
        const size_t length = strcspn(line, "\n");
        fprintf(stderr, "attnbench: %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    switch (error->status) {
    case ATTN_INVALID:
    case ATTN_UNSUPPORTED: return CLI_USAGE;
    default: return CLI_INTERNAL;
    }
}

static void duration_text(double seconds, char *text, size_t text_bytes) {
    const long whole = lround(seconds);
    if (seconds < 0)
        snprintf(text, text_bytes, "?");
    else if (whole >= 3600)
        snprintf(text, text_bytes, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
    else if (whole >= 60)
        snprintf(text, text_bytes, "%ld min %02ld s", whole / 60, whole % 60);
    else
        snprintf(text, text_bytes, "%ld s", whole);
}

void cli_progress(size_t done, size_t total, double left_s, const char *note) {
    static int64_t shown_ns;
    const bool terminal = isatty(STDERR_FILENO), last = done >= total;
    const int64_t now_ns = machine_clock_ns(), pause_ns = terminal ? 100000000 : 10000000000;
    if (!shown_ns && !terminal)
        shown_ns = now_ns; /* what is over in ten seconds needs no line */
    if (now_ns - shown_ns < pause_ns && !(last && terminal))
        return;
    shown_ns = now_ns;
    char left[48];
    duration_text(left_s, left, sizeof left);
    if (!terminal) {
        fprintf(stderr, "attnbench: %zu of %zu%s, %s left\n", done, total, note, left);
        return;
    }
    enum { BAR = 30 };
    const int filled = (int)(BAR * done / (total ? total : 1));
    fprintf(stderr, "\r[%.*s%*s] %zu of %zu%s, %s left   %s", filled, "##############################", BAR - filled,
            "", done, total, note, left, last ? "\n" : "");
}

static void show_progress(void *context, const struct campaign_progress *progress) {
    (void)context;
    char note[40];
    snprintf(note, sizeof note, ", invocation %d", progress->invocation + 1);
    cli_progress(progress->done, progress->total, progress->left_s, note);
}

struct campaign_launch cli_launch(const struct cli_call *call, const struct supervise_stop *stop) {
    return (struct campaign_launch){
        .registry = call->registry,
        .program = "/proc/self/exe",
        .argc = call->argc,
        .argv = call->argv,
        .stop = stop,
        .accept_changes = call->arguments.accept_changes,
        .progress = show_progress,
    };
}

int cli_conclude(const struct cli_call *call, const char *run_directory, enum attn_status status,
                 const struct campaign_summary *summary, const struct supervise_stop *stop,
                 const struct attn_error *error) {
    if (status == ATTN_INTERRUPTED) {
        cli_fail(error);
        return cli_stop_exit(stop);
    }
    if (status != ATTN_OK)
        return cli_fail(error);
    const int printed = cli_print_run(call->registry, run_directory);
    if (printed != CLI_OK)
        return printed;
    if (summary->rejected)
        return CLI_CHECK_FAILED;
    if (summary->failed)
        return CLI_POINTS_FAILED;
    if (!summary->measured) {
        fprintf(stderr, "attnbench: nothing could be measured\n");
        return CLI_USAGE;
    }
    return CLI_OK;
}
