/* SPDX-License-Identifier: Apache-2.0 */
#include "skip_gram.h"

#include <math.h>
#include <string.h>

#include "study/sample.h"

/* One product towards its label; what it asks of the word's vector is added to `change`. */
static void meet(const double *word, double *context, int64_t features, double label, double rate, double *change) {
    const double slope = rate * (label - 1 / (1 + exp(-study_dot(features, word, context))));
    for (int64_t c = 0; c < features; ++c) {
        change[c] += slope * context[c];
        context[c] += slope * word[c];
    }
}

void skip_gram_pass(const struct skip_gram *model, int64_t count, const struct word_pair *pairs, int64_t negatives,
                    double rate, uint64_t seed, uint64_t stream) {
    const int64_t features = model->features;
    for (int64_t n = 0; n < count; ++n) {
        const uint64_t counter = (uint64_t)(n * (negatives + 1));
        const struct word_pair *const pair = &pairs[study_below(seed, stream, counter, count)];
        double *const word = model->word + pair->word * features;
        memset(model->change, 0, (size_t)features * sizeof *model->change);
        meet(word, model->context + pair->context * features, features, 1, rate, model->change);
        for (int64_t k = 1; k <= negatives; ++k) {
            const struct word_pair *const other = &pairs[study_below(seed, stream, counter + (uint64_t)k, count)];
            meet(word, model->context + other->context * features, features, 0, rate, model->change);
        }
        for (int64_t c = 0; c < features; ++c)
            word[c] += model->change[c];
    }
}
