/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/linear.h"

#include <string.h>

/* Rows of a result that one GEMM call makes: a constant, because a row's rounding may depend on the size of its call,
 * and must not depend on the number of threads. */
#define BLOCK_ROWS 64

static int64_t block_end(int64_t begin, int64_t rows) {
    return rows - begin < BLOCK_ROWS ? rows : begin + BLOCK_ROWS;
}

void layer_linear_forward(const struct layer_linear *linear, const struct layer_compute *compute, int64_t rows,
                          const layer_real *x, layer_real *y) {
    const int64_t in = linear->in_features, out = linear->out_features;
#pragma omp parallel for num_threads(compute->threads) schedule(dynamic)
    for (int64_t begin = 0; begin < rows; begin += BLOCK_ROWS) {
        const int64_t end = block_end(begin, rows);
        for (int64_t row = begin; linear->bias && row < end; ++row)
            memcpy(y + row * out, linear->bias, (size_t)out * sizeof *y);
        compute->gemm(false, true, end - begin, out, in, 1, x + begin * in, in, linear->weight, in,
                      linear->bias ? 1 : 0, y + begin * out, out);
    }
}

void layer_linear_backward(const struct layer_linear *linear, const struct layer_compute *compute, int64_t rows,
                           const layer_real *x, const layer_real *dy, layer_real *dx, bool accumulate,
                           const struct layer_linear *gradient) {
    const int64_t in = linear->in_features, out = linear->out_features;
#pragma omp parallel num_threads(compute->threads)
    {
        if (dx) {
#pragma omp for schedule(dynamic) nowait
            for (int64_t begin = 0; begin < rows; begin += BLOCK_ROWS)
                compute->gemm(false, false, block_end(begin, rows) - begin, in, out, 1, dy + begin * out, out,
                              linear->weight, in, accumulate ? 1 : 0, dx + begin * in, in);
        }
        if (gradient) {
#pragma omp for schedule(dynamic)
            for (int64_t begin = 0; begin < out; begin += BLOCK_ROWS) {
                const int64_t end = block_end(begin, out);
                compute->gemm(true, false, end - begin, in, rows, 1, dy + begin, out, x, in, 1,
                              gradient->weight + begin * in, in);
                for (int64_t row = 0; gradient->bias && row < rows; ++row)
                    for (int64_t c = begin; c < end; ++c)
                        gradient->bias[c] += dy[row * out + c];
            }
        }
    }
}

void layer_add(const struct layer_compute *compute, int64_t count, const layer_real *a, const layer_real *b,
               layer_real *sum) {
#pragma omp parallel for simd num_threads(compute->threads)
    for (int64_t n = 0; n < count; ++n)
        sum[n] = a[n] + b[n];
}
