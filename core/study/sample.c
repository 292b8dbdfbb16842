/* SPDX-License-Identifier: Apache-2.0 */
#include "study/sample.h"

#include <math.h>
#include <stdlib.h>

#include "check/random.h"
#include "measure/statistics.h"

void study_normals(uint64_t seed, uint64_t stream, int64_t count, double deviation, double *values) {
    const uint64_t key = check_stream(seed, stream);
    for (int64_t n = 0; n < count; ++n)
        values[n] = deviation * check_normal(check_bits(key, (uint64_t)n));
}

double study_uniform(uint64_t seed, uint64_t stream, uint64_t counter) {
    return check_unit(check_bits(check_stream(seed, stream), counter));
}

int64_t study_below(uint64_t seed, uint64_t stream, uint64_t counter, int64_t below) {
    return check_below(check_bits(check_stream(seed, stream), counter), below);
}

void study_shuffled(uint64_t seed, uint64_t stream, int64_t count, int64_t *order) {
    for (int64_t n = 0; n < count; ++n)
        order[n] = n;
    for (int64_t n = count - 1; n > 0; --n) {
        const int64_t other = study_below(seed, stream, (uint64_t)n, n + 1), kept = order[n];
        order[n] = order[other];
        order[other] = kept;
    }
}

double study_larger(double a, double b) {
    return isnan(a) || a >= b ? a : b;
}

double study_mean(int64_t count, const double *values) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n)
        sum += values[n];
    return sum / (double)count;
}

double study_variance(int64_t count, const double *values) {
    const double mean = study_mean(count, values);
    double sum = 0;
    for (int64_t n = 0; n < count; ++n)
        sum += (values[n] - mean) * (values[n] - mean);
    return count < 2 ? NAN : sum / (double)(count - 1);
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double study_quantile(int64_t count, double *values, double q) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return measure_quantile(values, (size_t)count, q);
}

struct study_line study_fit(int64_t count, const double *x, const double *y) {
    const double mean_x = study_mean(count, x), mean_y = study_mean(count, y);
    double products = 0, squares = 0;
    for (int64_t n = 0; n < count; ++n) {
        products += (x[n] - mean_x) * (y[n] - mean_y);
        squares += (x[n] - mean_x) * (x[n] - mean_x);
    }
    const double slope = products / squares;
    return (struct study_line){slope, mean_y - slope * mean_x};
}

double study_dot(int64_t count, const double *a, const double *b) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n)
        sum += a[n] * b[n];
    return sum;
}

double study_norm(int64_t count, const double *a) {
    return sqrt(study_dot(count, a, a));
}

double study_distance(int64_t count, const double *a, const double *b) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n)
        sum += (a[n] - b[n]) * (a[n] - b[n]);
    return sqrt(sum);
}

double study_cosine(int64_t count, const double *a, const double *b) {
    return study_dot(count, a, b) / (study_norm(count, a) * study_norm(count, b));
}

double study_largest_difference(int64_t count, const double *a, const double *b) {
    double largest = 0;
    for (int64_t n = 0; n < count; ++n) {
        const double difference = fabs(a[n] - b[n]);
        if (!(difference <= largest)) /* NaN too */
            largest = difference;
        if (isnan(largest))
            break;
    }
    return largest;
}
