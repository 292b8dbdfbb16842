/* SPDX-License-Identifier: Apache-2.0 */
/* Drawn numbers and what is said of many of them. */
#ifndef STUDY_SAMPLE_H
#define STUDY_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* Fills `values` with N(0, deviation^2); element n is a function of (seed, stream, n) alone. */
void study_normals(uint64_t seed, uint64_t stream, int64_t count, double deviation, double *values);
/* Uniform in [0, 1), uniform in 0..below-1: element `counter` of a stream. */
double study_uniform(uint64_t seed, uint64_t stream, uint64_t counter);
int64_t study_below(uint64_t seed, uint64_t stream, uint64_t counter, int64_t below);
/* Puts 0..count-1 into a drawn order (Fisher and Yates). */
void study_shuffled(uint64_t seed, uint64_t stream, int64_t count, int64_t *order);

double study_larger(double a, double b); /* NaN when either is */
double study_mean(int64_t count, const double *values);
/* Unbiased; NaN for fewer than two. */
double study_variance(int64_t count, const double *values);
/* The q-quantile, interpolated (type 7 of Hyndman and Fan 1996). Puts the values in ascending order. */
double study_quantile(int64_t count, double *values, double q);

/* Slope and intercept of the least-squares line through (x, y). */
struct study_line {
    double slope, intercept;
};
struct study_line study_fit(int64_t count, const double *x, const double *y);

double study_dot(int64_t count, const double *a, const double *b);
double study_norm(int64_t count, const double *a);                      /* Euclidean */
double study_distance(int64_t count, const double *a, const double *b); /* |a - b|, Euclidean */
/* a . b / (|a| |b|), NaN for a zero vector. */
double study_cosine(int64_t count, const double *a, const double *b);
double study_largest_difference(int64_t count, const double *a, const double *b); /* max |a - b|; NaN stays NaN */

#endif
