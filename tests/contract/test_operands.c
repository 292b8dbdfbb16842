/* SPDX-License-Identifier: Apache-2.0 */
/* Operands against their problem: what is missing, of the wrong type, shape or stride. */
#include <criterion/criterion.h>
#include <string.h>

#include "contract/problem.h"

/* One array behind every tensor: operands are only looked at here, never read. */
static float array[4096];

static struct attn_problem small(enum attn_direction direction) {
    struct attn_problem problem = {.batch = 2,
                                   .query_heads = 4,
                                   .key_heads = 2,
                                   .query_len = 3,
                                   .key_len = 5,
                                   .head_dim = 7,
                                   .value_dim = 6,
                                   .direction = direction};
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
    return problem;
}

static struct attn_operands dense(const struct attn_problem *problem) {
    const struct attn_problem p = *problem;
    return (struct attn_operands){
        .q = attn_tensor_dense(array, p.type, p.batch, p.query_heads, p.query_len, p.head_dim),
        .k = attn_tensor_dense(array, p.type, p.batch, p.key_heads, p.key_len, p.head_dim),
        .v = attn_tensor_dense(array, p.type, p.batch, p.key_heads, p.key_len, p.value_dim),
        .out = attn_tensor_dense(array, p.type, p.batch, p.query_heads, p.query_len, p.value_dim),
        .lse = attn_tensor_dense(array, ATTN_F32, p.batch, p.query_heads, p.query_len, 1),
        .dout = attn_tensor_dense(array, p.type, p.batch, p.query_heads, p.query_len, p.value_dim),
        .dq = attn_tensor_dense(array, p.type, p.batch, p.query_heads, p.query_len, p.head_dim),
        .dk = attn_tensor_dense(array, p.type, p.batch, p.key_heads, p.key_len, p.head_dim),
        .dv = attn_tensor_dense(array, p.type, p.batch, p.key_heads, p.key_len, p.value_dim),
    };
}

enum { OPERANDS = 9 };
static const char *const names[OPERANDS] = {"q", "k", "v", "out", "lse", "dout", "dq", "dk", "dv"};

static struct attn_tensor *operand(struct attn_operands *operands, int n) {
    struct attn_tensor *const tensors[OPERANDS] = {&operands->q,   &operands->k,   &operands->v,
                                                   &operands->out, &operands->lse, &operands->dout,
                                                   &operands->dq,  &operands->dk,  &operands->dv};
    return tensors[n];
}

static void expect_refused(const struct attn_problem *problem, const struct attn_operands *operands, const char *name,
                           const char *wrong, const char *right) {
    struct attn_error error = {0};
    cr_expect(attn_operands_check(problem, operands, &error) == ATTN_INVALID, "accepted a bad %s", name);
    cr_expect(strstr(error.message, name) && strstr(error.message, wrong) && strstr(error.message, right),
              "'%s' should speak of '%s', '%s' and '%s'", error.message, name, wrong, right);
}

Test(operands, dense_ones_are_accepted_forward_and_backward) {
    for (int direction = ATTN_FORWARD; direction <= ATTN_BACKWARD; ++direction) {
        const struct attn_problem problem = small((enum attn_direction)direction);
        const struct attn_operands operands = dense(&problem);
        struct attn_error error = {0};
        cr_expect(attn_operands_check(&problem, &operands, &error) == ATTN_OK, "%s", error.message);
    }
}

Test(operands, forward_needs_no_lse_and_no_gradients) {
    const struct attn_problem problem = small(ATTN_FORWARD);
    struct attn_operands operands = dense(&problem);
    for (int n = 4; n < OPERANDS; ++n)
        *operand(&operands, n) = (struct attn_tensor){0};
    cr_expect(attn_operands_check(&problem, &operands, NULL) == ATTN_OK);
}

Test(operands, a_missing_one_is_named) {
    const struct attn_problem problem = small(ATTN_BACKWARD);
    for (int n = 0; n < OPERANDS; ++n) {
        struct attn_operands operands = dense(&problem);
        operand(&operands, n)->data = NULL;
        expect_refused(&problem, &operands, names[n], "missing", names[n]);
    }
}

Test(operands, a_wrong_type_is_named_with_the_right_one) {
    const struct attn_problem problem = small(ATTN_BACKWARD);
    for (int n = 0; n < OPERANDS; ++n) {
        struct attn_operands operands = dense(&problem);
        operand(&operands, n)->type = ATTN_F16;
        expect_refused(&problem, &operands, names[n], "is f16", "needs f32");
    }
}

Test(operands, a_wrong_shape_is_named_with_the_right_one) {
    const struct attn_problem problem = small(ATTN_BACKWARD);
    for (int n = 0; n < OPERANDS; ++n)
        for (int dimension = 0; dimension < 4; ++dimension) {
            struct attn_operands operands = dense(&problem);
            operand(&operands, n)->shape[dimension] += 1;
            expect_refused(&problem, &operands, names[n], "has shape", "the problem needs [2, ");
        }
}

Test(operands, features_lie_side_by_side_and_the_rest_is_free) {
    const struct attn_problem problem = small(ATTN_FORWARD);
    struct attn_operands operands = dense(&problem);
    operands.v.stride[3] = 2;
    expect_refused(&problem, &operands, "v", "feature stride 2", "must be 1");
    operands = dense(&problem);
    operands.k.stride[2] = 100; /* positions far apart, as in [batch, position, head, feature] */
    operands.k.stride[1] = 7;
    cr_expect(attn_operands_check(&problem, &operands, NULL) == ATTN_OK);
}
