/* SPDX-License-Identifier: Apache-2.0 */
/* `time --loop`: the first point over and over in this process, for a profiler to look at. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "campaign/attempt.h"
#include "cli/verbs.h"
#include "machine/clock.h"
#include "machine/gemm.h"

/* Trials of a second, each judged, until the time is over. */
static int loop_point(struct campaign_station *station, const struct campaign_point *point, double loop_s) {
    const int64_t begun_ns = machine_clock_ns();
    int64_t calls = 0;
    double least_ns = 0;
    struct record_line line = {.status = RECORD_SKIPPED};
    struct attn_error error = {.message = ""};
    enum attn_status status = ATTN_OK;
    if (!campaign_attempt_skip(station, point, &line)) {
        do {
            record_line_release(&line);
            line = (struct record_line){.status = RECORD_SKIPPED};
            campaign_station_enter(station, point);
            status = campaign_attempt(station, point, &line, &error);
            for (size_t i = 0; i < line.sample_count; ++i)
                least_ns = !calls || line.samples_ns[i] < least_ns ? line.samples_ns[i] : least_ns;
            calls += (int64_t)line.sample_count;
        } while (status == ATTN_OK && line.status == RECORD_MEASURED &&
                 (double)(machine_clock_ns() - begun_ns) < loop_s * 1e9);
    }
    int code = CLI_OK;
    if (status != ATTN_OK) {
        code = cli_fail(&error);
    } else if (line.status != RECORD_MEASURED) {
        fprintf(stderr, "attnbench: %s: %s\n", record_status_name(line.status), line.reason);
        code = line.status == RECORD_REJECTED  ? CLI_CHECK_FAILED
               : line.status == RECORD_SKIPPED ? CLI_USAGE
                                               : CLI_POINTS_FAILED;
    } else {
        printf("%" PRId64 " calls in %.3g s, the fastest %.6g us\n", calls,
               (double)(machine_clock_ns() - begun_ns) / 1e9, least_ns / 1e3);
    }
    record_line_release(&line);
    return code;
}

int cli_loop(const struct cli_call *call, struct campaign_plan *plan) {
    const struct campaign_point *const point = &plan->points[0];
    plan->measure.min_time_ns = plan->measure.max_time_ns = 1e9;
    plan->measure.max_iterations = MEASURE_MAX_SAMPLES;
    machine_gemm_single_thread(); /* what a worker's environment does */
    struct attn_error error;
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
    const int code = loop_point(station, point, call->arguments.loop_s);
    campaign_station_close(station);
    free(station);
    return code;
}
