/* SPDX-License-Identifier: Apache-2.0 */
/* A word in two sentences: one static vector, two contextual ones. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "drawn_layer.h"
#include "sentence.h"
#include "study/sample.h"

enum { FEATURES = 64, HEADS = 4 };

static const struct {
    const char *word, *one, *other;
} pairs[] = {
    {"bank", "He deposited money in the bank.", "He sat on the river bank."},
    {"bank", "money bank grows", "The bank by the river"},
    {"apple", "apple released a new phone", "Please buy an apple and orange, apple unveiled new phones"},
};
/* Both begin with the same word: under a causal mask it has no context. */
static const char *const first_word[] = {"apple released a new phone", "apple unveiled new phones"};

static const struct study_setting settings[] = {
    {"sees", "all", "all itself", "which words a word attends to"},
};

struct reading {
    struct drawn_layer drawn;
    double *x, *y; /* [2][SENTENCE_WORDS][FEATURES]: two sentences */
};

static enum attn_status read_sentence(struct study_run *run, const struct reading *reading, const char *sentence,
                                      int which, bool causal, struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    double *const x = reading->x + which * SENTENCE_WORDS * FEATURES;
    const struct layer_sequences sequences = {
        .batch = 1,
        .positions = sentence_embed(study_seed(run), sentence, FEATURES, x),
        .mask = {.causal = causal, .windowed = study_setting_is(run, "sees", "itself")}};
    return drawn_layer_forward(&reading->drawn, &attention, &sequences, x,
                               reading->y + which * SENTENCE_WORDS * FEATURES, error);
}

/* |a - b| / |a| of the vectors of two places. */
static double change(const double *vectors, int64_t place, int64_t other) {
    const double *const a = vectors + place * FEATURES, *const b = vectors + (SENTENCE_WORDS + other) * FEATURES;
    return study_distance(FEATURES, a, b) / study_norm(FEATURES, a);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct reading reading = {.x = STUDY_ARRAY(run, 2 * SENTENCE_WORDS * FEATURES, double, error),
                              .y = STUDY_ARRAY(run, 2 * SENTENCE_WORDS * FEATURES, double, error)};
    enum attn_status status =
        drawn_layer_create(run, 0, SENTENCE_WORDS, FEATURES, HEADS, FEATURES / HEADS, &reading.drawn, error);
    if (status || !reading.x || !reading.y)
        return ATTN_NO_MEMORY;
    /* What two orders of the same sums could differ by: 2 x 3 matrix products deep, FEATURES terms each. */
    const double rounding = 6.0 * FEATURES * DBL_EPSILON;
    double least = INFINITY;
    for (size_t n = 0; n < sizeof pairs / sizeof *pairs && !status; ++n) {
        status = read_sentence(run, &reading, pairs[n].one, 0, false, error);
        if (!status)
            status = read_sentence(run, &reading, pairs[n].other, 1, false, error);
        if (status)
            return status;
        const int64_t place = sentence_place(pairs[n].one, pairs[n].word, 0);
        const int64_t other = sentence_place(pairs[n].other, pairs[n].word, 0);
        char series[64];
        snprintf(series, sizeof series, "%s, pair %zu", pairs[n].word, n + 1);
        const double contextual = change(reading.y, place, other);
        study_expect(run, "C2", "change of the static vector", STUDY_BAR(series), change(reading.x, place, other), 0,
                     0);
        study_expect(run, "C2", "change of the contextual vector", STUDY_BAR(series), contextual, rounding, INFINITY);
        least = fmin(least, contextual);
    }
    for (int which = 0; which < 2 && !status; ++which)
        status = read_sentence(run, &reading, first_word[which], which, true, error);
    if (status)
        return status;
    study_expect(run, "C2", "change of the contextual vector", STUDY_BAR("apple first, causal"),
                 change(reading.y, 0, 0), 0, 0);
    study_conclude(run, "C2", least > rounding ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "a static vector is the same in every sentence, a contextual one differs by %.2f of its length or "
                   "more, unless the word sees no other",
                   least);
    return ATTN_OK;
}

STUDY(static_contextual) = {
    .name = "static_contextual",
    .claims = "C2",
    .source = "S0 S1 S2 S3 S4",
    .statement = "A static embedding gives a word one vector whatever the sentence; self-attention gives it one by its "
                 "context.",
    .law =
        "static vectors of a word do not differ between sentences; contextual ones do, as soon as a word sees others",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
