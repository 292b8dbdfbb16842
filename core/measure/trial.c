/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/trial.h"

#include <math.h>
#include <string.h>

#include "machine/clock.h"

#define WARMUP_SHARE    0.1  /* of min_time */
#define UNSTABLE_SPREAD 0.25 /* interquartile range over median */
#define FEWEST_JUDGED   8    /* samples: halves of 4 have quartiles of their own */

const char *measure_end_name(enum measure_end end) {
    static const char *const names[] = {"target", "max_time", "max_iterations"};
    return (unsigned)end < sizeof names / sizeof *names ? names[end] : "unknown";
}

static double timed_call_ns(const struct measure_subject *subject, int set) {
    const int64_t begin_ns = machine_clock_ns();
    subject->pass->run(&subject->problem[set], &subject->operands[set], subject->execution);
    return (double)(machine_clock_ns() - begin_ns);
}

/* Caches, branch predictors, pages and the thread team settle on values whose answer is not the one that is checked:
 * a variant that remembers an earlier answer gives a wrong one later. */
static double warm_up(const struct measure_subject *subject, const struct measure_options *options) {
    if (subject->warm_values)
        subject->warm_values(subject->context);
    const int64_t begin_ns = machine_clock_ns();
    const double first_call_ns = timed_call_ns(subject, 0);
    for (int64_t n = 1; n < options->max_iterations; ++n) {
        if (!((double)(machine_clock_ns() - begin_ns) < WARMUP_SHARE * options->min_time_ns))
            break;
        timed_call_ns(subject, (int)(n % subject->set_count));
    }
    if (subject->real_values)
        subject->real_values(subject->context);
    return first_call_ns;
}

/* Brings sorted_ns and the estimate up to date; the first `sorted` samples are already in order there. */
static void update_estimate(struct measure_trial *trial, int64_t sorted) {
    memcpy(trial->sorted_ns + sorted, trial->samples_ns + sorted, (size_t)(trial->count - sorted) * sizeof(double));
    measure_sort(trial->sorted_ns, (size_t)trial->count);
    trial->within_process = measure_estimate_sorted(trial->sorted_ns, (size_t)trial->count, MEASURE_CONFIDENCE);
}

static bool target_reached(const struct measure_estimate *estimate, double target_ci) {
    return estimate->coverage >= MEASURE_CONFIDENCE &&
           (estimate->high - estimate->low) / 2 <= target_ci * estimate->median;
}

static double median_and_spread(const double *sorted, int64_t count, double *spread) {
    *spread = measure_quantile(sorted, (size_t)count, 0.75) - measure_quantile(sorted, (size_t)count, 0.25);
    return measure_quantile(sorted, (size_t)count, 0.5);
}

/* Uses sorted_ns as scratch for the halves and leaves it in order. */
static bool is_unstable(struct measure_trial *trial, double target_ci) {
    if (trial->count < FEWEST_JUDGED)
        return false;
    const int64_t half = trial->count / 2;
    double spread, first_spread, second_spread;
    const double median = median_and_spread(trial->sorted_ns, trial->count, &spread);

    memcpy(trial->sorted_ns, trial->samples_ns, (size_t)trial->count * sizeof(double));
    measure_sort(trial->sorted_ns, (size_t)half);
    measure_sort(trial->sorted_ns + half, (size_t)(trial->count - half));
    const double first = median_and_spread(trial->sorted_ns, half, &first_spread);
    const double second = median_and_spread(trial->sorted_ns + half, trial->count - half, &second_spread);
    measure_sort(trial->sorted_ns, (size_t)trial->count);

    const double drift = fabs(second - first);
    return !(spread <= UNSTABLE_SPREAD * median) ||
           (drift > target_ci * median && drift > fmax(first_spread, second_spread));
}

void measure_trial_run(const struct measure_subject *subject, const struct measure_options *options,
                       struct measure_trial *trial) {
    trial->first_call_ns = warm_up(subject, options);
    trial->count = 0;
    double sum_ns = 0;
    for (int64_t sorted = 0;;) {
        const int set = (int)(trial->count % subject->set_count);
        if (subject->before_each)
            subject->before_each(subject->context, set);
        const double sample_ns = timed_call_ns(subject, set);
        trial->samples_ns[trial->count++] = sample_ns;
        trial->last_set = set;
        sum_ns += sample_ns;

        const bool out_of_time = sum_ns >= options->max_time_ns;
        const bool out_of_count = trial->count >= options->max_iterations;
        const bool due = sum_ns >= options->min_time_ns && trial->count >= sorted + sorted / 2;
        if (!out_of_time && !out_of_count && !due)
            continue;
        update_estimate(trial, sorted);
        sorted = trial->count;
        if (sum_ns >= options->min_time_ns && target_reached(&trial->within_process, options->target_ci))
            trial->ended_by = MEASURE_TARGET_REACHED;
        else if (out_of_time)
            trial->ended_by = MEASURE_TIME_CAP;
        else if (out_of_count)
            trial->ended_by = MEASURE_COUNT_CAP;
        else
            continue;
        break;
    }
    trial->unstable = is_unstable(trial, options->target_ci);
}
