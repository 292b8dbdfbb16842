/* SPDX-License-Identifier: Apache-2.0 */
/* S3's worked table: whom each query attends to, for five words and for the six tokens of the sentence, unscaled and
 * scaled. And, to see that a query can decide, the same count for drawn queries and keys. */
#include <math.h>
#include <stdio.h>

#include "study/attend.h"
#include "study/sample.h"
#include "study/word_table.h"

enum { MOST = 6, DRAWN = 64, HEAD_DIM = 16 };

struct sentence {
    int tokens[MOST], count;
    double weights[MOST * MOST];
};

static int heaviest(const double *weights, int count) {
    int first = 0;
    for (int j = 1; j < count; ++j)
        if (weights[j] > weights[first])
            first = j;
    return first;
}

static enum attn_status ask(struct study_run *run, float scale, struct sentence *sentence, struct attn_error *error) {
    double queries[MOST][2], keys[MOST][2];
    for (int n = 0; n < sentence->count; ++n)
        for (int c = 0; c < 2; ++c) {
            queries[n][c] = word_queries[sentence->tokens[n]][c];
            keys[n][c] = word_keys[sentence->tokens[n]][c];
        }
    return study_weights(run, (struct attn_problem){.scale = scale}, study_tensor(queries[0], 1, sentence->count, 2),
                         study_tensor(keys[0], 1, sentence->count, 2), sentence->weights, error);
}

/* Half of sum |a - b|, the largest over pairs of rows. */
static double largest_variation(const struct sentence *sentence) {
    double most = 0;
    for (int a = 0; a < sentence->count; ++a)
        for (int b = 0; b < a; ++b) {
            double sum = 0;
            for (int j = 0; j < sentence->count; ++j)
                sum += fabs(sentence->weights[a * sentence->count + j] - sentence->weights[b * sentence->count + j]);
            most = study_larger(most, sum / 2);
        }
    return most;
}

/* S3 on "cat": more to "mat", somewhat to "sat", not to "the" and "on". Places in a row of five or six. */
static void expect_cat(struct study_run *run, const char *series, const struct sentence *sentence) {
    static const int order[WORDS] = {MAT, SAT, ON, CAT, THE};
    double of[WORDS];
    for (int n = 0; n < sentence->count; ++n)
        of[sentence->tokens[n]] = sentence->weights[1 * sentence->count + n];
    for (int n = 0; n + 1 < WORDS; ++n) {
        char name[64];
        snprintf(name, sizeof name, "\"cat\": weight of \"%s\" / of \"%s\"", word_names[order[n]],
                 word_names[order[n + 1]]);
        study_expect(run, "C40", name, STUDY_BAR(series), of[order[n]] / of[order[n + 1]], nextafter(1, 2), INFINITY);
    }
}

static enum attn_status readings(struct study_run *run, double *variation, struct attn_error *error) {
    for (int tokens = WORDS; tokens <= MOST; ++tokens)
        for (int scale = LAYER_SCALE_NONE; scale <= LAYER_SCALE_ROOT; ++scale) {
            struct sentence sentence = {.count = tokens};
            char series[48];
            const bool first = tokens == WORDS && scale == LAYER_SCALE_NONE;
            int winners = 0;
            for (int n = 0; n < tokens; ++n)
                sentence.tokens[n] = tokens == MOST ? six_tokens[n] : n;
            const enum attn_status status = ask(run, layer_scale_value((enum layer_scale)scale, 2), &sentence, error);
            if (status)
                return status;
            snprintf(series, sizeof series, "%d %s, scale %s", tokens, tokens == MOST ? "tokens" : "words",
                     layer_scale_name((enum layer_scale)scale));
            for (int n = 0; first && n < WORDS * WORDS; ++n)
                study_record(run, "C40", "weight in S3's table, five words unscaled",
                             STUDY_AT(word_names[n / WORDS], "key: 1 the, 2 cat, 3 sat, 4 on, 5 mat", n % WORDS + 1),
                             sentence.weights[n]);
            expect_cat(run, series, &sentence);
            for (int n = 0; n < tokens; ++n)
                winners += sentence.tokens[heaviest(sentence.weights + n * tokens, tokens)] == MAT;
            study_expect(run, "C40", "queries that attend most to \"mat\"", STUDY_BAR(series), winners, tokens, tokens);
            const double largest = largest_variation(&sentence);
            if (first) {
                /* From weights of 17 digits: |the - sat|. */
                study_expect(run, "C40", "largest total variation between two rows", STUDY_BAR(series), largest,
                             .05163583494241046 - 4e-16, .05163583494241046 + 4e-16);
                *variation = largest;
            } else {
                study_record(run, "C40", "largest total variation between two rows", STUDY_BAR(series), largest);
            }
        }
    return ATTN_OK;
}

/* How many different keys win among drawn queries: more than one, for a query and its opposite cannot agree. */
static enum attn_status drawn(struct study_run *run, int *winners, struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, 2 * DRAWN * HEAD_DIM + DRAWN * DRAWN, double, error);
    if (!memory)
        return ATTN_NO_MEMORY;
    double *const q = memory, *const k = q + DRAWN * HEAD_DIM, *const weights = k + DRAWN * HEAD_DIM;
    bool won[DRAWN] = {false};
    study_normals(study_seed(run), 0, DRAWN * HEAD_DIM, 1, q);
    study_normals(study_seed(run), 1, DRAWN * HEAD_DIM, 1, k);
    const enum attn_status status =
        study_weights(run, (struct attn_problem){.scale = 0}, study_tensor(q, 1, DRAWN, HEAD_DIM),
                      study_tensor(k, 1, DRAWN, HEAD_DIM), weights, error);
    *winners = 0;
    for (int n = 0; n < DRAWN; ++n) {
        bool *const one = &won[heaviest(weights + n * DRAWN, DRAWN)];
        *winners += !*one;
        *one = true;
    }
    study_expect(run, "C40", "different keys that win among 64 drawn queries", STUDY_ALONE, *winners, 2, DRAWN);
    return status;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double variation = NAN;
    int winners = 0;
    enum attn_status status = readings(run, &variation, error);
    if (!status)
        status = drawn(run, &winners, error);
    study_conclude(
        run, "C40", study_holds(run, "C40") ? STUDY_DEPENDS : STUDY_SUPPORTED,
        "S3's ranking for \"cat\" holds (mat > sat > on > cat > the), but \"mat\" wins for all five queries, "
        "whose rows differ by at most %.4f: the table cannot show it; %d drawn queries choose %d keys",
        variation, DRAWN, winners);
    return status;
}

STUDY(table_focus) = {
    .name = "table_focus",
    .claims = "C40",
    .source = "S3 S4",
    .statement =
        "The query decides which words to focus on: for \"cat\" more on \"mat\", somewhat on \"sat\", little on "
        "\"the\" and \"on\".",
    .law =
        "\"cat\" ranks mat > sat > on > cat > the in every reading, and \"mat\" is first for every query of the table",
    .run = run,
};
