/* SPDX-License-Identifier: Apache-2.0 */
/* "break a leg" means good luck, "break a glass" a broken glass. Words have orthogonal vectors, so that weightless
 * attention gives the noun itself more than every other word: its answer stays nearest the noun, the literal meaning.
 * The answer is also a sum of a part by the verb and a part by the noun, and so is any linear read-out of it. A sum can
 * tell one idiom from its neighbours, but of two that cross (break a leg, kick a bucket; kick a leg, break a bucket) at
 * most three phrases in four: both idioms together score as much as both literal phrases. A learned score is a product
 * of noun and verb, which is not bound by that. */
#include <math.h>
#include <stdio.h>

#include "sentence_classifier.h"

enum { VERBS = 4, NOUNS = 4, IDIOMS = 2, WORDS = 3, ARTICLE = VERBS + NOUNS, VOCABULARY = ARTICLE + 1 };
enum { MEANINGS_AT = VOCABULARY, FEATURES = 16, PHRASES = VERBS * NOUNS, MEANINGS = NOUNS + IDIOMS, DRAWS = 6 };

static const struct classifier_sizes sizes = {VOCABULARY, FEATURES, WORDS, MEANINGS, PHRASES};

/* Verb n and noun n are idiom n, n < IDIOMS: "break a leg", "kick a bucket". Every other phrase is literal. */
static bool is_idiom(int64_t verb, int64_t noun) {
    return verb == noun && verb < IDIOMS;
}

enum question {
    MEANING,   /* of every phrase: one of the nouns or of the idioms */
    ONE_IDIOM, /* meant literally or not: the phrases with "break" or "leg" */
    TWO_IDIOMS /* meant literally or not: the four phrases of two idioms' words */
};

struct idiom {
    struct study_run *run;
    struct classifier *classifier;
    struct sentences phrases;
    int64_t ids[PHRASES * WORDS], asked[PHRASES], labels[PHRASES], meant[PHRASES];
    float table[VOCABULARY * FEATURES], answers[PHRASES * FEATURES];
};

static void write_phrases(enum question question, struct idiom *own) {
    own->phrases = (struct sentences){0, own->ids, own->asked, own->labels};
    for (int64_t verb = 0; verb < VERBS; ++verb)
        for (int64_t noun = 0; noun < NOUNS; ++noun) {
            const int64_t n = own->phrases.count;
            if ((question == TWO_IDIOMS && (verb >= IDIOMS || noun >= IDIOMS)) ||
                (question == ONE_IDIOM && verb != 0 && noun != 0))
                continue;
            own->ids[n * WORDS] = verb;
            own->ids[n * WORDS + 1] = ARTICLE;
            own->ids[n * WORDS + 2] = own->asked[n] = VERBS + noun;
            own->labels[n] = is_idiom(verb, noun)  ? (question == MEANING ? NOUNS + noun : 1)
                             : question == MEANING ? noun
                                                   : 0;
            ++own->phrases.count;
        }
}

/* The share of right ones among the phrases that are idioms, or among those that are not. */
static double share_right(const struct idiom *own, bool idioms) {
    int64_t right = 0, count = 0;
    for (int64_t n = 0; n < own->phrases.count; ++n)
        if (idioms == is_idiom(own->ids[n * WORDS], own->asked[n] - VERBS)) {
            ++count;
            right += own->meant[n] == own->labels[n];
        }
    return (double)right / (double)count;
}

/* Trains on all phrases of a question at once; what is then chosen is left in `meant`. */
static enum attn_status train(struct idiom *own, enum classifier_kind kind, enum question question, uint64_t draw,
                              struct attn_error *error) {
    const int64_t steps = study_setting_integer(own->run, "steps");
    classifier_begin(own->classifier, kind, CLASSIFIER_RANDOM, study_seed(own->run), 3 * draw,
                     layer_scale_value(LAYER_SCALE_ROOT, FEATURES), own->table);
    write_phrases(question, own);
    enum attn_status status = ATTN_OK;
    double loss = NAN;
    for (int64_t step = 1; step <= steps && !status; ++step)
        status = classifier_learn(own->classifier, &own->phrases, 2, &loss, error);
    if (!status)
        status = classifier_choose(own->classifier, &own->phrases, own->meant, NULL, error);
    return status;
}

/* No read-out: what the answer is nearest to by cosine, of all words' vectors and those of the idioms' meanings. */
static enum attn_status measure_nearest(struct idiom *own, double *idioms, struct attn_error *error) {
    classifier_begin(own->classifier, CLASSIFIER_WEIGHTLESS, CLASSIFIER_IDENTITY, 0, 0,
                     layer_scale_value(LAYER_SCALE_ROOT, FEATURES), own->table);
    write_phrases(MEANING, own);
    const enum attn_status status = classifier_choose(own->classifier, &own->phrases, own->meant, own->answers, error);
    if (status)
        return status;
    for (int64_t n = 0; n < PHRASES;
         ++n) { /* unit vectors along the axes: the greatest cosine is the greatest element */
        int64_t nearest = 0;
        for (int64_t c = 1; c < FEATURES; ++c)
            if (own->answers[n * FEATURES + c] > own->answers[n * FEATURES + nearest])
                nearest = c;
        own->meant[n] = nearest >= MEANINGS_AT ? NOUNS + nearest - MEANINGS_AT : nearest - VERBS;
    }
    const struct study_place bar = STUDY_BAR("weightless, nearest word");
    *idioms = share_right(own, true);
    study_expect(own->run, "C29", "accuracy on idioms", bar, *idioms, 0, 0);
    study_expect(own->run, "C29", "accuracy on literal phrases", bar, share_right(own, false), 1, 1);
    return ATTN_OK;
}

/* What a kind gets right over draws of its maps: at worst; of idioms that cross at best, as descent ends in a plateau
 * at 3 of 4 from about one random start in five, and the law is on what maps can tell. */
struct outcome {
    double idioms, literal, one, best_of_two;
};

static enum attn_status measure_trained(struct idiom *own, enum classifier_kind kind, struct outcome *outcome,
                                        struct attn_error *error) {
    *outcome = (struct outcome){1, 1, 1, 0};
    const int64_t draws = kind == CLASSIFIER_LEARNED ? DRAWS : 1; /* weightless attention has nothing to draw */
    for (int64_t draw = 0; draw < draws; ++draw)
        for (enum question question = MEANING; question <= TWO_IDIOMS; ++question) {
            const enum attn_status status = train(own, kind, question, (uint64_t)draw, error);
            if (status)
                return status;
            const double right = sentences_right(&own->phrases, own->meant);
            if (question == MEANING) {
                outcome->idioms = fmin(outcome->idioms, share_right(own, true));
                outcome->literal = fmin(outcome->literal, share_right(own, false));
            } else if (question == ONE_IDIOM) {
                outcome->one = fmin(outcome->one, right);
            } else {
                outcome->best_of_two = fmax(outcome->best_of_two, right);
            }
            study_progress(own->run, (double)(draw * 3 + question + 1) / (double)(draws * 3), "right %.2f", right);
            if (study_stopping(own->run))
                return ATTN_INTERRUPTED;
        }
    return ATTN_OK;
}

static void judge(struct study_run *run, const char *who, const struct outcome *outcome, double crossing_low,
                  double crossing_high) {
    char one[64], two[64];
    snprintf(one, sizeof one, "one idiom, %s", who);
    snprintf(two, sizeof two, "two that cross, %s", who);
    study_expect(run, "C29", "accuracy on idioms", STUDY_BAR(who), outcome->idioms, 1, 1);
    study_expect(run, "C29", "accuracy on literal phrases", STUDY_BAR(who), outcome->literal, 1, 1);
    study_expect(run, "C29", "accuracy on whether it is literal, least of draws", STUDY_BAR(one), outcome->one, 1, 1);
    study_expect(run, "C29", "accuracy on whether it is literal, best of draws", STUDY_BAR(two), outcome->best_of_two,
                 crossing_low, crossing_high);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct idiom *const own = STUDY_ARRAY(run, 1, struct idiom, error);
    struct layer_attention attention;
    enum attn_status status = own ? study_variant(run, "naive", &attention, error) : ATTN_NO_MEMORY;
    if (status)
        return status;
    own->run = run;
    own->classifier = classifier_create(run, &sizes, &attention, error);
    if (!own->classifier)
        return ATTN_NO_MEMORY;
    for (int64_t word = 0; word < VOCABULARY; ++word)
        own->table[word * FEATURES + word] = 1;
    struct outcome readout, learned;
    double idioms = NAN;
    status = measure_nearest(own, &idioms, error);
    if (!status)
        status = measure_trained(own, CLASSIFIER_WEIGHTLESS, &readout, error);
    if (!status)
        status = measure_trained(own, CLASSIFIER_LEARNED, &learned, error);
    if (status)
        return status;
    judge(run, "weightless and read-out", &readout, 0, 0.75);
    judge(run, "learned", &learned, 1, 1);
    study_conclude(run, "C29", idioms < learned.idioms ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "without any parameter %.2f of idioms are told, with learned attention %.2f; a learned read-out of "
                   "weightless attention tells one idiom (%.2f), not two that cross (%.2f against %.2f)",
                   idioms, learned.idioms, readout.one, readout.best_of_two, learned.best_of_two);
    return ATTN_OK;
}

static const struct study_setting settings[] = {{"steps", "3000", NULL, "of descent on all phrases at once"}};

STUDY(idiom) = {
    .name = "idiom",
    .claims = "C29",
    .source = "S1",
    .statement = "Idioms need learned parameters: \"break a leg\" is good luck, \"break a glass\" is not.",
    .law = "without parameters every phrase is taken literally; a linear read-out of weightless attention gets at most "
           "3 of 4 phrases of two idioms that cross, learned attention all",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
