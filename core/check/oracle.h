/* SPDX-License-Identifier: Apache-2.0 */
/* The float64 oracle: right answers and the error each element is allowed. Shares no code with any
 * variant, the row helpers included. OpenMP over rows. */
#ifndef CHECK_ORACLE_H
#define CHECK_ORACLE_H

#include "contract/variant.h"

struct check_oracle; /* opaque */

/* Computes answers for `problem` on operands' q, k, v. Above `max_pairs` (query, key) pairs (0: the default) a
 * seeded sample of rows is computed, always with the first, the last and those at multiples of 16..128 edges.
 * The operands are read only during this call. */
enum attn_status check_oracle_create(const struct attn_problem *problem, const struct attn_operands *operands,
                                     uint64_t sample_seed, int64_t max_pairs, int threads, struct check_oracle **oracle,
                                     struct attn_error *error);
void check_oracle_destroy(struct check_oracle *oracle);

int64_t check_oracle_rows(const struct check_oracle *oracle); /* rows computed */
/* Row `index`: its place and its float64 answer [value_dim], lse. For tests and studies. */
const double *check_oracle_row(const struct check_oracle *oracle, int64_t index, int64_t place[3], double *lse);

/* The judgement of one answer. */
struct check_verdict {
    bool accepted;
    char reason[256]; /* why not; empty when accepted */
    int64_t checked_rows;
    double max_abs, max_rel, rms;         /* errors over checked elements */
    double frobenius_ulps;                /* ||o - o*||_F / ||o*||_F / u */
    double bound_fraction;                /* max over elements of error / allowed; > 1 is a rejection */
    double lse_error, lse_bound_fraction; /* max abs; 0 when lse was not asked for */
    int64_t nonfinite, unwritten;         /* over every element, checked rows or not */
    int64_t worst[4];                     /* batch, head, position, feature of the largest bound fraction */
    double worst_got, worst_want, worst_allowed;
    double power_heaviest_best, power_heaviest_median; /* effect of losing the heaviest key / allowed */
    double power_last_best, power_last_median;         /* effect of losing the last live key / allowed */
    bool weak; /* no checked row with >= 2 live keys would notice its heaviest key missing (zero values exempt) */
};

/* Judges out (and lse when the operand is there). `traits` and the type widen the bound as documented in
 * oracle.c; `finite_only` checks for written and finite alone (denormals). */
void check_oracle_judge(const struct check_oracle *oracle, const struct attn_operands *operands, unsigned traits,
                        bool finite_only, struct check_verdict *verdict);

#endif
