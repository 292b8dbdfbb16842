/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/gemm.h"

#include <criterion/criterion.h>
#include <string.h>

enum { M = 5, N = 7, K = 3, LEADING = 9 };

/* Small integers: every product and sum is exact. */
static float value(int i) {
    return (float)(i * 7 % 11 - 5);
}

static float element(const float *matrix, bool transposed, int row, int column) {
    return transposed ? matrix[column * LEADING + row] : matrix[row * LEADING + column];
}

Test(gemm, multiplies_row_major_matrices_however_they_lie) {
    attn_sgemm *const sgemm = machine_gemm();
    if (!sgemm)
        cr_skip_test("built without CBLAS");
    machine_gemm_single_thread();
    for (int transposes = 0; transposes < 4; transposes++) {
        const bool transpose_a = transposes & 1, transpose_b = transposes & 2;
        float a[LEADING * LEADING], b[LEADING * LEADING], c[LEADING * LEADING];
        for (int i = 0; i < LEADING * LEADING; i++) {
            a[i] = value(i);
            b[i] = value(i + 5);
            c[i] = value(i + 3);
        }
        sgemm(transpose_a, transpose_b, M, N, K, 2.0f, a, LEADING, b, LEADING, 3.0f, c, LEADING);
        for (int i = 0; i < LEADING * LEADING; i++) {
            const int row = i / LEADING, column = i % LEADING;
            float expected = value(i + 3);
            if (row < M && column < N) {
                expected *= 3;
                for (int k = 0; k < K; k++)
                    expected += 2 * element(a, transpose_a, row, k) * element(b, transpose_b, k, column);
            }
            cr_assert_eq(c[i], expected, "transposes %d, row %d, column %d", transposes, row, column);
        }
    }
}

Test(gemm, says_who_multiplies) {
    const char *const description = machine_gemm_description();
    cr_assert_eq(strcmp(description, "none") == 0, machine_gemm() == NULL);
    cr_assert_gt(strlen(description), 3);
    cr_assert_eq(description, machine_gemm_description(), "one text for the whole run");
}
