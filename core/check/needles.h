/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the layer: where needles lie, and which keys nobody reads.
 *
 * A needle is a feature axis with two keys: `near`, of strength 1, and `far`, of strength 1.5, neighbours across an
 * edge: of a tile, of the mask, of a segment. A query that points along the axis puts all its weight on the stronger
 * key that it may read. Where only `near` is live, a leak of `far` moves the answer by O(1); where both are, so does
 * the loss of `far`. */
#ifndef CHECK_NEEDLES_H
#define CHECK_NEEDLES_H

#include "contract/problem.h"

#define CHECK_MAX_NEEDLES  16
#define CHECK_FAR_STRENGTH 1.5

struct check_needles {
    int count;
    int64_t near[CHECK_MAX_NEEDLES], far[CHECK_MAX_NEEDLES]; /* far: -1 when there is none */
    int64_t live_begin, live_end; /* the smallest range that holds every key some query may read by structure */
};

/* The needles of one KV head: at most min(head_dim, 16), the outermost live keys first, then tile edges at 16 * 2^k,
 * the last multiples of those, and edges of the live ranges of single rows, drawn by `seed`. */
void check_needles_place(const struct attn_problem *problem, int64_t b, int64_t key_head, uint64_t seed,
                         struct check_needles *needles);

/* The needle that query (b, h, i) points along, drawn by `bits` among those that dominate its row, half of the time
 * among those that stand at an edge of what it may read; -1: none does. `near_score` is what a near key scores alone.
 */
int check_needle_choose(const struct attn_problem *problem, const struct check_needles *needles, int64_t b, int64_t h,
                        int64_t i, double near_score, uint64_t bits);

/* The score that stands out among all keys of the problem: ln(keys) + 8. */
double check_needle_score(const struct attn_problem *problem);

/* live[j] of one KV head: some query of its group may read key j (structure, boolean mask and bias considered). */
void check_live_keys(const struct attn_problem *problem, int64_t b, int64_t key_head, bool *live);

#endif
