/* SPDX-License-Identifier: Apache-2.0 */
#include "study/attend.h"

#include <math.h>
#include <stdlib.h>

struct attn_tensor study_tensor(const double *rows, int64_t batch, int64_t positions, int64_t features) {
    return attn_tensor_dense((void *)(uintptr_t)rows, ATTN_F64, batch, 1, positions, features);
}

struct attn_tensor study_shared(const double *rows, int64_t batch, int64_t positions, int64_t features) {
    struct attn_tensor tensor = study_tensor(rows, batch, positions, features);
    tensor.stride[0] = 0;
    return tensor;
}

enum attn_status study_attend(const struct study_run *run, struct attn_problem problem,
                              const struct attn_operands *operands, struct attn_error *error) {
    problem.batch = operands->q.shape[0];
    problem.query_heads = operands->q.shape[1];
    problem.key_heads = operands->k.shape[1];
    problem.query_len = operands->q.shape[2];
    problem.key_len = operands->k.shape[2];
    problem.head_dim = operands->q.shape[3];
    problem.value_dim = operands->v.shape[3];
    problem.type = ATTN_F32; /* of the bounds; the operands say f64 */
    const enum attn_status status = attn_problem_build(&problem, error);
    const struct layer_attention attention = study_attention(run);
    return status ? status : attention.run(attention.context, &problem, operands, error);
}

enum attn_status study_weights(const struct study_run *run, struct attn_problem problem, struct attn_tensor q,
                               struct attn_tensor k, double *weights, struct attn_error *error) {
    const int64_t keys = k.shape[2];
    double *const identity = calloc((size_t)(keys * keys), sizeof *identity);
    if (!identity)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the unit vectors of a study's keys");
    for (int64_t j = 0; j < keys; ++j)
        identity[j * keys + j] = 1;
    struct attn_operands operands = {
        .q = q,
        .k = k,
        .v = study_shared(identity, k.shape[0], keys, keys),
        .out = attn_tensor_dense(weights, ATTN_F64, q.shape[0], q.shape[1], q.shape[2], keys),
    };
    operands.v.shape[1] = k.shape[1];
    operands.v.stride[1] = 0;
    const enum attn_status status = study_attend(run, problem, &operands, error);
    free(identity);
    return status;
}

void study_softmax(int64_t count, const double *scores, double *weights) {
    double max = -INFINITY, sum = 0;
    for (int64_t n = 0; n < count; ++n)
        max = fmax(max, scores[n]);
    for (int64_t n = 0; n < count; ++n)
        sum += weights[n] = exp(scores[n] - max);
    for (int64_t n = 0; n < count; ++n)
        weights[n] /= sum;
}
