/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "campaign/supervise.h"
#include "machine/clock.h"

static struct supervise_stop nobody_stops;

static struct supervise_worker *start(const char *act, int input) {
    char name[] = "puppet", argument[64];
    snprintf(argument, sizeof argument, "%s", act);
    char *const argv[] = {name, argument, NULL};
    struct supervise_worker *worker = NULL;
    struct attn_error error = {.message = ""};
    cr_assert_eq(supervise_start(PUPPET, argv, input, &worker, &error), ATTN_OK, "%s", error.message);
    return worker;
}

/* The last event of a worker that gets no further than BEGIN. */
static struct supervise_report last_event(const char *act, double timeout_s) {
    struct supervise_worker *const worker = start(act, -1);
    struct supervise_report report;
    do
        report = supervise_next(worker, timeout_s, &nobody_stops);
    while (report.event == SUPERVISE_BEGIN || report.event == SUPERVISE_LINE);
    supervise_finish(worker);
    return report;
}

Test(supervise, lines_come_in_order_until_the_worker_is_asked_to_leave) {
    struct supervise_worker *const worker = start("works", -1);
    struct supervise_stop stop = {.requests = 0};
    long lines = 0, begun = -1;
    for (;;) {
        const struct supervise_report report = supervise_next(worker, 5, &stop);
        if (report.event == SUPERVISE_DONE)
            break;
        if (report.event == SUPERVISE_BEGIN) {
            begun = report.item;
            continue;
        }
        cr_assert_eq(report.event, SUPERVISE_LINE, "%s", report.reason);
        cr_assert_eq(report.item, begun);
        cr_assert_eq(report.item, lines++);
        cr_assert_str_eq(report.text, "done");
        if (lines == 3)
            stop.requests = 1;
        cr_assert_leq(lines, 8, "the worker does not leave");
    }
    cr_assert_geq(lines, 3, "what was begun is finished");
    supervise_finish(worker);
}

Test(supervise, a_second_request_kills) {
    struct supervise_worker *const worker = start("hangs", -1);
    struct supervise_stop stop = {.requests = 0};
    cr_assert_eq(supervise_next(worker, 0, &stop).event, SUPERVISE_BEGIN);
    stop.requests = 2;
    cr_assert_eq(supervise_next(worker, 0, &stop).event, SUPERVISE_STOPPED);
    supervise_finish(worker);
}

Test(supervise, a_crash_is_blamed_on_the_item_begun) {
    const struct supervise_report report = last_event("crashes", 5);
    cr_assert_eq(report.event, SUPERVISE_DIED);
    cr_assert_eq(report.item, 5);
    cr_assert(strstr(report.reason, "signal 6") && strstr(report.reason, "Aborted"), "%s", report.reason);
}

Test(supervise, an_exit_status_is_told) {
    const struct supervise_report report = last_event("leaves", 5);
    cr_assert_eq(report.event, SUPERVISE_DIED);
    cr_assert_eq(report.item, 5);
    cr_assert_str_eq(report.reason, "exit status 9");
}

Test(supervise, a_death_between_items_is_nobodys) {
    const struct supervise_report report = last_event("dies_between", 5);
    cr_assert_eq(report.event, SUPERVISE_DIED);
    cr_assert_eq(report.item, -1);
    cr_assert_str_eq(report.reason, "exit status 3");
}

Test(supervise, a_hang_ends_at_its_timeout) {
    const int64_t begun_ns = machine_clock_ns();
    const struct supervise_report report = last_event("hangs", 0.3);
    cr_assert_eq(report.event, SUPERVISE_TIMEOUT);
    cr_assert_eq(report.item, 5);
    cr_assert_str_eq(report.reason, "no result within 0.3 s");
    cr_assert_geq(machine_clock_ns() - begun_ns, INT64_C(300000000));
}

Test(supervise, a_line_of_any_length_arrives_whole) {
    struct supervise_worker *const worker = start("long_line", -1);
    cr_assert_eq(supervise_next(worker, 20, &nobody_stops).event, SUPERVISE_BEGIN);
    const struct supervise_report report = supervise_next(worker, 20, &nobody_stops);
    cr_assert_eq(report.event, SUPERVISE_LINE);
    cr_assert_eq(report.code, 2);
    cr_assert_eq(strlen(report.text), 3000000u);
    cr_assert_eq(supervise_next(worker, 20, &nobody_stops).event, SUPERVISE_DONE);
    supervise_finish(worker);
}

Test(supervise, what_is_no_line_ends_the_worker) {
    const struct supervise_report babble = last_event("babbles", 5);
    cr_assert_eq(babble.event, SUPERVISE_DIED);
    cr_assert_eq(babble.item, 5);
    cr_assert(strstr(babble.reason, "What?"), "%s", babble.reason);
    const struct supervise_report torn = last_event("torn", 5);
    cr_assert_eq(torn.event, SUPERVISE_DIED, "half a line is no result");
    cr_assert_eq(torn.item, 5);
}

Test(supervise, a_program_that_is_not_there_is_told) {
    char name[] = "nothing";
    char *const argv[] = {name, NULL};
    struct supervise_worker *worker;
    cr_assert_eq(supervise_start("/nonexistent/program", argv, -1, &worker, NULL), ATTN_OK);
    const struct supervise_report report = supervise_next(worker, 5, &nobody_stops);
    cr_assert_eq(report.event, SUPERVISE_DIED);
    cr_assert(strstr(report.reason, "could not be executed"), "%s", report.reason);
    supervise_finish(worker);
}

Test(supervise, the_environment_is_set_and_the_rest_kept) {
    setenv("OMP_NUM_THREADS", "3", 1);
    setenv("OMP_DYNAMIC", "true", 1);
    setenv("PUPPET_KEEPS", "this", 1);
    static const char *const expected[] = {"1", "false", "(unset)", "this"};
    struct supervise_worker *const worker = start("environment", -1);
    for (int i = 0; i < 4; ++i) {
        const struct supervise_report report = supervise_next(worker, 5, &nobody_stops);
        cr_assert_eq(report.event, SUPERVISE_LINE);
        cr_assert_str_eq(report.text, expected[i]);
    }
    supervise_finish(worker);
}

Test(supervise, signals_do_not_reach_it_and_input_does) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "input", 5), 5);
    close(ends[1]);
    struct supervise_worker *const worker = start("signals", ends[0]);
    cr_assert_eq(supervise_next(worker, 5, &nobody_stops).event, SUPERVISE_BEGIN);
    const struct supervise_report report = supervise_next(worker, 5, &nobody_stops);
    cr_assert_eq(report.event, SUPERVISE_LINE, "%s", report.reason);
    cr_assert_eq(report.code, 5);
    cr_assert_str_eq(report.text, "input");
    supervise_finish(worker);
}

/* A process that starts a hanging worker and is killed takes the worker with it. */
Test(supervise, a_worker_dies_with_its_parent) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        struct supervise_worker *const worker = start("hangs", ends[0]);
        supervise_next(worker, 0, &nobody_stops); /* BEGIN: it lives and holds a copy of the pipe's reading end */
        close(ends[0]);
        kill(getpid(), SIGKILL);
    }
    int status;
    cr_assert_eq(waitpid(parent, &status, 0), parent);
    cr_assert(WIFSIGNALED(status));
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    /* The worker's standard input is the last reading end: writing fails once it is gone. */
    int tries = 0;
    while (write(ends[1], "x", 1) == 1 && tries < 500) {
        usleep(10000);
        ++tries;
    }
    cr_assert_lt(tries, 500, "the worker outlives its parent");
    cr_assert_eq(errno, EPIPE);
}
