/* SPDX-License-Identifier: Apache-2.0 */
/* What the judge must know of the inputs. Rows that the oracle does not compute are still checked for finiteness:
 * which of them may rightly hold a NaN or an infinity? Those whose query, or some live key or value, does. */
#include <math.h>
#include <stdlib.h>

#include "check/answer.h"

static bool row_is_finite(const struct attn_tensor *tensor, int64_t batch, int64_t head, int64_t position) {
    const void *const row = attn_tensor_row(tensor, batch, head, position);
    for (int64_t c = 0; c < tensor->shape[3]; ++c)
        if (!isfinite(check_element(row, tensor->type, c)))
            return false;
    return true;
}

/* counts[j] = keys before j whose key or value is not finite. */
static void count_nonfinite_keys(const struct attn_operands *operands, int64_t batch, int64_t key_head, int64_t key_len,
                                 int64_t *counts) {
    counts[0] = 0;
    for (int64_t j = 0; j < key_len; ++j)
        counts[j + 1] = counts[j] + !(row_is_finite(&operands->k, batch, key_head, j) &&
                                      row_is_finite(&operands->v, batch, key_head, j));
}

static bool row_may_be_nonfinite(const struct attn_problem *problem, const struct attn_operands *operands,
                                 int64_t batch, int64_t head, int64_t query, const int64_t *counts) {
    const struct live_row row = check_live_row(problem, batch, head, query);
    if (row.first == row.last)
        return false;
    if (!row_is_finite(&operands->q, batch, head, query))
        return true;
    for (int64_t j = row.first; j < row.last && counts[row.last] > counts[j]; ++j)
        if (counts[j + 1] > counts[j] && check_pair_lives(problem, &row, j))
            return true;
    return false;
}

static bool any_element(const struct attn_tensor *tensor) {
    for (int64_t b = 0; b < tensor->shape[0]; ++b)
        for (int64_t h = 0; h < tensor->shape[1]; ++h)
            for (int64_t i = 0; i < tensor->shape[2]; ++i) {
                const void *const row = attn_tensor_row(tensor, b, h, i);
                for (int64_t c = 0; c < tensor->shape[3]; ++c)
                    if (check_element(row, tensor->type, c) != 0.0)
                        return true;
            }
    return false;
}

enum attn_status answer_scan_inputs(struct check_oracle *oracle, const struct attn_operands *operands,
                                    struct attn_error *error) {
    const struct attn_problem *const problem = &oracle->problem;
    const int64_t group = problem->query_heads / problem->key_heads;
    int64_t *const counts = malloc((size_t)(problem->key_len + 1) * sizeof *counts);
    bool *const flags = calloc((size_t)(problem->batch * problem->query_heads * problem->query_len), sizeof *flags);
    if (!counts || !flags) {
        free(counts);
        free(flags);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the oracle's flags of %lld rows",
                         (long long)(problem->batch * problem->query_heads * problem->query_len));
    }
    bool any = false;
    oracle->any_value = any_element(&operands->v);
    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h) {
            if (h % group == 0)
                count_nonfinite_keys(operands, b, h / group, problem->key_len, counts);
            for (int64_t i = 0; i < problem->query_len; ++i) {
                const int64_t row = (b * problem->query_heads + h) * problem->query_len + i;
                flags[row] = row_may_be_nonfinite(problem, operands, b, h, i, counts);
                any = any || flags[row];
            }
        }
    free(counts);
    for (int64_t n = 0; n < oracle->row_count; ++n)
        for (int64_t c = 0; c < problem->value_dim; ++c)
            if (!isfinite(oracle->answers[n * problem->value_dim + c])) {
                const int64_t *const place = oracle->rows[n].place;
                flags[(place[0] * problem->query_heads + place[1]) * problem->query_len + place[2]] = any = true;
            }
    if (any)
        oracle->may_be_nonfinite = flags;
    else
        free(flags);
    return ATTN_OK;
}
