/* SPDX-License-Identifier: Apache-2.0 */
/* The judge: right answers pass, wrong ones are rejected for what is wrong with them. */
#include "drawn_operands.h"
#include "judged.h"

enum fault {
    RIGHT,
    LAST_KEY_LOST,
    HEAVIEST_KEY_LOST,
    LAST_TILE_LOST, /* 16 keys */
    NO_SCALE,
    SCALE_TWICE,
    WRONG_HEAD,
    ONE_KEY_TOO_MANY, /* causal one too far */
    WEIGHTS_IN_BF16,
    SUM_IN_F16,
    ZEROS,
    FAULTS
};
static const char *const fault_names[FAULTS] = {
    "right",      "last key lost",    "heaviest key lost", "last tile lost", "no scale", "scale twice",
    "wrong head", "one key too many", "weights in bf16",   "sum in f16",     "zeros"};

static void lose_keys(long double *weights, int64_t first, int64_t last) {
    long double lost = 0.0L;
    for (int64_t j = first; j < last; ++j) {
        lost += weights[j];
        weights[j] = 0.0L;
    }
    for (int64_t j = 0; j < first; ++j)
        weights[j] /= 1.0L - lost;
}

static void corrupt_weights(long double *weights, int64_t key_len, enum fault fault) {
    int64_t heaviest = 0, end = 0;
    for (int64_t j = 0; j < key_len; ++j) {
        heaviest = weights[j] > weights[heaviest] ? j : heaviest;
        end = weights[j] > 0.0L ? j + 1 : end;
    }
    if (end < 2)
        return;
    if (fault == LAST_KEY_LOST)
        lose_keys(weights, end - 1, end);
    if (fault == LAST_TILE_LOST)
        lose_keys(weights, end > 16 ? end - 16 : 1, end);
    if (fault == HEAVIEST_KEY_LOST)
        weights[heaviest] = 0.0L;
    for (int64_t j = 0; j < key_len && fault == WEIGHTS_IN_BF16; ++j)
        weights[j] = (long double)attn_f32_of_bf16(attn_bf16_of_f32((float)weights[j]));
}

static float round_sum(double sum, enum fault fault) {
    return fault == SUM_IN_F16 ? attn_f32_of_f16(attn_f16_of_f32((float)sum)) : fault == ZEROS ? 0.0f : (float)sum;
}

static void answer_with(struct trial *trial, enum fault fault) {
    struct attn_problem problem = trial->instance->problem;
    const struct attn_operands *const operands = &trial->instance->operands;
    long double *const weights = malloc((size_t)problem.key_len * sizeof *weights);
    problem.scale = fault == NO_SCALE ? 1.0f : fault == SCALE_TWICE ? problem.scale * problem.scale : problem.scale;
    problem.mask.key_start -= fault == ONE_KEY_TOO_MANY;
    for (int64_t b = 0; b < problem.batch; ++b)
        for (int64_t h = 0; h < problem.query_heads; ++h)
            for (int64_t i = 0; i < problem.query_len; ++i) {
                const long double lse = brute_weights(&problem, operands, b, h, i, weights);
                corrupt_weights(weights, problem.key_len, fault);
                const int64_t head = fault == WRONG_HEAD ? (h + problem.query_heads / 2) % problem.query_heads : h;
                void *const row = attn_tensor_row(&operands->out, b, h, i);
                for (int64_t c = 0; c < problem.value_dim; ++c)
                    attn_store(row, operands->out.type, c,
                               round_sum((double)brute_answer(&problem, operands, b, head, c, weights), fault));
                *(float *)attn_tensor_row(&operands->lse, b, h, i) = (float)lse;
            }
    free(weights);
}

static void expect_fault(enum check_pattern pattern, const char *mask, int64_t key_len, enum fault fault) {
    struct trial trial = prepare(
        (struct check_form){
            .query_heads = 4, .key_heads = 2, .query_len = 33, .key_len = key_len, .head_dim = 16, .pattern = pattern},
        mask);
    answer_with(&trial, fault);
    cr_expect(judge(&trial, 0) == (fault == RIGHT), "%s, %s, %d keys, %s: %g of the bound", check_pattern_name(pattern),
              mask, (int)key_len, fault_names[fault], trial.verdict.bound_fraction);
    cr_expect(fault == RIGHT || strstr(trial.verdict.reason, "out["), "'%s'", trial.verdict.reason);
    finish(&trial);
}

Test(judge, known_corruptions_are_rejected) {
    for (int fault = 0; fault < FAULTS; ++fault)
        for (int64_t key_len = 33; key_len <= 1056; key_len *= 32) {
            expect_fault(CHECK_NORMAL, "causal=bottom_right", key_len, (enum fault)fault);
            if (fault != ONE_KEY_TOO_MANY)
                expect_fault(CHECK_NORMAL, "none", key_len, (enum fault)fault);
            if (fault != NO_SCALE && fault != SCALE_TWICE && fault != WEIGHTS_IN_BF16)
                expect_fault(CHECK_NEEDLES, "causal=bottom_right", key_len, (enum fault)fault);
        }
}

static float *element(struct trial *trial, int64_t b, int64_t h, int64_t i, int64_t c) {
    return (float *)attn_tensor_row(&trial->instance->operands.out, b, h, i) + c;
}

static struct trial right_answer(const char *mask, int64_t max_pairs) {
    struct trial trial = prepare_sampled(
        (struct check_form){.batch = 2, .query_heads = 2, .query_len = 150, .head_dim = 8}, mask, max_pairs);
    answer_with(&trial, RIGHT);
    cr_expect(judge(&trial, 0), "%s", trial.verdict.reason);
    return trial;
}

/* One bad element anywhere, in a row that was computed or one that was not. */
Test(judge, one_bad_element_is_found_in_unchecked_rows_too) {
    struct trial trial = right_answer("none", 1);
    cr_expect(trial.verdict.checked_rows == 4 * 12, "%d rows", (int)trial.verdict.checked_rows);
    const float right = *element(&trial, 1, 1, 100, 3);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int n = 0; n < 3; ++n) {
        *element(&trial, 1, 1, 100, 3) = bad[n];
        expect_rejected(&trial, 0, "1 elements are not finite, the first at [1, 1, 100, 3]");
        cr_expect(trial.verdict.nonfinite == 1 && trial.verdict.unwritten == 0);
    }
    memset(element(&trial, 1, 1, 100, 3), ATTN_POISON_BYTE, sizeof(float));
    expect_rejected(&trial, 0, "leaves 1 elements unwritten, the first at [1, 1, 100, 3]");
    cr_expect(trial.verdict.nonfinite == 0 && trial.verdict.unwritten == 1);
    *element(&trial, 1, 1, 100, 3) = right;
    cr_expect(judge(&trial, 0));
    *element(&trial, 0, 1, 149, 7) = NAN;
    expect_rejected(&trial, 0, "not finite, the first at [0, 1, 149, 7]");
    cr_expect(trial.verdict.bound_fraction == INFINITY);
    finish(&trial);
}

Test(judge, the_worst_element_is_named) {
    struct trial trial = right_answer("none", 0);
    const float right = *element(&trial, 1, 0, 77, 5);
    *element(&trial, 1, 0, 77, 5) = right + 0.5f;
    *element(&trial, 0, 0, 3, 1) += 1e-3f;
    expect_rejected(&trial, 0, "out[1, 0, 77, 5] is");
    const struct check_verdict *const verdict = &trial.verdict;
    cr_expect(verdict->worst[0] == 1 && verdict->worst[1] == 0 && verdict->worst[2] == 77 && verdict->worst[3] == 5);
    cr_expect(verdict->worst_got == (double)(right + 0.5f));
    cr_expect(fabs(verdict->worst_want - (double)right) < 1e-6);
    cr_expect(fabs(verdict->max_abs - 0.5) < 1e-6);
    cr_expect(fabs(verdict->bound_fraction - 0.5 / verdict->worst_allowed) < 1e-3 * verdict->bound_fraction);
    cr_expect(fabs(verdict->rms - sqrt((0.25 + 1e-6) / (4 * 150 * 8))) < 1e-6);
    finish(&trial);
}

/* The bound is where it says: just inside passes, just outside does not, on both sides. */
Test(judge, the_bound_is_sharp) {
    struct trial trial = right_answer("causal=top_left", 0);
    *element(&trial, 0, 1, 20, 2) += 1.0f; /* makes it the worst, so that the verdict tells its bound */
    judge(&trial, 0);
    const double want = trial.verdict.worst_want, allowed = trial.verdict.worst_allowed;
    for (int sign = -1; sign <= 1; sign += 2) {
        *element(&trial, 0, 1, 20, 2) = (float)(want + sign * 0.95 * allowed);
        cr_expect(judge(&trial, 0), "%s", trial.verdict.reason);
        cr_expect(trial.verdict.bound_fraction > 0.8);
        *element(&trial, 0, 1, 20, 2) = (float)(want + sign * 1.05 * allowed);
        expect_rejected(&trial, 0, "out[0, 1, 20, 2]");
    }
    finish(&trial);
}

Test(judge, lse_is_judged_where_it_was_asked_for) {
    struct trial trial = right_answer("causal=top_left", 0);
    float *const lse = attn_tensor_row(&trial.instance->operands.lse, 1, 1, 9);
    const float right = *lse;
    const float bad[] = {right + 1e-4f, right - 1e-4f, right * 1.442695f, -INFINITY};
    for (int n = 0; n < 4; ++n) {
        *lse = bad[n];
        expect_rejected(&trial, 0, "lse[1, 1, 9] is");
    }
    *lse = NAN;
    expect_rejected(&trial, 0, "not finite");
    memset(lse, ATTN_POISON_BYTE, sizeof *lse);
    expect_rejected(&trial, 0, "unwritten");
    trial.instance->operands.lse.data = NULL;
    cr_expect(judge(&trial, 0), "not asked for: %s", trial.verdict.reason);
    finish(&trial);
}

Test(judge, fully_masked_rows_are_zero_with_lse_minus_infinity) {
    struct trial trial = right_answer("dead_rows", 0);
    const struct attn_tensor *const lse = &trial.instance->operands.lse;
    int64_t dead = 0;
    while (*(float *)attn_tensor_row(lse, 0, 0, dead) != -INFINITY)
        ++dead;
    *element(&trial, 0, 0, dead, 1) = 1e-30f;
    expect_rejected(&trial, 0, "out[0, 0,");
    *element(&trial, 0, 0, dead, 1) = NAN;
    expect_rejected(&trial, 0, "not finite");
    *element(&trial, 0, 0, dead, 1) = -0.0f;
    cr_expect(judge(&trial, 0));
    const float wrong[] = {INFINITY, NAN, 0.0f, -1e9f};
    for (int n = 0; n < 4; ++n) {
        *(float *)attn_tensor_row(lse, 0, 0, dead) = wrong[n];
        cr_expect(!judge(&trial, 0), "lse %g of a fully masked row", (double)wrong[n]);
    }
    finish(&trial);
}

/* Where the right answer is not finite, anything not finite passes and nothing finite does. */
Test(judge, a_live_nan_must_stay) {
    for (int64_t max_pairs = 0; max_pairs <= 1; ++max_pairs) { /* every row computed, or the edges alone */
        struct trial trial = prepare_sampled((struct check_form){.query_heads = 1, .query_len = 150, .head_dim = 4},
                                             "causal=top_left", max_pairs);
        ((float *)attn_tensor_row(&trial.instance->operands.v, 0, 0, 140))[2] = NAN;
        recompute(&trial, max_pairs);
        answer_with(&trial, RIGHT);
        cr_expect(judge(&trial, 0), "%s", trial.verdict.reason);
        cr_expect(trial.verdict.nonfinite == 10);
        *element(&trial, 0, 0, 149, 2) = INFINITY;
        cr_expect(judge(&trial, 0), "any non-finite value will do: %s", trial.verdict.reason);
        *element(&trial, 0, 0, 149, 2) = 0.0f;
        expect_rejected(&trial, 0, "out[0, 0, 149, 2] is 0");
        *element(&trial, 0, 0, 149, 2) = NAN;
        *element(&trial, 0, 0, 135, 2) = NAN; /* before the key: not its to see */
        expect_rejected(&trial, 0, "[0, 0, 135, 2]");
        finish(&trial);
    }
}

/* A NaN in a query reaches its own row, computed or not, and no other. */
Test(judge, a_nan_in_a_query_reaches_its_own_row) {
    struct trial trial =
        prepare_sampled((struct check_form){.query_heads = 1, .query_len = 150, .head_dim = 4}, "none", 1);
    ((float *)attn_tensor_row(&trial.instance->operands.q, 0, 0, 100))[1] = NAN;
    recompute(&trial, 1);
    answer_naive(&trial);
    cr_expect(judge(&trial, 0), "%s", trial.verdict.reason);
    cr_expect(trial.verdict.nonfinite > 0);
    *element(&trial, 0, 0, 101, 1) = NAN;
    expect_rejected(&trial, 0, "not finite, the first at [0, 0, 101, 1]");
    finish(&trial);
}

/* Weights rounded to bf16: fine where the variant says so and the type is bf16, and only there. */
Test(judge, rounded_weights_need_the_trait) {
    struct trial trial =
        prepare((struct check_form){.query_heads = 4, .query_len = 40, .key_len = 2, .head_dim = 16, .type = ATTN_BF16},
                "none");
    answer_with(&trial, WEIGHTS_IN_BF16);
    cr_expect(judge(&trial, ATTN_ROUNDS_WEIGHTS), "%s", trial.verdict.reason);
    const double with_trait = trial.verdict.bound_fraction;
    expect_rejected(&trial, 0, "out[");
    cr_expect(trial.verdict.bound_fraction > with_trait);
    finish(&trial);
    trial = prepare((struct check_form){.query_heads = 4, .query_len = 40, .head_dim = 16}, "none");
    answer_with(&trial, WEIGHTS_IN_BF16);
    expect_rejected(&trial, ATTN_ROUNDS_WEIGHTS, "out["); /* an f32 problem has no 16-bit type to round to */
    finish(&trial);
}

Test(judge, denormals_are_checked_for_finite_and_written_alone) {
    struct trial trial = right_answer("none", 0);
    *element(&trial, 0, 0, 0, 0) += 7.0f;
    check_oracle_judge(trial.oracle, &trial.instance->operands, 0, true, &trial.verdict);
    cr_expect(trial.verdict.accepted && !trial.verdict.weak, "%s", trial.verdict.reason);
    *element(&trial, 0, 0, 0, 0) = NAN;
    check_oracle_judge(trial.oracle, &trial.instance->operands, 0, true, &trial.verdict);
    cr_expect(!trial.verdict.accepted);
    memset(element(&trial, 0, 0, 0, 0), ATTN_POISON_BYTE, sizeof(float));
    check_oracle_judge(trial.oracle, &trial.instance->operands, 0, true, &trial.verdict);
    cr_expect(!trial.verdict.accepted && trial.verdict.unwritten == 1);
    finish(&trial);
}
