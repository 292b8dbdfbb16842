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

/* Parts of a call's time, for an instrumented run. What a variant does in one go counts for the first of its parts. */
enum attn_phase {
    ATTN_PACKING, /* inputs brought into another layout or type */
    ATTN_SCORES,  /* dot products; in fused kernels the softmax too; backward: weights and their slopes */
    ATTN_SOFTMAX,
    ATTN_VALUES,  /* weighted sums of values; backward: the products that give dq, dk and dv */
    ATTN_MERGING, /* partial answers into one, division by the sum, writing the answer */
    ATTN_PHASE_COUNT,
};

/* Where a variant adds up what its threads spend; what no phase has is waiting, or was not told. */
struct attn_profile {
    int64_t (*clock_ns)(void);
    int64_t (*spent_ns)[ATTN_PHASE_COUNT]; /* [threads] */
};

/* A point in time for attn_profile_spent; 0 when nothing is asked for. */
static inline int64_t attn_profile_now(const struct attn_profile *profile) {
    return profile ? profile->clock_ns() : 0;
}

/* Adds the time since `begun_ns` to a phase of a thread; returns now. */
static inline int64_t attn_profile_spent(const struct attn_profile *profile, int thread, enum attn_phase phase,
                                         int64_t begun_ns) {
    const int64_t now_ns = attn_profile_now(profile);
    if (profile)
        profile->spent_ns[thread][phase] += now_ns - begun_ns;
    return now_ns;
}

struct attn_execution {
    int threads; /* asked for, >= 1; a variant must be right for any team size it is given */
    int64_t parameters[ATTN_MAX_PARAMETERS]; /* in the order of variant->parameters, resolved */
    struct attn_caches caches;
    attn_sgemm *sgemm;                  /* NULL: no GEMM library */
    const struct attn_profile *profile; /* NULL: not asked for */
    void *workspace; /* workspace_bytes(problem, execution) bytes, 64-byte aligned, poisoned; NULL if 0 */
};

#endif
