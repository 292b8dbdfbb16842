/* SPDX-License-Identifier: Apache-2.0 */
/* The problem of a form without its operands: built with the lengths and segments that its instance will have, so
 * that a plan knows operations, bytes and workspaces before anything large is allocated. */
#ifndef CHECK_OUTLINE_H
#define CHECK_OUTLINE_H

#include "check/form.h"

struct check_outline {
    struct attn_problem problem; /* bias, boolean, slopes and sinks are there but hold nothing */
    void *arrays[4];             /* private */
    double instance_bytes;       /* of one set of operands with its mask arrays */
};

/* ATTN_INVALID: what check_instance_estimate and attn_problem_build refuse. ATTN_NO_MEMORY: the operands alone take
 * more than `available_bytes`; said before anything is allocated. */
enum attn_status check_outline_create(const struct check_form *form, double available_bytes,
                                      struct check_outline *outline, struct attn_error *error);
void check_outline_release(struct check_outline *outline); /* zeroed is allowed */

#endif
