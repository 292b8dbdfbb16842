/* SPDX-License-Identifier: Apache-2.0 */
/* Words that the tokenizer of MiniLM-L6 splits, each beside a synonym that it keeps whole: is the mean of the pieces'
 * vectors nearer to the synonym than single pieces are, in the word table, where a piece knows nothing of the others,
 * and after six layers, where it does. Recorded. */
#include <math.h>
#include <stdio.h>

#include "captured.h"
#include "study/sample.h"

/* "The WORD" for every split word, then for every synonym, as in experiments/inputs/pieces.txt: [CLS] the, then the
 * word's pieces, then [SEP]. */
static const char *const split_words[] = {"rucksack", "snowstorm", "pooch", "lorry", "footpath"};
enum { WORDS = sizeof split_words / sizeof *split_words, FIRST = 2, AROUND = 3 };

enum who { POOLED, FIRST_PIECE, LAST_PIECE, WHOS };
static const char *const who_names[WHOS] = {"mean", "first piece", "last piece"};

static int64_t pieces_of(const struct captured *level, int word) {
    return level->lengths[word] - AROUND;
}

static void take(const struct captured *level, int word, enum who who, double *vector) {
    const int64_t last = FIRST + pieces_of(level, word) - 1;
    const int64_t from = who == LAST_PIECE ? last : FIRST, to = who == FIRST_PIECE ? FIRST : last;
    for (int64_t c = 0; c < level->features; ++c) {
        vector[c] = 0;
        for (int64_t place = from; place <= to; ++place)
            vector[c] += captured_vector(level, word, place)[c] / (double)(to - from + 1);
    }
}

/* The share of words whose vector is nearer, by cosine, to their own synonym than to those of the other words. */
static enum attn_status measure(struct study_run *run, const char *group, const char *where, double found[WHOS],
                                struct attn_error *error) {
    struct captured level;
    const enum attn_status status = captured_read(run, group, 2 * WORDS, 1, &level, error);
    double *const vector = status ? NULL : STUDY_ARRAY(run, level.features, double, error);
    if (!vector)
        return status ? status : ATTN_NO_MEMORY;
    char cosine_name[96];
    snprintf(cosine_name, sizeof cosine_name, "cosine with the synonym, %s", where);
    for (enum who who = 0; who < WHOS; ++who) {
        found[who] = 0;
        for (int word = 0; word < WORDS; ++word) {
            double own = NAN, others = -1;
            take(&level, word, who, vector);
            for (int other = 0; other < WORDS; ++other) {
                const double cosine =
                    study_cosine(level.features, vector, captured_vector(&level, WORDS + other, FIRST));
                if (other == word)
                    own = cosine;
                else
                    others = fmax(others, cosine);
            }
            char series[64];
            snprintf(series, sizeof series, "%s, %s", split_words[word], who_names[who]);
            study_record(run, "C41", cosine_name, STUDY_BAR(series), own);
            found[who] += own > others ? 1.0 / WORDS : 0;
        }
        char series[64];
        snprintf(series, sizeof series, "%s, %s", who_names[who], where);
        study_record(run, "C41", "words nearest to their own synonym of five", STUDY_BAR(series), found[who]);
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double fixed[WHOS], contextual[WHOS];
    enum attn_status status = measure(run, "pieces/words", "word table", fixed, error);
    if (!status)
        status = measure(run, "pieces/states6", "after six layers", contextual, error);
    if (status)
        return status;
    study_record(run, "C41", "words nearest to their own synonym of five", STUDY_BAR("chance"), 1.0 / WORDS);
    const double chance = 1.0 / WORDS;
    study_conclude(run, "C41",
                   fixed[POOLED] >= 1            ? STUDY_SUPPORTED
                   : contextual[POOLED] > chance ? STUDY_DEPENDS
                                                 : STUDY_REFUTED,
                   "tokens are words and pieces of words; of five split words %.1f find their synonym by the mean of "
                   "their pieces in the word table, %.1f after six layers, when attention has joined them; by the "
                   "first piece %.1f and %.1f, by the last %.1f and %.1f, by chance %.1f",
                   fixed[POOLED], contextual[POOLED], fixed[FIRST_PIECE], contextual[FIRST_PIECE], fixed[LAST_PIECE],
                   contextual[LAST_PIECE], chance);
    return ATTN_OK;
}

STUDY(word_pieces) = {
    .name = "word_pieces",
    .claims = "C41",
    .source = "S2",
    .statement = "Tokens are words or subwords, and their vectors capture what they mean.",
    .law = "recorded: cosine of a split word's pieces and of their mean with a synonym in one piece",
    .run = run,
};
