/* SPDX-License-Identifier: Apache-2.0 */
/* Layer norm in both published definitions: what it makes of a word, what it does not see, and that it needs no batch.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "batch_norm.h"
#include "study/sample.h"
#include "study/study.h"

enum { FEATURES = 64, WORDS = 16, COUNT = WORDS * FEATURES };
static const double epsilons[] = {1e-12, 1e-5, 0.1}; /* BERT's, PyTorch's, one that shows */

static const struct study_setting settings[] = {
    {"norm", "layer", "layer batch", "batch: features are normalised over the words of the batch"},
};

struct words {
    double x[COUNT], y[COUNT], other[COUNT], mates[COUNT], gain[FEATURES], bias[FEATURES]; /* gain 1, bias 0 */
};

static struct layer_norm plain_norm(struct words *words, enum layer_norm_kind kind, double epsilon, int64_t features) {
    return (struct layer_norm){
        .kind = kind, .features = features, .epsilon = epsilon, .gain = words->gain, .bias = words->bias};
}

static const struct layer_compute compute = {.threads = 1};

/* S1's king, worked out to 17 digits elsewhere. */
static void golden(struct study_run *run, struct words *words) {
    static const double king[] = {0.3, 0.9, 1.0, 0.0};
    static const struct {
        const char *series;
        enum layer_norm_kind kind;
        double epsilon, expected[4];
    } cases[] = {
        {"biased, epsilon 0",
         LAYER_NORM_BIASED_VARIANCE,
         0,
         {-0.6019292654288462, 0.8427009716003844, 1.0834726777719228, -1.3242443839434614}},
        {"biased, epsilon 1e-5",
         LAYER_NORM_BIASED_VARIANCE,
         1e-5,
         {-0.6019118189622996, 0.8426765465472192, 1.0834412741321389, -1.3242060017170590}},
        {"unbiased, epsilon 1e-6",
         LAYER_NORM_UNBIASED_DEVIATION,
         1e-6,
         {-0.5212849481884319, 0.7297989274638044, 0.9383129067391770, -1.1468268860145499}},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; ++n) {
        double y[4], most = 0;
        const struct layer_norm norm = plain_norm(words, cases[n].kind, cases[n].epsilon, 4);
        layer_norm_forward(&norm, &compute, 1, king, y);
        for (int c = 0; c < 4; ++c)
            most = fmax(most, fabs(y[c] / cases[n].expected[c] - 1));
        study_expect(run, "C22", "error of king = [0.3, 0.9, 1.0, 0.0] normalised, relative",
                     STUDY_BAR(cases[n].series), most, 0, 1e-15);
    }
}

/* Mean and variance of every word, and y(2x) against y(x); sums over FEATURES are off by FEATURES u of their sizes. */
static void each_word(struct study_run *run, struct words *words, const char *series, double epsilon) {
    const double rounding = FEATURES * DBL_EPSILON, biased = (double)(FEATURES - 1) / FEATURES;
    double mean = 0, variance = 0, off = 0;
    for (int64_t n = 0; n < WORDS; ++n) {
        const double *const row = words->y + n * FEATURES, *const twice = words->other + n * FEATURES;
        const double spread = biased * study_variance(FEATURES, words->x + n * FEATURES);
        const double longer = sqrt((spread + epsilon) / (spread + epsilon / 4));
        mean = fmax(mean, fabs(study_mean(FEATURES, row)));
        variance = fmax(variance, fabs(biased * study_variance(FEATURES, row) / (spread / (spread + epsilon)) - 1));
        for (int64_t c = 0; c < FEATURES; ++c)
            off = fmax(off, fabs(twice[c] - longer * row[c]));
    }
    study_expect(run, "C22", "largest |mean of a word|", STUDY_BAR(series), mean, 0, rounding);
    study_expect(run, "C22", "variance / (s^2 / (s^2 + epsilon)) - 1", STUDY_BAR(series), variance, 0, 4 * rounding);
    study_expect(run, "C22", "y(2x) - y(x) sqrt((s^2 + epsilon) / (s^2 + epsilon / 4))", STUDY_BAR(series), off, 0,
                 sqrt(FEATURES) * rounding); /* |y| <= sqrt(FEATURES) */
}

static void symmetries(struct study_run *run, struct words *words) {
    for (size_t e = 0; e < sizeof epsilons / sizeof *epsilons; ++e) {
        const struct layer_norm norm = plain_norm(words, LAYER_NORM_BIASED_VARIANCE, epsilons[e], FEATURES);
        char series[32];
        snprintf(series, sizeof series, "epsilon %g", epsilons[e]);
        layer_norm_forward(&norm, &compute, WORDS, words->x, words->y);
        for (int64_t n = 0; n < COUNT; ++n)
            words->other[n] = words->x[n] + 3;
        layer_norm_forward(&norm, &compute, WORDS, words->other, words->other);
        /* x + 3 is off by u of a few, and divided by s, which is above 1/2 for FEATURES unit normal numbers. */
        study_expect(run, "C22", "change by x + 3", STUDY_BAR(series),
                     study_largest_difference(COUNT, words->y, words->other), 0, 16 * FEATURES * DBL_EPSILON);
        for (int64_t n = 0; n < COUNT; ++n)
            words->other[n] = 2 * words->x[n];
        layer_norm_forward(&norm, &compute, WORDS, words->other, words->other);
        study_record(run, "C22", "change by 2x", STUDY_BAR(series),
                     study_largest_difference(COUNT, words->y, words->other));
        each_word(run, words, series, epsilons[e]);
    }
}

/* dx . xhat = r (g . xhat) epsilon / (s^2 + epsilon), r = 1 / sqrt(s^2 + epsilon): the gradient hardly sees the length.
 */
static void gradient(struct study_run *run, struct words *words) {
    double dy[FEATURES], *const xhat = words->y, *const dx = words->other;
    study_normals(study_seed(run), 2, FEATURES, 1, dy);
    for (size_t e = 0; e < sizeof epsilons / sizeof *epsilons; ++e) {
        const struct layer_norm norm = plain_norm(words, LAYER_NORM_BIASED_VARIANCE, epsilons[e], FEATURES);
        layer_norm_forward(&norm, &compute, 1, words->x, xhat);
        layer_norm_backward(&norm, &compute, 1, words->x, dy, dx, NULL);
        const double spread = study_variance(FEATURES, words->x) * (FEATURES - 1) / FEATURES;
        const double law = study_dot(FEATURES, dy, xhat) * epsilons[e] / pow(spread + epsilons[e], 1.5);
        const double most =
            FEATURES * DBL_EPSILON * study_norm(FEATURES, dy) * study_norm(FEATURES, xhat) / sqrt(spread + epsilons[e]);
        char series[32];
        snprintf(series, sizeof series, "epsilon %g", epsilons[e]);
        const double product = study_dot(FEATURES, dx, xhat);
        study_record(run, "C22", "|cosine of dx and xhat|", STUDY_BAR(series),
                     fabs(product) / study_norm(FEATURES, dx) / study_norm(FEATURES, xhat));
        study_expect(run, "C22", "|dx . xhat - what epsilon leaves of it|", STUDY_BAR(series), fabs(product - law), 0,
                     most);
    }
}

/* The largest change of word 0 when its batch-mates are others. */
static double batch_change(bool batch, struct words *words) {
    const struct layer_norm norm = plain_norm(words, LAYER_NORM_BIASED_VARIANCE, 1e-5, FEATURES);
    for (int64_t n = 0; n < COUNT; ++n)
        words->mates[n] = n < FEATURES ? words->x[n] : 3 * words->x[n] + 1;
    if (batch) {
        batch_norm_forward(&norm, WORDS, words->x, words->y);
        batch_norm_forward(&norm, WORDS, words->mates, words->other);
    } else {
        layer_norm_forward(&norm, &compute, WORDS, words->x, words->y);
        layer_norm_forward(&norm, &compute, WORDS, words->mates, words->other);
    }
    return study_largest_difference(FEATURES, words->y, words->other);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct words *const words = STUDY_ARRAY(run, 1, struct words, error);
    if (!words)
        return ATTN_NO_MEMORY;
    study_normals(study_seed(run), 1, COUNT, 1, words->x);
    for (int64_t c = 0; c < FEATURES; ++c)
        words->gain[c] = 1;
    golden(run, words);
    symmetries(run, words);
    gradient(run, words);
    const double layer = batch_change(study_setting_is(run, "norm", "batch"), words);
    const double batch = batch_change(true, words);
    study_expect(run, "C22", "change of a word by its batch-mates", STUDY_BAR("layer norm"), layer, 0, 0);
    study_expect(run, "C22", "change of a word by its batch-mates", STUDY_BAR("batch norm"), batch, 0.01, INFINITY);
    study_conclude(
        run, "C22", study_holds(run, "C22") ? STUDY_SUPPORTED : STUDY_REFUTED,
        "every word by its own mean and spread: other batch-mates change not a bit of it, and a value by %.2f "
        "under batch norm",
        batch);
    return ATTN_OK;
}

STUDY(normalisation) = {
    .name = "normalisation",
    .claims = "C22",
    .source = "S2",
    .statement = "Layer normalisation normalises over the features of each item, unlike batch normalisation.",
    .law = "mean 0, variance s^2 / (s^2 + epsilon); no batch-mate counts; x + b is x, ax is x but for epsilon, and the "
           "gradient is orthogonal to the word but for epsilon",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
