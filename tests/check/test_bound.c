/* SPDX-License-Identifier: Apache-2.0 */
/* The bound: honest answers stay well inside it, wherever their roundings gather. */
#include <math.h>

#include "judged.h"

static const char *const masks[] = {"none",
                                    "causal=top_left",
                                    "causal=bottom_right,window=20:0,sinks",
                                    "window=5:9,alibi",
                                    "lengths=ragged,softcap=5",
                                    "packed=4,causal=top_left",
                                    "bias,boolean",
                                    "dead_rows,sinks",
                                    "dead_block,causal=bottom_right"};
enum { MASKS = sizeof masks / sizeof *masks };

static void judge_naive(enum check_pattern pattern, enum attn_type type, int64_t key_len, int64_t head_dim) {
    for (int m = 0; m < MASKS; ++m) {
        const bool packed = strstr(masks[m], "packed");
        struct trial trial = prepare((struct check_form){.batch = packed ? 1 : 2,
                                                         .query_heads = 4,
                                                         .key_heads = 2,
                                                         .query_len = 70,
                                                         .key_len = key_len,
                                                         .head_dim = head_dim,
                                                         .value_dim = head_dim + 3,
                                                         .type = type,
                                                         .pattern = pattern},
                                     masks[m]);
        answer_naive(&trial);
        struct check_verdict *const verdict = &trial.verdict;
        check_oracle_judge(trial.oracle, &trial.instance->operands, 0, pattern == CHECK_DENORMALS, verdict);
        cr_expect(verdict->accepted, "%s, %s, %s: %s", check_pattern_name(pattern), masks[m], attn_type_name(type),
                  verdict->reason);
        const double most = type == ATTN_F32 ? 0.5 : 1.0; /* a 16-bit answer may be off by its own rounding */
        cr_expect(verdict->bound_fraction <= most && verdict->lse_bound_fraction <= 0.7,
                  "%s, %s, %s: %g of the bound, lse %g", check_pattern_name(pattern), masks[m], attn_type_name(type),
                  verdict->bound_fraction, verdict->lse_bound_fraction);
        finish(&trial);
    }
}

Test(bound, naive_stays_well_under_the_bound) {
    for (int pattern = 0; pattern < CHECK_PATTERN_COUNT; ++pattern)
        for (int type = ATTN_F32; type <= ATTN_F16; ++type)
            judge_naive((enum check_pattern)pattern, (enum attn_type)type, 131, 24);
    judge_naive(CHECK_NORMAL, ATTN_F32, 1, 1);
    judge_naive(CHECK_NEEDLES, ATTN_F32, 700, 1);
    judge_naive(CHECK_NORMAL, ATTN_F32, 2000, 128);
}

static double largest_fraction(struct trial *trial) {
    recompute(trial, 0);
    answer_naive(trial);
    cr_expect(judge(trial, 0), "%s", trial->verdict.reason);
    finish(trial);
    return fmax(trial->verdict.bound_fraction, trial->verdict.lse_bound_fraction);
}

/* Where all roundings go the same way, a random walk is no bound: like products in every dot product, like weights in
 * every sum. Both are what people try first: all ones. */
Test(bound, alike_terms_round_alike) {
    const struct check_form wide = {
        .query_heads = 1, .query_len = 4, .key_len = 64, .head_dim = 512, .pattern = CHECK_ASCENDING};
    struct trial trial = prepare(wide, "none");
    cr_expect(largest_fraction(&trial) < 0.5, "like products");
    const struct check_form many = {
        .query_heads = 4, .query_len = 8, .key_len = 5000, .head_dim = 16, .pattern = CHECK_EQUAL_LOGITS};
    trial = prepare(many, "sinks");
    cr_expect(largest_fraction(&trial) < 0.7, "like weights beside a sink");
    trial = prepare(many, "none");
    const struct attn_operands *const operands = &trial.instance->operands;
    for (int64_t n = 0; n < attn_tensor_count(&operands->v); ++n)
        ((float *)operands->v.data)[n] = 1.0f;
    cr_expect(largest_fraction(&trial) < 0.7, "like weights of like values");
}

/* One key of weight 1 comes first; beside it 20,000 others of 2^-25 each are lost one by one, 6e-4 together. */
Test(bound, weights_that_vanish_beside_one_may_be_lost) {
    const struct check_form form = {.query_heads = 1, .query_len = 2, .key_len = 20000, .head_dim = 1, .scale = 1.0};
    struct trial trial = prepare(form, "none");
    const struct attn_operands *const operands = &trial.instance->operands;
    for (int64_t i = 0; i < form.query_len; ++i)
        *(float *)attn_tensor_row(&operands->q, 0, 0, i) = 1.0f;
    for (int64_t j = 0; j < form.key_len; ++j) {
        *(float *)attn_tensor_row(&operands->k, 0, 0, j) = j == 0 ? 0.0f : -17.3287f;
        *(float *)attn_tensor_row(&operands->v, 0, 0, j) = 1.0f + (float)(j % 7);
    }
    cr_expect(largest_fraction(&trial) > 0.5, "the loss is what the bound is mostly made of");
}

/* Scores that rise slowly from key to key: a streaming softmax rescales at every one of 4,096, by nearly the same
 * factor, and all roundings go one way. How far depends on the compiler's order of the sums: 0.09 to 0.4 of the bound
 * were seen. */
Test(bound, a_slow_slope_rescales_at_every_key) {
    const struct check_form form = {.query_heads = 2,
                                    .key_heads = 1,
                                    .query_len = 9,
                                    .key_len = 4096,
                                    .head_dim = 32,
                                    .pattern = CHECK_ASCENDING,
                                    .seed = 42};
    struct trial trial = prepare(form, "alibi");
    answer_by(&trial, &attn_variant_online_baseline);
    cr_expect(judge(&trial, 0), "%s", trial.verdict.reason);
    cr_expect(trial.verdict.lse_bound_fraction > 0.02 && trial.verdict.lse_bound_fraction < 0.7, "%g of the bound",
              trial.verdict.lse_bound_fraction);
    finish(&trial);
}
