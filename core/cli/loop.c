/* SPDX-License-Identifier: Apache-2.0 */
/* `time --loop`: the first point over and over in this process, for a profiler to look at; `time --profile`: the same,
 * with the variant telling where its time goes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "campaign/attempt.h"
#include "cli/verbs.h"
#include "machine/clock.h"
#include "machine/gemm.h"

#define PROFILE_S 3.0 /* when --loop says nothing */

/* What the trials of one point came to. */
struct looped {
    int64_t calls;
    double least_ns, sum_ns; /* of the timed iterations */
    struct record_line line; /* of the last trial */
};

/* Trials, each judged, until the time is over; at least one. */
static enum attn_status loop_point(struct campaign_station *station, const struct campaign_point *point, double loop_s,
                                   struct looped *looped, struct attn_error *error) {
    const int64_t begun_ns = machine_clock_ns();
    struct record_line *const line = &looped->line;
    *looped = (struct looped){.line = {.status = RECORD_SKIPPED}};
    if (campaign_attempt_skip(station, point, line))
        return ATTN_OK;
    enum attn_status status;
    do {
        record_line_release(line);
        *line = (struct record_line){.status = RECORD_SKIPPED};
        campaign_station_enter(station, point);
        status = campaign_attempt(station, point, line, error);
        for (size_t i = 0; i < line->sample_count; ++i) {
            looped->least_ns =
                !looped->sum_ns || line->samples_ns[i] < looped->least_ns ? line->samples_ns[i] : looped->least_ns;
            looped->sum_ns += line->samples_ns[i];
        }
        looped->calls += (int64_t)line->sample_count;
    } while (status == ATTN_OK && line->status == RECORD_MEASURED &&
             (double)(machine_clock_ns() - begun_ns) < loop_s * 1e9);
    return status;
}

/* Phases of all threads together, over the timed calls; team_ns is the time that the team had for them. False: the
 * variant told nothing. */
static bool print_split(const struct attn_profile *profile, int threads, double team_ns) {
    static const char *const names[] = {"packing", "scores", "softmax", "values", "merging"};
    double spent_ns[ATTN_PHASE_COUNT] = {0}, known_ns = 0;
    for (int phase = 0; phase < ATTN_PHASE_COUNT; ++phase) {
        for (int thread = 0; thread < threads; ++thread)
            spent_ns[phase] += (double)profile->spent_ns[thread][phase];
        known_ns += spent_ns[phase];
    }
    if (known_ns == 0)
        return false;
    printf("%-10s %10s %8s\n", "part", "ms", "share");
    for (int phase = 0; phase < ATTN_PHASE_COUNT; ++phase)
        printf("%-10s %10.3f %7.1f%%\n", names[phase], spent_ns[phase] / 1e6, 100 * spent_ns[phase] / team_ns);
    printf("%-10s %10.3f %7.1f%%\n", "waiting", (team_ns - known_ns) / 1e6, 100 * (team_ns - known_ns) / team_ns);
    return true;
}

static int conclude(const struct looped *looped, enum attn_status status, const struct attn_error *error) {
    if (status != ATTN_OK)
        return cli_fail(error);
    if (looped->line.status == RECORD_MEASURED) {
        printf("%" PRId64 " calls, the fastest %.6g us\n", looped->calls, looped->least_ns / 1e3);
        return CLI_OK;
    }
    fprintf(stderr, "attnbench: %s: %s\n", record_status_name(looped->line.status), looped->line.reason);
    return looped->line.status == RECORD_REJECTED  ? CLI_CHECK_FAILED
           : looped->line.status == RECORD_SKIPPED ? CLI_USAGE
                                                   : CLI_POINTS_FAILED;
}

/* One long trial, whose timed calls the phases add up over. */
static enum attn_status profile_point(struct campaign_station *station, const struct campaign_point *point,
                                      struct looped *looped, struct attn_error *error) {
    struct attn_profile profile = {.clock_ns = machine_clock_ns,
                                   .spent_ns = calloc((size_t)point->threads, sizeof *profile.spent_ns)};
    if (!profile.spent_ns)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a profile");
    station->profile = &profile;
    enum attn_status status = loop_point(station, point, 0, looped, error);
    if (status == ATTN_OK && looped->line.status == RECORD_MEASURED &&
        !print_split(&profile, point->threads, looped->sum_ns * point->threads))
        status = attn_fail(error, ATTN_UNSUPPORTED, "%s does not tell where its time goes", point->variant);
    station->profile = NULL;
    free(profile.spent_ns);
    return status;
}

int cli_loop(const struct cli_call *call, struct campaign_plan *plan) {
    if (plan->point_count > 1) {
        fprintf(stderr, "attnbench time: --loop and --profile take one point; these words make %zu\n",
                plan->point_count);
        return CLI_USAGE;
    }
    const struct campaign_point *const point = &plan->points[0];
    const bool profile = call->arguments.profile;
    const double loop_s = call->arguments.loop_s > 0 ? call->arguments.loop_s : PROFILE_S;
    plan->measure.min_time_ns = plan->measure.max_time_ns = profile ? 1e9 * loop_s : 1e9;
    plan->measure.max_iterations = MEASURE_MAX_SAMPLES;
    machine_gemm_single_thread(); /* what a worker's environment does */
    struct attn_error error = {.message = ""};
    char label[CAMPAIGN_LABEL_BYTES];
    struct campaign_station *const station = malloc(sizeof *station);
    enum attn_status status = station ? campaign_station_open(station, plan, call->registry, &error)
                                      : attn_fail(&error, ATTN_NO_MEMORY, "no memory to loop");
    if (status != ATTN_OK) {
        free(station);
        return cli_fail(&error);
    }
    campaign_point_label(point, call->registry, label);
    fprintf(stderr, "attnbench: %s, in this process, number %ld\n", label, (long)getpid());
    struct looped looped;
    status =
        profile ? profile_point(station, point, &looped, &error) : loop_point(station, point, loop_s, &looped, &error);
    const int code = conclude(&looped, status, &error);
    record_line_release(&looped.line);
    campaign_station_close(station);
    free(station);
    return code;
}
