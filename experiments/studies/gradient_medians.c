/* SPDX-License-Identifier: Apache-2.0 */
/* Slopes that reach the scores, the query and its matrix, from one output of one query over KEYS keys: all unit normal,
 * the output's slope along a unit vector, so that dP is unit normal. Medians, for the mean is that of near-ties.
 *
 * Unscaled and far beyond 2 ln keys the weights of the two highest keys decide, p (1 - p) = e^(-sqrt(head_dim) lead)
 * with `lead` that between the two largest of as many normal numbers: ln of the median falls along sqrt(head_dim) by
 * the median lead. */
#include <math.h>

#include "study/attend.h"
#include "study/extreme.h"
#include "study/sample.h"

enum { KEYS = 64, LARGEST = 1024, CHUNK = 25, DIMENSIONS = 11 /* 1, 2, 4 .. LARGEST */ };
enum { SCORES, QUERY, MATRIX, SLOPES };
static const char *const names[SLOPES] = {"median |dS|", "median |dq|", "median |dW_q|"};

/* Norms over the trials of one scale and head_dim, and what their quantiles are. */
struct slopes {
    double *norms[SLOPES];             /* [trials] */
    double median[SLOPES], mean, rare; /* the last two of |dS|: its mean and 99th percentile */
    double off;                        /* the largest error of dS, over what rounding may do */
};

struct bench {
    double *x, *q, *k, *v, *dout, *dq, *dk, *dv;
    int64_t trials;
};

/* One trial: dS from dK = scale dS^T q, held against P o (dP - P.dP) by definition. */
static void keep(const struct bench *bench, int64_t head_dim, double scale, int64_t n, int64_t trial,
                 struct slopes *slopes) {
    const double *const q = bench->q + n * head_dim, *const v = bench->v + n * KEYS;
    double scores[KEYS], ds[KEYS], mean = 0, longest = 0, steepest = 0, off = 0;
    for (int64_t j = 0; j < KEYS; ++j) {
        const double *const k = bench->k + (n * KEYS + j) * head_dim, *const dk = bench->dk + (n * KEYS + j) * head_dim;
        scores[j] = scale * study_dot(head_dim, q, k);
        ds[j] = study_dot(head_dim, dk, q) / (scale * study_dot(head_dim, q, q));
        longest = fmax(longest, scale * study_norm(head_dim, q) * study_norm(head_dim, k));
        steepest = fmax(steepest, fabs(v[j]));
    }
    study_softmax(KEYS, scores, scores);
    for (int64_t j = 0; j < KEYS; ++j)
        mean += scores[j] * v[j];
    for (int64_t j = 0; j < KEYS; ++j)
        off = study_larger(off, fabs(ds[j] - scores[j] * (v[j] - mean)));
    /* Weights are off by at most 2 max|ds| + (2 keys + 16) u, here and there; dS by twice that of the largest dP. */
    const double rounding = 4 * (2 * ((double)head_dim + 2) * longest + 2 * KEYS + 16) * 0x1p-53 * steepest;
    slopes->off = study_larger(slopes->off, off / rounding);
    slopes->norms[SCORES][trial] = study_norm(KEYS, ds);
    slopes->norms[QUERY][trial] = study_norm(head_dim, bench->dq + n * head_dim);
    /* dW_q = dq x^T, whose norm is the product of theirs. */
    slopes->norms[MATRIX][trial] = slopes->norms[QUERY][trial] * study_norm(head_dim, bench->x + n * head_dim);
}

static enum attn_status draw(struct study_run *run, const struct bench *bench, int64_t head_dim, float scale,
                             struct slopes *slopes, struct attn_error *error) {
    for (int64_t first = 0; first < bench->trials; first += CHUNK) {
        const int64_t count = bench->trials - first < CHUNK ? bench->trials - first : CHUNK;
        const uint64_t stream = 4 * (uint64_t)(head_dim * bench->trials + first);
        study_normals(study_seed(run), stream, count * head_dim, 1, bench->q);
        study_normals(study_seed(run), stream + 1, count * KEYS * head_dim, 1, bench->k);
        study_normals(study_seed(run), stream + 2, count * KEYS, 1, bench->v);
        study_normals(study_seed(run), stream + 3, count * head_dim, 1, bench->x);
        const struct attn_operands operands = {.q = study_tensor(bench->q, count, 1, head_dim),
                                               .k = study_tensor(bench->k, count, KEYS, head_dim),
                                               .v = study_tensor(bench->v, count, KEYS, 1),
                                               .dout = study_tensor(bench->dout, count, 1, 1),
                                               .dq = study_tensor(bench->dq, count, 1, head_dim),
                                               .dk = study_tensor(bench->dk, count, KEYS, head_dim),
                                               .dv = study_tensor(bench->dv, count, KEYS, 1)};
        const enum attn_status status =
            study_attend(run, (struct attn_problem){.direction = ATTN_BACKWARD, .scale = scale}, &operands, error);
        if (status)
            return status;
        for (int64_t n = 0; n < count; ++n)
            keep(bench, head_dim, (double)scale, n, first + n, slopes);
    }
    return ATTN_OK;
}

/* One point of the curves. */
static enum attn_status measure(struct study_run *run, const struct bench *bench, enum layer_scale scale,
                                int64_t head_dim, struct slopes *slopes, struct attn_error *error) {
    slopes->off = 0;
    const enum attn_status status = draw(run, bench, head_dim, layer_scale_value(scale, head_dim), slopes, error);
    if (status)
        return status;
    slopes->mean = study_mean(bench->trials, slopes->norms[SCORES]);
    slopes->rare = study_quantile(bench->trials, slopes->norms[SCORES], 0.99);
    for (int n = 0; n < SLOPES; ++n)
        slopes->median[n] = study_quantile(bench->trials, slopes->norms[n], 0.5);
    return ATTN_OK;
}

static void record(struct study_run *run, enum layer_scale scale, const struct slopes of[DIMENSIONS]) {
    const char *const series = scale == LAYER_SCALE_NONE ? "unscaled" : "scaled by the root";
    for (int d = 0; d < DIMENSIONS; ++d) {
        const struct study_place place = STUDY_AT(series, "head_dim", ldexp(1, d));
        for (int n = 0; n < SLOPES; ++n)
            study_record(run, "C13", names[n], place, of[d].median[n]);
        study_record(run, "C13", "mean |dS|", place, of[d].mean);
        study_record(run, "C13", "99th percentile of |dS|", place, of[d].rare);
        study_expect(run, "C13", "largest error of dS / rounding bound", place, of[d].off, 0, 1);
    }
    if (scale == LAYER_SCALE_ROOT)
        study_record(run, "C13", names[SCORES], STUDY_AT("2 ln keys", "head_dim", 2 * log(KEYS)), of[0].median[SCORES]);
}

/* Six standard errors of ln(median) of values whose ln is about normal: its deviation from the quartiles. */
static double median_allowance(int64_t trials, double *norms) {
    const double deviation = log(study_quantile(trials, norms, 0.75) / study_quantile(trials, norms, 0.25)) / 1.349;
    return 6 * 1.2533 * deviation / sqrt((double)trials);
}

/* Scaled medians do not change with head_dim, once |q|^2 / head_dim is near 1: within its own O(1 / head_dim). */
static void expect_flat(struct study_run *run, const struct bench *bench, struct slopes scaled[DIMENSIONS]) {
    const double last = scaled[DIMENSIONS - 1].median[SCORES];
    const double last_allowed = median_allowance(bench->trials, scaled[DIMENSIONS - 1].norms[SCORES]);
    for (int d = 5; d < DIMENSIONS - 1; ++d) {
        const double head_dim = ldexp(1, d);
        const double allowed = hypot(median_allowance(bench->trials, scaled[d].norms[SCORES]), last_allowed);
        study_expect(run, "C13", "scaled median |dS| / that at head_dim 1024", STUDY_AT(NULL, "head_dim", head_dim),
                     scaled[d].median[SCORES] / last, exp(-allowed) - 2 / head_dim, exp(allowed) + 2 / head_dim);
    }
}

static int peak_of(const struct slopes of[DIMENSIONS], int slope) {
    int peak = 0;
    for (int d = 1; d < DIMENSIONS; ++d)
        if (of[d].median[slope] > of[peak].median[slope])
            peak = d;
    return peak;
}

/* The decay beyond 2 ln keys, from head_dim 128 on. A median of an exponential of rate r over `trials` has the
 * deviation 1 / (r sqrt(trials)). */
static void expect_decay(struct study_run *run, const struct bench *bench, const struct slopes unscaled[DIMENSIONS]) {
    enum { FIRST = 7, POINTS = DIMENSIONS - FIRST };
    double root[POINTS], logarithm[POINTS], squares = 0, variance = 0;
    for (int n = 0; n < POINTS; ++n) {
        root[n] = sqrt(ldexp(1, FIRST + n));
        logarithm[n] = log(unscaled[FIRST + n].median[SCORES]);
    }
    const double middle = study_mean(POINTS, root), error = 1 / (study_tie_density(KEYS) * sqrt((double)bench->trials));
    for (int n = 0; n < POINTS; ++n)
        squares += (root[n] - middle) * (root[n] - middle);
    for (int n = 0; n < POINTS; ++n)
        variance += pow((root[n] - middle) / squares * root[n] * error, 2);
    const double lead = study_lead_median(KEYS), allowed = 6 * sqrt(variance);
    study_expect(run, "C13", "slope of ln(unscaled median |dS|) along sqrt(head_dim)", STUDY_ALONE,
                 study_fit(POINTS, root, logarithm).slope, -lead - allowed, -lead + allowed);
}

static void conclude(struct study_run *run, const struct slopes unscaled[DIMENSIONS],
                     const struct slopes scaled[DIMENSIONS]) {
    const int at_scores = peak_of(unscaled, SCORES), at_query = peak_of(unscaled, QUERY), end = DIMENSIONS - 1;
    const double freezing = 2 * log(KEYS);
    const double rise = unscaled[at_query].median[QUERY] / scaled[at_query].median[QUERY];
    const double fall = unscaled[end].median[SCORES] / unscaled[at_scores].median[SCORES];
    /* Slopes rise until the softmax freezes, near 2 ln keys; dq, with its factor sqrt(head_dim), some way on. */
    study_expect(run, "C13", "head_dim where the unscaled median is largest", STUDY_BAR("|dS|"), ldexp(1, at_scores),
                 freezing / 4, freezing * 4);
    study_expect(run, "C13", "head_dim where the unscaled median is largest", STUDY_BAR("|dq|"), ldexp(1, at_query),
                 freezing, freezing * 16);
    study_expect(run, "C13", "largest unscaled median |dq| / scaled", STUDY_ALONE, rise, 2, INFINITY);
    study_expect(run, "C13", "unscaled median |dS| at head_dim 1024 / its largest", STUDY_ALONE, fall, 0, 0.05);
    study_conclude(
        run, "C13", rise > 1 && fall < 1 ? STUDY_DEPENDS : STUDY_REFUTED,
        "unscaled slopes first grow, then vanish: |dq| is %.1f times the scaled one at head_dim %.0f, and %.2g "
        "of it at 1024; scaled ones stay near %.2f",
        rise, ldexp(1, at_query), unscaled[end].median[QUERY] / scaled[end].median[QUERY], scaled[end].median[QUERY]);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t trials = study_setting_integer(run, "trials"), rows = CHUNK * LARGEST;
    double *const memory = STUDY_ARRAY(run, rows * (3 + 2 * KEYS) + CHUNK * (2 * KEYS + 1), double, error);
    double *const norms = STUDY_ARRAY(run, 2 * DIMENSIONS * SLOPES * trials, double, error);
    if (!memory || !norms)
        return ATTN_NO_MEMORY;
    struct bench bench = {.x = memory, .trials = trials};
    bench.q = bench.x + rows;
    bench.dq = bench.q + rows;
    bench.k = bench.dq + rows;
    bench.dk = bench.k + rows * KEYS;
    bench.v = bench.dk + rows * KEYS;
    bench.dv = bench.v + CHUNK * KEYS;
    bench.dout = bench.dv + CHUNK * KEYS;
    for (int n = 0; n < CHUNK; ++n)
        bench.dout[n] = 1;
    struct slopes of[2][DIMENSIONS];
    for (int scale = LAYER_SCALE_NONE; scale <= LAYER_SCALE_ROOT; ++scale) {
        for (int d = 0; d < DIMENSIONS; ++d) {
            struct slopes *const slopes = &of[scale][d];
            for (int n = 0; n < SLOPES; ++n)
                slopes->norms[n] = norms + ((scale * DIMENSIONS + d) * SLOPES + n) * trials;
            const enum attn_status status =
                measure(run, &bench, (enum layer_scale)scale, INT64_C(1) << d, slopes, error);
            if (status)
                return status;
        }
        record(run, (enum layer_scale)scale, of[scale]);
    }
    expect_flat(run, &bench, of[LAYER_SCALE_ROOT]);
    expect_decay(run, &bench, of[LAYER_SCALE_NONE]);
    conclude(run, of[LAYER_SCALE_NONE], of[LAYER_SCALE_ROOT]);
    return ATTN_OK;
}

static const struct study_setting settings[] = {
    {"trials", "1000", NULL, "drawn queries a point, each with 64 keys and values of its own"},
};

STUDY(gradient_medians) = {
    .name = "gradient_medians",
    .claims = "C13",
    .source = "S2 S4",
    .statement = "Without scaling gradients explode, or vanish; scaled they are stable.",
    .law = "unscaled, medians rise until head_dim nears 2 ln keys and fall as e^(-sqrt(head_dim) lead) beyond; scaled, "
           "they are constant",
    .settings = settings,
    .setting_count = 1,
    .run = run,
};
