/* SPDX-License-Identifier: Apache-2.0 */
/* A trial: one variant timed on one problem at one place, within one process. Knows nothing of how answers
 * are checked: the caller hands in what must happen between iterations. */
#ifndef MEASURE_TRIAL_H
#define MEASURE_TRIAL_H

#include "contract/variant.h"
#include "machine/placement.h"

#define MEASURE_MAX_SAMPLES 10000

enum measure_end { MEASURE_TARGET_REACHED, MEASURE_TIME_CAP, MEASURE_COUNT_CAP };
const char *measure_end_name(enum measure_end end); /* "target", "max_time", "max_iterations" */

struct measure_options {
    double min_time_ns, max_time_ns; /* of summed samples: at least min before the target may end it */
    double target_ci;                /* relative half-width of the within-process interval of the median */
    int64_t max_iterations;          /* <= MEASURE_MAX_SAMPLES */
};

/* One call to time. With several operand sets (cold cache) iteration n uses set n % set_count. */
struct measure_subject {
    const struct attn_pass *pass;
    const struct attn_problem *problem; /* per set: problems[n]; mask arrays may rotate too */
    const struct attn_operands *operands;
    int set_count;
    const struct attn_execution *execution;
    void (*warm_values)(void *context);          /* puts other values into the buffers */
    void (*real_values)(void *context);          /* puts the real values back */
    void (*before_each)(void *context, int set); /* outside the interval: poisons outputs of a set */
    void *context;
};

struct measure_trial {
    double samples_ns[MEASURE_MAX_SAMPLES];
    int64_t count;
    int last_set; /* the operand set that holds the last timed answer, the one to verify */
    enum measure_end ended_by;
    bool unstable;        /* first and second half disagree by more than their spread, or spread beyond 25 % */
    double first_call_ns; /* the first warm-up call */
};

/* Warm-up on other values (at least one call, until 10 % of min_time), then timed iterations on the real
 * ones. Every sample is kept, none is removed. */
void measure_trial_run(const struct measure_subject *subject, const struct measure_options *options,
                       struct measure_trial *trial);

#endif
