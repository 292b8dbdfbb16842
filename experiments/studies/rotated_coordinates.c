/* SPDX-License-Identifier: Apache-2.0 */
/* Attention sees vectors through their products alone: an orthogonal map of all of them leaves every weight as it was
 * and turns the outputs along, while every coordinate becomes another number. The map `shear` is not orthogonal, to see
 * the law depart. */
#include <math.h>
#include <stdio.h>

#include "study/attend.h"
#include "study/sample.h"

enum { TOKENS = 32, FEATURES = 16, COUNT = TOKENS * FEATURES, REFLECTIONS = 4 };
#define ROUNDOFF 0x1p-53

/* A row reflected at REFLECTIONS drawn planes (Householder), or sheared: each coordinate with half the next. */
static void turn(bool shear, const double *mirrors, double *row) {
    for (int n = 0; !shear && n < REFLECTIONS; ++n) {
        const double *const mirror = mirrors + n * FEATURES;
        const double factor = 2 * study_dot(FEATURES, mirror, row) / study_dot(FEATURES, mirror, mirror);
        for (int c = 0; c < FEATURES; ++c)
            row[c] -= factor * mirror[c];
    }
    for (int c = 0; shear && c + 1 < FEATURES; ++c)
        row[c] += row[c + 1] / 2;
}

/* Weights [TOKENS][TOKENS] and outputs of softmax(scale X X^T) X. */
static enum attn_status answer(struct study_run *run, float scale, const double *x, double *weights, double *out,
                               struct attn_error *error) {
    const struct attn_problem problem = {.scale = scale};
    const struct attn_tensor rows = study_tensor(x, 1, TOKENS, FEATURES);
    const struct attn_operands operands = {
        .q = rows, .k = rows, .v = rows, .out = study_tensor(out, 1, TOKENS, FEATURES)};
    const enum attn_status status = study_weights(run, problem, rows, rows, weights, error);
    return status ? status : study_attend(run, problem, &operands, error);
}

struct subject {
    double x[COUNT], turned[COUNT], mirrors[REFLECTIONS * FEATURES];
    double weights[2][TOKENS * TOKENS], out[2][COUNT];
};

static enum attn_status compare(struct study_run *run, enum layer_scale reading, bool shear, struct subject *subject,
                                double *change, struct attn_error *error) {
    const float scale = layer_scale_value(reading, FEATURES);
    enum attn_status status = answer(run, scale, subject->x, subject->weights[0], subject->out[0], error);
    if (!status)
        status = answer(run, scale, subject->turned, subject->weights[1], subject->out[1], error);
    if (status)
        return status;
    double longest = 0;
    for (int n = 0; n < TOKENS; ++n) {
        turn(shear, subject->mirrors, subject->out[0] + n * FEATURES);
        longest = fmax(longest, study_norm(FEATURES, subject->x + n * FEATURES));
    }
    /* A reflection is off by (2 FEATURES + 8) u of the row; scores of two rows by that of |x|^2 for each, and their own
     * FEATURES products; weights by twice that; outputs by that of |x|, and their own reflections. */
    const double reflected = REFLECTIONS * (2 * FEATURES + 8) * ROUNDOFF;
    const double score = (double)scale * longest * longest * (2 * reflected + 2 * (FEATURES + 2) * ROUNDOFF);
    const double weight = 2 * score + (2 * TOKENS + 16) * ROUNDOFF;
    const struct study_place bar = STUDY_BAR(layer_scale_name(reading));
    *change = study_largest_difference(TOKENS * TOKENS, subject->weights[0], subject->weights[1]);
    study_expect(run, "C35", "largest change of a weight", bar, *change, 0, weight);
    study_expect(run, "C35", "largest |turned output - output of turned vectors|", bar,
                 study_largest_difference(COUNT, subject->out[0], subject->out[1]), 0,
                 longest * (weight + 2 * reflected));
    return ATTN_OK;
}

/* [0.9, 0.3] of S0, "fruit" and "technology", beside a word of technology, turned through a circle. */
static enum attn_status turn_round(struct study_run *run, bool shear, struct attn_error *error) {
    static const char axis[] = "angle in degrees";
    const double words[2][2] = {{.9, .3}, {.1, .8}};
    /* Unscaled scores .9 with itself, .33 with the other; a turn rounds them by a few u. */
    const double want = 1 / (1 + exp(.33 - .9));
    for (int degrees = 0; degrees <= 360; degrees += 15) {
        const double angle = degrees * M_PI / 180;
        double turned[2][2], weights[4];
        for (int n = 0; n < 2; ++n) {
            turned[n][0] = (shear ? 1 : cos(angle)) * words[n][0] - sin(angle) * words[n][1];
            turned[n][1] = shear ? words[n][1] : sin(angle) * words[n][0] + cos(angle) * words[n][1];
        }
        const struct attn_tensor rows = study_tensor(turned[0], 1, 2, 2);
        const enum attn_status status =
            study_weights(run, (struct attn_problem){.scale = 1}, rows, rows, weights, error);
        if (status)
            return status;
        study_expect(run, "C35", "what a turn does to [0.9, 0.3]", STUDY_AT("weight on itself", axis, degrees),
                     weights[0], want - 32 * ROUNDOFF, want + 32 * ROUNDOFF);
        study_record(run, "C35", "what a turn does to [0.9, 0.3]", STUDY_AT("first coordinate", axis, degrees),
                     turned[0][0]);
        study_record(run, "C35", "what a turn does to [0.9, 0.3]", STUDY_AT("second coordinate", axis, degrees),
                     turned[0][1]);
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct subject *const subject = STUDY_ARRAY(run, 1, struct subject, error);
    if (!subject)
        return ATTN_NO_MEMORY;
    const bool shear = study_setting_is(run, "map", "shear");
    study_normals(study_seed(run), 0, COUNT, 1, subject->x);
    study_normals(study_seed(run), 0, COUNT, 1, subject->turned);
    study_normals(study_seed(run), 1, REFLECTIONS * FEATURES, 1, subject->mirrors);
    for (int n = 0; n < TOKENS; ++n)
        turn(shear, subject->mirrors, subject->turned + n * FEATURES);
    double most = 0;
    for (int scale = 0; scale < LAYER_SCALE_COUNT; ++scale) {
        double change;
        const enum attn_status status = compare(run, (enum layer_scale)scale, shear, subject, &change, error);
        if (status)
            return status;
        most = study_larger(most, change);
    }
    const double moved = study_largest_difference(COUNT, subject->x, subject->turned);
    study_expect(run, "C35", "largest change of a coordinate", STUDY_ALONE, moved, 1, INFINITY);
    const enum attn_status status = turn_round(run, shear, error);
    study_conclude(run, "C35", study_holds(run, "C35") ? STUDY_REFUTED : STUDY_SUPPORTED,
                   "a turn moves coordinates by up to %.1f and weights by %.1g: attention cannot tell fruit and "
                   "technology from any other pair of axes",
                   moved, most);
    return status;
}

static const struct study_setting settings[] = {
    {"map", "rotation", "rotation shear", "what is done to all vectors"},
};

STUDY(rotated_coordinates) = {
    .name = "rotated_coordinates",
    .claims = "C35",
    .source = "S0 S1",
    .statement = "Each number of a vector is a feature: in [0.9, 0.3], 0.9 says fruit and 0.3 technology.",
    .law = "an orthogonal map of all vectors changes no weight, and turns the outputs along",
    .settings = settings,
    .setting_count = 1,
    .run = run,
};
