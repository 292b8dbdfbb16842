/* SPDX-License-Identifier: Apache-2.0 */
/* The error an answer is allowed, per element, one formula for every pattern and mask:
 *
 *   allowed = u [ sum_j p_j G_j (|v_j| + |o|) + (4 sqrt(keys) + 40) sum_j p_j |v_j| ]
 *           + 2 (drift + u rescaled) |o|
 *           + sum over p_j < 4u of p_j (|v_j| + |o|)  +  (keys + 2) 2^-149
 *   G_j = |scale| max(2 sqrt(head_dim) a_j, a_j + r_j) + 2 sqrt(head_dim) (|bias_j| + |alibi_j|)
 *   with a softcap c: G_j = t_j (|scale| max(...) + 2 |s_j|) + 9 c |tanh(s_j / c)| + 2 sqrt(head_dim) (...)
 *   a_j = sum_c |q_c k_jc|,  r_j = sum_c |q_0 k_j0 + ... + q_c k_jc|,  keys = live keys of the row,  u = 2^-24
 *   t_j = the largest 1 - tanh^2 that the rounding of s_j / c reaches
 *   drift = u sum over alike j of (sink's share + p_first + ... + p_j);  j is alike when p_j >= 4u and differs by less
 *           than u from the live key before it
 *   rescaled = sum over j that outweigh all before them, sink included, of (sink's share + p_first + ... + p_j-1)
 *   lse: u (max_j G_j + 2 sqrt(keys) + 20 + 2 |lse|)  +  drift  +  4u rescaled  +  sum over p_j < 4u of p_j
 *
 * First the rounding of each score, felt by numerator and denominator: of a sum of head_dim products, grown like a
 * random walk of steps u a_j, or the worst case that its partial sums allow, u r_j, where that is more: products that
 * are alike, or one that outweighs the rest, round alike. A softcap flattens that rounding and the two of s / c; its
 * tanh is right to 3 units in the last place (6u), and 3u more are its product with c and a change of base. Then the
 * sums over keys, exp and the division, a random walk too, but for keys of like weight, whose roundings add up: by at
 * most half a unit in the last place of the sum so far. Where scores rise, a streaming softmax multiplies that sum at
 * every new maximum: on a slow slope by nearly the same factor each time, whose roundings go one way. A factor is right
 * to 1.1 units in the last place (2.2u), its product and the next weight's addition to u each: 4u and a little. The
 * answer shares the factor above and below, not the products' roundings. Then weights that may vanish beside 1; then
 * underflow. Arithmetic is f32 whatever the type.
 *
 * A 16-bit answer may also be rounded once, u16 |o| and half its smallest subnormal number; a variant that rounds its
 * weights (ATTN_ROUNDS_WEIGHTS) gets u16 sum_j p_j |v_j|. */
#ifndef CHECK_BOUND_H
#define CHECK_BOUND_H

#include <stdint.h>

#include "contract/element.h"

#define BOUND_ROUNDOFF 0x1p-24 /* u */
#define BOUND_RESCALE  0x1p-22 /* 4u: a factor, its product, the addition that follows */

/* The formula's factors for one row. */
struct bound {
    double per_sum; /* (4 sqrt(keys) + 40) u */
    double tiny;    /* 4u: weights below it may be lost */
    double floor;   /* (keys + 2) 2^-149 */
};

struct bound check_bound(int64_t live_keys);

/* What key j adds per unit of |o|, and per unit of |v_j|, given its p_j and G_j. */
static inline double bound_of_answer(const struct bound *bound, double weight, double growth) {
    return BOUND_ROUNDOFF * weight * growth + (weight < bound->tiny ? weight : 0.0);
}

static inline double bound_of_value(const struct bound *bound, double weight, double growth) {
    return bound_of_answer(bound, weight, growth) + bound->per_sum * weight;
}

/* G_j of a score behind a softcap, given the score before it and what its rounding is allowed, both in units of the
 * score; |scale| max(...) is `growth`. */
double check_bound_capped(double softcap, double score, double growth);

/* What storing `answer` in `type` may add; 0 for f32 and f64. */
double check_bound_storage(enum attn_type type, double answer);

double check_bound_lse(int64_t live_keys, double largest_growth, double lse, double drift, double tiny_weights);

#endif
