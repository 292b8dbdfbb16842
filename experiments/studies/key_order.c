/* SPDX-License-Identifier: Apache-2.0 */
/* The same keys, drawn scores with a standard deviation of 4, in three orders through an online softmax. In ascending
 * order partial sums are small until the last few keys: little error, though every key rescales. In descending order
 * they are full at once, and each of the many small weights to come is rounded against a large sum, or lost in it.
 * Rescaling is harmless, absorption is not. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rounding.h"
#include "study/sample.h"

#define DEVIATION 4.0 /* of the scores */

enum { FEATURES = 64, ROWS = 16, FEWEST = 64, ABSORBING = 4096 };
enum order { RANDOM, ASCENDING, DESCENDING, ORDERS };
static const char *const orders[ORDERS] = {"random", "ascending", "descending"};

struct keyed {
    struct rounding own;
    double *scores, *values; /* as drawn: [keys], [keys][FEATURES] */
    int64_t *places;         /* of the keys in their order */
    double *partial;         /* [FEATURES] */
};

static int by_score(const void *a, const void *b, void *scores) {
    const double x = ((const double *)scores)[*(const int64_t *)a], y = ((const double *)scores)[*(const int64_t *)b];
    return (x > y) - (x < y);
}

static void arrange(struct keyed *keyed, enum order order, int64_t keys) {
    for (int64_t n = 0; n < keys; ++n)
        keyed->places[n] = n;
    if (order != RANDOM)
        qsort_r(keyed->places, (size_t)keys, sizeof *keyed->places, by_score, keyed->scores);
    for (int64_t n = 0; n < keys; ++n) {
        const int64_t from = keyed->places[order == DESCENDING ? keys - 1 - n : n];
        keyed->own.k[n] = (float)keyed->scores[from];
        for (int64_t c = 0; c < FEATURES; ++c)
            keyed->own.v[n * FEATURES + c] = (float)keyed->values[from * FEATURES + c];
    }
}

/* What theory says of the error of one row, in units of u. */
struct theory {
    double worst;    /* every rounding in the same direction: the running error bound (Higham 2002, 3.3) */
    double random;   /* independent roundings: the same sum, of squares */
    double absorbed; /* the bias of small weights rounded against a full sum */
};

/* A sum so far, and its errors as they add up. */
struct errors {
    double size, worst, square;
};

/* exp(-d) and the product with it: d u by the rounding of d, less than 2 u and 1 u; exp(0) is exact. */
static double worst_factor(double d) {
    return d > 0 ? d + 3 : 0;
}

static double square_factor(double d) {
    return d > 0 ? d * d + 2 : 0;
}

/* What was summed is rescaled by exp(-rise), `added`, a weight of exp(-distance), is added, and the sum, now of size
 * `size`, rounded. */
static void step(struct errors *errors, double rise, double distance, double added, double size) {
    const double factor = exp(-rise), rescaled = factor * errors->size;
    errors->worst = factor * errors->worst + worst_factor(rise) * rescaled + worst_factor(distance) * added + size;
    errors->square = factor * factor * errors->square + square_factor(rise) * rescaled * rescaled +
                     square_factor(distance) * added * added + size * size;
    errors->size = size;
}

/* Of an online softmax over the keys as they are arranged. A weight w added to a sum with the last place g becomes a
 * multiple of g. Where weights have the density n(ln w) the mean of what is lost, w - g round(w / g), sums to
 * n(ln g) g ln(2) / 2: all below w = g / 2, less what is won again above. */
static struct theory theory_of(struct keyed *keyed, int64_t keys) {
    double max = -INFINITY;
    struct errors sum = {0}, answer = {0};
    memset(keyed->partial, 0, FEATURES * sizeof *keyed->partial);
    for (int64_t n = 0; n < keys; ++n) {
        const double score = (double)keyed->own.k[n], rise = n > 0 ? fmax(score - max, 0) : 0;
        max = fmax(max, score);
        const double factor = exp(-rise), weight = exp(score - max);
        double length = 0;
        for (int64_t c = 0; c < FEATURES; ++c) {
            const double value = (double)keyed->own.v[n * FEATURES + c];
            keyed->partial[c] = factor * keyed->partial[c] + weight * value;
            length += value * value;
        }
        step(&sum, rise, max - score, weight, factor * sum.size + weight);
        step(&answer, rise, max - score, weight * sqrt(length), study_norm(FEATURES, keyed->partial));
    }
    const double place = exp2(floor(log2(sum.size)) - 23), at = (max + log(place)) / DEVIATION;
    const double density = (double)keys * exp(-at * at / 2) / (DEVIATION * sqrt(2 * M_PI));
    const double squares = sum.square / (sum.size * sum.size) + answer.square / (answer.size * answer.size);
    return (struct theory){.worst = sum.worst / sum.size + answer.worst / answer.size + 2,
                           .random = sqrt(ROUNDING_MEAN_SQUARE * (squares + 2)),
                           .absorbed = density * place * M_LN2 / 2 / sum.size / 0x1p-24};
}

/* Root mean squares over rows, of the error and of what theory says of it. */
static enum attn_status measure(struct keyed *keyed, const struct layer_attention *attention, int64_t keys,
                                double errors[ORDERS], struct theory theories[ORDERS], struct attn_error *error) {
    const uint64_t seed = study_seed(keyed->own.run);
    enum attn_status status = ATTN_OK;
    for (int order = 0; order < ORDERS; ++order) {
        errors[order] = 0;
        theories[order] = (struct theory){0};
    }
    for (int64_t row = 0; row < ROWS; ++row) {
        const uint64_t stream = (uint64_t)(2 * (keys * ROWS + row));
        study_normals(seed, stream, keys, DEVIATION, keyed->scores);
        study_normals(seed, stream + 1, keys * FEATURES, 1, keyed->values);
        for (int order = 0; order < ORDERS && !status; ++order) {
            double distance = NAN;
            arrange(keyed, (enum order)order, keys);
            status = rounding_solve(&keyed->own, keys, error);
            if (!status)
                status = rounding_measure(&keyed->own, attention, ATTN_F32, keys, &distance, error);
            const struct theory theory = theory_of(keyed, keys);
            errors[order] += distance * distance / ROWS;
            theories[order].worst += theory.worst * theory.worst / ROWS;
            theories[order].random += theory.random * theory.random / ROWS;
            theories[order].absorbed += theory.absorbed * theory.absorbed / ROWS;
        }
    }
    for (int order = 0; order < ORDERS; ++order) {
        errors[order] = sqrt(errors[order]);
        theories[order] =
            (struct theory){sqrt(theories[order].worst), sqrt(theories[order].random), sqrt(theories[order].absorbed)};
    }
    return status;
}

/* Roundings of an ascending order are independent, the absorption of a descending one is a mean over many keys: both
 * are met within a factor of 2, as sizes of single errors are known no better. */
static void expect(struct study_run *run, int64_t keys, const double errors[ORDERS],
                   const struct theory theories[ORDERS]) {
    static const char *const name = "error of the answer / u";
    for (int order = 0; order < ORDERS; ++order) {
        const struct study_place at = STUDY_AT(orders[order], "keys", (double)keys);
        const struct theory *const theory = &theories[order];
        if (order == ASCENDING)
            study_expect(run, "L3", name, at, errors[order], theory->random / 2, 2 * theory->random);
        else if (order == DESCENDING && keys >= ABSORBING)
            study_expect(run, "L3", name, at, errors[order], theory->absorbed / 2, 2 * theory->absorbed);
        else
            study_record(run, "L3", name, at, errors[order]);
        study_record(run, "L3", "error / u if roundings were independent", at, theory->random);
        study_expect(run, "L3", "error / running error bound", at, errors[order] / theory->worst, 0, 1);
    }
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t most = rounding_most_keys(run, FEWEST);
    const struct rounding_sizes sizes = {1, most, 1, FEATURES, 1};
    struct keyed keyed = {.scores = STUDY_ARRAY(run, most, double, error),
                          .values = STUDY_ARRAY(run, most * FEATURES, double, error),
                          .places = STUDY_ARRAY(run, most, int64_t, error),
                          .partial = STUDY_ARRAY(run, FEATURES, double, error)};
    if (!keyed.scores || !keyed.values || !keyed.places || !keyed.partial)
        return ATTN_NO_MEMORY;
    struct layer_attention online;
    enum attn_status status = rounding_create(run, &sizes, &keyed.own, error);
    if (!status)
        status = study_variant(run, "online", &online, error);
    if (status)
        return status;
    keyed.own.q[0] = 1;
    double errors[ORDERS] = {0};
    struct theory theories[ORDERS] = {{0}};
    for (int64_t keys = FEWEST; keys <= most && !status; keys *= 4) {
        status = measure(&keyed, &online, keys, errors, theories, error);
        if (!status)
            expect(run, keys, errors, theories);
        if (!status && study_stopping(run))
            status = ATTN_INTERRUPTED;
    }
    if (status)
        return status;
    study_conclude(
        run, "L3", errors[DESCENDING] > 10 * errors[ASCENDING] ? STUDY_SUPPORTED : STUDY_REFUTED,
        "at %d keys the error is %.1f u in ascending order, where every key rescales, %.0f u in drawn order, "
        "%.0f u in descending order, where none does after the first",
        (int)most, errors[ASCENDING], errors[RANDOM], errors[DESCENDING]);
    return ATTN_OK;
}

static const struct study_setting settings[] = {{"keys", "16384", NULL, "the most; fewer by factors of 4"}};

STUDY(key_order) = {
    .name = "key_order",
    .claims = "L3",
    .source = "literature",
    .statement =
        "What costs an online softmax accuracy is not that it rescales, but small weights added to large sums.",
    .law = "keys in ascending order: independent roundings of small partial sums; in descending order from 4,096 keys: "
           "the absorption of small weights, in proportion to their number; never beyond the running error bound",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
