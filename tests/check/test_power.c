/* SPDX-License-Identifier: Apache-2.0 */
/* The power of a check: how much of the bound a lost key would use up. */
#include "judged.h"

static struct check_verdict judged(enum check_pattern pattern, const char *mask, int64_t query_len, int64_t key_len) {
    struct trial trial = prepare(
        (struct check_form){
            .query_heads = 2, .query_len = query_len, .key_len = key_len, .head_dim = 16, .pattern = pattern},
        mask);
    answer_naive(&trial);
    judge(&trial, 0);
    finish(&trial);
    return trial.verdict;
}

Test(power, a_check_that_could_not_fail_is_weak) {
    cr_expect(!judged(CHECK_NORMAL, "none", 40, 40).weak);
    cr_expect(!judged(CHECK_NEEDLES, "causal=bottom_right", 40, 500).weak);
    const struct check_verdict constant = judged(CHECK_CONSTANT_VALUES, "none", 40, 40);
    cr_expect(constant.weak && constant.accepted, "all values alike: no key is missed (%g)",
              constant.power_heaviest_best);
    cr_expect(judged(CHECK_CONSTANT_VALUES, "causal=top_left", 40, 40).weak, "the first row has one key alone");
    cr_expect(!judged(CHECK_ZERO_VALUES, "none", 40, 40).weak, "zero values are exempt");
    cr_expect(!judged(CHECK_NORMAL, "none", 40, 1).weak, "one key: its loss leaves zeros");
    cr_expect(judged(CHECK_NEGATIVE_LOGITS, "sinks", 40, 40).weak, "the sinks outweigh every key");
}

/* Capped scores are all but equal; what rounding did to them before the cap is flattened with them. */
Test(power, a_small_softcap_hides_no_key) {
    static const char *const masks[] = {"softcap=1", "softcap=20", "softcap=20,causal=bottom_right"};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; ++m)
        for (int pattern = CHECK_HUGE_LOGITS; pattern <= CHECK_NEGATIVE_LOGITS; ++pattern) {
            const struct check_verdict verdict = judged((enum check_pattern)pattern, masks[m], 40, 2000);
            cr_expect(verdict.accepted && !verdict.weak, "%s, %s: %s, power %g",
                      check_pattern_name((enum check_pattern)pattern), masks[m], verdict.reason,
                      verdict.power_heaviest_best);
        }
}

/* Two keys of equal weight, values 1 and 0: losing either moves the answer by 1/2. */
Test(power, power_is_the_effect_of_a_lost_key) {
    struct trial trial = prepare(
        (struct check_form){
            .query_heads = 1, .query_len = 3, .key_len = 2, .head_dim = 4, .pattern = CHECK_EQUAL_LOGITS},
        "none");
    const struct attn_operands *const operands = &trial.instance->operands;
    for (int c = 0; c < 4; ++c) {
        ((float *)attn_tensor_row(&operands->v, 0, 0, 0))[c] = 1.0f;
        ((float *)attn_tensor_row(&operands->v, 0, 0, 1))[c] = 0.0f;
    }
    recompute(&trial, 0);
    answer_naive(&trial);
    ((float *)attn_tensor_row(&operands->out, 0, 0, 1))[0] += 1.0f;
    judge(&trial, 0);
    const double want = 0.5 / trial.verdict.worst_allowed; /* of one row; the others' differ by their scores */
    cr_expect(trial.verdict.power_heaviest_best >= 0.5 * want && trial.verdict.power_heaviest_best <= 2.0 * want);
    cr_expect(trial.verdict.power_last_best >= 0.5 * want && trial.verdict.power_last_best <= 2.0 * want);
    cr_expect(trial.verdict.power_heaviest_median <= trial.verdict.power_heaviest_best);
    finish(&trial);
}

/* The heaviest key holds all but e^-800 of the weight: the others' share is not representable, its loss still is. */
Test(power, power_survives_underflow) {
    struct trial trial =
        prepare((struct check_form){.query_heads = 1, .query_len = 2, .key_len = 3, .head_dim = 1}, "none");
    const struct attn_operands *const operands = &trial.instance->operands;
    for (int j = 0; j < 3; ++j) {
        *(float *)attn_tensor_row(&operands->q, 0, 0, j % 2) = 1.0f;
        *(float *)attn_tensor_row(&operands->k, 0, 0, j) = j == 1 ? 900.0f : 0.0f;
        *(float *)attn_tensor_row(&operands->v, 0, 0, j) = (float)j;
    }
    recompute(&trial, 0);
    answer_naive(&trial);
    cr_expect(judge(&trial, 0), "%s", trial.verdict.reason);
    cr_expect(trial.verdict.power_heaviest_median > 1e3, "%g", trial.verdict.power_heaviest_median);
    cr_expect(trial.verdict.power_last_best == 0.0, "the last key has no weight to lose");
    finish(&trial);
}
