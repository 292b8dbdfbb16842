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
    char reason[384];             /* the objection, or the first thing found wrong, e.g. "modifies an input: k" */
    struct check_verdict verdict; /* of the worst run */
};

/* A form made ready for many exams: variants, ISA levels, thread counts and parameters share its inputs and its
 * oracle. The first instance is dense and ends flush at a guard page; the second is interleaved and starts flush
 * behind one. */
struct check_bench {
    struct check_instance *ending, *starting;
    struct check_oracle *oracle;
    int threads;                        /* that touch memory first */
    struct machine_buffer workspace[2]; /* of the last exam at either guard; one of the same size takes it again */
    void *kept;                         /* the answers of an exam's first judged run */
};

/* Draws the inputs with `threads` threads and computes the oracle; for the backward pass the oracle also provides out
 * and lse. */
enum attn_status check_bench_create(const struct check_form *form, int threads, struct check_bench **bench,
                                    struct attn_error *error);
void check_bench_destroy(struct check_bench *bench); /* NULL is allowed */

/* Examines the variant. `execution` gives threads, caches and sgemm; parameters are resolved here from `overrides`
 * (parameter_count values, 0 = auto; NULL: all auto). In this order:
 *   objection, or more than one thread for a variant that is not parallel: SKIPPED with the reason;
 *   other values in the same memory first, without lse, then the real ones: nothing may be remembered;
 *   the same on the instance with guard pages at the other end and other strides;
 *   parallel variants: a team of one delivered where more were asked for;
 *   repeatable: the same bits again; thread invariant: the same bits with one thread.
 * Before each run the answers and the workspace are poisoned; after each, canaries, inputs and mask arrays are
 * verified. All but the first run are judged by the oracle too. The first thing found wrong ends the exam. */
enum attn_status check_exam_on(struct check_bench *bench, const struct attn_variant *variant,
                               const struct attn_execution *execution, const int64_t *overrides,
                               struct check_result *result, struct attn_error *error);

/* The same on a bench of its own. */
enum attn_status check_exam(const struct attn_variant *variant, const struct check_form *form,
                            const struct attn_execution *execution, const int64_t *overrides,
                            struct check_result *result, struct attn_error *error);

/* Resolves parameters: overrides where not 0, then variant->resolve, then ranges checked. */
enum attn_status check_resolve(const struct attn_variant *variant, const struct attn_problem *problem,
                               const int64_t *overrides, struct attn_execution *execution, struct attn_error *error);

#endif
