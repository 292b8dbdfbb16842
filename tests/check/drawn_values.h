/* SPDX-License-Identifier: Apache-2.0 */
/* Instances of one middling problem under any mask and pattern, and their values and scores in float64. Included once
 * per test program. */
#ifndef CHECK_DRAWN_VALUES_H
#define CHECK_DRAWN_VALUES_H

#include <criterion/criterion.h>

#include "check/instance.h"
#include "check/live.h"

static struct check_form form_of(const char *mask, enum check_pattern pattern, enum attn_type type) {
    struct check_form form = {.batch = 2,
                              .query_heads = 4,
                              .key_heads = 2,
                              .query_len = 150,
                              .key_len = 200,
                              .head_dim = 24,
                              .value_dim = 24,
                              .type = type,
                              .pattern = pattern,
                              .seed = 11};
    struct attn_error error = {0};
    cr_assert_eq(check_mask_parse(mask, &form.mask, &error), ATTN_OK, "%s", error.message);
    if (form.mask.packed > 0)
        form.batch = 1;
    return form;
}

static struct check_instance *made(const struct check_form *form) {
    struct check_instance *instance;
    struct attn_error error = {0};
    cr_assert_eq(check_instance_create(form, MACHINE_CANARY, 1, &instance, &error), ATTN_OK, "%s", error.message);
    return instance;
}

static inline struct check_instance *drawn(const char *mask, enum check_pattern pattern, enum attn_type type) {
    const struct check_form form = form_of(mask, pattern, type);
    return made(&form);
}

static double element(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i, int64_t c) {
    return check_element(attn_tensor_row(tensor, b, h, i), tensor->type, c);
}

/* scale * (q . k), in float64. */
static double score(const struct check_instance *instance, int64_t b, int64_t h, int64_t i, int64_t j) {
    const struct attn_problem *const problem = &instance->problem;
    double sum = 0;
    for (int64_t c = 0; c < problem->head_dim; ++c)
        sum += element(&instance->operands.q, b, h, i, c) *
               element(&instance->operands.k, b, h / (problem->query_heads / problem->key_heads), j, c);
    return problem->scale * sum;
}

#endif
