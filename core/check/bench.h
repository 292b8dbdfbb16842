/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the layer. */
#ifndef CHECK_BENCH_H
#define CHECK_BENCH_H

#include "check/exam.h"

/* New memory with the same values, after a variant has written where it must not: canaries and mask arrays can't be
 * restored in place. The oracle stays, it keeps answers only. On failure the bench can only be destroyed. */
enum attn_status check_bench_renew(struct check_bench *bench, struct attn_error *error);

/* Keeps the answer of a call on the ending instance; compares the present one with it, bit by bit. */
void check_bench_keep(struct check_bench *bench);
bool check_bench_kept_same(const struct check_bench *bench);

#endif
