/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/plain_gemm.h"

void layer_plain_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, layer_real alpha,
                      const layer_real *a, int64_t lda, const layer_real *b, int64_t ldb, layer_real beta,
                      layer_real *c, int64_t ldc) {
    const int64_t a_row = transpose_a ? 1 : lda, a_column = transpose_a ? lda : 1;
    const int64_t b_row = transpose_b ? 1 : ldb, b_column = transpose_b ? ldb : 1;
    for (int64_t i = 0; i < m; ++i) {
        layer_real *const row = c + i * ldc;
        for (int64_t j = 0; j < n; ++j)
            row[j] = beta == 0 ? 0 : beta * row[j]; /* 0 times a NaN left in C would be a NaN */
        for (int64_t p = 0; p < k; ++p) {
            const layer_real factor = alpha * a[i * a_row + p * a_column];
            for (int64_t j = 0; j < n; ++j)
                row[j] += factor * b[p * b_row + j * b_column];
        }
    }
}
