/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows the oracle computes when all of them would take too long. */
#include <stdlib.h>

#include "check/answer.h"

/* Rows where implementations go wrong: both ends, and the last and first row of tiles of 16 to 128, at the
 * front and at the back of a sequence of `length` rows. */
static bool is_edge(int64_t index, int64_t length) {
    if (index == 0 || index == length - 1)
        return true;
    for (int64_t tile = 16; tile <= 128; tile *= 2) {
        const int64_t last_edge = (length - 1) / tile * tile;
        if (index == tile - 1 || index == tile || index == last_edge - 1 || index == last_edge)
            return true;
    }
    return false;
}

/* Edges count from the start of the tensor and, when packed, also the ends of every segment. */
static bool is_mandatory(const struct attn_problem *problem, int64_t query) {
    if (is_edge(query, problem->query_len))
        return true;
    if (problem->mask.segments == 0)
        return false;
    int64_t segment = 0;
    while (query >= problem->mask.query_offsets[segment + 1])
        ++segment;
    return query == problem->mask.query_offsets[segment] || query == problem->mask.query_offsets[segment + 1] - 1;
}

/* A well-mixed 64-bit number from (seed, index): the finaliser of SplitMix64. */
static uint64_t mix(uint64_t seed, uint64_t index) {
    uint64_t z = seed + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

int64_t *answer_choose_rows(const struct attn_problem *problem, uint64_t seed, int64_t max_pairs, int64_t *count) {
    const int64_t heads = problem->batch * problem->query_heads, total = heads * problem->query_len;
    bool *const mandatory = malloc((size_t)problem->query_len * sizeof *mandatory);
    int64_t *const rows = malloc((size_t)total * sizeof *rows);
    *count = 0;
    if (!mandatory || !rows) {
        free(mandatory);
        free(rows);
        return NULL;
    }
    int64_t mandatory_rows = 0;
    for (int64_t i = 0; i < problem->query_len; ++i) {
        mandatory[i] = is_mandatory(problem, i);
        mandatory_rows += heads * mandatory[i];
    }
    /* Every further row has the same chance; it would use up the budget were all rows equally long. */
    const double pairs_per_row = (double)problem->live_pairs / (double)total;
    const double budget_rows = (double)max_pairs / (pairs_per_row > 1.0 ? pairs_per_row : 1.0);
    const bool all = (double)total <= budget_rows;
    double chance = 0.0;
    if (total > mandatory_rows && budget_rows > (double)mandatory_rows)
        chance = (budget_rows - (double)mandatory_rows) / (double)(total - mandatory_rows);
    for (int64_t row = 0; row < total; ++row)
        if (all || mandatory[row % problem->query_len] || (double)mix(seed, (uint64_t)row) * 0x1p-64 < chance)
            rows[(*count)++] = row;
    free(mandatory);
    return rows;
}
