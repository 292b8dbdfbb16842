/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing a variant, resolving its parameters and answering the session's problem with it. */
#include <string.h>

#include "api/handle.h"
#include "check/exam.h"
#include "contract/nearest.h"
#include "machine/isa.h"

/* The highest level that this machine runs; levels ascend, and the lowest runs everywhere. */
static const char *best_level(void) {
    const char *best = attn_registry.levels[0];
    for (int level = 1; level < attn_registry.level_count; ++level)
        if (!machine_isa_objection(attn_registry.levels[level]))
            best = attn_registry.levels[level];
    return best;
}

static enum attn_status refuse_level(struct attnbench *session, const char *isa) {
    if (machine_isa_known(isa)) {
        const char *const objection = machine_isa_objection(isa);
        return attn_fail(&session->error, ATTN_UNSUPPORTED, "isa '%s': %s", isa,
                         objection ? objection : "not compiled into this library");
    }
    const char *const nearest = attn_nearest(isa, attn_registry.levels, (size_t)attn_registry.level_count);
    return attn_fail(&session->error, ATTN_INVALID, "unknown isa '%s'; did you mean '%s'?", isa,
                     nearest ? nearest : best_level());
}

static enum attn_status refuse_variant(struct attnbench *session, const char *name) {
    const char *names[256];
    size_t count = 0;
    for (int v = 0; v < attn_registry.variant_count && count < sizeof names / sizeof *names; ++v)
        names[count++] = attnbench_variant_name(v);
    const char *const nearest = attn_nearest(name, names, count);
    if (nearest)
        return attn_fail(&session->error, ATTN_INVALID, "unknown variant '%s'; did you mean '%s'?", name, nearest);
    return attn_fail(&session->error, ATTN_INVALID, "unknown variant '%s'; the first rung of the ladder is '%s'", name,
                     names[0]);
}

int attnbench_variant(struct attnbench *session, const char *name, const char *isa) {
    const char *const level = isa ? isa : best_level();
    session->variant = NULL;
    memset(session->overrides, 0, sizeof session->overrides);
    if (!attn_registry_find(&attn_registry, name, attn_registry.levels[0]))
        return refuse_variant(session, name);
    const struct attn_variant *const variant = attn_registry_find(&attn_registry, name, level);
    if (!variant || machine_isa_objection(level))
        return refuse_level(session, level);
    session->variant = variant;
    return ATTN_OK;
}

int attnbench_parameter(struct attnbench *session, const char *name, int64_t value) {
    const struct attn_variant *const variant = session->variant;
    if (!variant)
        return attn_fail(&session->error, ATTN_INVALID, "parameter '%s': choose a variant first", name);
    const char *names[ATTN_MAX_PARAMETERS];
    for (int p = 0; p < variant->parameter_count; ++p) {
        names[p] = variant->parameters[p].name;
        if (strcmp(names[p], name) == 0) {
            session->overrides[p] = value;
            return ATTN_OK;
        }
    }
    const char *const nearest = attn_nearest(name, names, (size_t)variant->parameter_count);
    return attn_fail(&session->error, ATTN_INVALID, "%s has no parameter '%s'%s%s%s", variant->name, name,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* Everything that can be refused once the problem is built, before anything runs. */
static enum attn_status resolve(struct attnbench *session) {
    if (!session->variant)
        return attn_fail(&session->error, ATTN_INVALID, "no variant was chosen");
    if (session->execution.threads < 1)
        return attn_fail(&session->error, ATTN_INVALID, "threads is %d; it must be at least 1",
                         session->execution.threads);
    return check_resolve(session->variant, &session->problem, session->overrides, &session->execution, &session->error);
}

static enum attn_status prepare(struct attnbench *session) {
    const enum attn_status status = attnbench_complete(session);
    return status ? status : resolve(session);
}

/* Grows the kept workspace to what this call needs; refused while that is still a number. */
static enum attn_status provide_workspace(struct attnbench *session, size_t bytes) {
    struct machine_buffer *const workspace = &session->workspace;
    session->execution.workspace = NULL;
    if (workspace->bytes < bytes) {
        machine_buffer_release(workspace);
        const size_t available = machine_memory_available_bytes();
        if (bytes > available)
            return attn_fail(&session->error, ATTN_NO_MEMORY,
                             "%s needs a workspace of %zu bytes and %zu are available; take a variant that stores less",
                             session->variant->name, bytes, available);
        const enum attn_status status =
            machine_buffer_create(bytes, MACHINE_CANARY, session->execution.threads, workspace, &session->error);
        if (status)
            return status;
    }
    if (bytes > 0)
        session->execution.workspace = workspace->data;
    return ATTN_OK;
}

int attnbench_resolve(struct attnbench *session, int64_t *values) {
    const enum attn_status status = prepare(session);
    if (!status && session->variant->parameter_count > 0)
        memcpy(values, session->execution.parameters, (size_t)session->variant->parameter_count * sizeof *values);
    return status;
}

enum attn_status attnbench_answer(struct attnbench *session, const struct attn_operands *operands) {
    enum attn_status status = resolve(session);
    if (status)
        return status;
    const bool backward = session->problem.direction == ATTN_BACKWARD;
    const struct attn_variant *const variant = session->variant;
    const struct attn_pass *const pass = attn_variant_pass(variant, session->problem.direction);
    const struct attn_execution *const execution = &session->execution;
    if (!pass->run)
        return attn_fail(&session->error, ATTN_UNSUPPORTED, "%s has no %s pass", variant->name,
                         backward ? "backward" : "forward");
    const char *const objection = pass->objection ? pass->objection(&session->problem, execution) : NULL;
    if (objection)
        return attn_fail(&session->error, ATTN_UNSUPPORTED, "%s: %s", variant->name, objection);
    status =
        provide_workspace(session, pass->workspace_bytes ? pass->workspace_bytes(&session->problem, execution) : 0);
    if (!status)
        pass->run(&session->problem, operands, execution);
    return status;
}

int attnbench_forward(struct attnbench *session) {
    const enum attn_status status = attnbench_complete(session);
    return status ? status : attnbench_answer(session, &session->operands);
}
