/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/statistics.h"

/* P(Binomial(n, 1/2) <= k - 1) by adding coins one at a time: shares nothing with the code under test. */
static double lower_tail(size_t n, size_t k) {
    long double heads[128] = {1.0L};
    for (size_t coin = 1; coin <= n; ++coin)
        for (size_t h = coin + 1; h-- > 0;)
            heads[h] = (heads[h] + (h > 0 ? heads[h - 1] : 0.0L)) / 2;
    long double sum = 0;
    for (size_t h = 0; h < k; ++h)
        sum += heads[h];
    return (double)sum;
}

Test(statistics, coverage_of_few_values_is_exact) {
    static const struct {
        size_t count;
        double coverage;
    } known[] = {{1, 0.0}, {2, 0.5}, {3, 0.75}, {4, 0.875}, {5, 0.9375}, {6, 0.96875}, {7, 0.984375}};
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        double coverage;
        cr_expect_eq(measure_rank(known[i].count, 0.95, &coverage), 1);
        cr_expect_eq(coverage, known[i].coverage, "%zu values", known[i].count);
    }
}

Test(statistics, ranks_are_the_widest_allowed_for_every_count) {
    static const double confidences[] = {0.5, 0.9, 0.95, 0.99};
    for (size_t n = 1; n <= 100; ++n)
        for (size_t c = 0; c < sizeof confidences / sizeof *confidences; ++c) {
            size_t expected = 1;
            for (size_t k = 2; k <= (n + 1) / 2; ++k)
                if (1 - 2 * lower_tail(n, k) >= confidences[c])
                    expected = k;
            double coverage;
            const size_t rank = measure_rank(n, confidences[c], &coverage);
            cr_expect_eq(rank, expected, "%zu values at %g", n, confidences[c]);
            cr_expect_float_eq(coverage, 1 - 2 * lower_tail(n, rank), 1e-14, "%zu values", n);
        }
}

Test(statistics, large_counts_neither_overflow_nor_lose_coverage) {
    for (size_t n = 200; n <= 1000000; n *= 10) {
        double coverage;
        const size_t rank = measure_rank(n, 0.95, &coverage);
        const double normal = ((double)n - 1.959964 * sqrt((double)n)) / 2; /* the normal approximation of the rank */
        cr_expect(fabs((double)rank - normal) <= 2, "%zu values: rank %zu, normal %g", n, rank, normal);
        cr_expect(coverage >= 0.95 && coverage < 0.97, "%zu values: %g", n, coverage);
    }
}

Test(statistics, median_and_interval_are_order_statistics) {
    const double values[] = {9, 1, 8, 2, 7, 3, 6, 4, 5};
    const struct measure_estimate nine = measure_estimate_median(values, 9, 0.95);
    cr_expect_eq(nine.median, 5);
    cr_expect_eq(nine.low, 2); /* rank 2 of 9 covers 96.1 %, rank 3 82.0 % */
    cr_expect_eq(nine.high, 8);
    cr_expect_eq(nine.coverage, 0.9609375);
    cr_expect_eq(values[0], 9, "the values were changed");
    const struct measure_estimate four = measure_estimate_median(values, 4, 0.95);
    cr_expect_eq(four.median, 5); /* of 1 2 8 9 */
    cr_expect_eq(four.low, 1);
    cr_expect_eq(four.high, 9);
    const struct measure_estimate one = measure_estimate_median(values, 1, 0.95);
    cr_expect(one.median == 9 && one.low == 9 && one.high == 9 && one.coverage == 0);
}

Test(statistics, nan_is_never_averaged_away) {
    const double values[] = {1, NAN, 3};
    const struct measure_estimate estimate = measure_estimate_median(values, 3, 0.95);
    cr_expect(isnan(estimate.median) && isnan(estimate.low) && isnan(estimate.high) && isnan(estimate.coverage));
}

Test(statistics, infinite_values_stay_order_statistics) {
    const double values[] = {1, 2, INFINITY};
    const struct measure_estimate estimate = measure_estimate_median(values, 3, 0.95);
    cr_expect(estimate.median == 2 && estimate.low == 1 && isinf(estimate.high));
}

Test(statistics, quantiles_interpolate) {
    const double sorted[] = {10, 20, 30, 40};
    cr_expect_eq(measure_quantile(sorted, 4, 0), 10);
    cr_expect_eq(measure_quantile(sorted, 4, 0.25), 17.5);
    cr_expect_eq(measure_quantile(sorted, 4, 0.5), 25);
    cr_expect_eq(measure_quantile(sorted, 4, 1), 40);
    cr_expect_eq(measure_quantile(sorted, 1, 0.75), 10);
}

static int ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

Test(statistics, sorting_agrees_with_the_library_s) {
    unsigned short state[3] = {4, 5, 6};
    static double values[1000], expected[1000], scratch[501];
    for (size_t n = 0; n <= 1000; n += n < 70 ? 1 : 31)
        for (int kind = 0; kind < 4; ++kind) { /* random, with many equal, descending, ascending */
            for (size_t i = 0; i < n; ++i)
                values[i] = kind == 0   ? erand48(state) - 0.5
                            : kind == 1 ? (double)(nrand48(state) % 5)
                            : kind == 2 ? -(double)i
                                        : (double)i;
            memcpy(expected, values, n * sizeof *values);
            qsort(expected, n, sizeof *expected, ascending);
            const size_t room = (n + 1) / 2;
            scratch[room] = 42;
            measure_sort(values, n, scratch);
            cr_assert(memcmp(values, expected, n * sizeof *values) == 0, "%zu values of kind %d", n, kind);
            cr_assert_eq(scratch[room], 42, "wrote behind the scratch at %zu values", n);
        }
}

/* The claim itself: intervals of n values drawn from a skewed distribution hold its median as often as they say. */
Test(statistics, intervals_cover_the_median_as_often_as_they_say) {
    const int rounds = 20000;
    const double median = log(2.0); /* of the exponential distribution */
    unsigned short state[3] = {1, 2, 3};
    for (size_t n = 3; n <= 12; n += 3) {
        int held = 0;
        double values[12], coverage = 0;
        for (int round = 0; round < rounds; ++round) {
            for (size_t i = 0; i < n; ++i)
                values[i] = -log(1 - erand48(state));
            const struct measure_estimate estimate = measure_estimate_median(values, n, 0.95);
            held += estimate.low <= median && median <= estimate.high;
            coverage = estimate.coverage;
        }
        const double deviation = sqrt(coverage * (1 - coverage) / rounds);
        cr_expect(fabs((double)held / rounds - coverage) < 5 * deviation, "%zu values: held %d of %d, claimed %g", n,
                  held, rounds, coverage);
    }
}
