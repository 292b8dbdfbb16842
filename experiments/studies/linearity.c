/* SPDX-License-Identifier: Apache-2.0 */
/* What a matrix does to vectors: lines stay lines, two matrices are one, and how well classes stand apart. */
#include <float.h>
#include <math.h>

#include "layer/linear.h"
#include "layer/plain_gemm.h"
#include "study/sample.h"
#include "study/study.h"

enum { FEATURES = 32, POINTS = 9 };
enum { PLANE = 2, MEMBERS = 100, MEMBERS_ALL = 2 * MEMBERS, DRAWS = 200, NOISE = 4 };

static const struct study_setting settings[] = {
    {"map", "linear", "linear affine", "affine adds a constant, which is not linear"},
};

static void apply(const double *matrix, int64_t in, int64_t out, const double *bias, int64_t rows, const double *x,
                  double *y) {
    const struct layer_linear map = {.in_features = in,
                                     .out_features = out,
                                     .weight = (double *)(uintptr_t)matrix,
                                     .bias = (double *)(uintptr_t)bias};
    const struct layer_compute compute = {.gemm = layer_plain_gemm, .threads = 1};
    layer_linear_forward(&map, &compute, rows, x, y);
}

/* ---- a map is linear ---- */

struct maps {
    double first[FEATURES * FEATURES], second[FEATURES * FEATURES], product[FEATURES * FEATURES], bias[FEATURES];
    double x[POINTS * FEATURES], y[POINTS * FEATURES], once[FEATURES], twice[FEATURES], sum[FEATURES];
};

/* |f(a x + b y) - a f(x) - b f(y)| over |a f(x)| + |b f(y)|, x and y the rows 0 and 1. */
static double additivity(struct maps *maps, const double *bias) {
    const double a = 0.75, b = -1.5;
    for (int64_t c = 0; c < FEATURES; ++c)
        maps->sum[c] = a * maps->x[c] + b * maps->x[FEATURES + c];
    apply(maps->first, FEATURES, FEATURES, bias, 1, maps->sum, maps->once);
    apply(maps->first, FEATURES, FEATURES, bias, 2, maps->x, maps->y);
    for (int64_t c = 0; c < FEATURES; ++c)
        maps->sum[c] = a * maps->y[c] + b * maps->y[FEATURES + c];
    return study_distance(FEATURES, maps->once, maps->sum) /
           (fabs(a) * study_norm(FEATURES, maps->y) + fabs(b) * study_norm(FEATURES, maps->y + FEATURES));
}

/* How far the images of evenly spaced points of a line, through the origin's neighbourhood, are from their chord. */
static double bend(struct maps *maps, const double *bias) {
    for (int64_t n = 2; n < POINTS; ++n)
        for (int64_t c = 0; c < FEATURES; ++c) {
            const double t = (double)n / (POINTS - 1) - 0.5;
            maps->x[n * FEATURES + c] = (1 - t) * maps->x[c] + t * maps->x[FEATURES + c];
        }
    apply(maps->first, FEATURES, FEATURES, bias, POINTS, maps->x, maps->y);
    const double length = study_distance(FEATURES, maps->y, maps->y + FEATURES);
    double most = 0;
    for (int64_t n = 2; n < POINTS; ++n) {
        const double t = (double)n / (POINTS - 1) - 0.5;
        for (int64_t c = 0; c < FEATURES; ++c)
            maps->sum[c] = (1 - t) * maps->y[c] + t * maps->y[FEATURES + c];
        most = fmax(most, study_distance(FEATURES, maps->y + n * FEATURES, maps->sum) / length);
    }
    return most;
}

/* |W2 (W1 x) - (W2 W1) x| / |(W2 W1) x| */
static double composition(struct maps *maps, const double *bias) {
    layer_plain_gemm(false, false, FEATURES, FEATURES, FEATURES, 1, maps->second, FEATURES, maps->first, FEATURES, 0,
                     maps->product, FEATURES);
    apply(maps->first, FEATURES, FEATURES, bias, 1, maps->x, maps->sum);
    apply(maps->second, FEATURES, FEATURES, bias, 1, maps->sum, maps->twice);
    apply(maps->product, FEATURES, FEATURES, bias, 1, maps->x, maps->once);
    return study_distance(FEATURES, maps->twice, maps->once) / study_norm(FEATURES, maps->once);
}

static enum attn_status lines(struct study_run *run, struct attn_error *error) {
    struct maps *const maps = STUDY_ARRAY(run, 1, struct maps, error);
    if (!maps)
        return ATTN_NO_MEMORY;
    const uint64_t seed = study_seed(run);
    const double *const bias = study_setting_is(run, "map", "affine") ? maps->bias : NULL;
    study_normals(seed, 0, FEATURES * FEATURES, 1 / sqrt(FEATURES), maps->first);
    study_normals(seed, 1, FEATURES * FEATURES, 1 / sqrt(FEATURES), maps->second);
    study_normals(seed, 2, 2 * FEATURES, 1, maps->x);
    study_normals(seed, 3, FEATURES, 1, maps->bias);
    /* A product of FEATURES terms is off by FEATURES u of the sum of their sizes, which for normal terms is about
     * sqrt(FEATURES) times the sum; f twice, or W2 after W1, whose sizes are multiplied. */
    const double rounding = 2 * FEATURES * sqrt(FEATURES) * DBL_EPSILON;
    study_expect(run, "C8", "|f(ax + by) - a f(x) - b f(y)|, relative", STUDY_ALONE, additivity(maps, bias), 0,
                 rounding);
    study_expect(run, "C8", "distance of a line's image from a line, relative", STUDY_ALONE, bend(maps, bias), 0,
                 rounding);
    study_expect(run, "C8", "|W2(W1 x) - (W2 W1) x|, relative", STUDY_ALONE, composition(maps, bias), 0,
                 sqrt(FEATURES) * rounding);
    return ATTN_OK;
}

/* ---- classes: apples that are fruit, and apples that are a brand; feature 0 tells them apart, 1 is noise ---- */

struct separation {
    double ratio;      /* tr(Sb) / tr(Sw): between over within the classes */
    double invariant;  /* tr(Sw^-1 Sb) */
    double silhouette; /* mean of (b - a) / max(a, b): mean distances to the other class and the own (Rousseeuw 1987) */
};

static double silhouette(const double *points) {
    double sum = 0;
    for (int64_t n = 0; n < MEMBERS_ALL; ++n) {
        double own = 0, other = 0;
        for (int64_t m = 0; m < MEMBERS_ALL; ++m)
            *(n / MEMBERS == m / MEMBERS ? &own : &other) +=
                study_distance(PLANE, points + n * PLANE, points + m * PLANE);
        own /= MEMBERS - 1;
        other /= MEMBERS;
        sum += (other - own) / fmax(own, other);
    }
    return sum / MEMBERS_ALL;
}

static struct separation separate(const double *points) {
    double mean[2][PLANE] = {{0}}, within[PLANE][PLANE] = {{0}}, apart[PLANE];
    for (int64_t n = 0; n < MEMBERS_ALL; ++n)
        for (int64_t c = 0; c < PLANE; ++c)
            mean[n / MEMBERS][c] += points[n * PLANE + c] / MEMBERS;
    for (int64_t n = 0; n < MEMBERS_ALL; ++n)
        for (int64_t c = 0; c < PLANE; ++c)
            for (int64_t d = 0; d < PLANE; ++d)
                within[c][d] +=
                    (points[n * PLANE + c] - mean[n / MEMBERS][c]) * (points[n * PLANE + d] - mean[n / MEMBERS][d]);
    for (int64_t c = 0; c < PLANE; ++c)
        apart[c] = mean[0][c] - mean[1][c];
    /* Two classes of one size: Sb = MEMBERS / 2 apart apart^T. */
    const double determinant = within[0][0] * within[1][1] - within[0][1] * within[1][0];
    const double form = (within[1][1] * apart[0] * apart[0] - 2 * within[0][1] * apart[0] * apart[1] +
                         within[0][0] * apart[1] * apart[1]) /
                        determinant;
    return (struct separation){
        .ratio = MEMBERS / 2.0 * study_dot(PLANE, apart, apart) / (within[0][0] + within[1][1]),
        .invariant = MEMBERS / 2.0 * form,
        .silhouette = silhouette(points),
    };
}

/* How far tr(Sw^-1 Sb) may be off, relative: sums of MEMBERS_ALL terms, and an inverse whose condition is that of the
 * points (NOISE^2) times the square of the matrix's, at most |W|^2 / |det W|. */
static double rounding_of(const double *matrix) {
    const double determinant = matrix[0] * matrix[3] - matrix[1] * matrix[2];
    const double condition = study_dot(PLANE * PLANE, matrix, matrix) / fabs(determinant);
    return MEMBERS_ALL * DBL_EPSILON * NOISE * NOISE * condition * condition;
}

static enum attn_status classes(struct study_run *run, double *raised, struct attn_error *error) {
    double *const points = STUDY_ARRAY(run, 2 * MEMBERS_ALL * PLANE, double, error);
    if (!points)
        return ATTN_NO_MEMORY;
    double *const mapped = points + MEMBERS_ALL * PLANE, matrix[PLANE * PLANE];
    study_normals(study_seed(run), 4, MEMBERS_ALL * PLANE, 1, points);
    for (int64_t n = 0; n < MEMBERS_ALL; ++n) {
        points[n * PLANE] += n < MEMBERS ? -1 : 1;
        points[n * PLANE + 1] *= NOISE;
    }
    const struct separation before = separate(points);
    static const double chosen[PLANE * PLANE] = {1, 0, 0, 1.0 / NOISE}; /* shrinks the noise */
    apply(chosen, PLANE, PLANE, NULL, MEMBERS_ALL, points, mapped);
    const struct separation after = separate(mapped);
    double most = 0;
    *raised = 0;
    for (int64_t draw = 0; draw < DRAWS; ++draw) {
        study_normals(study_seed(run), 5 + (uint64_t)draw, PLANE * PLANE, 1, matrix);
        apply(matrix, PLANE, PLANE, NULL, MEMBERS_ALL, points, mapped);
        const struct separation other = separate(mapped);
        *raised += (other.ratio > before.ratio) / (double)DRAWS;
        most = fmax(most, fabs(other.invariant / before.invariant - 1) / rounding_of(matrix));
    }
    study_expect(run, "C8", "change of tr(Sw^-1 Sb) under drawn maps / its rounding", STUDY_ALONE, most, 0, 1);
    study_record(run, "C8", "tr(Sb) / tr(Sw)", STUDY_BAR("before"), before.ratio);
    study_expect(run, "C8", "tr(Sb) / tr(Sw)", STUDY_BAR("chosen matrix"), after.ratio, before.ratio, INFINITY);
    study_record(run, "C8", "mean silhouette", STUDY_BAR("before"), before.silhouette);
    study_expect(run, "C8", "mean silhouette", STUDY_BAR("chosen matrix"), after.silhouette, before.silhouette, 1);
    study_record(run, "C8", "drawn matrices that raise tr(Sb) / tr(Sw)", STUDY_ALONE, *raised);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double raised;
    enum attn_status status = lines(run, error);
    if (!status)
        status = classes(run, &raised, error);
    if (status)
        return status;
    study_conclude(run, "C8", study_holds(run, "C8") ? STUDY_DEPENDS : STUDY_REFUTED,
                   "lines stay lines, and two maps are one; classes stand further apart only under a matrix that suits "
                   "them: %.0f %% of drawn ones raised tr(Sb)/tr(Sw)",
                   100 * raised);
    return ATTN_OK;
}

STUDY(linearity) = {
    .name = "linearity",
    .claims = "C8",
    .source = "S3",
    .statement = "A linear transformation is consistent and never curves; applied again and again it separates the "
                 "categories.",
    .law = "f(ax + by) = a f(x) + b f(y); W2(W1 x) = (W2 W1) x; tr(Sw^-1 Sb) is the same under every invertible map, "
           "tr(Sb)/tr(Sw) is not",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
