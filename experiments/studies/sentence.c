/* SPDX-License-Identifier: Apache-2.0 */
#include "sentence.h"

#include <ctype.h>
#include <string.h>

#include "drawn_layer.h"

/* Copies the next word to `word` and returns what follows it; NULL: there is none. */
static const char *next_word(const char *text, char word[32]) {
    size_t length = 0;
    while (*text && !isalpha((unsigned char)*text))
        ++text;
    for (; isalpha((unsigned char)*text) && length < 31; ++text)
        word[length++] = (char)tolower((unsigned char)*text);
    word[length] = '\0';
    return length ? text : NULL;
}

/* FNV-1a: the word's own stream of random numbers. */
static uint64_t stream_of(const char *word) {
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *word; ++word)
        hash = (hash ^ (unsigned char)*word) * UINT64_C(0x100000001B3);
    return hash;
}

int64_t sentence_embed(uint64_t seed, const char *sentence, int64_t features, layer_real *x) {
    char word[32];
    int64_t words = 0;
    for (; (sentence = next_word(sentence, word)) && words < SENTENCE_WORDS; ++words)
        drawn_normals(seed, stream_of(word), features, 1, x + words * features);
    return words;
}

int64_t sentence_place(const char *sentence, const char *word, int n) {
    char own[32];
    for (int64_t place = 0; (sentence = next_word(sentence, own)); ++place)
        if (!strcmp(own, word) && n-- == 0)
            return place;
    return -1;
}
