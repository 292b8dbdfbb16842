/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of the order of words: f(Pi X) against Pi f(X), plain, with positions, and with a causal mask. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "drawn_layer.h"
#include "layer/embedding.h"
#include "sentence.h"
#include "study/sample.h"

enum { FEATURES = 32, HEADS = 4, LONG = 64 };
enum arm { PLAIN, POSITIONS, CAUSAL, ARMS };
static const char *const arms[] = {"plain", "with positions", "causal"};

static const struct study_setting settings[] = {
    {"positions", "sinusoidal", "sinusoidal none", "what the arm with positions adds"},
};

struct order {
    struct drawn_layer drawn;
    double *x, *y, *context, *shuffled; /* [LONG][FEATURES] */
    double table[LONG * FEATURES];
};

/* The heads' answers for the words in x, to `context`. */
static enum attn_status attend(struct study_run *run, struct order *order, enum arm arm, int64_t words, double *x,
                               double *context, struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    const struct layer_sequences sequences = {.batch = 1, .positions = words, .mask = {.causal = arm == CAUSAL}};
    const struct layer_embedding positions = {.entries = LONG, .features = FEATURES, .table = order->table};
    order->drawn.saved.context = context;
    enum attn_status status = ATTN_OK;
    if (arm == POSITIONS && study_setting_is(run, "positions", "sinusoidal"))
        status = layer_positions_forward(&positions, &sequences, x, error);
    if (!status)
        status = drawn_layer_forward(&order->drawn, &attention, &sequences, x, order->y, error);
    return status;
}

/* The largest change of a row's answer, and of the mean over rows, relative to the largest value. */
static void changes(const struct order *order, int64_t words, const int64_t *places, double *row, double *pooled) {
    double largest = 0;
    *row = *pooled = 0;
    for (int64_t n = 0; n < words; ++n)
        for (int64_t c = 0; c < FEATURES; ++c)
            largest = fmax(largest, fabs(order->drawn.saved.v[n * FEATURES + c]));
    for (int64_t c = 0; c < FEATURES; ++c) {
        double sum = 0;
        for (int64_t n = 0; n < words; ++n) {
            const double change = order->shuffled[n * FEATURES + c] - order->context[places[n] * FEATURES + c];
            *row = fmax(*row, fabs(change) / largest);
            sum += change / largest;
        }
        *pooled = fmax(*pooled, fabs(sum) / (double)words);
    }
}

/* places[n]: where word n of the second order stands in the first. `found` keeps the largest change where there should
 * be none, else the least. */
static enum attn_status compare(struct study_run *run, struct order *order, const char *series, const char *one,
                                const char *other, int64_t words, const int64_t *places, double found[ARMS],
                                struct attn_error *error) {
    const uint64_t seed = study_seed(run);
    for (enum arm arm = PLAIN; arm < ARMS; ++arm) {
        double row, pooled, drawn[LONG * FEATURES];
        if (one) {
            sentence_embed(seed, one, FEATURES, order->x);
            sentence_embed(seed, other, FEATURES, drawn);
        } else {
            drawn_normals(seed, 4, words * FEATURES, 1, order->x);
            for (int64_t n = 0; n < words * FEATURES; ++n)
                drawn[n] = order->x[places[n / FEATURES] * FEATURES + n % FEATURES];
        }
        enum attn_status status = attend(run, order, arm, words, order->x, order->context, error);
        if (!status)
            status = attend(run, order, arm, words, drawn, order->shuffled, error);
        if (status)
            return status;
        changes(order, words, places, &row, &pooled);
        /* An answer is two sums of N terms, of weights and of weighted values, here in two orders: each is off by N u
         * of the largest value at most. Where order counts, a hundredth is more than a trace of it. */
        const double rounding = 4 * (double)words * DBL_EPSILON;
        char quantity[96];
        snprintf(quantity, sizeof quantity, "largest change of a word's answer, %s", arms[arm]);
        study_expect(run, "C17", quantity, STUDY_BAR(series), row, arm == PLAIN ? 0 : 0.01,
                     arm == PLAIN ? rounding : INFINITY);
        snprintf(quantity, sizeof quantity, "change of the mean answer, %s", arms[arm]);
        if (arm == PLAIN)
            study_expect(run, "C17", quantity, STUDY_BAR(series), pooled, 0, rounding);
        else
            study_record(run, "C17", quantity, STUDY_BAR(series), pooled);
        found[arm] = arm == PLAIN ? fmax(found[arm], row) : fmin(found[arm], row);
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct order *const order = STUDY_ARRAY(run, 1, struct order, error);
    double *const memory = STUDY_ARRAY(run, 4 * LONG * FEATURES, double, error);
    if (!order || !memory)
        return ATTN_NO_MEMORY;
    order->x = memory;
    order->y = memory + LONG * FEATURES;
    order->context = memory + 2 * LONG * FEATURES;
    order->shuffled = memory + 3 * LONG * FEATURES;
    const struct layer_embedding table = {.entries = LONG, .features = FEATURES, .table = order->table};
    layer_positions_sinusoidal(&table, 1e4);
    static const int64_t turned[] = {2, 1, 0};
    int64_t places[LONG];
    double found[ARMS] = {0, INFINITY, INFINITY};
    study_shuffled(study_seed(run), 5, LONG, places);
    enum attn_status status = drawn_layer_create(run, 0, LONG, FEATURES, HEADS, FEATURES / HEADS, &order->drawn, error);
    if (!status)
        status = compare(run, order, "Humans Love Smartphones", "Humans Love Smartphones", "Smartphones Love Humans", 3,
                         turned, found, error);
    if (!status)
        status = compare(run, order, "64 drawn words", NULL, NULL, LONG, places, found, error);
    if (status)
        return status;
    study_conclude(run, "C17", study_holds(run, "C17") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "in another order the same words get the same answers to %.0e of a value; positions change them by "
                   "%.2f, and so does a causal mask without any positions, by %.2f",
                   found[PLAIN], found[POSITIONS], found[CAUSAL]);
    return ATTN_OK;
}

STUDY(order) = {
    .name = "order",
    .claims = "C17",
    .source = "S1 S2",
    .statement = "Self-attention loses the order of words: \"Humans Love Smartphones\" is \"Smartphones Love Humans\"; "
                 "positional encodings solve it.",
    .law = "f(Pi X) = Pi f(X) to rounding for plain attention, and not with positions or a causal mask",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
