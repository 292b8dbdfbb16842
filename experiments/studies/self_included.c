/* SPDX-License-Identifier: Apache-2.0 */
/* S2 and S4 score a word against itself too; S3's summary has "cat" attend to "the", "sat", "on" and "mat". Both
 * readings on S3's table. They are one another's: out = w_self value + (1 - w_self) (out of the others). */
#include <math.h>
#include <stdio.h>

#include "study/attend.h"
#include "study/sample.h"
#include "study/word_table.h"

#define ROUNDOFF 0x1p-53

struct reading {
    double weights[WORDS], out[2]; /* by word; left out: 0 */
};

/* The answer of one query over some of the five words. */
static enum attn_status ask(struct study_run *run, float scale, int query, bool with_itself, struct reading *reading,
                            struct attn_error *error) {
    double keys[WORDS][2], values[WORDS][2], weights[WORDS];
    int words[WORDS], count = 0;
    for (int word = 0; word < WORDS; ++word)
        if (with_itself || word != query) {
            for (int c = 0; c < 2; ++c) {
                keys[count][c] = word_keys[word][c];
                values[count][c] = word_values[word][c];
            }
            words[count++] = word;
        }
    *reading = (struct reading){{0}, {0}};
    const struct attn_problem problem = {.scale = scale};
    const struct attn_operands operands = {.q = study_tensor(word_queries[query], 1, 1, 2),
                                           .k = study_tensor(keys[0], 1, count, 2),
                                           .v = study_tensor(values[0], 1, count, 2),
                                           .out = study_tensor(reading->out, 1, 1, 2)};
    enum attn_status status = study_attend(run, problem, &operands, error);
    if (!status)
        status = study_weights(run, problem, operands.q, operands.k, weights, error);
    for (int n = 0; n < count; ++n)
        reading->weights[words[n]] = weights[n];
    return status;
}

static void expect_near(struct study_run *run, const char *name, const char *series, double measured, double want) {
    study_expect(run, "C37", name, STUDY_BAR(series), measured, want * (1 - 1e-15), want * (1 + 1e-15));
}

/* "cat" unscaled, from 50 digits. */
static void expect_cat(struct study_run *run, const struct reading *with, const struct reading *without) {
    static const double with_itself[WORDS] = {.16531008617703832, .18638660169892597, .21015030659211815,
                                              .19399318321334745, .24415982231857011};
    static const double others[WORDS] = {.203180142463516873, 0, .258292583468927782, .238434105950601774,
                                         .300093168116953569};
    for (int word = 0; word < WORDS; ++word) {
        expect_near(run, "weight of \"cat\", itself included", word_names[word], with->weights[word],
                    with_itself[word]);
        expect_near(run, "weight of \"cat\", the others alone", word_names[word], without->weights[word], others[word]);
    }
    expect_near(run, "answer of \"cat\", unscaled", "itself included, first", with->out[0], .53051531337328674);
    expect_near(run, "answer of \"cat\", unscaled", "itself included, second", with->out[1], .43024699767411161);
    expect_near(run, "answer of \"cat\", unscaled", "the others alone, first", without->out[0], .560414410143464878);
    expect_near(run, "answer of \"cat\", unscaled", "the others alone, second", without->out[1], .391359136070824583);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double least = 1, most = 0, moved = 0, own = NAN;
    for (int scale = LAYER_SCALE_NONE; scale <= LAYER_SCALE_ROOT; ++scale)
        for (int word = 0; word < WORDS; ++word) {
            const float value = layer_scale_value((enum layer_scale)scale, 2);
            struct reading with, without;
            enum attn_status status = ask(run, value, word, true, &with, error);
            if (!status)
                status = ask(run, value, word, false, &without, error);
            if (status)
                return status;
            const double self = with.weights[word];
            double off = 0;
            for (int c = 0; c < 2; ++c)
                off =
                    study_larger(off, fabs(with.out[c] - (self * word_values[word][c] + (1 - self) * without.out[c])));
            char series[32];
            snprintf(series, sizeof series, "%s, %s", word_names[word],
                     scale == LAYER_SCALE_NONE ? "unscaled" : "scaled by the root");
            /* Some 16 roundings of numbers below 1. */
            study_expect(run, "C37", "|answer - mixture of itself and the others' answer|", STUDY_BAR(series), off, 0,
                         16 * ROUNDOFF);
            study_record(run, "C37", "weight of a word on itself", STUDY_BAR(series), self);
            least = fmin(least, self);
            most = fmax(most, self);
            if (scale != LAYER_SCALE_NONE || word != CAT)
                continue;
            expect_cat(run, &with, &without);
            own = self;
            moved = study_largest_difference(2, with.out, without.out);
        }
    study_conclude(run, "C37", moved > 0 ? STUDY_DEPENDS : STUDY_SUPPORTED,
                   "the formula softmax(Q K^T) V includes the word itself, as S2 and S4 say: \"cat\" keeps %.3f for "
                   "itself (all words %.3f to %.3f); S3's summary leaves it out, which moves the answer by up to %.3f",
                   own, least, most, moved);
    return ATTN_OK;
}

STUDY(self_included) = {
    .name = "self_included",
    .claims = "C37",
    .source = "S2 S3 S4",
    .statement = "A word attends to all words, itself included (S2, S4); to the other words (S3's summary).",
    .law = "both readings to 1e-15 of their exact weights; one is the mixture of the other with the word's own value",
    .run = run,
};
