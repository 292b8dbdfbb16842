/* SPDX-License-Identifier: Apache-2.0 */
#include "check/bench.h"

#include <stdlib.h>

/* Room for a copy of out and lse. */
static enum attn_status provide_kept(struct check_bench *bench, struct attn_error *error) {
    const struct attn_problem *const problem = &bench->ending->problem;
    const size_t rows = (size_t)problem->batch * (size_t)problem->query_heads * (size_t)problem->query_len;
    bench->kept = malloc(rows * ((size_t)problem->value_dim * attn_type_bytes(problem->type) + sizeof(float)));
    return bench->kept ? ATTN_OK : attn_fail(error, ATTN_NO_MEMORY, "no memory to keep an answer for comparison");
}

static enum attn_status make_instances(struct check_bench *bench, const struct check_form *form,
                                       struct attn_error *error) {
    struct check_form dense = *form, interleaved = *form;
    dense.layout = CHECK_DENSE;
    interleaved.layout = CHECK_INTERLEAVED;
    const enum attn_status status =
        check_instance_create(&dense, MACHINE_GUARD_END, bench->threads, &bench->ending, error);
    return status ? status
                  : check_instance_create(&interleaved, MACHINE_GUARD_START, bench->threads, &bench->starting, error);
}

static void release_memory(struct check_bench *bench) {
    check_instance_destroy(bench->ending);
    check_instance_destroy(bench->starting);
    bench->ending = bench->starting = NULL;
    for (int side = 0; side < 2; ++side)
        machine_buffer_release(&bench->workspace[side]);
}

enum attn_status check_bench_renew(struct check_bench *bench, struct attn_error *error) {
    const struct check_form form = bench->ending->form;
    release_memory(bench);
    return make_instances(bench, &form, error);
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
    enum attn_status status = make_instances(made, form, error);
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
    release_memory(bench);
    check_oracle_destroy(bench->oracle);
    free(bench->kept);
    free(bench);
}
