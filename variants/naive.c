/* SPDX-License-Identifier: Apache-2.0 */
/* Three plain loops: all scores into a matrix, softmax over its rows, weights times values. */
#include "contract/row.h"
#include "contract/variant.h"

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    const size_t matrix = (size_t)problem->query_len * (size_t)problem->key_len;
    return (matrix + 2 * (size_t)problem->head_dim + 2 * (size_t)problem->value_dim) * sizeof(float);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    const int64_t key_len = problem->key_len, head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads;
    float *const scores = execution->workspace;                     /* [query_len][key_len] */
    float *const query_row = scores + problem->query_len * key_len; /* [head_dim], 16-bit inputs widen into these */
    float *const key_row = query_row + head_dim;
    float *const value_row = key_row + head_dim;  /* [value_dim] */
    float *const sum_row = value_row + value_dim; /* [value_dim] */

    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h) {
            for (int64_t i = 0; i < problem->query_len; ++i) { /* scores = q k^T */
                const struct attn_row row = attn_row_begin(problem, b, h, i);
                const float *const query = attn_tensor_row_f32(&operands->q, b, h, i, query_row);
                for (int64_t j = row.key_begin; j < row.key_end; ++j) {
                    const float *const key = attn_tensor_row_f32(&operands->k, b, h / group, j, key_row);
                    float dot = 0.0f;
                    for (int64_t c = 0; c < head_dim; ++c)
                        dot += query[c] * key[c];
                    scores[i * key_len + j] = attn_score(&row, j, dot);
                }
            }
            for (int64_t i = 0; i < problem->query_len; ++i) { /* scores become weights */
                struct attn_row row = attn_row_begin(problem, b, h, i);
                float *const weights = scores + i * key_len;
                const float sink = row.max;
                for (int64_t j = row.key_begin; j < row.key_end; ++j)
                    row.max = fmaxf(row.max, weights[j]);
                if (sink != row.max) /* the sink's share falls as the maximum rises */
                    row.sum *= expf(sink - row.max);
                for (int64_t j = row.key_begin; j < row.key_end; ++j)
                    if (weights[j] != -INFINITY) { /* a masked pair stays -inf */
                        weights[j] = expf(weights[j] - row.max);
                        row.sum += weights[j];
                    }
                for (int64_t j = row.key_begin; j < row.key_end; ++j)
                    if (weights[j] != -INFINITY)
                        weights[j] /= row.sum;
                if (operands->lse.data) {
                    float *const lse = attn_tensor_row(&operands->lse, b, h, i);
                    *lse = row.sum == 0.0f ? -INFINITY : row.max + logf(row.sum);
                }
            }
            for (int64_t i = 0; i < problem->query_len; ++i) { /* out = weights v */
                const struct attn_row row = attn_row_begin(problem, b, h, i);
                for (int64_t c = 0; c < value_dim; ++c)
                    sum_row[c] = 0.0f;
                for (int64_t j = row.key_begin; j < row.key_end; ++j) {
                    const float weight = scores[i * key_len + j];
                    if (weight == -INFINITY) /* masked: a NaN in the value must not leak */
                        continue;
                    const float *const value = attn_tensor_row_f32(&operands->v, b, h / group, j, value_row);
                    for (int64_t c = 0; c < value_dim; ++c)
                        sum_row[c] += weight * value[c];
                }
                void *const out = attn_tensor_row(&operands->out, b, h, i);
                for (int64_t c = 0; c < value_dim; ++c)
                    attn_store(out, operands->out.type, c, sum_row[c]);
            }
        }
}

ATTN_VARIANT(naive) = {
    .name = "naive",
    .idea = "three plain loops over a stored score matrix",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .forward = {.workspace_bytes = workspace_bytes, .run = run},
};
