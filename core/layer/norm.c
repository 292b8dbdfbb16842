/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/norm.h"

#include <math.h>

/* A row's mean, and how its centred values are stretched: normalised x = rate (x - mean). */
struct spread {
    double mean, rate;
    double bend; /* d rate / d x_c = -bend (x_c - mean) */
};

/* Sums are double: a row is short beside the products around it, and its mean must not lose the features. */
static struct spread row_spread(const struct layer_norm *norm, const layer_real *x) {
    const int64_t n = norm->features;
    double sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < n; ++c)
        sum += (double)x[c];
    const double mean = sum / (double)n;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < n; ++c)
        squares += ((double)x[c] - mean) * ((double)x[c] - mean);
    if (norm->kind == LAYER_NORM_BIASED_VARIANCE) {
        const double rate = 1 / sqrt(squares / (double)n + norm->epsilon);
        return (struct spread){mean, rate, rate * rate * rate / (double)n};
    }
    const double deviation = sqrt(squares / (double)(n - 1)), rate = 1 / (deviation + norm->epsilon);
    /* A constant row has no slope to speak of: every centred value it would be multiplied with is 0. */
    return (struct spread){mean, rate, deviation == 0 ? 0 : rate * rate / (deviation * (double)(n - 1))};
}

void layer_norm_forward(const struct layer_norm *norm, const struct layer_compute *compute, int64_t rows,
                        const layer_real *x, layer_real *y) {
    const int64_t n = norm->features;
#pragma omp parallel for num_threads(compute->threads)
    for (int64_t row = 0; row < rows; ++row) {
        const layer_real *const from = x + row * n;
        layer_real *const to = y + row * n;
        const struct spread spread = row_spread(norm, from);
        for (int64_t c = 0; c < n; ++c)
            to[c] = (layer_real)(((double)from[c] - spread.mean) * spread.rate * (double)norm->gain[c] +
                                 (double)norm->bias[c]);
    }
}

/* The gradient of gain and bias: over rows in order, so in one thread. */
static void add_gradient(const struct layer_norm *norm, int64_t rows, const layer_real *x, const layer_real *dy,
                         const struct layer_norm *gradient) {
    const int64_t n = norm->features;
    for (int64_t row = 0; row < rows; ++row) {
        const struct spread spread = row_spread(norm, x + row * n);
        for (int64_t c = 0; c < n; ++c) {
            const double slope = (double)dy[row * n + c];
            gradient->gain[c] += (layer_real)(slope * ((double)x[row * n + c] - spread.mean) * spread.rate);
            gradient->bias[c] += (layer_real)slope;
        }
    }
}

void layer_norm_backward(const struct layer_norm *norm, const struct layer_compute *compute, int64_t rows,
                         const layer_real *x, const layer_real *dy, layer_real *dx, const struct layer_norm *gradient) {
    const int64_t n = norm->features;
    if (gradient)
        add_gradient(norm, rows, x, dy, gradient);
#pragma omp parallel for num_threads(compute->threads)
    for (int64_t row = 0; row < rows; ++row) {
        const layer_real *const from = x + row * n, *const slope = dy + row * n;
        const struct spread spread = row_spread(norm, from);
        double sum = 0, aligned = 0; /* of g, and of g (x - mean) */
#pragma omp simd reduction(+ : sum, aligned)
        for (int64_t c = 0; c < n; ++c) {
            const double g = (double)slope[c] * (double)norm->gain[c];
            sum += g;
            aligned += g * ((double)from[c] - spread.mean);
        }
        for (int64_t c = 0; c < n; ++c) {
            const double g = (double)slope[c] * (double)norm->gain[c];
            dx[row * n + c] = (layer_real)(spread.rate * (g - sum / (double)n) -
                                           spread.bend * aligned * ((double)from[c] - spread.mean));
        }
    }
}
