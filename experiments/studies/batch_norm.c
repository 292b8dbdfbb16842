/* SPDX-License-Identifier: Apache-2.0 */
#include "batch_norm.h"

#include <math.h>

struct spread {
    double mean, rate;
};

static struct spread column_spread(const struct layer_norm *norm, int64_t rows, const layer_real *column) {
    double sum = 0, squares = 0;
    for (int64_t row = 0; row < rows; ++row)
        sum += (double)column[row * norm->features];
    const double mean = sum / (double)rows;
    for (int64_t row = 0; row < rows; ++row) {
        const double centred = (double)column[row * norm->features] - mean;
        squares += centred * centred;
    }
    return (struct spread){mean, 1 / sqrt(squares / (double)rows + norm->epsilon)};
}

void batch_norm_forward(const struct layer_norm *norm, int64_t rows, const layer_real *x, layer_real *y) {
    const int64_t n = norm->features;
    for (int64_t c = 0; c < n; ++c) {
        const struct spread spread = column_spread(norm, rows, x + c);
        for (int64_t at = c; at < rows * n; at += n)
            y[at] = (layer_real)(((double)x[at] - spread.mean) * spread.rate * (double)norm->gain[c] +
                                 (double)norm->bias[c]);
    }
}

void batch_norm_backward(const struct layer_norm *norm, int64_t rows, const layer_real *x, const layer_real *dy,
                         layer_real *dx, const struct layer_norm *gradient) {
    const int64_t n = norm->features;
    for (int64_t c = 0; c < n; ++c) {
        const struct spread spread = column_spread(norm, rows, x + c);
        double sum = 0, aligned = 0; /* of dy, and of dy times normalised x */
        for (int64_t at = c; at < rows * n; at += n) {
            sum += (double)dy[at];
            aligned += (double)dy[at] * ((double)x[at] - spread.mean) * spread.rate;
        }
        gradient->bias[c] += (layer_real)sum;
        gradient->gain[c] += (layer_real)aligned;
        for (int64_t at = c; at < rows * n; at += n) {
            const double normalised = ((double)x[at] - spread.mean) * spread.rate;
            dx[at] = (layer_real)((double)norm->gain[c] * spread.rate *
                                  ((double)dy[at] - (sum + normalised * aligned) / (double)rows));
        }
    }
}
