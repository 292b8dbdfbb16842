/* SPDX-License-Identifier: Apache-2.0 */
#include "check/oracle_attention.h"

#include "check/gradients.h"
#include "check/oracle.h"

static void put(const struct attn_tensor *tensor, const int64_t place[3], int64_t c, double value) {
    void *const row = attn_tensor_row(tensor, place[0], place[1], place[2]);
    if (tensor->type == ATTN_F64)
        ((double *)row)[c] = value;
    else
        attn_store(row, tensor->type, c, (float)value);
}

static void put_all(const struct attn_tensor *tensor, const double *dense) {
    const int64_t features = tensor->shape[3];
    int64_t place[3];
    for (place[0] = 0; place[0] < tensor->shape[0]; ++place[0])
        for (place[1] = 0; place[1] < tensor->shape[1]; ++place[1])
            for (place[2] = 0; place[2] < tensor->shape[2]; ++place[2])
                for (int64_t c = 0; c < features; ++c)
                    put(tensor, place, c, *dense++);
}

static enum attn_status backward(const struct attn_problem *problem, const struct attn_operands *operands, int threads,
                                 struct attn_error *error) {
    struct check_gradients gradients = {.dq = NULL};
    const enum attn_status status = check_oracle_gradients(problem, operands, threads, &gradients, error);
    if (!status) {
        put_all(&operands->dq, gradients.dq);
        put_all(&operands->dk, gradients.dk);
        put_all(&operands->dv, gradients.dv);
    }
    check_gradients_release(&gradients);
    return status;
}

enum attn_status check_oracle_attention(void *context, const struct attn_problem *problem,
                                        const struct attn_operands *operands, struct attn_error *error) {
    const int threads = context ? *(const int *)context : 1;
    if (problem->direction == ATTN_BACKWARD)
        return backward(problem, operands, threads, error);
    struct check_oracle *oracle = NULL;
    const enum attn_status status =
        check_oracle_create(problem, operands, 0, INT64_MAX, threads, &oracle, error); /* no row is left to a sample */
    for (int64_t index = 0; !status && index < check_oracle_rows(oracle); ++index) {
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(oracle, index, place, &lse);
        for (int64_t c = 0; c < problem->value_dim; ++c)
            put(&operands->out, place, c, row[c]);
        if (operands->lse.data)
            put(&operands->lse, place, 0, lse);
    }
    check_oracle_destroy(oracle);
    return status;
}
