/* SPDX-License-Identifier: Apache-2.0 */
/* The float64 oracle: right answers and the error each element is allowed (bound.h holds the formula). Shares no
 * code with any variant, the row helpers and the 16-bit conversions included; promotes the problem's one f32 scale;
 * sums in the order of features, then of keys. OpenMP over rows, the same bits for any number of threads. */
#ifndef CHECK_ORACLE_H
#define CHECK_ORACLE_H

#include "contract/variant.h"

struct check_oracle; /* opaque */

/* Computes answers for `problem` on operands' q, k, v. Above `max_pairs` (query, key) pairs (0: the default, 2^24,
 * about a second on one core at 64 features) a sample of rows is computed: in every head the first and the last, those
 * on either side of the first and the last multiple of 16, 32, 64 and 128, the ends of every packed segment, and of the
 * others as many as fit, drawn from `sample_seed`. The mandatory rows are computed even where they alone exceed
 * max_pairs. q, k and v may be f64 whatever the problem's type: closed forms need that.
 * The operands and mask arrays are read only during this call. ATTN_INVALID: q, k or v is missing or has not the
 * problem's shape; ATTN_NO_MEMORY. */
enum attn_status check_oracle_create(const struct attn_problem *problem, const struct attn_operands *operands,
                                     uint64_t sample_seed, int64_t max_pairs, int threads, struct check_oracle **oracle,
                                     struct attn_error *error);
void check_oracle_destroy(struct check_oracle *oracle);

/* Backward: writes out and lse, which that pass reads, rounded once. See check_instance_supply. */
void check_oracle_supply(const struct check_oracle *oracle, const struct attn_operands *operands);

int64_t check_oracle_rows(const struct check_oracle *oracle); /* rows computed */
/* Row `index`: its place and its float64 answer [value_dim], lse. For tests and studies. */
const double *check_oracle_row(const struct check_oracle *oracle, int64_t index, int64_t place[3], double *lse);

/* The judgement of one answer. Backward: over dq, dk and dv, each by its largest and its root mean square error (see
 * gradients.h); bound_fraction, worst and worst_allowed are those of the worst tensor, both powers are a tensor's
 * largest element over what it is allowed to be off, of the best tensor and the middle one. */
struct check_verdict {
    bool accepted;
    char reason[256]; /* why not; empty when accepted */
    int64_t checked_rows;
    double max_abs, max_rel, rms;         /* over checked elements; max_rel over those whose answer is not 0 */
    double frobenius_ulps;                /* ||o - o*||_F / ||o*||_F / u */
    double bound_fraction;                /* max over elements of error / allowed; > 1 is a rejection */
    double lse_error, lse_bound_fraction; /* max abs; 0 when lse was not asked for */
    int64_t nonfinite, unwritten;         /* over every element, checked rows or not */
    int64_t worst[4];                     /* batch, head, position, feature of the largest bound fraction */
    double worst_got, worst_want, worst_allowed;
    double power_heaviest_best, power_heaviest_median; /* effect of losing the heaviest key / allowed */
    double power_last_best, power_last_median;         /* effect of losing the last live key / allowed */
    bool weak; /* no computed row with at least 2 live keys (or, where there is none, with 1) would notice its heaviest
                  key missing; exempt: v all zeros, finite_only */
};

/* Judges out (and lse when the operand is there). Every element must be written, and finite unless an input it
 * depends on is not; every element of a computed row must lie within its bound. Where the oracle is not finite any
 * non-finite value is right and no finite one is; a fully masked row has lse -inf and nothing else. The type and
 * ATTN_ROUNDS_WEIGHTS in `traits` widen the bound as bound.h says. `finite_only`: written and finite alone
 * (denormals). The reason names the first of: unwritten elements, non-finite ones, the worst element of out, of lse. */
void check_oracle_judge(const struct check_oracle *oracle, const struct attn_operands *operands, unsigned traits,
                        bool finite_only, struct check_verdict *verdict);

#endif
