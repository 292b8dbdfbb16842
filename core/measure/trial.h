/* SPDX-License-Identifier: Apache-2.0 */
/* A trial: one variant timed on one problem at one place, within one process. Knows nothing of how answers
 * are checked: the caller hands in what must happen between iterations. */
#ifndef MEASURE_TRIAL_H
#define MEASURE_TRIAL_H

#include "contract/variant.h"
#include "measure/statistics.h"

#define MEASURE_MAX_SAMPLES 10000

enum measure_end { MEASURE_TARGET_REACHED, MEASURE_TIME_CAP, MEASURE_COUNT_CAP };
const char *measure_end_name(enum measure_end end); /* "target", "max_time", "max_iterations" */

struct measure_options {
    double min_time_ns, max_time_ns; /* of summed samples: at least min before the target may end it */
    double target_ci;                /* relative half-width of the within-process interval of the median */
    int64_t max_iterations;          /* 1..MEASURE_MAX_SAMPLES */
};

/* One call to time. With several operand sets (cold cache) iteration n uses set n % set_count. Callbacks: NULL = none.
 */
struct measure_subject {
    const struct attn_pass *pass;
    const struct attn_problem *problem;   /* [set_count]: mask arrays rotate with the operands */
    const struct attn_operands *operands; /* [set_count] */
    int set_count;
    const struct attn_execution *execution;
    void (*warm_values)(void *context);          /* puts other values into the buffers */
    void (*real_values)(void *context);          /* puts the real values back */
    void (*before_each)(void *context, int set); /* outside the interval, before each timed call: poisons the outputs */
    void *context;
};

struct measure_trial {
    double samples_ns[MEASURE_MAX_SAMPLES]; /* in order of time */
    double sorted_ns[MEASURE_MAX_SAMPLES];  /* the same, ascending */
    double scratch_ns[MEASURE_MAX_SAMPLES]; /* for sorting; holds nothing */
    int64_t count;
    int last_set; /* the operand set that holds the last timed answer, the one to verify */
    enum measure_end ended_by;
    struct measure_estimate within_process; /* median of the samples; its interval says nothing of other processes */
    bool unstable;                          /* see measure_trial_run */
    double first_call_ns;                   /* the first warm-up call */
};

/* Warm-up on other values: at least one call, until 10 % of min_time have passed or max_iterations calls were made.
 * Then timed iterations on the real values. Every sample is kept, none is removed. The trial ends when
 *   target   the samples sum to min_time, their interval's coverage reaches MEASURE_CONFIDENCE (6 samples or more) and
 *            its half-width is at most target_ci of the median; looked at whenever the samples have grown by half;
 *   max_time or max_iterations is reached before that.
 * `unstable` when the quartiles lie further apart than 25 % of the median, or the medians of the first and the second
 * half differ by more than target_ci of the median and by more than the larger interquartile range of the halves.
 * Quartiles are interpolated: of two or three samples the range may be half the median. Fewer than 8 are not halved,
 * and one alone says nothing. */
void measure_trial_run(const struct measure_subject *subject, const struct measure_options *options,
                       struct measure_trial *trial);

#endif
