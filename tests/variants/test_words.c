/* SPDX-License-Identifier: Apache-2.0 */
/* The worked table in float32 through every variant of the ladder, at every ISA level that this machine runs: within
 * the bound of the oracle's answer to the same floats, which rounding the printed decimals has moved from the exact
 * one. A score of two products below 0.9 moves by at most 2u of them and 1u of the scale: 2u. Weights move by twice
 * that, outputs by u of the values more. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "check/oracle.h"
#include "layer/variant_attention.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "words.h"

enum { MAX_TOKENS = 6 };
#define ROUNDOFF 0x1p-24

struct sentence {
    const char *name;
    int count;
    const int *words;
    float scale; /* 0: 1/sqrt(2) */
    bool causal, weightless;
    const struct word_answer *want; /* by word; causal: by token */
};

static const struct sentence sentences[] = {
    {"five words, unscaled", 5, five_words, 1, false, false, five_unscaled},
    {"five words, scaled", 5, five_words, 0, false, false, five_scaled},
    {"six tokens, unscaled", 6, six_tokens, 1, false, false, six_unscaled},
    {"six tokens, scaled", 6, six_tokens, 0, false, false, six_scaled},
    {"six tokens, causal", 6, six_tokens, 0, true, false, six_causal},
    {"first principles", 5, five_words, 1, false, true, first_principles},
};
enum { SENTENCES = sizeof sentences / sizeof *sentences };

/* The printed values, or unit vectors, whose answer is the row of weights. */
struct bed {
    struct attn_problem problem;
    struct attn_operands operands;
    struct check_oracle *oracle;
    float q[MAX_TOKENS][2], k[MAX_TOKENS][2], v[MAX_TOKENS * MAX_TOKENS], out[MAX_TOKENS * MAX_TOKENS], lse[MAX_TOKENS];
};

static void expect_near(double got, double want, double allowed, const struct sentence *sentence, const char *what) {
    cr_expect(fabs(got - want) <= allowed, "%s, %s: %.9g, not %.9g", sentence->name, what, got, want);
}

static void expect_exact(const struct bed *bed, const struct sentence *sentence, bool weights) {
    cr_assert_eq(check_oracle_rows(bed->oracle), sentence->count);
    for (int n = 0; n < sentence->count; ++n) {
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(bed->oracle, n, place, &lse);
        const struct word_answer *const want = &sentence->want[sentence->causal ? place[2] : sentence->words[place[2]]];
        for (int c = 0; c < bed->problem.value_dim; ++c) {
            const double exact = weights ? want->weights[c] : want->out[c];
            expect_near(row[c], exact, 5 * ROUNDOFF * exact, sentence, weights ? "weight" : "out");
        }
        if (want->lse > 0)
            expect_near(lse, want->lse, 2 * ROUNDOFF, sentence, "lse");
    }
}

static void make_bed(struct bed *bed, const struct sentence *sentence, bool weights) {
    const int count = sentence->count, value_dim = weights ? count : 2;
    memset(bed, 0, sizeof *bed);
    for (int n = 0; n < count; ++n) {
        const int word = sentence->words[n];
        for (int c = 0; c < 2; ++c) {
            bed->q[n][c] = (float)(sentence->weightless ? word_values : word_queries)[word][c];
            bed->k[n][c] = (float)(sentence->weightless ? word_values : word_keys)[word][c];
        }
        for (int c = 0; c < value_dim; ++c)
            bed->v[n * value_dim + c] = weights ? (float)(c == n) : (float)word_values[word][c];
    }
    bed->problem = (struct attn_problem){.batch = 1,
                                         .query_heads = 1,
                                         .query_len = count,
                                         .head_dim = 2,
                                         .value_dim = value_dim,
                                         .scale = sentence->scale,
                                         .mask = {.causal = sentence->causal}};
    cr_assert_eq(attn_problem_build(&bed->problem, NULL), ATTN_OK);
    bed->operands = (struct attn_operands){
        .q = attn_tensor_dense(bed->q, ATTN_F32, 1, 1, count, 2),
        .k = attn_tensor_dense(bed->k, ATTN_F32, 1, 1, count, 2),
        .v = attn_tensor_dense(bed->v, ATTN_F32, 1, 1, count, value_dim),
        .out = attn_tensor_dense(bed->out, ATTN_F32, 1, 1, count, value_dim),
        .lse = attn_tensor_dense(bed->lse, ATTN_F32, 1, 1, count, 1),
    };
    cr_assert_eq(check_oracle_create(&bed->problem, &bed->operands, 1, 0, 1, &bed->oracle, NULL), ATTN_OK);
    expect_exact(bed, sentence, weights);
}

static void judge(struct bed *bed, const struct sentence *sentence, const struct attn_variant *variant) {
    struct layer_variant inner = {.variant = variant, .execution = {.threads = 2, .sgemm = machine_gemm()}};
    struct attn_error error = {0};
    struct check_verdict verdict;
    memset(bed->out, 0xFF, sizeof bed->out);
    memset(bed->lse, 0xFF, sizeof bed->lse);
    cr_assert_eq(layer_variant_attention(&inner, &bed->problem, &bed->operands, &error), ATTN_OK, "%s: %s",
                 variant->name, error.message);
    check_oracle_judge(bed->oracle, &bed->operands, variant->traits, false, &verdict);
    cr_expect(verdict.accepted, "%s, %s: %s", variant->name, sentence->name, verdict.reason);
    layer_variant_release(&inner);
}

Test(words, every_variant_answers_the_worked_table) {
    for (int n = 0; n < 2 * SENTENCES; ++n) {
        const struct sentence *const sentence = &sentences[n / 2];
        struct bed bed;
        make_bed(&bed, sentence, n % 2);
        for (int v = 0; v < attn_registry.variant_count; ++v)
            for (int level = 0; level < attn_registry.level_count; ++level) {
                const struct attn_variant *const variant =
                    attn_registry.variants[v * attn_registry.level_count + level];
                if (!machine_isa_objection(attn_registry.levels[level]) &&
                    (machine_gemm() || strcmp(variant->name, "blas_unfused") != 0))
                    judge(&bed, sentence, variant);
            }
        check_oracle_destroy(bed.oracle);
    }
}
