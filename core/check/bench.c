/* SPDX-License-Identifier: Apache-2.0 */
#include "check/bench.h"

#include <stdlib.h>

enum { ANSWERS = 3 };

/* The tensors that a call writes, of the instance where they are dense; one may be absent. */
static void list_answers(const struct check_bench *bench, struct attn_tensor answers[ANSWERS]) {
    const struct attn_operands *const operands = &bench->ending->operands;
    const bool backward = bench->ending->form.direction == ATTN_BACKWARD;
    answers[0] = backward ? operands->dq : operands->out;
    answers[1] = backward ? operands->dk : operands->lse;
    answers[2] = backward ? operands->dv : (struct attn_tensor){.data = NULL};
}

static size_t tensor_bytes(const struct attn_tensor *tensor) {
    return tensor->data ? (size_t)attn_tensor_count(tensor) * attn_type_bytes(tensor->type) : 0;
}

static enum attn_status provide_kept(struct check_bench *bench, struct attn_error *error) {
    struct attn_tensor answers[ANSWERS];
    size_t bytes = 0;
    list_answers(bench, answers);
    for (int n = 0; n < ANSWERS; ++n)
        bytes += tensor_bytes(&answers[n]);
    bench->kept = malloc(bytes);
    return bench->kept ? ATTN_OK : attn_fail(error, ATTN_NO_MEMORY, "no memory to keep an answer for comparison");
}

void check_bench_keep(struct check_bench *bench) {
    struct attn_tensor answers[ANSWERS];
    char *to = bench->kept;
    list_answers(bench, answers);
    for (int n = 0; n < ANSWERS; to += tensor_bytes(&answers[n]), ++n)
        if (answers[n].data)
            memcpy(to, answers[n].data, tensor_bytes(&answers[n]));
}

bool check_bench_kept_same(const struct check_bench *bench) {
    struct attn_tensor answers[ANSWERS];
    const char *kept = bench->kept;
    list_answers(bench, answers);
    for (int n = 0; n < ANSWERS; kept += tensor_bytes(&answers[n]), ++n)
        if (answers[n].data && memcmp(kept, answers[n].data, tensor_bytes(&answers[n])) != 0)
            return false;
    return true;
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

/* Inputs of the backward pass that the oracle has to provide. */
static void supply(struct check_bench *bench) {
    check_instance_supply(bench->ending, bench->oracle);
    check_instance_supply(bench->starting, bench->oracle);
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
    const enum attn_status status = make_instances(bench, &form, error);
    if (!status)
        supply(bench);
    return status;
}

enum attn_status check_bench_create(const struct check_form *form, int threads, struct check_bench **bench,
                                    struct attn_error *error) {
    *bench = NULL;
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
    supply(made);
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
