/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's walk: the positions of one invocation's order that are not done, one result line each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign/attempt.h"
#include "campaign/run.h"
#include "campaign/worker_pipe.h"
#include "machine/clock.h"

/* Standard input holds one character for each position of the order: '1' is done. NULL: it does not. */
static char *read_done(size_t positions) {
    char *const done = malloc(positions + 1);
    size_t filled = 0;
    while (done && filled < positions) {
        const ssize_t got = read(STDIN_FILENO, done + filled, positions - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(done);
            return NULL;
        }
        filled += (size_t)got;
    }
    return done;
}

/* Sends the line of one point. False: the parent is gone. */
static bool send(long position, const struct record_line *line) {
    char *const text = record_line_encode(line);
    const bool sent = text && worker_pipe_line(position, (int)line->status, text);
    free(text);
    return sent;
}

/* One position. `*going` false: nobody listens any more. BEGIN comes once inputs, oracle and peaks stand: from there on
 * it is the variant's own time, resolve() and objection() included. */
static enum attn_status walk_point(struct campaign_station *station, int invocation, size_t position, bool *going,
                                   struct attn_error *error) {
    const struct campaign_plan *const plan = station->plan;
    const struct campaign_point *const point =
        &plan->points[plan->order[(size_t)invocation * plan->point_count + position]];
    struct record_line line = {.invocation = invocation, .position = (int64_t)position};
    snprintf(line.point, sizeof line.point, "%s", point->id);
    machine_utc_now(line.started_utc);
    if (!campaign_attempt_skip(station, point, &line)) {
        campaign_station_enter(station, point);
        const enum attn_status status = campaign_station_peaks(station, point, error);
        if (status != ATTN_OK)
            return status;
        struct attn_error why = {.message = ""};
        *going = worker_pipe_begin((long)position);
        if (*going && campaign_attempt(station, point, &line, &why) != ATTN_OK) {
            line.status = RECORD_FAILED;
            snprintf(line.reason, sizeof line.reason, "%.500s", why.message);
        }
    }
    *going = *going && send((long)position, &line);
    record_line_release(&line);
    return ATTN_OK;
}

static enum attn_status walk(const struct campaign_plan *plan, const struct attn_registry *registry, int invocation,
                             struct attn_error *error) {
    char *const done = read_done(plan->point_count);
    if (!done)
        return attn_fail(error, ATTN_IO, "a worker needs the list of what is done on its standard input");
    struct campaign_station *const station = malloc(sizeof *station);
    enum attn_status status = station ? campaign_station_open(station, plan, registry, error)
                                      : attn_fail(error, ATTN_NO_MEMORY, "no memory for a worker");
    if (status == ATTN_OK) {
        bool going = true;
        for (size_t position = 0; going && status == ATTN_OK && position < plan->point_count; ++position) {
            if (done[position] == '1')
                continue;
            going = worker_pipe_may_go_on();
            if (going)
                status = walk_point(station, invocation, position, &going, error);
        }
        campaign_station_close(station);
    }
    free(station);
    free(done);
    return status;
}

int campaign_worker(const char *run_directory, int invocation, const struct attn_registry *registry) {
    struct attn_error error = {.message = ""};
    struct campaign_plan *plan = NULL;
    enum attn_status status = campaign_plan_of_run(run_directory, registry, &plan, &error);
    if (status == ATTN_OK && (invocation < 0 || invocation >= plan->invocations))
        status = attn_fail(&error, ATTN_INVALID, "the plan has no invocation %d", invocation);
    if (status == ATTN_OK)
        status = walk(plan, registry, invocation, &error);
    campaign_plan_free(plan);
    if (status == ATTN_OK)
        return 0;
    worker_pipe_line(-1, (int)status, error.message);
    return 1;
}
