/* SPDX-License-Identifier: Apache-2.0 */
/* Whether heads of a trained model follow grammar: 72 heads of MiniLM-L6 on 12 sentences with labelled subject, verb
 * and object. A head is right on a pair when, of all other words, it gives the partner the most weight. Held against
 * what needs no grammar: the word nearest by static cosine, the best fixed distance, and the best of 72 heads that
 * choose by chance. Recorded: nothing says that a model must have such heads. */
#include <math.h>
#include <stdio.h>

#include "captured.h"
#include "study/attend.h"
#include "study/sample.h"

enum { SENTENCES = 12, LAYERS = 6, HEADS = 12 };
enum part { SUBJECT, VERB, OBJECT, PARTS };

/* Positions in the sentences of experiments/inputs/roles.txt; 0 is [CLS], every word is one token. */
static const int places[SENTENCES][PARTS] = {
    {2, 3, 5}, {2, 3, 5}, {2, 3, 5}, {2, 3, 5}, {2, 3, 5}, {2, 3, 5},
    {3, 4, 7}, {2, 6, 9}, {2, 4, 7}, {2, 6, 7}, {2, 6, 9}, {2, 6, 9},
};

static const struct relation {
    const char *name;
    enum part from, to;
} relations[] = {
    {"verb to object", VERB, OBJECT},
    {"object to verb", OBJECT, VERB},
    {"verb to subject", VERB, SUBJECT},
    {"subject to verb", SUBJECT, VERB},
};
enum { RELATIONS = sizeof relations / sizeof *relations };

struct finding {
    double rate; /* of the best head */
    int layer, head;
};

/* The word of a sentence, other than the one at `from`, with the greatest of `values`. Not [CLS] or [SEP], to which a
 * head turns that has nothing to say. */
static int greatest_word(const double *values, int64_t length, int from) {
    int best = from == 1 ? 2 : 1;
    for (int n = best + 1; n < length - 1; ++n)
        if (n != from && values[n] > values[best])
            best = n;
    return best;
}

static enum attn_status measure_layer(struct study_run *run, int layer, struct finding *best,
                                      struct attn_error *error) {
    char group[32], series[32];
    struct captured scores;
    snprintf(group, sizeof group, "roles/scores%d", layer);
    snprintf(series, sizeof series, "layer %d", layer);
    enum attn_status status = captured_read(run, group, SENTENCES, HEADS, &scores, error);
    if (status)
        return status;
    const int64_t positions = scores.positions;
    double *const units = STUDY_ARRAY(run, positions * positions, double, error);
    double *const weights = STUDY_ARRAY(run, SENTENCES * HEADS * positions * positions, double, error);
    if (!units || !weights)
        return ATTN_NO_MEMORY;
    for (int64_t n = 0; n < positions; ++n)
        units[n * positions + n] = 1;
    status = study_weights(run, (struct attn_problem){.scale = 1, .mask = {.key_lengths = scores.lengths}},
                           attn_tensor_dense(scores.q, ATTN_F64, SENTENCES, HEADS, positions, positions),
                           study_shared(units, SENTENCES, positions, positions), weights, error);
    for (int r = 0; r < RELATIONS && !status; ++r)
        for (int head = 0; head < HEADS; ++head) {
            int right = 0;
            for (int n = 0; n < SENTENCES; ++n) {
                const int from = places[n][relations[r].from];
                right += greatest_word(weights + ((n * HEADS + head) * positions + from) * positions, scores.lengths[n],
                                       from) == places[n][relations[r].to];
            }
            const double rate = (double)right / SENTENCES;
            char name[64];
            snprintf(name, sizeof name, "%s: pairs that a head gets right", relations[r].name);
            study_record(run, "C38", name, STUDY_AT(series, "head", head), rate);
            if (rate > best[r].rate)
                best[r] = (struct finding){rate, layer, head};
        }
    return status;
}

/* The share of pairs whose partner is, of all other words, the nearest by cosine of the word table. */
static double nearest_rate(const struct captured *words, const struct relation *relation) {
    int right = 0;
    for (int n = 0; n < SENTENCES; ++n) {
        const int from = places[n][relation->from];
        double cosines[CAPTURED_POSITIONS];
        for (int word = 1; word < words->lengths[n] - 1; ++word)
            cosines[word] =
                study_cosine(words->features, captured_vector(words, n, from), captured_vector(words, n, word));
        right += greatest_word(cosines, words->lengths[n], from) == places[n][relation->to];
    }
    return (double)right / SENTENCES;
}

/* The most pairs that stand at one distance, as a share. */
static double distance_rate(const struct relation *relation) {
    int most = 0, at[2 * CAPTURED_POSITIONS] = {0};
    for (int n = 0; n < SENTENCES; ++n) {
        int *const count = &at[CAPTURED_POSITIONS + places[n][relation->to] - places[n][relation->from]];
        ++*count;
        most = *count > most ? *count : most;
    }
    return (double)most / SENTENCES;
}

/* The share that the best of LAYERS x HEADS independent choosers exceeds with a probability below 1 %, when each takes
 * one of the other words by chance; *mean is what one gets on average. */
static double chance_rate(const int64_t *lengths, double *mean) {
    double of_count[SENTENCES + 1] = {1}, above = 0; /* probability of so many right ones */
    int count = SENTENCES;
    *mean = 0;
    for (int n = 0; n < SENTENCES; ++n) {
        const double right = 1 / (double)(lengths[n] - 3); /* without [CLS], [SEP] and the word itself */
        *mean += right / SENTENCES;
        for (int k = n + 1; k > 0; --k)
            of_count[k] = of_count[k] * (1 - right) + of_count[k - 1] * right;
        of_count[0] *= 1 - right;
    }
    while (count > 0 && 1 - pow(1 - above - of_count[count], LAYERS * HEADS) < 0.01)
        above += of_count[count--];
    return (double)count / SENTENCES;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct finding best[RELATIONS] = {{0}};
    struct captured words;
    enum attn_status status = captured_read(run, "roles/words", SENTENCES, 1, &words, error);
    for (int layer = 0; layer < LAYERS && !status; ++layer)
        status = measure_layer(run, layer, best, error);
    if (status)
        return status;
    double mean, most_distance = 0, most_cosine = 0;
    const double chance = chance_rate(words.lengths, &mean);
    int beyond = 0;
    for (int r = 0; r < RELATIONS; ++r) {
        const double cosine = nearest_rate(&words, &relations[r]), distance = distance_rate(&relations[r]);
        const struct {
            const char *who;
            double rate;
        } bars[] = {{"best head", best[r].rate},
                    {"static cosine", cosine},
                    {"best fixed distance", distance},
                    {"chance", mean},
                    {"best of 72 by chance", chance}};
        char name[64];
        snprintf(name, sizeof name, "%s: pairs right", relations[r].name);
        for (size_t n = 0; n < sizeof bars / sizeof *bars; ++n)
            study_record(run, "C38", name, STUDY_BAR(bars[n].who), bars[n].rate);
        beyond += best[r].rate > fmax(chance, fmax(cosine, distance));
        most_cosine = fmax(most_cosine, cosine);
        most_distance = fmax(most_distance, distance);
    }
    study_conclude(run, "C38",
                   beyond == RELATIONS ? STUDY_SUPPORTED
                   : beyond > 0        ? STUDY_DEPENDS
                                       : STUDY_REFUTED,
                   "in %d of 4 relations a head does better than static cosine (%.2f of 12 pairs at most), a fixed "
                   "distance (%.2f) and the best of 72 by chance (%.2f): verb to object %.2f (layer %d, head %d), back "
                   "%.2f (%d, %d), verb to subject %.2f (%d, %d), back %.2f (%d, %d)",
                   beyond, most_cosine, most_distance, chance, best[0].rate, best[0].layer, best[0].head, best[1].rate,
                   best[1].layer, best[1].head, best[2].rate, best[2].layer, best[2].head, best[3].rate, best[3].layer,
                   best[3].head);
    return ATTN_OK;
}

STUDY(head_roles) = {
    .name = "head_roles",
    .claims = "C38",
    .source = "S2 S3",
    .statement = "Heads take roles: a query of \"mouse\" seeks the action and the subject, a key tells the subject.",
    .law = "recorded: how often each head's heaviest other word is the labelled partner",
    .run = run,
};
