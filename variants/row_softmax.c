/* SPDX-License-Identifier: Apache-2.0 */
/* One row of scores at a time: scores, softmax and weighted values of a query follow each other while its row is
 * in L1, and a whole row's loops run over contiguous memory. The score matrix is never stored. */
#include "contract/variant.h"
#include "kernels/plain.h"
#include "kernels/scratch.h"

struct buffers {
    float *scores;   /* [key_len] */
    float *weighted; /* [value_dim] */
};

static struct buffers lay_out(const struct attn_problem *problem, struct scratch *scratch) {
    return (struct buffers){
        .scores = scratch_floats(scratch, problem->key_len),
        .weighted = scratch_floats(scratch, problem->value_dim),
    };
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    struct scratch scratch = {0};
    lay_out(problem, &scratch);
    return scratch.bytes;
}

static void answer_row(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b, int64_t h,
                       int64_t i, const struct buffers *buffers) {
    const int64_t key_head = h / (problem->query_heads / problem->key_heads);
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    const int64_t count = row.key_end - row.key_begin;
    float *const scores = buffers->scores, *const weighted = buffers->weighted;
    float max = row.max, sum = row.sum;
    memset(weighted, 0, (size_t)problem->value_dim * sizeof *weighted);

    if (count > 0) {
        plain_dots(attn_tensor_row(&operands->q, b, h, i), attn_tensor_row(&operands->k, b, key_head, row.key_begin),
                   operands->k.stride[2], count, problem->head_dim, scores);
        max = plain_scores(&row, row.key_begin, count, scores, max);
        const float base = plain_base(max);
        sum = sum * plain_rescale(row.max, base) + plain_weights(scores, count, base);
        plain_add_values(&row, weighted, problem->value_dim, scores,
                         attn_tensor_row(&operands->v, b, key_head, row.key_begin), operands->v.stride[2], count);
    }
    plain_write_row(operands, b, h, i, max, sum, weighted);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    struct scratch scratch = {.memory = execution->workspace};
    const struct buffers buffers = lay_out(problem, &scratch);
    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h)
            for (int64_t i = 0; i < problem->query_len; ++i)
                answer_row(problem, operands, b, h, i, &buffers);
}

ATTN_VARIANT(row_softmax) = {
    .name = "row_softmax",
    .idea = "one score row at a time, in cache from dot product to weighted values",
    .improves_on = "naive",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .forward = {.objection = plain_objects_unless_f32, .workspace_bytes = workspace_bytes, .run = run},
};
