/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of a run: workers are started and watched, their lines become the journal. */
#include "campaign/run.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "campaign/ledger.h"
#include "campaign/provenance.h"
#include "campaign/rundir.h"
#include "machine/clock.h"
#include "record/resultfile.h"
#include "record/studyfile.h"

struct campaign {
    const struct campaign_plan *plan;
    const struct campaign_launch *launch;
    const char *directory;
    struct record_journal *journal;
    struct campaign_ledger ledger;
    int invocation;
    int64_t started_ns;
    size_t lines_before; /* held when this process began */
    size_t lines_expected;
};

static size_t point_at(const struct campaign *run, size_t position) {
    return run->plan->order[(size_t)run->invocation * run->plan->point_count + position];
}

static bool is_done(const struct campaign *run, size_t position) {
    const size_t point = point_at(run, position);
    return run->ledger.held[(size_t)run->invocation * run->plan->point_count + point] ||
           campaign_ledger_final(&run->ledger, point);
}

/* The first position that is not done; point_count: there is none. */
static size_t first_open(const struct campaign *run) {
    size_t position = 0;
    while (position < run->plan->point_count && is_done(run, position))
        ++position;
    return position;
}

/* Lines there will be when the points that are final now stay out of what is not held. */
static size_t count_lines(const struct campaign *run) {
    size_t lines = run->ledger.lines;
    for (size_t cell = 0; cell < run->ledger.invocations * run->plan->point_count; ++cell)
        lines += !run->ledger.held[cell] && !campaign_ledger_final(&run->ledger, cell % run->plan->point_count);
    return lines;
}

static void tell_progress(const struct campaign *run) {
    if (!run->launch->progress)
        return;
    const size_t made = run->ledger.lines - run->lines_before, left = run->lines_expected - run->ledger.lines;
    const double elapsed_s = (double)(machine_clock_ns() - run->started_ns) / 1e9;
    const struct campaign_progress progress = {.done = run->ledger.lines,
                                               .total = run->lines_expected,
                                               .invocation = run->invocation,
                                               .left_s = made ? elapsed_s / (double)made * (double)left : -1};
    run->launch->progress(run->launch->context, &progress);
}

/* One line for the journal; counted only when it is written. */
static enum attn_status enter_line(struct campaign *run, long position, int code, const char *text,
                                   struct attn_error *error) {
    if (position < 0)
        return attn_fail(error, (enum attn_status)code, "a worker gave up: %s", text);
    if ((size_t)position >= run->plan->point_count || code < RECORD_MEASURED || code > RECORD_FAILED)
        return attn_fail(error, ATTN_INTERNAL, "a worker's line is of no position of the plan: %ld", position);
    const enum attn_status status = record_journal_append(run->journal, text, error);
    if (status != ATTN_OK)
        return status;
    campaign_ledger_mark(&run->ledger, point_at(run, (size_t)position), (size_t)run->invocation,
                         (enum record_status)code);
    if (code != RECORD_MEASURED)
        run->lines_expected -= (size_t)(run->plan->invocations - run->invocation - 1);
    tell_progress(run);
    return ATTN_OK;
}

/* The line that a dead worker could not write itself. */
static enum attn_status enter_failure(struct campaign *run, size_t position, const char *reason, const char *when,
                                      struct attn_error *error) {
    struct record_line line = {.invocation = run->invocation, .position = (int64_t)position, .status = RECORD_FAILED};
    snprintf(line.point, sizeof line.point, "%s", run->plan->points[point_at(run, position)].id);
    snprintf(line.reason, sizeof line.reason, "%s%s", reason, when);
    machine_utc_now(line.started_utc);
    char *const text = record_line_encode(&line);
    const enum attn_status status = text ? enter_line(run, (long)position, RECORD_FAILED, text, error)
                                         : attn_fail(error, ATTN_NO_MEMORY, "no memory for a result line");
    free(text);
    return status;
}

/* What is done, one character a position, as a file without a name: the worker's standard input. */
static int list_done(const struct campaign *run) {
    const size_t positions = run->plan->point_count;
    const int list = memfd_create("done", MFD_CLOEXEC);
    char *const done = malloc(positions + 1);
    bool written = list >= 0 && done;
    for (size_t i = 0; written && i < positions; ++i)
        done[i] = is_done(run, i) ? '1' : '0';
    for (size_t sent = 0; written && sent < positions;) {
        const ssize_t count = write(list, done + sent, positions - sent);
        written = count > 0;
        sent += written ? (size_t)count : 0;
    }
    free(done);
    if (written && lseek(list, 0, SEEK_SET) == 0)
        return list;
    if (list >= 0)
        close(list);
    return -1;
}

static enum attn_status start_worker(const struct campaign *run, struct supervise_worker **worker,
                                     struct attn_error *error) {
    const int list = list_done(run);
    if (list < 0)
        return attn_fail(error, ATTN_IO, "cannot hand the list of done points to a worker: %s", strerror(errno));
    char invocation[24];
    snprintf(invocation, sizeof invocation, "%d", run->invocation);
    /* exec does not write to its arguments, but its type does not say so */
    char *const argv[] = {strdup("attnbench"), strdup("worker"), strdup(run->directory), invocation, NULL};
    const enum attn_status status = argv[0] && argv[1] && argv[2]
                                        ? supervise_start(run->launch->program, argv, list, worker, error)
                                        : attn_fail(error, ATTN_NO_MEMORY, "no memory to start a worker");
    for (int i = 0; i < 3; ++i)
        free(argv[i]);
    close(list);
    return status;
}

/* Listens to one worker until it is gone. `orphan`: it died while no point was its own doing. */
static enum attn_status attend(struct campaign *run, struct supervise_worker *worker, bool *orphan, char reason[128],
                               struct attn_error *error) {
    *orphan = false;
    for (;;) {
        const struct supervise_report report = supervise_next(worker, run->plan->timeout_s, run->launch->stop);
        enum attn_status status = ATTN_OK;
        switch (report.event) {
        case SUPERVISE_BEGIN: continue;
        case SUPERVISE_LINE:
            status = enter_line(run, report.item, report.code, report.text, error);
            if (status != ATTN_OK)
                return status;
            continue;
        case SUPERVISE_STOPPED: return ATTN_OK;
        case SUPERVISE_DONE: *orphan = first_open(run) < run->plan->point_count; break;
        case SUPERVISE_DIED:
        case SUPERVISE_TIMEOUT:
            if (report.item >= 0 && (size_t)report.item < run->plan->point_count)
                return enter_failure(run, (size_t)report.item, report.reason, "", error);
            *orphan = true;
            break;
        }
        snprintf(reason, 128, "%s", report.reason[0] ? report.reason : "the worker left early");
        return ATTN_OK;
    }
}

static enum attn_status run_invocation(struct campaign *run, struct attn_error *error) {
    int orphans = 0; /* in a row, without a line between them */
    while (first_open(run) < run->plan->point_count) {
        struct supervise_worker *worker;
        const size_t lines = run->ledger.lines;
        bool orphan;
        char reason[128];
        enum attn_status status = start_worker(run, &worker, error);
        if (status != ATTN_OK)
            return status;
        status = attend(run, worker, &orphan, reason, error);
        supervise_finish(worker);
        if (status != ATTN_OK)
            return status;
        if (run->launch->stop->requests)
            return attn_fail(error, ATTN_INTERRUPTED, "interrupted; to go on: attnbench resume %s", run->directory);
        orphans = !orphan ? 0 : run->ledger.lines > lines ? 1 : orphans + 1;
        if (orphans >= 2) {
            /* Twice at the same place: its inputs cannot be made here. The next points still may. */
            status = enter_failure(run, first_open(run), reason, ", twice, before the point began", error);
            orphans = 0;
        }
        if (status != ATTN_OK)
            return status;
    }
    return ATTN_OK;
}

/* From an existing, locked directory to its end. */
static enum attn_status go_on(struct campaign *run, struct campaign_summary *summary, struct attn_error *error) {
    char path[4096];
    campaign_rundir_path(run->directory, CAMPAIGN_JOURNAL_FILE, path);
    enum attn_status status = record_journal_open(path, &run->journal, error);
    if (status != ATTN_OK)
        return status;
    status = campaign_ledger_read(path, run->plan, &run->ledger, error);
    if (status == ATTN_OK) {
        run->started_ns = machine_clock_ns();
        run->lines_before = run->ledger.lines;
        run->lines_expected = count_lines(run);
        for (run->invocation = 0; run->invocation < run->plan->invocations && status == ATTN_OK; ++run->invocation)
            status = run_invocation(run, error);
    }
    struct attn_error second;
    const enum attn_status closed = record_journal_close(run->journal, status == ATTN_OK ? error : &second);
    campaign_ledger_release(&run->ledger);
    status = status == ATTN_OK ? closed : status;
    if (status == ATTN_OK || status == ATTN_INTERRUPTED) {
        /* The counts come from what was written, not from what this process remembers. */
        const enum attn_status read = campaign_ledger_read(path, run->plan, &run->ledger, &second);
        if (read == ATTN_OK)
            campaign_ledger_summary(&run->ledger, summary);
        else
            status = attn_fail(error, read, "%s", second.message);
        campaign_ledger_release(&run->ledger);
    }
    return status == ATTN_OK ? campaign_rebuild(run->directory, error) : status;
}

static enum attn_status no_run(const char *directory, struct attn_error *error) {
    return attn_fail(error, ATTN_INVALID, "%s is no run directory: it has no file '" CAMPAIGN_PLAN_FILE "'", directory);
}

enum attn_status campaign_rebuild(const char *run_directory, struct attn_error *error) {
    char path[4096];
    campaign_rundir_path(run_directory, CAMPAIGN_RESULT_FILE, path);
    char plan[4096], journal[4096];
    campaign_rundir_path(run_directory, CAMPAIGN_PLAN_FILE, plan);
    campaign_rundir_path(run_directory, CAMPAIGN_JOURNAL_FILE, journal);
    const bool planned = access(plan, F_OK) == 0;
    if (!planned && access(journal, F_OK))
        return no_run(run_directory, error);
    /* studies have no plan */
    return planned ? record_result_build(run_directory, path, error) : record_study_build(run_directory, path, error);
}

enum attn_status campaign_plan_of_run(const char *run_directory, const struct attn_registry *registry,
                                      struct campaign_plan **plan, struct attn_error *error) {
    char path[4096];
    campaign_rundir_path(run_directory, CAMPAIGN_PLAN_FILE, path);
    struct record_plan stored = {0};
    if (access(path, F_OK))
        return no_run(run_directory, error);
    enum attn_status status = record_plan_read(path, &stored, error);
    if (status == ATTN_OK)
        status = campaign_plan_load(&stored, registry, plan, error);
    record_plan_release(&stored);
#ifdef __GLIBC__
    malloc_trim(0); /* the stored form takes several times the plan; a worker measures beside neither */
#endif
    return status;
}

/* A capture is known by its content: other content is another point. */
static enum attn_status captures_unchanged(const struct campaign_plan *plan, struct attn_error *error) {
    const char *last = "";
    for (size_t i = 0; i < plan->point_count; ++i) {
        const struct campaign_point *const point = &plan->points[i];
        char id[RECORD_ID_CHARS + 1];
        if (!point->capture_path || !strcmp(point->capture_path, last))
            continue;
        const enum attn_status status = campaign_file_id(point->capture_path, id, error);
        if (status != ATTN_OK)
            return status;
        if (strcmp(id, point->capture_digest) != 0)
            return attn_fail(error, ATTN_INVALID, "%s has changed since this run was planned; start a new run",
                             point->capture_path);
        last = point->capture_path;
    }
    return ATTN_OK;
}

enum attn_status campaign_prepare(const struct campaign_plan *plan, const char *run_directory,
                                  const struct campaign_launch *launch, struct attn_error *error) {
    return campaign_rundir_make(plan, run_directory, launch, error);
}

enum attn_status campaign_run(const struct campaign_plan *plan, const char *run_directory,
                              const struct campaign_launch *launch, struct campaign_summary *summary,
                              struct attn_error *error) {
    *summary = (struct campaign_summary){0};
    int lock;
    enum attn_status status = campaign_rundir_make(plan, run_directory, launch, error);
    if (status == ATTN_OK)
        status = campaign_rundir_lock(run_directory, &lock, error);
    if (status != ATTN_OK)
        return status;
    struct campaign run = {.plan = plan, .launch = launch, .directory = run_directory};
    status = go_on(&run, summary, error);
    close(lock);
    return status;
}

enum attn_status campaign_resume(const char *run_directory, const struct campaign_launch *launch,
                                 struct campaign_summary *summary, struct attn_error *error) {
    *summary = (struct campaign_summary){0};
    int lock;
    enum attn_status status = campaign_rundir_lock(run_directory, &lock, error);
    if (status != ATTN_OK)
        return status;
    struct campaign_plan *plan = NULL;
    status = campaign_rundir_unchanged(run_directory, launch, error);
    if (status == ATTN_OK)
        status = campaign_plan_of_run(run_directory, launch->registry, &plan, error);
    if (status == ATTN_OK)
        status = captures_unchanged(plan, error);
    if (status == ATTN_OK) {
        struct campaign run = {.plan = plan, .launch = launch, .directory = run_directory};
        status = go_on(&run, summary, error);
    }
    campaign_plan_free(plan);
    close(lock);
    return status;
}
