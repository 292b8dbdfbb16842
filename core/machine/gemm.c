/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/gemm.h"

#ifdef HAVE_CBLAS

#include <cblas.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* OpenBLAS has these; with another CBLAS they are null at run time. */
extern char *openblas_get_config(void) __attribute__((weak));
extern char *openblas_get_corename(void) __attribute__((weak));
extern void openblas_set_num_threads(int threads) __attribute__((weak));

static char description[128];

static void sgemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                  int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, (int)m,
                (int)n, (int)k, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

attn_sgemm *machine_gemm(void) {
    return sgemm;
}

void machine_gemm_single_thread(void) {
    if (openblas_set_num_threads)
        openblas_set_num_threads(1);
}

/* openblas_get_config() reads "OpenBLAS 0.3.21 DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64": two words are kept. */
static void describe(void) {
    if (!openblas_get_config) {
        snprintf(description, sizeof description, "CBLAS");
        return;
    }
    const char *const config = openblas_get_config();
    size_t length = strcspn(config, " ");
    length += strspn(config + length, " ");
    length += strcspn(config + length, " ");
    snprintf(description, sizeof description, "%.*s %s", (int)length, config,
             openblas_get_corename ? openblas_get_corename() : "");
}

const char *machine_gemm_description(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    return description;
}

#else

attn_sgemm *machine_gemm(void) {
    return NULL;
}

void machine_gemm_single_thread(void) {}

const char *machine_gemm_description(void) {
    return "none";
}

#endif
