/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/trial.h"

#include <math.h>
#include <string.h>

#include "machine/clock.h"

#define WARMUP_SHARE    0.1  /* of min_time */
#define UNSTABLE_SPREAD 0.25 /* interquartile range over median */
#define FEWEST_HALVED   8    /* samples: halves of 4 have quartiles of their own */

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
    const size_t fresh = (size_t)(trial->count - sorted);
    memcpy(trial->sorted_ns + sorted, trial->samples_ns + sorted, fresh * sizeof(double));
    measure_sort(trial->sorted_ns + sorted, fresh, trial->scratch_ns);
    measure_merge(trial->sorted_ns, (size_t)sorted, (size_t)trial->count, trial->scratch_ns);
    trial->within_process = measure_estimate_sorted(trial->sorted_ns, (size_t)trial->count, MEASURE_CONFIDENCE);
}

static bool target_reached(const struct measure_estimate *estimate, double target_ci) {
    return estimate->coverage >= MEASURE_CONFIDENCE &&
           (estimate->high - estimate->low) / 2 <= target_ci * estimate->median;
}

struct level {
    double median, spread; /* spread: interquartile range */
};

static struct level level_of(const double *sorted, size_t count) {
    return (struct level){
        .median = measure_quantile(sorted, count, 0.5),
        .spread = measure_quantile(sorted, count, 0.75) - measure_quantile(sorted, count, 0.25),
    };
}

/* Half the samples and room to sort them fit the scratch. */
static struct level level_of_half(struct measure_trial *trial, size_t first, size_t count) {
    memcpy(trial->scratch_ns, trial->samples_ns + first, count * sizeof(double));
    measure_sort(trial->scratch_ns, count, trial->scratch_ns + count);
    return level_of(trial->scratch_ns, count);
}

static bool is_unstable(struct measure_trial *trial, double target_ci) {
    const size_t count = (size_t)trial->count, half = count / 2;
    const struct level whole = level_of(trial->sorted_ns, count);
    if (!(whole.spread <= UNSTABLE_SPREAD * whole.median))
        return true;
    if (count < FEWEST_HALVED)
        return false;
    const struct level first = level_of_half(trial, 0, half), second = level_of_half(trial, half, count - half);
    const double drift = fabs(second.median - first.median);
    return drift > target_ci * whole.median && drift > fmax(first.spread, second.spread);
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
