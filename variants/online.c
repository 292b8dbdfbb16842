/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming online softmax: one pass over the keys of a query. A key that raises the maximum rescales what was summed
 * so far, so neither a score matrix nor a score row exists, and a query needs no more memory than its answer. */
#include "contract/variant.h"
#include "kernels/plain.h"

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    return (size_t)problem->value_dim * sizeof(float);
}

static void answer_row(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b, int64_t h,
                       int64_t i, float *weighted) {
    const int64_t value_dim = problem->value_dim, key_head = h / (problem->query_heads / problem->key_heads);
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    const float *const query = attn_tensor_row(&operands->q, b, h, i); /* [head_dim] */
    float max = row.max, sum = row.sum;
    memset(weighted, 0, (size_t)value_dim * sizeof *weighted);

    for (int64_t j = row.key_begin; j < row.key_end; ++j) {
        const float *const key = attn_tensor_row(&operands->k, b, key_head, j);
        const float score = attn_score(&row, j, plain_dot(query, key, problem->head_dim));
        if (score == -INFINITY) /* masked */
            continue;
        if (score > max) {
            const float factor = plain_rescale(max, score);
            max = score;
            sum *= factor;
            for (int64_t c = 0; c < value_dim; ++c)
                weighted[c] *= factor;
        }
        const float weight = plain_exp(score - plain_base(max));
        const float *const value = attn_tensor_row(&operands->v, b, key_head, j); /* [value_dim] */
        sum += weight;
        for (int64_t c = 0; c < value_dim; ++c)
            weighted[c] += weight * value[c];
    }
    plain_write_row(operands, b, h, i, max, sum, weighted);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h)
            for (int64_t i = 0; i < problem->query_len; ++i)
                answer_row(problem, operands, b, h, i, execution->workspace);
}

ATTN_VARIANT(online) = {
    .name = "online",
    .idea = "streaming online softmax: one pass over the keys of a query, no score row",
    .improves_on = "row_softmax",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
