/* SPDX-License-Identifier: Apache-2.0 */
/* exp for float in plain arithmetic, without branches or tables, so that a loop over it becomes vector code.
 *
 *   exp(x) = 2^n exp(r),   n = round(x / ln 2),   |r| <= ln(2) / 2
 *
 * Error: at most 1.1 units in the last place wherever the result is a normal number (1.01 measured over every float,
 * with and without fused multiply-add).
 * Results below 2^-126 are 0: a softmax weight that small is far below what a sum with a 1 in it can hold, and
 * arithmetic on subnormal numbers is slow. -inf gives 0, overflow gives +inf, a NaN stays a NaN. */
#ifndef CONTRACT_EXP_H
#define CONTRACT_EXP_H

#include <math.h>

#include "contract/element.h"

static inline float plain_exp(float x) {
    const float log2_e = 0x1.715476p0f;
    /* ln 2 in two parts; the first has so few digits that n * ln2_high is exact. */
    const float ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f;
    const float lowest = -0x1.5d589ep6f; /* ln 2^-126 */
    const float highest = 0x1.62e42ep6f; /* ln of the largest float */
    const float rounder = 0x1.8p23f;     /* adding it leaves the rounded integer in the low bits */

    const float shifted = x * log2_e + rounder;
    const float n = shifted - rounder;
    const float r = (x - n * ln2_high) - n * ln2_low;
    /* exp(r) = 1 + r + r^2 p(r); p is minimax in relative error, 3.1e-9 over the interval. */
    float p = 0x1.6a23d0p-10f;
    p = p * r + 0x1.123a20p-7f;
    p = p * r + 0x1.5558f2p-5f;
    p = p * r + 0x1.555492p-3f;
    p = p * r + 0x1.fffffcp-2f;
    const float mantissa = 1.0f + (r + r * r * p);
    /* Multiplies by 2^n in the exponent bits, which unlike a factor 2^n can't overflow on the way. */
    const float power = attn_f32_of_bits(attn_bits_of_f32(mantissa) + (attn_bits_of_f32(shifted) << 23));
    const float above_lowest = x < lowest ? 0.0f : power;
    return x <= highest ? above_lowest : x + INFINITY; /* the last branch also takes NaN */
}

#endif
