/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a KV head: the queries of its group of query heads, one head after the other; and sizes in units. */
#ifndef KERNELS_GROUP_H
#define KERNELS_GROUP_H

#include "contract/problem.h"

/* As many query rows as a tile may be asked to have. */
#define GROUP_MAX_TILE_ROWS 3072

static inline int64_t group_round_up(int64_t value, int64_t unit) {
    return (value + unit - 1) / unit * unit;
}

static inline int64_t group_clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

static inline int64_t group_rows(const struct attn_problem *problem) {
    return problem->query_heads / problem->key_heads * problem->query_len;
}

/* Query head and position of a row. */
struct group_place {
    int64_t h, i;
};

static inline struct group_place group_locate(const struct attn_problem *problem, int64_t key_head, int64_t row) {
    return (struct group_place){.h = key_head * (problem->query_heads / problem->key_heads) + row / problem->query_len,
                                .i = row % problem->query_len};
}

#endif
