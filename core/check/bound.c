/* SPDX-License-Identifier: Apache-2.0 */
#include "check/bound.h"

#include <math.h>

#include "check/live.h"

struct bound check_bound(int64_t live_keys) {
    return (struct bound){
        .per_sum = (4.0 * sqrt((double)live_keys) + 40.0) * BOUND_ROUNDOFF,
        .tiny = 4.0 * BOUND_ROUNDOFF,
        .floor = ((double)live_keys + 2.0) * 0x1p-149,
    };
}

double check_bound_capped(double softcap, double score, double growth) {
    const double rounding = growth + 2.0 * fabs(score);
    const double nearest = fmax(0.0, fabs(score) - BOUND_ROUNDOFF * rounding);
    const double slope = 1.0 / (cosh(nearest / softcap) * cosh(nearest / softcap));
    return slope * rounding + 9.0 * softcap * fabs(tanh(score / softcap));
}

double check_bound_storage(enum attn_type type, double answer) {
    if (type != ATTN_BF16 && type != ATTN_F16)
        return 0.0;
    return attn_type_roundoff(type) * fabs(answer) + check_subnormal_roundoff(type);
}

double check_bound_lse(int64_t live_keys, double largest_growth, double lse, double drift, double tiny_weights) {
    const double sum = 2.0 * sqrt((double)live_keys) + 20.0 + 2.0 * fabs(lse);
    return (largest_growth + sum) * BOUND_ROUNDOFF + drift + tiny_weights;
}
