/* SPDX-License-Identifier: Apache-2.0 */
#include "check/gradient_noise.h"

#include <math.h>

#define ROUNDOFF 0x1p-24

struct noise_vector check_noise_vector(const double *vector, int64_t count) {
    double sum = 0.0, peak = 0.0;
    for (int64_t c = 0; c < count; ++c) {
        const double square = vector[c] * vector[c];
        sum += square;
        peak = fmax(peak, square);
    }
    return (struct noise_vector){sqrt(sum), sum / (double)count, peak};
}

double check_noise_dot(double norms, double dot, int64_t count) {
    const double n = (double)count, cosine = norms > 0.0 ? fmin(fabs(dot) / norms, 1.0) : 0.0;
    return ROUNDOFF * norms * (0.5 + 0.4 * sqrt(n) * cosine + 0.3 * n * cosine * cosine * cosine);
}

void check_noise_add(struct noise_row *row, double square_error, double weight, const struct noise_vector *vector) {
    const double square = weight * weight;
    row->mean += square_error * vector->square;
    row->peak += square_error * vector->peak;
    row->mean_terms += square * vector->square;
    row->peak_terms += square * vector->peak;
    ++row->count;
}

void check_noise_close(struct noise_tensor *tensor, const struct noise_row *row, const struct noise_vector *want,
                       double shared, double roundoff) {
    const double sums = ROUNDOFF * ROUNDOFF * (double)row->count / 6.0;
    const double storing = roundoff > ROUNDOFF ? roundoff * roundoff : 0.0;
    const double mean = row->mean + sums * row->mean_terms + (sums + shared + storing / 3.0) * want->square;
    const double peak = row->peak + sums * row->peak_terms + (sums + shared + storing) * want->peak;
    tensor->mean_sum += isfinite(mean) ? mean : 0.0;
    tensor->peak = isfinite(peak) ? fmax(tensor->peak, peak) : tensor->peak;
    ++tensor->rows;
}
