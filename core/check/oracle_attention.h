/* SPDX-License-Identifier: Apache-2.0 */
/* The float64 oracle as the attention inside a layer: exact to rounding, every row, both directions. */
#ifndef CHECK_ORACLE_ATTENTION_H
#define CHECK_ORACLE_ATTENTION_H

#include "contract/problem.h"

/* Answers a built problem whose operands are f64 or f32: out, and lse when given; backward dq, dk, dv from q, k, v and
 * dout alone. Signature and meaning are those that layer/attention.h asks for; `context` points to an int, the number
 * of threads, NULL: one. Errors as check_oracle_create's. */
enum attn_status check_oracle_attention(void *context, const struct attn_problem *problem,
                                        const struct attn_operands *operands, struct attn_error *error);

#endif
