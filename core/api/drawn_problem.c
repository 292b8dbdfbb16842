/* SPDX-License-Identifier: Apache-2.0 */
/* Problems drawn by pattern and seed, for answers that other programs give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "check/instance.h"
#include "contract/nearest.h"

struct attnbench_drawn {
    struct check_instance *instance;
    struct check_oracle *oracle;
};

/* The index of `text` among the names; -1 after recording what it might have meant. */
static int find_name(struct attnbench *session, const char *what, const char *text, const char *(*name)(int),
                     int count) {
    const char *names[32];
    for (int n = 0; n < count; ++n) {
        names[n] = name(n);
        if (strcmp(text, names[n]) == 0)
            return n;
    }
    const char *const nearest = attn_nearest(text, names, (size_t)count);
    attn_fail(&session->error, ATTN_INVALID, "unknown %s '%s'; did you mean '%s'?", what, text,
              nearest ? nearest : names[0]);
    return -1;
}

static const char *type_name(int type) {
    return attn_type_name((enum attn_type)type);
}

static const char *pattern_name(int pattern) {
    return check_pattern_name((enum check_pattern)pattern);
}

static enum attn_status make(struct attnbench_drawn *drawn, const struct check_form *form, int threads,
                             struct attn_error *error) {
    enum attn_status status = check_instance_create(form, MACHINE_CANARY, threads, &drawn->instance, error);
    if (!status)
        status = check_oracle_create(&drawn->instance->problem, &drawn->instance->operands, form->seed, 0, threads,
                                     &drawn->oracle, error);
    if (!status)
        check_instance_supply(drawn->instance, drawn->oracle);
    return status;
}

int attnbench_draw(struct attnbench *session, const int64_t *sizes, const char *type, bool backward, const char *mask,
                   const char *pattern, int64_t seed, int threads, struct attnbench_drawn **drawn) {
    *drawn = NULL;
    const int drawn_type = find_name(session, "type", type, type_name, ATTN_F64);
    const int drawn_pattern =
        drawn_type < 0 ? -1 : find_name(session, "pattern", pattern, pattern_name, CHECK_PATTERN_COUNT);
    if (drawn_pattern < 0)
        return session->error.status;
    if (threads < 1)
        return attn_fail(&session->error, ATTN_INVALID, "threads is %d; it must be at least 1", threads);
    struct check_form form = {
        .batch = sizes[0],
        .query_heads = sizes[1],
        .key_heads = sizes[2],
        .query_len = sizes[3],
        .key_len = sizes[4],
        .head_dim = sizes[5],
        .value_dim = sizes[6],
        .type = (enum attn_type)drawn_type,
        .direction = backward ? ATTN_BACKWARD : ATTN_FORWARD,
        .pattern = (enum check_pattern)drawn_pattern,
        .seed = (uint64_t)seed,
    };
    enum attn_status status = check_mask_parse(mask, &form.mask, &session->error);
    if (status)
        return status;
    struct attnbench_drawn *const made = calloc(1, sizeof *made);
    if (!made)
        return attn_fail(&session->error, ATTN_NO_MEMORY, "no memory for a drawn problem");
    status = make(made, &form, threads, &session->error);
    if (status)
        attnbench_drawn_destroy(made);
    else
        *drawn = made;
    return status;
}

void attnbench_drawn_destroy(struct attnbench_drawn *drawn) {
    if (!drawn)
        return;
    check_oracle_destroy(drawn->oracle);
    check_instance_destroy(drawn->instance);
    free(drawn);
}

void *attnbench_drawn_array(struct attnbench_drawn *drawn, const char *name, int64_t *shape) {
    const struct attn_operands *const operands = &drawn->instance->operands;
    const struct {
        const char *name;
        const struct attn_tensor *tensor;
    } arrays[] = {{"q", &operands->q},     {"k", &operands->k},     {"v", &operands->v},
                  {"out", &operands->out}, {"lse", &operands->lse}, {"dout", &operands->dout},
                  {"dq", &operands->dq},   {"dk", &operands->dk},   {"dv", &operands->dv}};
    for (size_t n = 0; n < sizeof arrays / sizeof *arrays; ++n)
        if (strcmp(name, arrays[n].name) == 0) {
            memcpy(shape, arrays[n].tensor->shape, sizeof arrays[n].tensor->shape);
            return arrays[n].tensor->data;
        }
    return NULL;
}

const int64_t *attnbench_drawn_key_lengths(const struct attnbench_drawn *drawn) {
    return drawn->instance->problem.mask.key_lengths;
}

int attnbench_drawn_answer(struct attnbench *session, struct attnbench_drawn *drawn) {
    session->problem = drawn->instance->problem;
    return attnbench_answer(session, &drawn->instance->operands);
}

void attnbench_drawn_judge(const struct attnbench_drawn *drawn, bool rounds_weights,
                           struct attnbench_verdict *verdict) {
    const struct attn_problem *const problem = &drawn->instance->problem;
    struct check_verdict judged;
    check_oracle_judge(drawn->oracle, &drawn->instance->operands, rounds_weights ? ATTN_ROUNDS_WEIGHTS : 0,
                       drawn->instance->form.pattern == CHECK_DENORMALS, &judged);
    *verdict = (struct attnbench_verdict){
        .accepted = judged.accepted,
        .weak = judged.weak,
        .checked_rows = judged.checked_rows,
        .nonfinite = judged.nonfinite,
        .unwritten = judged.unwritten,
        .bound_fraction = judged.bound_fraction,
        .max_abs = judged.max_abs,
        .max_rel = judged.max_rel,
        .rms = judged.rms,
        .frobenius_ulps = judged.frobenius_ulps,
        .worst_got = judged.worst_got,
        .worst_want = judged.worst_want,
        .worst_allowed = judged.worst_allowed,
        .power_heaviest_best = judged.power_heaviest_best,
        .power_heaviest_median = judged.power_heaviest_median,
        .power_last_best = judged.power_last_best,
        .power_last_median = judged.power_last_median,
        .live_pairs = (double)problem->live_pairs,
        .flops = attn_problem_flops(problem),
        .min_bytes = attn_problem_min_bytes(problem),
    };
    memcpy(verdict->worst, judged.worst, sizeof verdict->worst);
    memcpy(verdict->reason, judged.reason, sizeof verdict->reason);
    const char *const damage = check_instance_damage(drawn->instance);
    if (damage) { /* first, because a damaged input makes any answer meaningless */
        verdict->accepted = false;
        snprintf(verdict->reason, sizeof verdict->reason, "%s", damage);
    }
}

void attnbench_drawn_poison(struct attnbench_drawn *drawn) {
    check_instance_poison(drawn->instance);
}
