/* SPDX-License-Identifier: Apache-2.0 */
/* Medians and distribution-free rank intervals.
 *
 * Of n independent values the k-th smallest and the k-th largest enclose the median of their distribution unless fewer
 * than k of them fall on one side of it, each with probability 1/2:
 *   coverage(n, k) = 1 - 2 P(Binomial(n, 1/2) <= k - 1)
 * whatever the distribution. (J.-Y. Le Boudec, Performance Evaluation of Computer and Communication Systems, 2.2.)
 * Values that ties or correlation make dependent are covered less often; iterations of one process are such values. */
#ifndef MEASURE_STATISTICS_H
#define MEASURE_STATISTICS_H

#include <stddef.h>

#define MEASURE_CONFIDENCE 0.95 /* asked of every interval; what it truly covers is reported beside it */

struct measure_estimate {
    double median, low, high; /* [low, high]: order statistics around the median */
    double coverage;          /* true coverage of [low, high] for the median: 3 values 0.75, 6 values 0.96875 */
    size_t count;
};

/* The narrowest symmetric rank interval with coverage >= `confidence`, by exact binomial ranks; [min, max] and its
 * true coverage when even that has less (a single value: coverage 0). `values` is not changed. count >= 1.
 * All NaN when a value is NaN or memory for a sorted copy is short. */
struct measure_estimate measure_estimate_median(const double *values, size_t count, double confidence);

/* The same of values in ascending order, without a copy. */
struct measure_estimate measure_estimate_sorted(const double *sorted, size_t count, double confidence);

/* The largest k (1-based, 1 <= k <= (count + 1) / 2) whose interval [k-th smallest, k-th largest] has coverage >=
 * `confidence`, else 1; its true coverage goes to `coverage`. */
size_t measure_rank(size_t count, double confidence, double *coverage);

/* Ascending, in place, in time count log(count) whatever the values. No NaN. `scratch` has room for
 * (count + 1) / 2. Several times as fast as qsort, whose calls would cost more than many a trial. */
void measure_sort(double *values, size_t count, double *scratch);

/* Makes one ascending sequence of two that follow each other, [0, split) and [split, count). `scratch` has room for
 * count - split. */
void measure_merge(double *values, size_t split, size_t count, double *scratch);

/* The q-quantile of ascending values, interpolated between the two nearest (type 7 of Hyndman and Fan 1996).
 * 0 <= q <= 1, count >= 1. */
double measure_quantile(const double *sorted, size_t count, double q);

#endif
