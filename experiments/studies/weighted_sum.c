/* SPDX-License-Identifier: Apache-2.0 */
/* A row of weights is a distribution, so an output is a convex combination of the values: in no direction does it lie
 * beyond the furthest of them. Coordinates alone would only show a box, which is much larger. */
#include <math.h>
#include <stdio.h>

#include "study/attend.h"
#include "study/sample.h"

enum { QUERIES = 32, FEATURES = 16, LARGEST = 512, DIRECTIONS = 200 };
#define ROUNDOFF 0x1p-53

/* 2 x FEATURES coordinates, up and down, then the drawn ones, of length 1. */
enum { COORDINATES = 2 * FEATURES, ALL = COORDINATES + DIRECTIONS };

struct subject {
    double *q, *k, *v, *out, *weights;
    double *directions;   /* [ALL][FEATURES] */
    double *furthest;     /* [ALL]: how far the furthest value lies */
    double defect, ahead; /* the worst of all: |1 - row sum|, and the lead of an output over the furthest value */
};

static void draw_directions(uint64_t seed, double *directions) {
    study_normals(seed, 3, DIRECTIONS * FEATURES, 1, directions + COORDINATES * FEATURES);
    for (int64_t n = 0; n < COORDINATES; ++n)
        directions[n * FEATURES + n / 2] = n % 2 ? -1 : 1;
    for (int64_t n = COORDINATES; n < ALL; ++n) {
        double *const direction = directions + n * FEATURES;
        const double length = study_norm(FEATURES, direction);
        for (int64_t c = 0; c < FEATURES; ++c)
            direction[c] /= length;
    }
}

static void look_furthest(int64_t keys, const struct subject *subject) {
    for (int64_t n = 0; n < ALL; ++n) {
        subject->furthest[n] = -INFINITY;
        for (int64_t j = 0; j < keys; ++j)
            subject->furthest[n] = fmax(subject->furthest[n], study_dot(FEATURES, subject->directions + n * FEATURES,
                                                                        subject->v + j * FEATURES));
    }
}

/* The largest lead of a point over the furthest value along directions begin..end-1; negative: it stays behind. */
static double lead(const struct subject *subject, const double *point, int64_t begin, int64_t end) {
    double most = -INFINITY;
    for (int64_t n = begin; n < end; ++n)
        most =
            study_larger(most, study_dot(FEATURES, subject->directions + n * FEATURES, point) - subject->furthest[n]);
    return most;
}

static void expect_distribution(struct study_run *run, const char *series, int64_t keys, struct subject *subject) {
    double defect = 0, least = INFINITY, most = 0;
    for (int64_t i = 0; i < QUERIES; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < keys; ++j) {
            sum += subject->weights[i * keys + j];
            least = fmin(least, subject->weights[i * keys + j]);
            most = fmax(most, subject->weights[i * keys + j]);
        }
        defect = study_larger(defect, fabs(1 - sum));
    }
    subject->defect = study_larger(subject->defect, defect);
    const struct study_place place = STUDY_AT(series, "keys", (double)keys);
    /* keys - 1 additions in the softmax, as many here, and a division. */
    study_expect(run, "C5", "largest |1 - sum of a row's weights|", place, defect, 0, 2 * (double)keys * ROUNDOFF);
    study_expect(run, "C5", "smallest weight", place, least, 0, 1);
    study_expect(run, "C5", "largest weight", place, most, 0, 1);
}

static void expect_inside(struct study_run *run, const char *series, int64_t keys, struct subject *subject) {
    double box = -INFINITY, hull = -INFINITY, largest = 0;
    look_furthest(keys, subject);
    for (int64_t i = 0; i < QUERIES; ++i) {
        box = study_larger(box, lead(subject, subject->out + i * FEATURES, 0, COORDINATES));
        hull = study_larger(hull, lead(subject, subject->out + i * FEATURES, COORDINATES, ALL));
    }
    subject->ahead = study_larger(subject->ahead, study_larger(box, hull));
    for (int64_t n = 0; n < keys * FEATURES; ++n)
        largest = fmax(largest, fabs(subject->v[n]));
    /* An output is off by at most (2 keys + 16) u of the largest value, a product along a direction by FEATURES u. */
    const double rounding = (2 * (double)keys + 16 + FEATURES) * ROUNDOFF * largest * sqrt(FEATURES);
    const struct study_place place = STUDY_AT(series, "keys", (double)keys);
    study_expect(run, "C6", "largest lead over the furthest value, coordinates", place, box, -INFINITY, rounding);
    study_expect(run, "C6", "largest lead over the furthest value, drawn directions", place, hull, -INFINITY, rounding);
}

/* The corner of the box passes the test by coordinates; the directions see it outside. */
static void expect_outside(struct study_run *run, const struct subject *subject) {
    double corner[FEATURES];
    look_furthest(LARGEST, subject);
    for (int64_t c = 0; c < FEATURES; ++c)
        corner[c] = subject->furthest[2 * c];
    study_expect(run, "C6", "lead of the corner of the values' box", STUDY_BAR("coordinates"),
                 lead(subject, corner, 0, COORDINATES), 0, 0);
    study_expect(run, "C6", "lead of the corner of the values' box", STUDY_BAR("drawn directions"),
                 lead(subject, corner, COORDINATES, ALL), 1, INFINITY);
}

static enum attn_status measure(struct study_run *run, struct subject *subject, double size, int64_t keys,
                                struct attn_error *error) {
    char series[32];
    snprintf(series, sizeof series, "queries x %g", size);
    study_normals(study_seed(run), 0, QUERIES * FEATURES, size, subject->q);
    const struct attn_tensor q = study_tensor(subject->q, 1, QUERIES, FEATURES);
    const struct attn_tensor k = study_tensor(subject->k, 1, keys, FEATURES);
    const struct attn_operands operands = {.q = q,
                                           .k = k,
                                           .v = study_tensor(subject->v, 1, keys, FEATURES),
                                           .out = study_tensor(subject->out, 1, QUERIES, FEATURES)};
    const struct attn_problem problem = {.direction = ATTN_FORWARD};
    enum attn_status status = study_attend(run, problem, &operands, error);
    if (!status)
        status = study_weights(run, problem, q, k, subject->weights, error);
    if (status)
        return status;
    expect_distribution(run, series, keys, subject);
    expect_inside(run, series, keys, subject);
    return ATTN_OK;
}

/* S1 adds 0.3 e1 + 0.8 e2 + 0.4 e3 first, and normalises these scores by softmax afterwards. */
static enum attn_status worked_example(struct study_run *run, struct attn_error *error) {
    const double query[1] = {1}, keys[3] = {.3, .8, .4};
    const double want[3] = {.26639017577276806, .43920314910210871, .29440667512512325};
    static const char *const words[3] = {"Humans", "Love", "Smartphones"};
    double weights[3];
    const enum attn_status status = study_weights(run, (struct attn_problem){.scale = 1}, study_tensor(query, 1, 1, 1),
                                                  study_tensor(keys, 1, 3, 1), weights, error);
    for (int n = 0; !status && n < 3; ++n)
        study_expect(run, "C5", "weight of S1's scores .3, .8, .4, which sum to 1.5", STUDY_BAR(words[n]), weights[n],
                     want[n] * (1 - 1e-15), want[n] * (1 + 1e-15));
    return status;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct subject subject = {STUDY_ARRAY(run, QUERIES * FEATURES, double, error),
                              STUDY_ARRAY(run, LARGEST * FEATURES, double, error),
                              STUDY_ARRAY(run, LARGEST * FEATURES, double, error),
                              STUDY_ARRAY(run, QUERIES * FEATURES, double, error),
                              STUDY_ARRAY(run, QUERIES * LARGEST, double, error),
                              STUDY_ARRAY(run, ALL * FEATURES, double, error),
                              STUDY_ARRAY(run, ALL, double, error),
                              0,
                              -INFINITY};
    if (!subject.q || !subject.k || !subject.v || !subject.out || !subject.weights || !subject.directions ||
        !subject.furthest)
        return ATTN_NO_MEMORY;
    study_normals(study_seed(run), 1, LARGEST * FEATURES, 1, subject.k);
    study_normals(study_seed(run), 2, LARGEST * FEATURES, 1, subject.v);
    draw_directions(study_seed(run), subject.directions);
    enum attn_status status = worked_example(run, error);
    for (double size = .1; !status && size < 200; size *= 10)
        for (int64_t keys = 1; !status && keys <= LARGEST; keys *= 2)
            status = measure(run, &subject, size, keys, error);
    if (status)
        return status;
    expect_outside(run, &subject);
    study_conclude(run, "C5", study_holds(run, "C5") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "1 to %d keys, weights from even to one-hot: every row sums to 1, give or take %.1g", LARGEST,
                   subject.defect);
    study_conclude(run, "C6", study_holds(run, "C6") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "no output leads the furthest value by more than %.1g, in %d coordinates and %d drawn directions",
                   fmax(0, subject.ahead), FEATURES, DIRECTIONS);
    return ATTN_OK;
}

STUDY(weighted_sum) = {
    .name = "weighted_sum",
    .claims = "C5 C6",
    .source = "S1 S3 S4",
    .statement = "Softmax makes weights between 0 and 1 that sum to 1, and the new vector is their weighted sum of the "
                 "values.",
    .law = "|1 - row sum| within rounding; no output lies beyond the furthest value in any direction",
    .run = run,
};
