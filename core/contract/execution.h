/* SPDX-License-Identifier: Apache-2.0 */
/* How a problem is to be answered: threads, parameters, caches, GEMM, workspace. Filled by the
 * harness; a variant only reads it (and fills parameters in `resolve`). */
#ifndef CONTRACT_EXECUTION_H
#define CONTRACT_EXECUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTN_MAX_PARAMETERS 12

/* Sizes seen by one core; 0 when unknown. */
struct attn_caches {
    int64_t l1d_bytes, l2_bytes, l3_bytes;
    int64_t line_bytes;
};

/* Row-major single-threaded C = alpha op(A) op(B) + beta C; op(A) is m x k, op(B) is k x n. */
typedef void attn_sgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                        const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

struct attn_execution {
    int threads; /* asked for, >= 1; a variant must be right for any team size it is given */
    int64_t parameters[ATTN_MAX_PARAMETERS]; /* in the order of variant->parameters, resolved */
    struct attn_caches caches;
    attn_sgemm *sgemm; /* NULL: no GEMM library */
    void *workspace;   /* workspace_bytes(problem, execution) bytes, 64-byte aligned, poisoned; NULL if 0 */
};

#endif
