/* SPDX-License-Identifier: Apache-2.0 */
#include "judged.h"

struct trial prepare_sampled(struct check_form form, const char *mask, int64_t max_pairs) {
    struct trial trial = {0};
    struct attn_error error = {0};
    form.batch = form.batch ? form.batch : 1;
    form.seed = form.seed ? form.seed : 11;
    form.lse = true;
    cr_assert(check_mask_parse(mask, &form.mask, &error) == ATTN_OK, "%s", error.message);
    cr_assert(check_instance_create(&form, MACHINE_CANARY, 1, &trial.instance, &error) == ATTN_OK, "%s", error.message);
    cr_assert(check_oracle_create(&trial.instance->problem, &trial.instance->operands, 3, max_pairs, 1, &trial.oracle,
                                  &error) == ATTN_OK,
              "%s", error.message);
    check_instance_poison(trial.instance);
    return trial;
}

struct trial prepare(struct check_form form, const char *mask) {
    return prepare_sampled(form, mask, 0);
}

void recompute(struct trial *trial, int64_t max_pairs) {
    check_oracle_destroy(trial->oracle);
    cr_assert(check_oracle_create(&trial->instance->problem, &trial->instance->operands, 3, max_pairs, 1,
                                  &trial->oracle, NULL) == ATTN_OK);
}

void finish(struct trial *trial) {
    check_oracle_destroy(trial->oracle);
    check_instance_destroy(trial->instance);
}

bool judge(struct trial *trial, unsigned traits) {
    check_oracle_judge(trial->oracle, &trial->instance->operands, traits, false, &trial->verdict);
    const struct check_verdict *const verdict = &trial->verdict;
    cr_expect(verdict->accepted == (verdict->reason[0] == '\0'), "a rejection has a reason: '%s'", verdict->reason);
    return verdict->accepted;
}

void expect_rejected(struct trial *trial, unsigned traits, const char *reason) {
    cr_expect(!judge(trial, traits), "accepted what should be rejected: %s", reason);
    cr_expect(strstr(trial->verdict.reason, reason), "'%s' lacks '%s'", trial->verdict.reason, reason);
}

void answer_by(struct trial *trial, const struct attn_variant *variant) {
    struct attn_execution execution = {.threads = 1};
    execution.workspace = malloc(variant->forward.workspace_bytes(&trial->instance->problem, &execution));
    variant->forward.run(&trial->instance->problem, &trial->instance->operands, &execution);
    free(execution.workspace);
}

void answer_naive(struct trial *trial) {
    answer_by(trial, &attn_variant_naive_baseline);
}
