/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/linear.h"

#include <string.h>

/* The part of a result that one GEMM call makes: large enough that packing its operands is a small part of the work.
 * Constants, because an element's rounding may depend on the size of its call, and must not on the number of threads.
 */
#define BLOCK_ROWS    512
#define BLOCK_COLUMNS 192
#define BLOCK_SLOPES  64 /* rows of a weight's gradient, and of dx */

static int64_t block_end(int64_t begin, int64_t size, int64_t all) {
    return all - begin < size ? all : begin + size;
}

void layer_linear_forward(const struct layer_linear *linear, const struct layer_compute *compute, int64_t rows,
                          const layer_real *x, layer_real *y) {
    const int64_t in = linear->in_features, out = linear->out_features;
#pragma omp parallel for collapse(2) num_threads(compute->threads) schedule(dynamic)
    for (int64_t row = 0; row < rows; row += BLOCK_ROWS)
        for (int64_t column = 0; column < out; column += BLOCK_COLUMNS) {
            const int64_t height = block_end(row, BLOCK_ROWS, rows) - row;
            const int64_t width = block_end(column, BLOCK_COLUMNS, out) - column;
            for (int64_t r = row; linear->bias && r < row + height; ++r)
                memcpy(y + r * out + column, linear->bias + column, (size_t)width * sizeof *y);
            compute->gemm(false, true, height, width, in, 1, x + row * in, in, linear->weight + column * in, in,
                          linear->bias ? 1 : 0, y + row * out + column, out);
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
            for (int64_t begin = 0; begin < rows; begin += BLOCK_SLOPES)
                compute->gemm(false, false, block_end(begin, BLOCK_SLOPES, rows) - begin, in, out, 1, dy + begin * out,
                              out, linear->weight, in, accumulate ? 1 : 0, dx + begin * in, in);
        }
        if (gradient) {
#pragma omp for schedule(dynamic)
            for (int64_t begin = 0; begin < out; begin += BLOCK_SLOPES) {
                const int64_t end = block_end(begin, BLOCK_SLOPES, out);
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
