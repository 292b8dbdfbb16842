/* SPDX-License-Identifier: Apache-2.0 */
/* plain_exp as a variant sees it: compiled once per ISA level with the variants' own flags. */
#include "exp_levels.h"

#include "contract/exp.h"
#include "contract/variant.h"

void ATTN_JOIN(exp_of_, many, ATTN_LEVEL)(const float *x, float *y, int64_t count) {
    for (int64_t n = 0; n < count; ++n)
        y[n] = plain_exp(x[n]);
}
