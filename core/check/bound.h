/* SPDX-License-Identifier: Apache-2.0 */
/* The error an answer is allowed, per element, one formula for every pattern and mask:
 *
 *   allowed = u [ 2 sqrt(head_dim) (sum_j p_j A_j |v_j| + |o| sum_j p_j A_j) + (4 sqrt(keys) + 40) sum_j p_j |v_j| ]
 *           + sum over p_j < 4u of p_j (|v_j| + |o|)  +  (keys + 2) 2^-149
 *   A_j = |scale| sum_c |q_c k_jc| + |bias_j| + |alibi_j|,  keys = live keys of the row,  u = 2^-24
 *   lse: (2 max_j A_j sqrt(head_dim) + 2 sqrt(keys) + 20 + 2 |lse|) u  +  sum over p_j < 4u of p_j
 *
 * First the rounding of each score, grown like a random walk over head_dim products and felt by numerator
 * and denominator; then that of the sums over keys, of exp and of the division; then weights that may
 * vanish beside 1; then underflow. Arithmetic is f32 whatever the type. A 16-bit answer may also be
 * rounded once, u16 |o| and half its smallest subnormal number; a variant that rounds its weights
 * (ATTN_ROUNDS_WEIGHTS) gets u16 sum_j p_j |v_j|. */
#ifndef CHECK_BOUND_H
#define CHECK_BOUND_H

#include <stdint.h>

#include "contract/element.h"

/* The formula's factors for one row. */
struct bound {
    double per_score; /* 2 sqrt(head_dim) u */
    double per_sum;   /* (4 sqrt(keys) + 40) u */
    double tiny;      /* 4u: weights below it may be lost */
    double floor;     /* (keys + 2) 2^-149 */
};

struct bound check_bound(int64_t head_dim, int64_t live_keys);

/* What key j adds per unit of |o|, and per unit of |v_j|. */
static inline double bound_of_answer(const struct bound *bound, double weight, double magnitude) {
    return bound->per_score * weight * magnitude + (weight < bound->tiny ? weight : 0.0);
}

static inline double bound_of_value(const struct bound *bound, double weight, double magnitude) {
    return bound_of_answer(bound, weight, magnitude) + bound->per_sum * weight;
}

/* What storing `answer` in `type` may add; 0 for f32 and f64. */
double check_bound_storage(enum attn_type type, double answer);

double check_bound_lse(int64_t head_dim, int64_t live_keys, double largest_magnitude, double lse, double tiny_weights);

#endif
