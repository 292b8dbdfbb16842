/* SPDX-License-Identifier: Apache-2.0 */
/* How the rounding error of attention in float grows with the number of keys. Roundings are independent, of the mean
 * square c2 = ROUNDING_MEAN_SQUARE u^2 of what is rounded, so a sum of N terms that are added one by one has the
 * relative mean square c2 x sum over n of (partial sum / sum)^2: N / 3 for the weights, whose partial sums grow as n,
 * and N / 2 for weighted values of mean 0, which grow as the root of n. Together 5 N / 6, whether the maximum is known
 * before (naive) or only so far (online). A sum by blocks of B keys, each begun anew, has B / 2 within the blocks, and
 * 5 / 6 x N / B between them (Higham 2002, 4.2; Blanchard, Higham, Higham 2021). To this comes the error of scores and
 * exponentials, which does not grow. */
#include <math.h>

#include "rounding.h"
#include "study/sample.h"

enum { FEATURES = 64, QUERIES = 64, BLOCK = 64, FEWEST = 64, SLOPE_FROM = 4096, MOST = 32 };
enum { NAIVE, ONLINE, TILED, FLASH, VARIANTS, BLOCKED = VARIANTS, ARMS };

static const char *const arms[ARMS] = {"naive", "online", "online_tiled", "flash", "online, blocks of 64"};

/* In units of u: scores are products of 64 features whose partial sums have the size of a score, a maximum is
 * subtracted, an exponential taken, at most 1 unit each: twice the root of their squares, at unit scores. */
#define SCORE_ERROR 6

/* One query by blocks: float arithmetic, every sum of a block begun at zero. */
static void answer_by_blocks(const float *query, const float *keys, const float *values, int64_t count, float scale,
                             float *out) {
    float max = -INFINITY, sum = 0, weighted[FEATURES] = {0};
    for (int64_t first = 0; first < count; first += BLOCK) {
        float scores[BLOCK], block_sum = 0, block[FEATURES] = {0}, block_max = max;
        for (int n = 0; n < BLOCK; ++n) {
            float dot = 0;
            for (int c = 0; c < FEATURES; ++c)
                dot += query[c] * keys[(first + n) * FEATURES + c];
            scores[n] = scale * dot;
            block_max = fmaxf(block_max, scores[n]);
        }
        for (int n = 0; n < BLOCK; ++n) {
            const float weight = expf(scores[n] - block_max);
            block_sum += weight;
            for (int c = 0; c < FEATURES; ++c)
                block[c] += weight * values[(first + n) * FEATURES + c];
        }
        const float factor = expf(max - block_max);
        sum = factor * sum + block_sum;
        for (int c = 0; c < FEATURES; ++c)
            weighted[c] = factor * weighted[c] + block[c];
        max = block_max;
    }
    for (int c = 0; c < FEATURES; ++c)
        out[c] = weighted[c] / sum;
}

/* The expected relative error of the sums, in units of u. */
static double predicted(int arm, int64_t keys) {
    const double n = (double)keys, between = arm == BLOCKED ? 5.0 / 6 * n / BLOCK + BLOCK / 2.0 : 5.0 / 6 * n;
    return sqrt(ROUNDING_MEAN_SQUARE * between);
}

struct growth {
    struct rounding own;
    struct layer_attention variants[VARIANTS];
    float *magnitudes, *answer; /* |v|; [QUERIES][FEATURES] */
};

static double greatest_norm(int64_t count, const float *rows) {
    double greatest = 0;
    for (int64_t n = 0; n < count; ++n) {
        double square = 0;
        for (int64_t c = 0; c < FEATURES; ++c)
            square += (double)rows[n * FEATURES + c] * (double)rows[n * FEATURES + c];
        greatest = fmax(greatest, square);
    }
    return sqrt(greatest);
}

/* |dO| <= sum of p |v| x (2 max |ds| + (2 N + 8) u), |ds| <= (64 + 2) u |q| |k| scale: every rounding in the same
 * direction. In units of u and relative to the answer, as distances are. */
static enum attn_status find_bound(const struct growth *growth, int64_t keys, double *bound, struct attn_error *error) {
    struct rounding upper = growth->own;
    const double exact = study_norm(QUERIES * FEATURES, upper.exact);
    upper.v = growth->magnitudes;
    const enum attn_status status = rounding_solve(&upper, keys, error);
    const double score_error =
        (FEATURES + 2) * greatest_norm(QUERIES, upper.q) * greatest_norm(keys, upper.k) * (double)upper.sizes.scale;
    *bound = study_norm(QUERIES * FEATURES, upper.exact) / exact * (2 * score_error + 2 * (double)keys + 8);
    return status;
}

/* Every arm's distance at this many keys. */
static enum attn_status measure(struct growth *growth, int64_t keys, double distances[ARMS], double *bound,
                                struct attn_error *error) {
    struct rounding *const own = &growth->own;
    enum attn_status status = rounding_solve(own, keys, error);
    for (int arm = 0; arm < VARIANTS && !status; ++arm)
        status = rounding_measure(own, &growth->variants[arm], ATTN_F32, keys, &distances[arm], error);
    for (int64_t i = 0; i < QUERIES; ++i)
        answer_by_blocks(own->q + i * FEATURES, own->k, own->v, keys, own->sizes.scale, growth->answer + i * FEATURES);
    distances[BLOCKED] = rounding_distance(own, growth->answer);
    return status ? status : find_bound(growth, keys, bound, error);
}

/* Sums' errors alone from below, with those of scores from above. Of 64 queries the root mean square has a standard
 * deviation of 3.5 %: two fifths of its square are one error a query. Six of them, and 10 % from below and above for
 * leading digits that a growing sum does not spread evenly. */
static void expect(struct study_run *run, int64_t keys, const double distances[ARMS], double bound) {
    for (int arm = 0; arm < ARMS; ++arm) {
        const struct study_place at = STUDY_AT(arms[arm], "keys", (double)keys);
        const double sums = predicted(arm, keys);
        if (arm == TILED || arm == FLASH)
            study_record(run, "L2", "error of the answer / u", at, distances[arm]);
        else
            study_expect(run, "L2", "error of the answer / u", at, distances[arm], 0.7 * sums,
                         1.3 * sqrt(sums * sums + SCORE_ERROR * SCORE_ERROR));
        study_expect(run, "L2", "error / worst case", at, distances[arm] / bound, 0, 1);
    }
}

static enum attn_status prepare(struct study_run *run, int64_t keys, struct growth *growth, struct attn_error *error) {
    const struct rounding_sizes sizes = {QUERIES, keys, FEATURES, FEATURES, 1.0F / 8};
    double *const drawn = STUDY_ARRAY(run, keys * FEATURES, double, error);
    growth->magnitudes = STUDY_ARRAY(run, keys * FEATURES, float, error);
    growth->answer = STUDY_ARRAY(run, QUERIES * FEATURES, float, error);
    if (!drawn || !growth->magnitudes || !growth->answer)
        return ATTN_NO_MEMORY;
    enum attn_status status = rounding_create(run, &sizes, &growth->own, error);
    for (int arm = 0; arm < VARIANTS && !status; ++arm)
        status = study_variant(run, arms[arm], &growth->variants[arm], error);
    if (status)
        return status;
    rounding_draw(&growth->own, drawn);
    for (int64_t n = 0; n < keys * FEATURES; ++n)
        growth->magnitudes[n] = fabsf(growth->own.v[n]);
    return ATTN_OK;
}

/* The slope of ln error over ln keys; of points with a standard deviation of 3.5 % it has one of 0.035 over the root of
 * the summed squares of ln keys. Six of them. */
static void judge_exponents(struct study_run *run, int points, const double *lengths, double errors[ARMS][MOST]) {
    const double spread = 6 * 0.035 / sqrt(study_variance(points, lengths) * (points - 1));
    for (int arm = 0; arm < ARMS && points > 1; ++arm) {
        const double slope = study_fit(points, lengths, errors[arm]).slope;
        if (arm == NAIVE || arm == ONLINE)
            study_expect(run, "L2", "exponent of growth from 4,096 keys", STUDY_BAR(arms[arm]), slope, 0.5 - spread,
                         0.5 + spread);
        else
            study_record(run, "L2", "exponent of growth from 4,096 keys", STUDY_BAR(arms[arm]), slope);
    }
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t most = rounding_most_keys(run, FEWEST);
    double lengths[MOST], errors[ARMS][MOST], distances[ARMS] = {0}, bound = NAN;
    int points = 0;
    struct growth growth;
    enum attn_status status = prepare(run, most, &growth, error);
    for (int64_t keys = FEWEST; keys <= most && !status; keys *= 4) {
        status = measure(&growth, keys, distances, &bound, error);
        if (status)
            break;
        expect(run, keys, distances, bound);
        for (int arm = 0; arm < ARMS; ++arm)
            errors[arm][points] = log(distances[arm]);
        lengths[points] = log((double)keys);
        points += keys >= SLOPE_FROM;
        study_progress(run, (double)keys / (double)most, "%d keys: naive %.1f u, by blocks %.1f u", (int)keys,
                       distances[NAIVE], distances[BLOCKED]);
        if (study_stopping(run))
            status = ATTN_INTERRUPTED;
    }
    if (status)
        return status;
    judge_exponents(run, points, lengths, errors);
    study_conclude(
        run, "L2", distances[BLOCKED] < distances[NAIVE] ? STUDY_SUPPORTED : STUDY_REFUTED,
        "at %d keys the error is %.1f u naive, %.1f u online, %.1f u by blocks of 64, %.1f u in online_tiled, "
        "%.1f u in flash",
        (int)most, distances[NAIVE], distances[ONLINE], distances[BLOCKED], distances[TILED], distances[FLASH]);
    return ATTN_OK;
}

static const struct study_setting settings[] = {{"keys", "65536", NULL, "the most; fewer by factors of 4"}};

STUDY(error_growth) = {
    .name = "error_growth",
    .claims = "L2",
    .source = "literature",
    .statement = "In float, attention by blocks is more accurate than attention that adds one key after the other.",
    .law =
        "error / u = sqrt(0.18 (5 N / 6)) for one key after the other, sqrt(0.18 (B / 2 + 5 N / (6 B))) for sums begun "
        "anew every B keys, besides the error of scores; never beyond the worst case",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
