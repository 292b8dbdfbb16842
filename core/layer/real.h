/* SPDX-License-Identifier: Apache-2.0 */
/* The number that the layer computes with. Every formula is written once over `layer_real`; the build compiles the
 * sources twice, as variants are compiled once per ISA level: float for use, double where gradients are checked against
 * differences, which float's rounding would drown. A translation unit sees one of the two: float unless LAYER_F64 is
 * defined (the Meson dependencies layer_f32 and layer_f64 see to that). Headers rename their functions so that a
 * program may hold both. */
#ifndef LAYER_REAL_H
#define LAYER_REAL_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/element.h"

#ifdef LAYER_F64
typedef double layer_real;
#define LAYER_TYPE       ATTN_F64
#define LAYER_NAME(name) name##_f64
#else
typedef float layer_real;
#define LAYER_TYPE       ATTN_F32
#define LAYER_NAME(name) name##_f32
#endif

/* Row-major C = alpha op(A) op(B) + beta C, op(A) m x k, op(B) k x n; C is not read when beta is 0. In float this is
 * contract/execution.h's attn_sgemm. Called from several threads at once. */
typedef void layer_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, layer_real alpha,
                        const layer_real *a, int64_t lda, const layer_real *b, int64_t ldb, layer_real beta,
                        layer_real *c, int64_t ldc);

/* On a function whose loops are worth wider vectors than the build's own: it is compiled for several levels, and the
 * loader takes the highest that the CPU has. Nothing is contracted or reordered, so all levels give the same bits. */
#if defined __x86_64__ && defined __gnu_linux__ && defined __GNUC__ && !defined __clang__
#define LAYER_WIDE __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LAYER_WIDE
#endif

/* What the caller lends to compute with. Results are the same bits for any number of threads. */
struct layer_compute {
    layer_gemm *gemm;
    int threads; /* >= 1 */
};

#endif
