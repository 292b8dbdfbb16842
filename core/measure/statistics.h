/* SPDX-License-Identifier: Apache-2.0 */
/* Medians and distribution-free rank intervals. */
#ifndef MEASURE_STATISTICS_H
#define MEASURE_STATISTICS_H

#include <stddef.h>

struct measure_estimate {
    double median, low, high; /* [low, high]: order statistics around the median */
    double coverage;          /* true coverage of [low, high] for the median: 3 values 0.75, 6 values 0.96875 */
    size_t count;
};

/* The narrowest symmetric rank interval with coverage >= `confidence`, by exact binomial ranks; [min, max] and its
 * true coverage when even that has less. `values` is not changed. count >= 1. */
struct measure_estimate measure_estimate_median(const double *values, size_t count, double confidence);

#endif
