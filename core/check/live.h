/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's own reading of a problem: which pairs live, where they stand, what an element is worth.
 * Written from the definitions in contract/problem.h and on purpose not from contract/row.h or the
 * conversions in contract/element.h: a mistake there must not repeat itself here. */
#ifndef CHECK_LIVE_H
#define CHECK_LIVE_H

#include "contract/problem.h"

/* Keys [first, last) are what causal, window, lengths and segments leave of a row; empty: first == last. */
struct live_row {
    int64_t batch, head, query;
    int64_t first, last;
    int64_t query_position; /* pos(i) */
    int64_t key_origin;     /* pos(j) = key_origin + j, j counted from the tensor's first key */
};

struct live_row check_live_row(const struct attn_problem *problem, int64_t batch, int64_t head, int64_t query);

/* False when a boolean mask or a bias of -inf takes the pair (row, key) out; `key` in [first, last). */
bool check_pair_lives(const struct attn_problem *problem, const struct live_row *row, int64_t key);

/* The pair's additive part: bias in *bias, ALiBi in *alibi. */
void check_pair_terms(const struct attn_problem *problem, const struct live_row *row, int64_t key, double *bias,
                      double *alibi);

/* Element `index` of an array of any type, promoted exactly. */
double check_element(const void *array, enum attn_type type, int64_t index);

/* The feature vector at (batch, head, position), promoted exactly, into `values` [shape[3]], `step` apart. */
void check_read_row(const struct attn_tensor *tensor, int64_t batch, int64_t head, int64_t position, double *values,
                    int64_t step);

/* Every byte of element `index` is still the poison that the harness wrote before the call. */
bool check_is_unwritten(const void *array, enum attn_type type, int64_t index);

/* Half the distance between the subnormal numbers of a type: the error of rounding what lies next to 0. */
double check_subnormal_roundoff(enum attn_type type);

#endif
