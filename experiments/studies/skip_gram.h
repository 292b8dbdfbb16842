/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors by skip-gram with negative sampling (Mikolov et al. 2013): a word and its context are told from
 * the word and k drawn contexts by a logistic regression on the product of their vectors,
 *   loss = -ln s(w.c) - sum over k drawn c' of ln s(-w.c'),  s(x) = 1 / (1 + exp(-x)).
 * Drawn in proportion to their count, the loss is least where w.c = PMI(w, c) - ln k (Levy, Goldberg 2014), which the
 * products reach when vectors have as many features as there are words. */
#ifndef STUDIES_SKIP_GRAM_H
#define STUDIES_SKIP_GRAM_H

#include <stdint.h>

struct word_pair {
    int32_t word, context;
};

struct skip_gram {
    int64_t words, features;
    double *word, *context; /* [words][features] each */
    double *change;         /* scratch [features] */
};

/* Stochastic gradient descent over as many pairs as there are, drawn one by one: pairs of a sentence, met one after the
 * other, would err together. A drawn context is that of a drawn pair. Draws are of (seed, stream). */
void skip_gram_pass(const struct skip_gram *model, int64_t count, const struct word_pair *pairs, int64_t negatives,
                    double rate, uint64_t seed, uint64_t stream);

#endif
