/* SPDX-License-Identifier: Apache-2.0 */
#include "check/exam.h"

#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "check/bench.h"

enum side { SIDE_ENDING = 0, SIDE_STARTING };

/* A race may hide from one look, and something that alternates from every second one. */
static const int repeats = 2;

/* One exam under way. */
struct exam {
    struct check_bench *bench;
    const struct attn_variant *variant;
    const struct attn_pass *pass;
    struct attn_execution execution; /* resolved */
    struct check_result *result;
    bool damaged; /* memory of the bench is no longer what it was */
};

enum attn_status check_resolve(const struct attn_variant *variant, const struct attn_problem *problem,
                               const int64_t *overrides, struct attn_execution *execution, struct attn_error *error) {
    for (int n = 0; n < variant->parameter_count; ++n) {
        const struct attn_parameter *const parameter = &variant->parameters[n];
        execution->parameters[n] = overrides && overrides[n] != 0 ? overrides[n] : parameter->initial;
        const int64_t asked = execution->parameters[n];
        if (asked != 0 && (asked < parameter->min || asked > parameter->max))
            return attn_fail(error, ATTN_INVALID,
                             "%s.%s is %" PRId64 "; it must be in %" PRId64 "..%" PRId64 ", or 0 for automatic",
                             variant->name, parameter->name, asked, parameter->min, parameter->max);
    }
    if (variant->resolve)
        variant->resolve(problem, execution);
    for (int n = 0; n < variant->parameter_count; ++n) {
        const struct attn_parameter *const parameter = &variant->parameters[n];
        const int64_t value = execution->parameters[n];
        if (value < parameter->min || value > parameter->max)
            return attn_fail(error, ATTN_INTERNAL,
                             "%s resolved %s to %" PRId64 ", outside its own range %" PRId64 "..%" PRId64,
                             variant->name, parameter->name, value, parameter->min, parameter->max);
    }
    return ATTN_OK;
}

static bool reject(struct exam *exam, const char *circumstance, const char *reason) {
    exam->result->status = CHECK_REJECTED;
    snprintf(exam->result->reason, sizeof exam->result->reason, "%s%s", circumstance, reason);
    return false;
}

/* A workspace is filled with NaNs of every type, but not with the poison of outputs: what reads it unwritten shall
 * not look like what was left unwritten. */
static unsigned char workspace_poison(size_t byte) {
    return byte & 1 ? 0x7F : 0xFE;
}

static void poison_workspace(const struct machine_buffer *workspace) {
    unsigned char *const bytes = workspace->data;
    for (size_t n = 0; n < workspace->bytes; ++n)
        bytes[n] = workspace_poison(n);
}

/* The workspace must start at a cache line, so behind its end, at a guard page, up to 63 bytes are left over. */
static size_t rounded(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static enum attn_status provide_workspace(struct exam *exam, enum side side, struct attn_execution *execution,
                                          struct attn_error *error) {
    struct machine_buffer *const workspace = &exam->bench->workspace[side];
    const struct attn_problem *const problem = &exam->bench->ending->problem;
    const size_t asked = exam->pass->workspace_bytes ? exam->pass->workspace_bytes(problem, execution) : 0;
    const size_t bytes = side == SIDE_ENDING ? rounded(asked) : asked;
    execution->workspace = NULL;
    if (workspace->bytes != bytes || (bytes > 0 && !workspace->mapping)) {
        machine_buffer_release(workspace);
        const enum machine_guard guard = side == SIDE_ENDING ? MACHINE_GUARD_END : MACHINE_GUARD_START;
        const enum attn_status status =
            bytes == 0 ? ATTN_OK : machine_buffer_create(bytes, guard, exam->bench->threads, workspace, error);
        if (status)
            return status;
    }
    if (bytes > 0) {
        poison_workspace(workspace);
        execution->workspace = workspace->data;
    }
    return ATTN_OK;
}

static const char *workspace_damage(const struct exam *exam, enum side side, const struct attn_execution *execution) {
    const struct machine_buffer *const workspace = &exam->bench->workspace[side];
    if (!execution->workspace)
        return NULL;
    const size_t asked = exam->pass->workspace_bytes(&exam->bench->ending->problem, execution);
    const unsigned char *const bytes = workspace->data;
    for (size_t n = asked; n < workspace->bytes; ++n)
        if (bytes[n] != workspace_poison(n))
            return "writes past the workspace it asked for";
    return machine_buffer_intact(workspace) ? NULL : "writes outside of its workspace";
}

/* One call with poisoned outputs; *fine tells whether all memory was found as it must be. */
static enum attn_status run_once(struct exam *exam, enum side side, const struct attn_execution *asked, bool with_lse,
                                 const char *circumstance, bool *fine, struct attn_error *error) {
    struct check_instance *const instance = side == SIDE_ENDING ? exam->bench->ending : exam->bench->starting;
    struct attn_execution execution = *asked;
    *fine = false;
    const enum attn_status status = provide_workspace(exam, side, &execution, error);
    if (status)
        return status;
    check_instance_poison(instance);
    struct attn_operands operands = instance->operands;
    if (!with_lse && instance->form.direction == ATTN_FORWARD)
        operands.lse.data = NULL;
    exam->pass->run(&instance->problem, &operands, &execution);
    const char *damage = check_instance_damage(instance);
    if (!damage)
        damage = workspace_damage(exam, side, &execution);
    exam->damaged = exam->damaged || damage;
    *fine = damage ? reject(exam, circumstance, damage) : true;
    return ATTN_OK;
}

/* Judges the answer that lies in the instance; the worst verdict so far is kept. */
static bool judge(struct exam *exam, enum side side, const char *circumstance) {
    const struct check_instance *const instance = side == SIDE_ENDING ? exam->bench->ending : exam->bench->starting;
    const bool finite_only = instance->form.pattern == CHECK_DENORMALS && !instance->form.capture;
    struct check_verdict verdict;
    check_oracle_judge(exam->bench->oracle, &instance->operands, exam->variant->traits, finite_only, &verdict);
    struct check_verdict *const worst = &exam->result->verdict;
    if (worst->checked_rows == 0 || !verdict.accepted || verdict.bound_fraction > worst->bound_fraction)
        *worst = verdict;
    return verdict.accepted ? true : reject(exam, circumstance, verdict.reason);
}

static enum attn_status run_and_judge(struct exam *exam, enum side side, const struct attn_execution *execution,
                                      const char *circumstance, bool *fine, struct attn_error *error) {
    const enum attn_status status = run_once(exam, side, execution, true, circumstance, fine, error);
    if (!status && *fine)
        *fine = judge(exam, side, circumstance);
    return status;
}

/* Other values first, then the real ones, on the ending instance; then the starting one, where there were no
 * others: right there and wrong here means that something was remembered. */
static enum attn_status examine_answers(struct exam *exam, bool *fine, struct attn_error *error) {
    struct check_instance *const ending = exam->bench->ending;
    check_instance_fill(ending, CHECK_OTHER_SEED(ending->form.seed));
    enum attn_status status = run_once(exam, SIDE_ENDING, &exam->execution, false, "", fine, error);
    check_instance_fill(ending, ending->form.seed);
    if (status || !*fine)
        return status;
    status = run_and_judge(exam, SIDE_ENDING, &exam->execution, "", fine, error);
    if (status)
        return status;
    if (*fine) {
        check_bench_keep(exam->bench);
        return run_and_judge(exam, SIDE_STARTING, &exam->execution, "interleaved operands: ", fine, error);
    }
    const struct check_result first = *exam->result;
    if (!first.verdict.accepted && first.verdict.checked_rows > 0) {
        bool right_elsewhere;
        status = run_and_judge(exam, SIDE_STARTING, &exam->execution, "", &right_elsewhere, error);
        *exam->result = first;
        if (right_elsewhere)
            reject(exam, "remembers an earlier call: ", first.verdict.reason);
    }
    return status;
}

/* OpenMP may deliver any smaller team. */
static enum attn_status examine_short_team(struct exam *exam, bool *fine, struct attn_error *error) {
    char circumstance[64];
    snprintf(circumstance, sizeof circumstance, "one thread delivered of %d: ", exam->execution.threads);
    const int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(0);
    const enum attn_status status = run_and_judge(exam, SIDE_ENDING, &exam->execution, circumstance, fine, error);
    omp_set_max_active_levels(levels);
    return status;
}

static enum attn_status examine_same_bits(struct exam *exam, const struct attn_execution *execution, const char *claim,
                                          bool *fine, struct attn_error *error) {
    const enum attn_status status = run_once(exam, SIDE_ENDING, execution, true, "", fine, error);
    if (!status && *fine && !check_bench_kept_same(exam->bench))
        *fine = reject(exam, "", claim);
    return status;
}

static enum attn_status examine_traits(struct exam *exam, const int64_t *overrides, bool *fine,
                                       struct attn_error *error) {
    const unsigned traits = exam->variant->traits;
    enum attn_status status = ATTN_OK;
    for (int n = 0; n < repeats && traits & ATTN_REPEATABLE && !status && *fine; ++n)
        status = examine_same_bits(exam, &exam->execution, "claims to be repeatable; another call gave other bits",
                                   fine, error);
    if (status || !*fine || !(traits & ATTN_THREAD_INVARIANT) || exam->execution.threads == 1)
        return status;
    struct attn_execution single = exam->execution;
    single.threads = 1;
    status = check_resolve(exam->variant, &exam->bench->ending->problem, overrides, &single, error);
    if (!status)
        status =
            examine_same_bits(exam, &single, "claims to be thread invariant; one thread gave other bits", fine, error);
    return status;
}

static enum attn_status skip(struct check_result *result, const char *reason) {
    result->status = CHECK_SKIPPED;
    snprintf(result->reason, sizeof result->reason, "%s", reason);
    return ATTN_OK;
}

enum attn_status check_exam_on(struct check_bench *bench, const struct attn_variant *variant,
                               const struct attn_execution *execution, const int64_t *overrides,
                               struct check_result *result, struct attn_error *error) {
    const struct attn_problem *const problem = &bench->ending->problem;
    struct exam exam = {
        .bench = bench,
        .variant = variant,
        .pass = attn_variant_pass(variant, problem->direction),
        .execution = *execution,
        .result = result,
    };
    *result = (struct check_result){.status = CHECK_ACCEPTED};
    if (!exam.pass->run)
        return skip(result, "does not offer this pass");
    if (execution->threads > 1 && !(variant->traits & ATTN_PARALLEL))
        return skip(result, "not parallel: one thread only");
    enum attn_status status = check_resolve(variant, problem, overrides, &exam.execution, error);
    if (status)
        return status;
    const char *const objection = exam.pass->objection ? exam.pass->objection(problem, &exam.execution) : NULL;
    if (objection)
        return skip(result, objection);
    bool fine = true;
    status = examine_answers(&exam, &fine, error);
    if (!status && fine && exam.execution.threads > 1)
        status = examine_short_team(&exam, &fine, error);
    if (!status && fine)
        status = examine_traits(&exam, overrides, &fine, error);
    if (!status && exam.damaged)
        status = check_bench_renew(bench, error);
    return status;
}

enum attn_status check_exam(const struct attn_variant *variant, const struct check_form *form,
                            const struct attn_execution *execution, const int64_t *overrides,
                            struct check_result *result, struct attn_error *error) {
    struct check_bench *bench;
    enum attn_status status = check_bench_create(form, execution->threads, &bench, error);
    if (status)
        return status;
    status = check_exam_on(bench, variant, execution, overrides, result, error);
    check_bench_destroy(bench);
    return status;
}
