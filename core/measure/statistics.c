/* SPDX-License-Identifier: Apache-2.0 */
#include "measure/statistics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this the running binomial coefficient is scaled down by it; small enough for one more factor of `count`. */
#define RESCALE_EXPONENT 512
#define INSERTION_COUNT  16 /* shorter stretches are sorted by insertion */

size_t measure_rank(size_t count, double confidence, double *coverage) {
    /* Coefficients C(n, i) and their running sum are kept as integers times 2^-exponent: exact while they fit 53
     * bits, so that small samples report exactly 0.75 or 0.96875. */
    double coefficient = 1.0, sum = 0.0;
    int exponent = 0;
    size_t rank = 1;
    *coverage = 0.0;
    for (size_t k = 1; k <= (count + 1) / 2; ++k) {
        sum += coefficient; /* sum of C(n, i) for i <= k - 1 */
        const double covered = fmax(0.0, 1.0 - ldexp(sum, exponent + 1 - (int)count));
        if (k > 1 && !(covered >= confidence))
            break;
        rank = k;
        *coverage = covered;
        coefficient *= (double)(count - k + 1);
        coefficient /= (double)k;
        if (coefficient > ldexp(1.0, RESCALE_EXPONENT)) {
            coefficient = ldexp(coefficient, -RESCALE_EXPONENT);
            sum = ldexp(sum, -RESCALE_EXPONENT);
            exponent += RESCALE_EXPONENT;
        }
    }
    return rank;
}

struct measure_estimate measure_estimate_sorted(const double *sorted, size_t count, double confidence) {
    struct measure_estimate estimate = {.count = count};
    const size_t rank = measure_rank(count, confidence, &estimate.coverage);
    estimate.median = measure_quantile(sorted, count, 0.5);
    estimate.low = sorted[rank - 1];
    estimate.high = sorted[count - rank];
    return estimate;
}

struct measure_estimate measure_estimate_median(const double *values, size_t count, double confidence) {
    const struct measure_estimate none = {.median = NAN, .low = NAN, .high = NAN, .coverage = NAN, .count = count};
    for (size_t i = 0; i < count; ++i)
        if (isnan(values[i]))
            return none;
    double *const sorted = malloc((count + (count + 1) / 2) * sizeof *sorted);
    if (!sorted)
        return none;
    memcpy(sorted, values, count * sizeof *sorted);
    measure_sort(sorted, count, sorted + count);
    const struct measure_estimate estimate = measure_estimate_sorted(sorted, count, confidence);
    free(sorted);
    return estimate;
}

void measure_merge(double *values, size_t split, size_t count, double *scratch) {
    memcpy(scratch, values + split, (count - split) * sizeof *values);
    size_t left = split, right = count - split; /* not yet placed; the largest goes to the end first */
    while (right > 0) {
        const bool take_left = left > 0 && values[left - 1] > scratch[right - 1];
        const size_t place = left + right - 1;
        values[place] = take_left ? values[--left] : scratch[--right];
    }
}

static void insertion_sort(double *values, size_t count) {
    for (size_t i = 1; i < count; ++i) {
        const double value = values[i];
        size_t place = i;
        for (; place > 0 && values[place - 1] > value; --place)
            values[place] = values[place - 1];
        values[place] = value;
    }
}

void measure_sort(double *values, size_t count, double *scratch) {
    if (count <= INSERTION_COUNT) {
        insertion_sort(values, count);
        return;
    }
    const size_t split = count / 2;
    measure_sort(values, split, scratch);
    measure_sort(values + split, count - split, scratch);
    measure_merge(values, split, count, scratch);
}

double measure_quantile(const double *sorted, size_t count, double q) {
    const double place = q * (double)(count - 1);
    const size_t below = (size_t)place;
    const size_t above = below + 1 < count ? below + 1 : below;
    const double weight = place - (double)below;
    /* Not low + weight * (high - low): infinite neighbours would make it NaN. */
    return weight > 0 ? sorted[below] * (1 - weight) + sorted[above] * weight : sorted[below];
}
