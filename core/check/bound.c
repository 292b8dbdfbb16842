/* SPDX-License-Identifier: Apache-2.0 */
#include "check/bound.h"

#include <math.h>

#include "check/live.h"

#define F32_ROUNDOFF 0x1p-24

struct bound check_bound(int64_t head_dim, int64_t live_keys) {
    return (struct bound){
        .per_score = 2.0 * sqrt((double)head_dim) * F32_ROUNDOFF,
        .per_sum = (4.0 * sqrt((double)live_keys) + 40.0) * F32_ROUNDOFF,
        .tiny = 4.0 * F32_ROUNDOFF,
        .floor = ((double)live_keys + 2.0) * 0x1p-149,
    };
}

double check_bound_storage(enum attn_type type, double answer) {
    if (type != ATTN_BF16 && type != ATTN_F16)
        return 0.0;
    return attn_type_roundoff(type) * fabs(answer) + check_subnormal_roundoff(type);
}

double check_bound_lse(int64_t head_dim, int64_t live_keys, double largest_magnitude, double lse, double tiny_weights) {
    const double roots = 2.0 * largest_magnitude * sqrt((double)head_dim) + 2.0 * sqrt((double)live_keys);
    return (roots + 20.0 + 2.0 * fabs(lse)) * F32_ROUNDOFF + tiny_weights;
}
