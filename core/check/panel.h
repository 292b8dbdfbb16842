/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's two inner loops. Lanes are different keys, or different features of the answer, and each lane
 * adds its terms in order, so vectorising reassociates nothing. */
#ifndef CHECK_PANEL_H
#define CHECK_PANEL_H

#include <stdint.h>

enum { PANEL_KEYS = 8, PANEL_FEATURES = 4 };

/* For the keys of a transposed panel [head_dim][PANEL_KEYS]: dots[l] = sum_c q_c k_lc and, with a_l = sum_c |q_c k_lc|
 * and r_l the sum of the dot product's partial sums' magnitudes (each fourth stands for four),
 * growths[l] = max(2 sqrt(head_dim) a_l, a_l + r_l). */
void panel_scores(const double *query, const double *panel, int64_t head_dim, double *dots, double *growths);

/* Values weighted by the keys of one row: over n < count keys
 *   rest += rest_weights[n] v_n,  bound += factors[n] |v_n|,  sums += weights[n] |v_n| (sums may be NULL),
 * where v_n = keys[n] [features], features a multiple of PANEL_FEATURES. */
struct panel_weights {
    int64_t count;
    const double *const *keys;
    const double *rest_weights, *factors, *weights;
};
void panel_add_values(const struct panel_weights *weights, int64_t features, double *rest, double *bound, double *sums);

#endif
