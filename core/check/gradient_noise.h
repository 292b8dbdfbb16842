/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the oracle: how far plain f32 arithmetic is expected to be from the gradients, by propagating rounding
 * errors as independent random steps. u = 2^-24, t the type's unit round-off, |.| 2-norms over features.
 *
 *   dot product of n features:        e(a, b) = u (|a||b| / 2 + 2 sqrt(n) / 5 |a . b|)
 *   relative error of a weight:       w^2 = e(q, k)^2 scale^2 + u^2 (4 s^2 + 2 (s - lse)^2 + lse^2 / 3 + bias^2 +
 * alibi^2 + 9) error of D = dout . out:          e_D^2 = e(dout, out)^2 + t^2 / 3 sum_c (dout_c out_c)^2 where out is
 * 16 bit of dS, where S has slope s':      e_S^2 = (s' p)^2 [ (w^2 + 16 u^2) (dP - D)^2 + e(dout, v)^2 + e_D^2 ] of a
 * sum of n terms x:            u^2 (n / 6 sum x^2 + n / 6 (sum x)^2)
 *
 * The first term of a dot product or a sum is for terms of either sign, whose partial sums walk at random, the second
 * for terms that are alike, whose partial sums rise in proportion. Errors of single weights and slopes add up as
 * squares; those that a whole row shares (its lse, D, and scores that are alike) multiply the row's sums instead:
 *
 *   dv_j: sum_i w^2 p^2 dout_i^2      dk_j: sum_i e_S^2 q_i^2
 *   dq_i: sum_j e_S^2 k_j^2 + e_D^2 (sum_j s' p_j k_j)^2 + max_j w^2 dq_i^2      and the sums' own errors.
 *
 * A row of a gradient gets two figures: the mean square over its features, and a peak, for which every feature is taken
 * as the largest of its vector. */
#ifndef CHECK_GRADIENT_NOISE_H
#define CHECK_GRADIENT_NOISE_H

#include <stdint.h>

/* A vector as the formulas see it. */
struct noise_vector {
    double norm;   /* 2-norm */
    double square; /* mean of the squares */
    double peak;   /* largest square */
};

struct noise_vector check_noise_vector(const double *vector, int64_t count);

/* e(a, b) for |a||b| = norms. */
double check_noise_dot(double norms, double dot, int64_t count);

/* Squares of errors gathered for one row of a gradient, and of the terms of its sums. */
struct noise_row {
    double mean, peak, mean_terms, peak_terms;
    int64_t count; /* of terms */
};

/* A term `weight` * vector whose weight has the squared error `square_error`. */
void check_noise_add(struct noise_row *row, double square_error, double weight, const struct noise_vector *vector);

/* One gradient tensor. */
struct noise_tensor {
    double mean_sum, peak; /* squares */
    int64_t rows;
};

/* Closes a row whose exact gradient is `want`. `shared`: squared relative error of the whole row; `roundoff`: of the
 * tensor's type. */
void check_noise_close(struct noise_tensor *tensor, const struct noise_row *row, const struct noise_vector *want,
                       double shared, double roundoff);

#endif
