/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier of one word by the sentence it stands in: attention whose only query is that word and whose keys are all
 * words of the sentence, itself included, and a linear read-out of the answer. Word vectors are given and stay; the
 * maps and the read-out are learned by stochastic gradient descent. Maps are applied to the vocabulary once a step and
 * looked up for every word: the same mathematics as mapping every word of every sentence, for less. */
#ifndef STUDIES_SENTENCE_CLASSIFIER_H
#define STUDIES_SENTENCE_CLASSIFIER_H

#include "layer/embedding.h"
#include "layer/linear.h"
#include "study/study.h"

#define classifier_start_names LAYER_NAME(classifier_start_names)
#define classifier_create      LAYER_NAME(classifier_create)
#define classifier_begin       LAYER_NAME(classifier_begin)
#define classifier_learn       LAYER_NAME(classifier_learn)
#define classifier_choose      LAYER_NAME(classifier_choose)
#define sentences_right        LAYER_NAME(sentences_right)

enum classifier_kind {
    CLASSIFIER_STATIC,     /* the read-out sees the word's own vector */
    CLASSIFIER_WEIGHTLESS, /* softmax(scale x X^T) X */
    CLASSIFIER_LEARNED,    /* softmax(scale (W_q x) (W_k X)^T) W_v X */
};

enum classifier_start {
    CLASSIFIER_IDENTITY,
    CLASSIFIER_RANDOM, /* N(0, 1 / features) */
    CLASSIFIER_XAVIER, /* uniform within +-sqrt(6 / (features + features)) (Glorot, Bengio 2010) */
    CLASSIFIER_START_COUNT,
};
extern const char *const classifier_start_names[CLASSIFIER_START_COUNT]; /* "identity", "random", "xavier" */

struct classifier_sizes {
    int64_t vocabulary, features, words; /* known; of a vector; of a sentence */
    int64_t classes, batch;              /* of the read-out; most sentences at a time */
};

/* `count` sentences. */
struct sentences {
    int64_t count;
    int64_t *ids;    /* [count][words] */
    int64_t *asked;  /* [count]: the id of the word that is classified */
    int64_t *labels; /* [count] */
};

struct classifier;

/* Memory for sentences of these sizes; the run's. NULL: there is none. */
struct classifier *classifier_create(struct study_run *run, const struct classifier_sizes *sizes,
                                     const struct layer_attention *attention, struct attn_error *error);

/* Begins anew with these word vectors, `table` [vocabulary][features], borrowed: maps at `start`, drawn from three
 * streams of the seed from `stream` on, the read-out at zero. `scale` of the scores, not 0. */
void classifier_begin(struct classifier *classifier, enum classifier_kind kind, enum classifier_start start,
                      uint64_t seed, uint64_t stream, float scale, const layer_real *table);

/* A step of descent at `rate` on at most `batch` sentences; `loss`: their mean before it, nats. Errors are the
 * attention's. */
enum attn_status classifier_learn(struct classifier *classifier, const struct sentences *sentences, double rate,
                                  double *loss, struct attn_error *error);

/* The class of every sentence's greatest logit, the first of equals; and what the read-out saw, `answers`
 * [count][features], when wanted (NULL: not). */
enum attn_status classifier_choose(struct classifier *classifier, const struct sentences *sentences, int64_t *choices,
                                   layer_real *answers, struct attn_error *error);

/* The share of sentences whose choice is their label. */
double sentences_right(const struct sentences *sentences, const int64_t *choices);

#endif
