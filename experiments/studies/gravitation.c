/* SPDX-License-Identifier: Apache-2.0 */
/* Weightless attention as gravitation: how far repeated layers draw all words together, and whether one layer draws a
 * related pair closer than the others.
 *
 * Let x_i = m + r_i with mean m. A score's share that differs between rows is scale r_i . r_j, so to first order a
 * layer maps r to scale C r, C the covariance of the words: |r'| <= scale tr(C) |r|, the cube of |r|, once |r| is
 * small (Dong, Cordonnier, Loukas 2021). With a skip connection the weights, whose eigenvalues lie in [0, 1], are added
 * to 1: r does not shrink, and the mean at most doubles. */
#include <math.h>

#include "layer/self_attention.h"
#include "study/sample.h"
#include "study/study.h"

enum { WORDS = 32, FEATURES = 32, LAYERS = 7, COUNT = WORDS * FEATURES };
enum { PAIR_WORDS = 5, DRAWS = 400, PAIRS = PAIR_WORDS * (PAIR_WORDS - 1) / 2 };
static const double deviation = 0.5, relation = 0.5; /* of a feature; cosine that the related pair is drawn with */

static const struct study_setting settings[] = {
    {"scale", "root", "root none dimension", "of the arms that are expected to collapse and to attract"},
};

static enum layer_scale scale_of(const struct study_run *run) {
    return study_setting_is(run, "scale", "root")   ? LAYER_SCALE_ROOT
           : study_setting_is(run, "scale", "none") ? LAYER_SCALE_NONE
                                                    : LAYER_SCALE_DIMENSION;
}

/* |X - 1 m^T| / |X|: 1 for words around the origin, 0 once all are one. */
static double residual(const double *x) {
    double spread = 0;
    for (int64_t c = 0; c < FEATURES; ++c) {
        double mean = 0;
        for (int64_t n = 0; n < WORDS; ++n)
            mean += x[n * FEATURES + c] / WORDS;
        for (int64_t n = 0; n < WORDS; ++n)
            spread += (x[n * FEATURES + c] - mean) * (x[n * FEATURES + c] - mean);
    }
    return sqrt(spread) / study_norm(COUNT, x);
}

/* residuals[l] after l layers, from the drawn words. */
static enum attn_status stack(struct study_run *run, const char *series, enum layer_scale scale, bool skip,
                              double residuals[LAYERS + 1], double *memory, struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    const struct layer_sequences sequences = {.batch = 1, .positions = WORDS};
    double *const x = memory, *const y = memory + COUNT;
    study_normals(study_seed(run), 0, COUNT, deviation, x);
    for (int layer = 0; layer <= LAYERS; ++layer) {
        residuals[layer] = residual(x);
        study_record(run, "C7", "residual |X - mean| / |X|", STUDY_AT(series, "layer", layer), residuals[layer]);
        const enum attn_status status =
            layer_weightless_forward(scale, &attention, &sequences, FEATURES, x, y, NULL, error);
        if (status)
            return status;
        for (int64_t n = 0; n < COUNT; ++n)
            x[n] = skip ? x[n] + y[n] : y[n];
    }
    return ATTN_OK;
}

static enum attn_status collapse(struct study_run *run, double *memory, struct attn_error *error) {
    double scaled[LAYERS + 1], skipping[LAYERS + 1], unscaled[LAYERS + 1];
    enum attn_status status = stack(run, "scaled", scale_of(run), false, scaled, memory, error);
    if (!status)
        status = stack(run, "scaled, skip", scale_of(run), true, skipping, memory, error);
    if (!status)
        status = stack(run, "scale 1", LAYER_SCALE_NONE, false, unscaled, memory, error);
    if (status)
        return status;
    int small = 1; /* the first layer whose residual is small enough for the cube */
    while (small < LAYERS - 1 && !(scaled[small] < 0.1))
        ++small;
    study_expect(run, "C7", "ln residual of the next layer / of this, once it is < 0.1", STUDY_BAR("scaled"),
                 log(scaled[small + 1]) / log(scaled[small]), 3, INFINITY);
    /* Rounding stops it near N u. */
    study_expect(run, "C7", "residual after 7 layers", STUDY_BAR("scaled"), scaled[LAYERS], 0, 1e-12);
    study_expect(run, "C7", "residual after 7 layers", STUDY_BAR("scaled, skip"), skipping[LAYERS], pow(2, -LAYERS), 1);
    /* At scale 1 a word's own score is |x|^2 = 8, the others' are N(0, 2): of itself it keeps e^8 / (e^8 + 31 e) = 0.97
     * a layer, 0.83 in all. */
    study_expect(run, "C7", "residual after 7 layers", STUDY_BAR("scale 1"), unscaled[LAYERS], 0.5, 1);
    return ATTN_OK;
}

/* "apple released a new phone": words 0 and 4 are related, the others not. */
static enum attn_status attract(struct study_run *run, double *memory, double *beats, double *tightest,
                                struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    const struct layer_sequences sequences = {.batch = 1, .positions = PAIR_WORDS};
    double *const x = memory, *const y = memory + COUNT;
    *beats = *tightest = 0;
    for (int64_t draw = 0; draw < DRAWS; ++draw) {
        study_normals(study_seed(run), 1 + (uint64_t)draw, PAIR_WORDS * FEATURES, deviation, x);
        double *const apple = x, *const phone = x + (PAIR_WORDS - 1) * FEATURES;
        for (int64_t c = 0; c < FEATURES; ++c)
            phone[c] = relation * apple[c] + sqrt(1 - relation * relation) * phone[c];
        const enum attn_status status =
            layer_weightless_forward(scale_of(run), &attention, &sequences, FEATURES, x, y, NULL, error);
        if (status)
            return status;
        double contraction[PAIRS], related = 0;
        int64_t pair = 0;
        for (int64_t a = 0; a < PAIR_WORDS; ++a)
            for (int64_t b = a + 1; b < PAIR_WORDS; ++b) {
                contraction[pair] = study_distance(FEATURES, y + a * FEATURES, y + b * FEATURES) /
                                    study_distance(FEATURES, x + a * FEATURES, x + b * FEATURES);
                if (a == 0 && b == PAIR_WORDS - 1)
                    related = contraction[pair];
                ++pair;
            }
        *beats += (related < study_quantile(PAIRS, contraction, 0.5)) / (double)DRAWS;
        *tightest += (related <= contraction[0]) / (double)DRAWS; /* they are in ascending order now */
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, 2 * COUNT, double, error);
    double beats, tightest;
    if (!memory)
        return ATTN_NO_MEMORY;
    enum attn_status status = collapse(run, memory, error);
    if (!status)
        status = attract(run, memory, &beats, &tightest, error);
    if (status)
        return status;
    const double chance = 6 * sqrt(0.25 / DRAWS); /* six deviations of a fair coin */
    study_expect(run, "C7", "draws whose related pair contracts more than the median pair", STUDY_ALONE, beats,
                 0.5 + chance, 1);
    study_record(run, "C7", "draws whose related pair contracts most of all", STUDY_ALONE, tightest);
    study_conclude(
        run, "C7",
        beats <= 0.5 + chance ? STUDY_REFUTED
        : tightest > 0.95     ? STUDY_SUPPORTED
                              : STUDY_DEPENDS,
        "all words attract each other, to one point after a few scaled layers without a skip; a related pair "
        "comes closer than the median pair in %.0f %% of draws, closest of all in %.0f %%",
        100 * beats, 100 * tightest);
    return ATTN_OK;
}

STUDY(gravitation) = {
    .name = "gravitation",
    .claims = "C7",
    .source = "S3",
    .statement = "Words that are similar gravitate together: phone and apple are attracted closer than other words.",
    .law = "scaled and without a skip the residual falls as its cube, layer by layer; with a skip it halves at most; a "
           "related pair contracts more than the median pair more often than by chance",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
