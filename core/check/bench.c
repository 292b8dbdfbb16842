/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "check/exam.h"

/* Room for a copy of out and lse. */
static enum attn_status provide_kept(struct check_bench *bench, struct attn_error *error) {
    const struct attn_problem *const problem = &bench->ending->problem;
    const size_t rows = (size_t)problem->batch * (size_t)problem->query_heads * (size_t)problem->query_len;
    bench->kept = malloc(rows * ((size_t)problem->value_dim * attn_type_bytes(problem->type) + sizeof(float)));
    return bench->kept ? ATTN_OK : attn_fail(error, ATTN_NO_MEMORY, "no memory to keep an answer for comparison");
}

enum attn_status check_bench_create(const struct check_form *form, int threads, struct check_bench **bench,
                                    struct attn_error *error) {
    *bench = NULL;
    if (form->direction == ATTN_BACKWARD)
        return attn_fail(error, ATTN_UNSUPPORTED,
                         "the oracle knows no gradients; they are compared with those of another variant");
    struct check_bench *const made = calloc(1, sizeof *made);
    if (!made)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for an exam");
    made->threads = threads;
    struct check_form dense = *form, interleaved = *form;
    dense.layout = CHECK_DENSE;
    interleaved.layout = CHECK_INTERLEAVED;
    enum attn_status status = check_instance_create(&dense, MACHINE_GUARD_END, threads, &made->ending, error);
    if (!status)
        status = check_instance_create(&interleaved, MACHINE_GUARD_START, threads, &made->starting, error);
    if (!status)
        status = check_oracle_create(&made->ending->problem, &made->ending->operands, form->seed, 0, threads,
                                     &made->oracle, error);
    if (!status)
        status = provide_kept(made, error);
    if (status) {
        check_bench_destroy(made);
        return status;
    }
    *bench = made;
    return ATTN_OK;
}

void check_bench_destroy(struct check_bench *bench) {
    if (!bench)
        return;
    check_instance_destroy(bench->ending);
    check_instance_destroy(bench->starting);
    check_oracle_destroy(bench->oracle);
    for (int side = 0; side < 2; ++side)
        machine_buffer_release(&bench->workspace[side]);
    free(bench->kept);
    free(bench);
}
