/* SPDX-License-Identifier: Apache-2.0 */
/* The CBLAS library behind a function pointer: single-threaded, because placement is ours. */
#ifndef MACHINE_GEMM_H
#define MACHINE_GEMM_H

#include "contract/execution.h"

/* NULL when built without CBLAS. Sizes and leading dimensions are below 2^31, as CBLAS counts in int. */
attn_sgemm *machine_gemm(void);

/* Sets the library to one thread where it has a setter (in `native`; workers use the environment). */
void machine_gemm_single_thread(void);

/* "OpenBLAS 0.3.21 Zen", ... : the library and the kernel it chose; "none". */
const char *machine_gemm_description(void);

#endif
