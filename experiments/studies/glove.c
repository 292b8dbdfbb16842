/* SPDX-License-Identifier: Apache-2.0 */
#include "glove.h"

#include <math.h>

#include "study/sample.h"

double glove_score(const struct glove *model, int64_t word, int64_t context) {
    const int64_t features = model->features;
    const double *const w = model->word + word * (features + 1), *const c = model->context + context * (features + 1);
    return study_dot(features, w, c) + w[features] + c[features];
}

static void descend(double *parameter, double *past, double rate, double slope) {
    *parameter -= rate * slope / sqrt(*past);
    *past += slope * slope;
}

void glove_pass(const struct glove *model, const double *counts, double rate, uint64_t seed, uint64_t stream,
                int64_t *order) {
    const int64_t words = model->words, features = model->features;
    study_shuffled(seed, stream, words * words, order);
    for (int64_t n = 0; n < words * words; ++n) {
        const double count = counts[order[n]];
        if (count == 0)
            continue;
        const int64_t word = order[n] / words, context = order[n] % words;
        const int64_t word_at = word * (features + 1), context_at = context * (features + 1);
        const double slope = fmin(1, pow(count / 100, 0.75)) * (glove_score(model, word, context) - log(count));
        for (int64_t c = 0; c <= features; ++c) {
            double *const w = model->word + word_at + c, *const d = model->context + context_at + c;
            const double of_word = c == features ? slope : slope * *d, of_context = c == features ? slope : slope * *w;
            descend(w, model->word_past + word_at + c, rate, of_word);
            descend(d, model->context_past + context_at + c, rate, of_context);
        }
    }
}
