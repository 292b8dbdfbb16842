/* SPDX-License-Identifier: Apache-2.0 */
#include "saboteurs.h"

#include <math.h>
#include <stdlib.h>

#include "contract/row.h"
#include "faults.h"

enum { SEQUENCES = 64 }; /* at the most, in any test */

static void fill_answer(const struct attn_operands *operands, float value) {
    for (int64_t n = 0; n < attn_tensor_count(&operands->out); ++n)
        ((float *)operands->out.data)[n] = value;
    for (int64_t n = 0; n < attn_tensor_count(&operands->lse) && operands->lse.data; ++n)
        ((float *)operands->lse.data)[n] = value;
}

static void scale_queries_in_place(const struct attn_problem *problem, const struct attn_operands *operands) {
    for (int64_t n = 0; n < attn_tensor_count(&operands->q); ++n)
        ((float *)operands->q.data)[n] *= problem->scale;
}

static void clear_last_allowed(const struct attn_problem *problem) {
    const struct attn_row last =
        attn_row_begin(problem, problem->batch - 1, problem->query_heads - 1, problem->query_len - 1);
    if (last.allowed) /* the cast through an integer is the sin itself: the mask is const */
        ((bool *)(uintptr_t)last.allowed)[(problem->key_len - 1) * last.allowed_stride] ^= true;
}

/* Right but for a few last places in the first element, other ones in every call of eight. */
static void stir_last_places(const struct attn_operands *operands) {
    static uint32_t calls;
    float *const first = operands->out.data;
    *first = attn_f32_of_bits(attn_bits_of_f32(*first) ^ (calls++ & 7));
}

/* The problem as it would be if every sequence began where the first does; `starts` is what it borrows. */
static struct attn_problem with_one_start(const struct attn_problem *problem, int64_t starts[SEQUENCES]) {
    struct attn_problem alike = *problem;
    const int64_t sequences = problem->mask.segments > 0 ? problem->mask.segments : problem->batch;
    for (int64_t n = 0; n < SEQUENCES; ++n)
        starts[n] = problem->mask.query_start[0];
    if (sequences <= SEQUENCES)
        alike.mask.query_start = starts;
    return alike;
}

static void sabotage(const struct attn_problem *problem, const struct attn_operands *operands,
                     const struct attn_execution *execution, enum fault fault) {
    int64_t starts[SEQUENCES];
    struct attn_problem alike;
    if (fault == FAULT_one_start && problem->mask.query_start) {
        alike = with_one_start(problem, starts);
        problem = &alike;
    }
    const struct call call = {problem, operands, execution, fault};
    volatile float *const out = operands->out.data, *const workspace = execution->workspace;
    const volatile float *const keys = operands->k.data, *const values = operands->v.data;
    if (fault == FAULT_zeros || fault == FAULT_nan) {
        fill_answer(operands, fault == FAULT_nan ? NAN : 0.0f);
        return;
    }
    faulty_rows(&call);
    switch (fault) {
    case FAULT_writes_past_end: out[attn_tensor_count(&operands->out)] = 0.0f; break;
    case FAULT_writes_before_start: out[-1] = 0.0f; break;
    case FAULT_writes_past_workspace: workspace[1] = 0.0f; break;
    case FAULT_trusts_workspace: out[0] += workspace[0]; break;
    case FAULT_reads_past_end: (void)keys[attn_tensor_count(&operands->k)]; break;
    case FAULT_reads_before_start: (void)values[-1]; break;
    case FAULT_modifies_input: scale_queries_in_place(problem, operands); break;
    case FAULT_modifies_mask: clear_last_allowed(problem); break;
    case FAULT_not_repeatable: stir_last_places(operands); break;
    case FAULT_crashes: abort();
    case FAULT_hangs:
        for (;;)
            out[0] = 0.0f;
    default: break;
    }
}

static const char *objection(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    return problem->type == ATTN_F32 ? NULL : "f32 only";
}

static size_t one_float(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)problem, (void)execution;
    return sizeof(float);
}

#define VARIANT(fault_name, wrong, claims)                                                                             \
    static void run_##fault_name(const struct attn_problem *problem, const struct attn_operands *operands,             \
                                 const struct attn_execution *execution) {                                             \
        sabotage(problem, operands, execution, FAULT_##fault_name);                                                    \
    }                                                                                                                  \
    static const struct attn_variant saboteur_##fault_name = {                                                         \
        .name = #fault_name,                                                                                           \
        .idea = wrong,                                                                                                 \
        .traits = claims,                                                                                              \
        .forward = {.objection = objection, .workspace_bytes = one_float, .run = run_##fault_name},                    \
    };
SABOTEURS(VARIANT)

static const struct attn_variant *const saboteurs[] = {
#define ENTRY(fault_name, wrong, claims) &saboteur_##fault_name,
    SABOTEURS(ENTRY)
#undef ENTRY
};
static const char *const levels[] = {"baseline"};

const struct attn_registry saboteur_registry = {
    .variant_count = FAULT_COUNT, .level_count = 1, .levels = levels, .variants = saboteurs};
