/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors of a generated corpus whose pairs are counted exactly, so that what two ways of training should
 * arrive at is known: skip-gram at w.c = PMI - ln k, GloVe at w.c + b + b' = ln X. Sentences are on one of two topics;
 * one word is said in both, as apple is of fruit and of telephones. */
#include <math.h>
#include <stdlib.h>

#include "captured.h"
#include "glove.h"
#include "skip_gram.h"
#include "study/sample.h"
#include "study/study.h"

enum { PER_TOPIC = 9, AMBIGUOUS = 2 * PER_TOPIC, NEUTRAL, WORDS, SENTENCE = 8, NEGATIVES = 5 };
enum { PAIRS_OF_A_SENTENCE = SENTENCE * (SENTENCE - 1) };
enum { CORPUS, SKIP_GRAM_WORDS, SKIP_GRAM_CONTEXTS, GLOVE_WORDS, GLOVE_CONTEXTS, DRAWS };

struct corpus {
    int64_t pair_count;
    struct word_pair *pairs;
    double counts[WORDS * WORDS], totals[WORDS];
};

/* A sentence is on topic 0 or 1; a place holds the ambiguous or the neutral word once in ten each, else a word of the
 * topic, or one in ten of the other; word n of a topic is drawn in proportion to PER_TOPIC + 1 - n. */
static int32_t draw_word(uint64_t seed, int64_t topic, uint64_t counter) {
    const int64_t kind = study_below(seed, CORPUS, counter, 10);
    if (kind < 2)
        return kind == 0 ? AMBIGUOUS : NEUTRAL;
    const int64_t own = study_below(seed, CORPUS, counter + 1, 10) ? topic : 1 - topic;
    int64_t n = 0, left = study_below(seed, CORPUS, counter + 2, PER_TOPIC * (PER_TOPIC + 3) / 2);
    while (left >= PER_TOPIC + 1 - n)
        left -= PER_TOPIC + 1 - n++;
    return (int32_t)(own * PER_TOPIC + n);
}

/* Every word of a sentence is a context of every other. */
static void generate(uint64_t seed, int64_t sentences, struct corpus *corpus) {
    for (int64_t sentence = 0; sentence < sentences; ++sentence) {
        int32_t words[SENTENCE];
        const uint64_t counter = (uint64_t)sentence * (3 * SENTENCE + 1);
        const int64_t topic = study_below(seed, CORPUS, counter, 2);
        for (uint64_t place = 0; place < SENTENCE; ++place)
            words[place] = draw_word(seed, topic, counter + 1 + 3 * place);
        for (int place = 0; place < SENTENCE; ++place)
            for (int other = 0; other < SENTENCE; ++other) {
                if (other == place)
                    continue;
                corpus->pairs[corpus->pair_count++] = (struct word_pair){words[place], words[other]};
                ++corpus->counts[words[place] * WORDS + words[other]];
                ++corpus->totals[words[place]];
            }
    }
}

static double mutual_information(const struct corpus *corpus, int64_t word, int64_t context) {
    return log(corpus->counts[word * WORDS + context] * (double)corpus->pair_count /
               (corpus->totals[word] * corpus->totals[context]));
}

/* What a law says of a pair of words, and what was learned. */
struct point {
    double law, learned;
};

static int by_law(const void *a, const void *b) {
    const double x = ((const struct point *)a)->law, y = ((const struct point *)b)->law;
    return (x > y) - (x < y);
}

/* Means of 20 neighbours by the law, beside the law. */
static void record_points(struct study_run *run, const char *name, const char *axis,
                          struct point points[WORDS * WORDS]) {
    qsort(points, WORDS * WORDS, sizeof *points, by_law);
    for (const struct point *first = points; first < points + WORDS * WORDS; first += WORDS) {
        double law = 0, learned = 0;
        for (int n = 0; n < WORDS; ++n) {
            law += first[n].law / WORDS;
            learned += first[n].learned / WORDS;
        }
        study_record(run, "C1", name, STUDY_AT("learned, means of 20 pairs", axis, law), learned);
        study_record(run, "C1", name, STUDY_AT("the law", axis, law), law);
    }
}

/* ---- skip-gram ---- */

/* Rates fall; the last decides how far the products still stray. */
static const double rates[] = {0.1, 0.1, 0.02, 0.02, 0.004, 0.004};
enum { PASSES = sizeof rates / sizeof *rates };

static enum attn_status train_skip_gram(struct study_run *run, const struct corpus *corpus,
                                        const struct skip_gram *model, struct attn_error *error) {
    const int64_t count = WORDS * model->features;
    const double deviation = 1 / sqrt((double)model->features);
    study_normals(study_seed(run), SKIP_GRAM_WORDS, count, deviation, model->word);
    study_normals(study_seed(run), SKIP_GRAM_CONTEXTS, count, deviation, model->context);
    for (int pass = 0; pass < PASSES; ++pass) {
        skip_gram_pass(model, corpus->pair_count, corpus->pairs, NEGATIVES, rates[pass], study_seed(run),
                       DRAWS + (uint64_t)pass);
        study_progress(run, (double)(pass + 1) / (PASSES + 1), "skip-gram, pass %d of %d", pass + 1, (int)PASSES);
        if (study_stopping(run))
            return attn_fail(error, ATTN_INTERRUPTED, "interrupted");
    }
    return ATTN_OK;
}

/* At a rate r descent on a likelihood strays about its optimum: gradients of samples have at most the covariance of the
 * curvature, which makes r / 2 the variance of every parameter, and that of a product r / 2 x (|w|^2 + |c|^2). Over 400
 * products the mean of squares by their variance has the standard deviation sqrt(2 / 400); six are allowed. */
static double judge_skip_gram(struct study_run *run, const struct corpus *corpus, const struct skip_gram *model) {
    const int64_t features = model->features;
    double relative = 0, square = 0;
    struct point points[WORDS * WORDS];
    for (int64_t word = 0; word < WORDS; ++word)
        for (int64_t context = 0; context < WORDS; ++context) {
            const double *const w = model->word + word * features, *const c = model->context + context * features;
            const struct point point = {mutual_information(corpus, word, context) - log(NEGATIVES),
                                        study_dot(features, w, c)};
            const double apart = point.learned - point.law;
            const double lengths = study_dot(features, w, w) + study_dot(features, c, c);
            points[word * WORDS + context] = point;
            square += apart * apart / (WORDS * WORDS);
            relative += apart * apart / (rates[PASSES - 1] / 2 * lengths) / (WORDS * WORDS);
        }
    record_points(run, "w.c of skip-gram", "PMI - ln 5", points);
    study_expect(run, "C1", "(w.c - PMI + ln k)^2 / its variance, mean", STUDY_ALONE, relative, 0,
                 1 + 6 * sqrt(2.0 / (WORDS * WORDS)));
    study_record(run, "C1", "w.c - PMI + ln k, root mean square", STUDY_ALONE, sqrt(square));
    return sqrt(square);
}

/* ---- GloVe ---- */

/* With as many features as words the least squares are zero. Descent ends where every count is met within 1 in 1,000.
 */
#define GLOVE_ENOUGH 1e-3
enum { GLOVE_PASSES = 20000, GLOVE_LOOK = 200 };

/* Fills points [WORDS x WORDS]. */
static double largest_residual(const struct corpus *corpus, const struct glove *model, struct point *points) {
    double largest = 0;
    for (int64_t word = 0; word < WORDS; ++word)
        for (int64_t context = 0; context < WORDS; ++context) {
            struct point *const point = &points[word * WORDS + context];
            *point = (struct point){log(corpus->counts[word * WORDS + context]), glove_score(model, word, context)};
            largest = fmax(largest, fabs(point->learned - point->law));
        }
    return largest;
}

static enum attn_status train_glove(struct study_run *run, const struct corpus *corpus, const struct glove *model,
                                    int64_t *order, double *largest, struct attn_error *error) {
    const int64_t count = WORDS * (model->features + 1);
    const double deviation = 1 / sqrt((double)model->features);
    struct point points[WORDS * WORDS];
    study_normals(study_seed(run), GLOVE_WORDS, count, deviation, model->word);
    study_normals(study_seed(run), GLOVE_CONTEXTS, count, deviation, model->context);
    for (int64_t n = 0; n < count; ++n)
        model->word_past[n] = model->context_past[n] = 1;
    for (int pass = 0; pass < GLOVE_PASSES; ++pass) {
        glove_pass(model, corpus->counts, 0.2, study_seed(run), DRAWS + PASSES + (uint64_t)pass, order);
        if ((pass + 1) % GLOVE_LOOK != 0)
            continue;
        *largest = largest_residual(corpus, model, points);
        study_progress(run, (PASSES + (double)(pass + 1) / GLOVE_PASSES) / (PASSES + 1), "GloVe: residual %.4f",
                       *largest);
        if (study_stopping(run))
            return attn_fail(error, ATTN_INTERRUPTED, "interrupted");
        if (*largest < GLOVE_ENOUGH)
            break;
    }
    record_points(run, "w.c + b + b' of GloVe", "ln X", points);
    return ATTN_OK;
}

/* ---- cosines ---- */

/* The mean cosine of different words of one group with those of another. */
static double mean_cosine(const struct skip_gram *model, int64_t from, int64_t count, int64_t other, int64_t others) {
    double sum = 0;
    int64_t pairs = 0;
    for (int64_t a = from; a < from + count; ++a)
        for (int64_t b = other; b < other + others; ++b)
            if (a != b) {
                sum +=
                    study_cosine(model->features, model->word + a * model->features, model->word + b * model->features);
                ++pairs;
            }
    return sum / (double)pairs;
}

static double share_of_own_neighbours(const struct skip_gram *model) {
    int64_t own = 0;
    for (int64_t a = 0; a < AMBIGUOUS; ++a) {
        double most = -INFINITY;
        int64_t nearest = a;
        for (int64_t b = 0; b < AMBIGUOUS; ++b) {
            const double cosine =
                study_cosine(model->features, model->word + a * model->features, model->word + b * model->features);
            if (b != a && cosine > most) {
                most = cosine;
                nearest = b;
            }
        }
        own += nearest / PER_TOPIC == a / PER_TOPIC;
    }
    return (double)own / AMBIGUOUS;
}

/* What a cosine is, to rounding. */
static void judge_cosine(struct study_run *run, const struct skip_gram *model) {
    double asymmetry = 0, self = 0, largest = 0;
    for (int64_t a = 0; a < WORDS; ++a)
        for (int64_t b = 0; b < WORDS; ++b) {
            const double *const x = model->word + a * model->features, *const y = model->word + b * model->features;
            const double cosine = study_cosine(model->features, x, y);
            asymmetry = fmax(asymmetry, fabs(cosine - study_cosine(model->features, y, x)));
            self = a == b ? fmax(self, fabs(cosine - 1)) : self;
            largest = fmax(largest, fabs(cosine));
        }
    const double rounding = 2 * ((double)model->features + 4) * 0x1p-53;
    static const char *const name = "a cosine's properties missed, largest";
    study_expect(run, "C1", name, STUDY_BAR("cos(a, b) = cos(b, a)"), asymmetry, 0, 0);
    study_expect(run, "C1", name, STUDY_BAR("cos(a, a) = 1"), self, 0, rounding);
    study_expect(run, "C1", name, STUDY_BAR("|cos| <= 1"), fmax(largest - 1, 0), 0, rounding);
}

struct cosines {
    double within, across, ambiguous; /* means */
};

/* The ambiguous word is on either topic as often: it lies between a word of the topic and one of the other. */
static struct cosines judge_neighbours(struct study_run *run, const struct skip_gram *model) {
    const double within[2] = {mean_cosine(model, 0, PER_TOPIC, 0, PER_TOPIC),
                              mean_cosine(model, PER_TOPIC, PER_TOPIC, PER_TOPIC, PER_TOPIC)};
    const double across = mean_cosine(model, 0, PER_TOPIC, PER_TOPIC, PER_TOPIC);
    const double between[2] = {mean_cosine(model, AMBIGUOUS, 1, 0, PER_TOPIC),
                               mean_cosine(model, AMBIGUOUS, 1, PER_TOPIC, PER_TOPIC)};
    study_record(run, "C1", "mean cosine", STUDY_BAR("words of one topic"), within[0]);
    study_record(run, "C1", "mean cosine", STUDY_BAR("words of the other"), within[1]);
    study_record(run, "C1", "mean cosine", STUDY_BAR("across topics"), across);
    study_expect(run, "C1", "mean cosine", STUDY_BAR("ambiguous and one topic"), between[0], across, within[0]);
    study_expect(run, "C1", "mean cosine", STUDY_BAR("ambiguous and the other"), between[1], across, within[1]);
    study_expect(run, "C1", "words whose nearest is of their topic", STUDY_ALONE, share_of_own_neighbours(model), 1, 1);
    return (struct cosines){(within[0] + within[1]) / 2, across, (between[0] + between[1]) / 2};
}

/* The word table of a trained model: nouns of the captured sentences, those with one letter related. Positions in
 * experiments/inputs/roles.txt. */
static const struct noun {
    char topic;
    int sentence, position;
} nouns[] = {
    {'a', 0, 2} /* cat */,     {'a', 3, 5} /* horse */,  {'a', 7, 9} /* dog */,     {'s', 2, 2} /* teacher */,
    {'s', 2, 5} /* student */, {'m', 4, 2} /* doctor */, {'m', 4, 5} /* patient */, {'p', 1, 2} /* girl */,
    {'p', 7, 2} /* man */,     {'p', 8, 2} /* boy */,    {'p', 9, 2} /* child */,   {'h', 6, 7} /* castle */,
    {'h', 10, 9} /* house */,
};
enum { NOUNS = sizeof nouns / sizeof *nouns, CAPTURED_SENTENCES = 12 };

static enum attn_status record_model(struct study_run *run, struct attn_error *error) {
    struct captured table;
    const enum attn_status status = captured_read(run, "roles/words", CAPTURED_SENTENCES, 1, &table, error);
    double sums[2] = {0};
    int64_t counts[2] = {0};
    for (int a = 0; a < NOUNS && !status; ++a)
        for (int b = 0; b < a; ++b) {
            const bool related = nouns[a].topic == nouns[b].topic;
            sums[related] += study_cosine(table.features, captured_vector(&table, nouns[a].sentence, nouns[a].position),
                                          captured_vector(&table, nouns[b].sentence, nouns[b].position));
            ++counts[related];
        }
    study_record(run, "C1", "mean cosine in MiniLM-L6's word table", STUDY_BAR("related nouns"),
                 sums[1] / (double)counts[1]);
    study_record(run, "C1", "mean cosine in MiniLM-L6's word table", STUDY_BAR("other nouns"),
                 sums[0] / (double)counts[0]);
    return status;
}

static double *reserve(struct study_run *run, int64_t features, struct attn_error *error) {
    return STUDY_ARRAY(run, WORDS * features, double, error);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t features = study_setting_integer(run, "features"),
                  sentences = study_setting_integer(run, "sentences");
    const struct skip_gram skip_gram = {WORDS, features, reserve(run, features, error), reserve(run, features, error),
                                        STUDY_ARRAY(run, features, double, error)};
    const struct glove glove = {WORDS,
                                features,
                                reserve(run, features + 1, error),
                                reserve(run, features + 1, error),
                                reserve(run, features + 1, error),
                                reserve(run, features + 1, error)};
    struct corpus *const corpus = STUDY_ARRAY(run, 1, struct corpus, error);
    int64_t *const order = STUDY_ARRAY(run, WORDS * WORDS, int64_t, error);
    if (!skip_gram.word || !skip_gram.context || !skip_gram.change || !glove.word || !glove.context ||
        !glove.word_past || !glove.context_past || !corpus || !order)
        return ATTN_NO_MEMORY;
    corpus->pairs = STUDY_ARRAY(run, sentences * PAIRS_OF_A_SENTENCE, struct word_pair, error);
    if (!corpus->pairs)
        return ATTN_NO_MEMORY;
    generate(study_seed(run), sentences, corpus);
    double glove_apart = NAN;
    enum attn_status status = train_skip_gram(run, corpus, &skip_gram, error);
    if (!status)
        status = train_glove(run, corpus, &glove, order, &glove_apart, error);
    if (!status)
        status = record_model(run, error);
    if (status)
        return status;
    const double skip_gram_apart = judge_skip_gram(run, corpus, &skip_gram);
    study_expect(run, "C1", "|w.c + b + b' - ln X|, largest", STUDY_ALONE, glove_apart, 0, GLOVE_ENOUGH);
    judge_cosine(run, &skip_gram);
    const struct cosines cosines = judge_neighbours(run, &skip_gram);
    study_conclude(
        run, "C1", cosines.within > cosines.across ? STUDY_SUPPORTED : STUDY_REFUTED,
        "w.c of skip-gram is within %.3f (root mean square) of PMI - ln 5, GloVe within %.4f of ln X; the cosine of "
        "words of a topic is %.2f, of the ambiguous word with them %.2f, across topics %.2f",
        skip_gram_apart, glove_apart, cosines.within, cosines.ambiguous, cosines.across);
    return ATTN_OK;
}

static const struct study_setting settings[] = {
    {"features", "24", NULL, "of a vector; the laws ask for at least as many as there are words, 20"},
    {"sentences", "10000", NULL, "of the corpus, 8 words each"},
};

STUDY(static_vectors) = {
    .name = "static_vectors",
    .claims = "C1",
    .source = "S1 S2 S3",
    .statement = "Embeddings are vectors, made by Word2Vec or GloVe; similar words are close by cosine or dot product.",
    .law = "w.c = PMI - ln k of skip-gram with k negative samples, w.c + b + b' = ln X of GloVe; an ambiguous word is "
           "nearer to either sense than the senses to each other, and farther than they are to themselves",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
