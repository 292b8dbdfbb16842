/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences as static vectors: a drawn one per word, the same wherever the word stands. */
#ifndef STUDIES_SENTENCE_H
#define STUDIES_SENTENCE_H

#include "layer/real.h"

#define SENTENCE_WORDS 16 /* the most that a sentence has */

#define sentence_embed LAYER_NAME(sentence_embed)
#define sentence_place LAYER_NAME(sentence_place)

/* Writes the words' vectors, N(0, 1) each feature, to x [words][features] and returns how many words there are. Words
 * are runs of letters; capitals count as small. */
int64_t sentence_embed(uint64_t seed, const char *sentence, int64_t features, layer_real *x);

/* The place of the n-th occurrence of a word, from 0; -1: there is none. `word` is in small letters. */
int64_t sentence_place(const char *sentence, const char *word, int n);

#endif
