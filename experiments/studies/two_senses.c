/* SPDX-License-Identifier: Apache-2.0 */
/* One word twice in one sentence, in two senses: without order its two vectors are one. */
#include <math.h>

#include "drawn_layer.h"
#include "layer/embedding.h"
#include "sentence.h"
#include "study/sample.h"

enum { FEATURES = 64, HEADS = 4 };
enum arm { PLAIN, POSITIONS, CAUSAL, ARMS };
static const char *const arms[] = {"plain", "with positions", "causal"};
static const char *const sentence = "Please buy an apple and orange, apple unveiled new phones";

static const struct study_setting settings[] = {
    {"positions", "sinusoidal", "sinusoidal none", "what the arm with positions adds"},
};

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t count = SENTENCE_WORDS * FEATURES;
    const struct layer_attention attention = study_attention(run);
    double *const x = STUDY_ARRAY(run, 3 * count, double, error), change[ARMS];
    struct drawn_layer drawn;
    enum attn_status status =
        drawn_layer_create(run, 0, SENTENCE_WORDS, FEATURES, HEADS, FEATURES / HEADS, &drawn, error);
    if (status || !x)
        return ATTN_NO_MEMORY;
    const struct layer_embedding positions = {.entries = SENTENCE_WORDS, .features = FEATURES, .table = x + 2 * count};
    layer_positions_sinusoidal(&positions, 1e4);
    double *const y = x + count;
    const double *const fruit = y + sentence_place(sentence, "apple", 0) * FEATURES, *const brand =
                                                                                         y + sentence_place(
                                                                                                 sentence, "apple", 1) *
                                                                                                 FEATURES;
    for (enum arm arm = PLAIN; arm < ARMS && !status; ++arm) {
        const struct layer_sequences sequences = {.batch = 1,
                                                  .positions = sentence_embed(study_seed(run), sentence, FEATURES, x),
                                                  .mask = {.causal = arm == CAUSAL}};
        if (arm == POSITIONS && study_setting_is(run, "positions", "sinusoidal"))
            status = layer_positions_forward(&positions, &sequences, x, error);
        if (!status)
            status = drawn_layer_forward(&drawn, &attention, &sequences, x, y, error);
        if (status)
            return status;
        change[arm] = study_distance(FEATURES, fruit, brand) / study_norm(FEATURES, fruit);
        /* The same query over the same keys in the same order: not even rounding differs. Where place counts, the two
         * differ by more than a hundredth. */
        study_expect(run, "C32", "|y_fruit - y_brand| / |y_fruit|", STUDY_BAR(arms[arm]), change[arm],
                     arm == PLAIN ? 0 : 0.01, arm == PLAIN ? 0 : INFINITY);
    }
    study_conclude(run, "C32", change[PLAIN] == 0 ? STUDY_REFUTED : STUDY_SUPPORTED,
                   "without positions both apples get the same vector, bit for bit; with positions they differ by %.2f "
                   "of its length, under a causal mask by %.2f",
                   change[POSITIONS], change[CAUSAL]);
    return ATTN_OK;
}

STUDY(two_senses) = {
    .name = "two_senses",
    .claims = "C32",
    .source = "S3",
    .statement = "In \"Please buy an apple and orange, apple unveiled new phones\" attention gives each apple its own "
                 "sense.",
    .law = "the two vectors are equal without positions or mask, and differ with either",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
