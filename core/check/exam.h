/* SPDX-License-Identifier: Apache-2.0 */
/* An exam: one variant, one form, everything that can be checked without a clock. Runs in this process: a
 * crash or hang is the caller's to survive (cli/check runs exams in workers). */
#ifndef CHECK_EXAM_H
#define CHECK_EXAM_H

#include "check/instance.h"
#include "check/oracle.h"

enum check_status { CHECK_ACCEPTED = 0, CHECK_SKIPPED, CHECK_REJECTED };

struct check_result {
    enum check_status status;
    char reason[256];             /* the objection, or the first thing found wrong, e.g. "modifies an input: k" */
    struct check_verdict verdict; /* of the worst run */
};

/* Runs the variant on the form with `threads` threads: objection; guard pages at the end, then at the start;
 * other values in the same memory first, then the real ones; out poisoned, workspace poisoned; canaries and
 * inputs verified after; the traits it claims tested (repeatable: same bits again; thread invariant: same bits as with
 * one thread). `execution` gives threads, caches and sgemm; parameters are resolved here from `overrides`
 * (parameter_count values, 0 = auto; NULL: all auto). */
enum attn_status check_exam(const struct attn_variant *variant, const struct check_form *form,
                            const struct attn_execution *execution, const int64_t *overrides,
                            struct check_result *result, struct attn_error *error);

/* Resolves parameters: overrides where not 0, then variant->resolve, then ranges checked. */
enum attn_status check_resolve(const struct attn_variant *variant, const struct attn_problem *problem,
                               const int64_t *overrides, struct attn_execution *execution, struct attn_error *error);

#endif
