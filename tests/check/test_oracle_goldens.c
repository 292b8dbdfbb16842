/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle against exact answers: in float64 its inputs are the printed decimals, and 1e-15 is what
 * arithmetic leaves. */
#include <criterion/criterion.h>
#include <math.h>

#include "check/oracle.h"
#include "words.h"

enum { MAX_TOKENS = 6 };

/* Tokens through the oracle, everything float64; results by token. */
struct sentence {
    int count;
    const int *words;
    const double (*queries)[2], (*keys)[2], (*values)[2];
    double query_factor;         /* 1/sqrt(2) folded into the queries, which a float32 scale cannot hold */
    struct attn_problem problem; /* scale, mask */
    double out[MAX_TOKENS][2], weights[MAX_TOKENS][MAX_TOKENS], lse[MAX_TOKENS];
};

static void ask(struct sentence *sentence, struct attn_operands *operands, int value_dim, double *answers) {
    struct attn_problem problem = sentence->problem;
    struct attn_error error;
    struct check_oracle *oracle;
    problem.batch = problem.query_heads = 1;
    problem.query_len = sentence->count;
    problem.head_dim = 2;
    problem.value_dim = value_dim;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
    cr_assert(check_oracle_create(&problem, operands, 1, 0, 1, &oracle, &error) == ATTN_OK, "%s", error.message);
    cr_assert(check_oracle_rows(oracle) == sentence->count);
    for (int64_t n = 0; n < sentence->count; ++n) {
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(oracle, n, place, &lse);
        sentence->lse[place[2]] = lse;
        memcpy(answers + place[2] * value_dim, row, (size_t)value_dim * sizeof *answers);
    }
    check_oracle_destroy(oracle);
}

static void answer(struct sentence *sentence) {
    double q[MAX_TOKENS][2], k[MAX_TOKENS][2], v[MAX_TOKENS][2], one_hot[MAX_TOKENS * MAX_TOKENS] = {0};
    double weights[MAX_TOKENS * MAX_TOKENS];
    const int64_t count = sentence->count;
    for (int64_t n = 0; n < count; ++n) {
        const int word = sentence->words[n];
        for (int c = 0; c < 2; ++c) {
            q[n][c] = (sentence->queries ? sentence->queries : word_queries)[word][c] * sentence->query_factor;
            k[n][c] = (sentence->keys ? sentence->keys : word_keys)[word][c];
            v[n][c] = (sentence->values ? sentence->values : word_values)[word][c];
        }
        one_hot[n * count + n] = 1.0; /* with these values the answer is the row of weights */
    }
    struct attn_operands operands = {
        .q = attn_tensor_dense(q, ATTN_F64, 1, 1, count, 2),
        .k = attn_tensor_dense(k, ATTN_F64, 1, 1, count, 2),
        .v = attn_tensor_dense(v, ATTN_F64, 1, 1, count, 2),
    };
    ask(sentence, &operands, 2, sentence->out[0]);
    operands.v = attn_tensor_dense(one_hot, ATTN_F64, 1, 1, count, count);
    ask(sentence, &operands, (int)count, weights);
    for (int64_t i = 0; i < count; ++i)
        for (int64_t j = 0; j < count; ++j)
            sentence->weights[i][j] = weights[i * count + j];
}

static void expect_near(double got, double want, double tolerance, const char *what, int token) {
    cr_expect(fabs(got - want) <= tolerance, "%s of token %d: %.17g, not %.17g (off by %.2g)", what, token, got, want,
              got - want);
}

static void expect_row(const struct sentence *sentence, int token, const struct word_answer *want, double relative) {
    for (int j = 0; j < sentence->count; ++j)
        expect_near(sentence->weights[token][j], want->weights[j], relative * want->weights[j], "weight", token);
    for (int c = 0; c < 2; ++c)
        expect_near(sentence->out[token][c], want->out[c], relative * want->out[c], "out", token);
    if (want->lse > 0)
        expect_near(sentence->lse[token], want->lse, relative * want->lse, "lse", token);
}

static void expect_sentence(struct sentence sentence, const struct word_answer *want) {
    sentence.problem.scale = 1.0f;
    answer(&sentence);
    for (int n = 0; n < sentence.count; ++n)
        expect_row(&sentence, n, &want[sentence.words[n]], 1e-15);
}

#define INVERSE_ROOT_2 0.70710678118654752440

Test(goldens, five_words_unscaled) {
    expect_sentence((struct sentence){.count = 5, .words = five_words, .query_factor = 1}, five_unscaled);
}

Test(goldens, five_words_scaled) {
    expect_sentence((struct sentence){.count = 5, .words = five_words, .query_factor = INVERSE_ROOT_2}, five_scaled);
}

Test(goldens, six_tokens_unscaled) {
    expect_sentence((struct sentence){.count = 6, .words = six_tokens, .query_factor = 1}, six_unscaled);
}

Test(goldens, six_tokens_scaled) {
    expect_sentence((struct sentence){.count = 6, .words = six_tokens, .query_factor = INVERSE_ROOT_2}, six_scaled);
}

Test(goldens, six_tokens_causal) {
    struct sentence sentence = {.count = 6, .words = six_tokens, .query_factor = INVERSE_ROOT_2};
    sentence.problem = (struct attn_problem){.scale = 1.0f, .mask = {.causal = true}};
    answer(&sentence);
    for (int n = 0; n < 6; ++n) {
        for (int j = 0; j < 6; ++j)
            expect_near(sentence.weights[n][j], six_causal[n].weights[j], 6e-16, "weight", n);
        for (int c = 0; c < 2; ++c)
            expect_near(sentence.out[n][c], six_causal[n].out[c], 6e-16, "out", n);
        expect_near(sentence.lse[n], six_causal[n].lse, 1e-15, "lse", n);
    }
    const double mat[6] = {.153406227550529878, .163486283724527532, .174228682843093589,
                           .165814754891374888, .153406227550529878, .189657823439944233};
    for (int j = 0; j < 6; ++j)
        expect_near(sentence.weights[5][j], mat[j], 1e-15 * mat[j], "weight", 5);
    expect_near(sentence.lse[5], 1.96658967561806971, 2e-15, "lse", 5);
}

Test(goldens, first_principles) {
    expect_sentence(
        (struct sentence){
            .count = 5, .words = five_words, .query_factor = 1, .queries = word_values, .keys = word_values},
        first_principles);
}

/* A boolean mask that leaves out the diagonal. */
Test(goldens, self_excluded) {
    bool others[25];
    for (int n = 0; n < 25; ++n)
        others[n] = n / 5 != n % 5;
    struct sentence sentence = {.count = 5, .words = five_words, .query_factor = 1};
    sentence.problem =
        (struct attn_problem){.scale = 1.0f, .mask = {.allowed = others, .allowed_stride = {0, 0, 5, 1}}};
    answer(&sentence);
    const struct word_answer cat = {
        {.203180142463516873, 0, .258292583468927782, .238434105950601774, .300093168116953569},
        {.560414410143464878, .391359136070824583},
        0};
    expect_row(&sentence, CAT, &cat, 1e-15);
}

Test(goldens, another_value_for_the) {
    double values[WORDS][2];
    memcpy(values, word_values, sizeof values);
    values[THE][0] = .5;
    struct sentence sentence = {
        .count = 5, .words = five_words, .query_factor = 1, .values = (const double(*)[2])values};
    sentence.problem.scale = 1.0f;
    answer(&sentence);
    expect_near(sentence.out[CAT][0], .596639347844102066, 1e-15, "out", CAT);
    expect_near(sentence.out[CAT][1], .430246997674111612, 1e-15, "out", CAT);
}

/* Scores over 2, which a float32 scale holds exactly. */
Test(goldens, the_problem_s_own_scale) {
    struct sentence sentence = {.count = 3, .words = five_words, .query_factor = 1};
    sentence.problem.scale = 0.5f;
    answer(&sentence);
    const struct word_answer the = {
        {.326689331072803451, .333288893332918556, .340021775594277991}, {.403999733356442362, .435322090011450820}, 0};
    expect_row(&sentence, THE, &the, 1e-15);
}

/* The default scale of 2 features is the float32 nearest to 1/sqrt(2), promoted: not 1/sqrt(2). */
Test(goldens, the_default_scale_is_the_promoted_float) {
    struct sentence sentence = {.count = 5, .words = five_words, .query_factor = 1};
    answer(&sentence);
    const double scale = (double)(float)INVERSE_ROOT_2;
    double sum = 0.0;
    for (int j = 0; j < 5; ++j)
        sum += exp(scale * (.5 * word_keys[j][0] + .7 * word_keys[j][1]));
    expect_near(sentence.lse[CAT], log(sum), 1e-15, "lse", CAT);
    cr_expect(fabs(sentence.lse[CAT] - five_scaled[CAT].lse) > 1e-9, "1/sqrt(2) in float64 is another problem");
}
