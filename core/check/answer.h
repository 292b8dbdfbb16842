/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the oracle: what it stores, and the computation of a few rows at a time. */
#ifndef CHECK_ANSWER_H
#define CHECK_ANSWER_H

#include "check/gradients.h"
#include "check/live.h"
#include "check/oracle.h"

enum { ANSWER_ROWS = 8 }; /* rows of one KV head computed together, so that each key is read once for them */

/* An answer is judged as it is, or with weights rounded to 16 bit; the check's power depends on which. */
enum { ANSWER_EXACT_WEIGHTS = 0, ANSWER_ROUNDED_WEIGHTS, ANSWER_JUDGEMENTS };

struct oracle_row {
    int64_t place[3]; /* batch, head, position */
    int64_t live_keys;
    double lse, lse_allowed;
    /* Largest change of an element, over what it is allowed, when the row loses its heaviest or last live key. */
    double heaviest_power[ANSWER_JUDGEMENTS], last_power[ANSWER_JUDGEMENTS];
};

struct check_oracle {
    struct attn_problem problem;
    struct check_gradients *gradients; /* backward: all there is; else NULL */
    int64_t row_count;
    struct oracle_row *rows; /* [row_count], ascending in (batch, head, position) */
    double *answers;         /* [row_count][value_dim] */
    double *allowed;         /* [row_count][value_dim], without the allowance for rounded weights */
    double *value_sums;      /* [row_count][value_dim], sum_j p_j |v_j|; NULL unless the type is 16-bit */
    bool *may_be_nonfinite;  /* [batch * query_heads * query_len]: the answer, or some input it depends on, is
                                not finite; NULL: no such row */
    bool any_value;          /* some element of v is not 0 */
};

/* ATTN_INVALID when q, k or v is absent or has not the problem's shape. Their type is free: f64 serves closed forms. */
enum attn_status answer_check_inputs(const struct attn_problem *problem, const struct attn_operands *operands,
                                     struct attn_error *error);

/* Doubles of working memory that answer_rows needs. */
size_t answer_scratch_count(const struct attn_problem *problem);

/* Fills rows [first, last) of the oracle, at most ANSWER_ROWS and all of one batch and KV head; their places are set.
 * `scratch`: answer_scratch_count doubles. */
void answer_rows(const struct check_oracle *oracle, const struct attn_operands *operands, int64_t first, int64_t last,
                 double *scratch);

/* Which rows to compute: ids (batch * query_heads + head) * query_len + position, ascending, in a new array that
 * the caller frees; NULL without memory. */
int64_t *answer_choose_rows(const struct attn_problem *problem, uint64_t seed, int64_t max_pairs, int64_t *count);

/* Sets oracle->may_be_nonfinite and any_value; the computed rows' answers must be there. */
enum attn_status answer_scan_inputs(struct check_oracle *oracle, const struct attn_operands *operands,
                                    struct attn_error *error);

/* The judgement of a backward pass. */
void answer_judge_gradients(const struct check_oracle *oracle, const struct attn_operands *operands, bool finite_only,
                            struct check_verdict *verdict);

#endif
