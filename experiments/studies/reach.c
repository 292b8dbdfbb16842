/* SPDX-License-Identifier: Apache-2.0 */
/* What a word's vector depends on: dy_i / dx_j for all pairs of places, and how its norm changes with their distance,
 * in attention, an RNN and an LSTM. Derivatives are central differences in float64. */
#include <float.h>
#include <math.h>

#include "drawn_layer.h"
#include "recurrent.h"
#include "study/sample.h"

enum { FEATURES = 8, SHORT = 12, LONG = 32, DRAWS = 24 };
enum network { ATTENTION, RNN, LSTM, NETWORKS };
static const char *const names[] = {"attention", "RNN", "LSTM"};

struct reader {
    struct layer_attention attention;
    struct layer_sequences sequences;
    struct drawn_layer drawn;
    struct recurrent nets[NETWORKS];
    double *x, *low, *high; /* [LONG][FEATURES] */
};

static enum attn_status read_words(struct reader *reader, enum network network, double *y, struct attn_error *error) {
    if (network == ATTENTION)
        return drawn_layer_forward(&reader->drawn, &reader->attention, &reader->sequences, reader->x, y, error);
    recurrent_forward(&reader->nets[network], &reader->drawn.compute, reader->sequences.positions, reader->x, y);
    return ATTN_OK;
}

/* norms[i] = |dy_i / dx_j|, Frobenius, for every place i. The step balances truncation, h^2, against rounding, u / h.
 */
static enum attn_status differentiate(struct reader *reader, enum network network, int64_t j, double step,
                                      double *norms, struct attn_error *error) {
    const int64_t positions = reader->sequences.positions;
    for (int64_t i = 0; i < positions; ++i)
        norms[i] = 0;
    for (int64_t c = 0; c < FEATURES; ++c) {
        double *const x = &reader->x[j * FEATURES + c], kept = *x;
        *x = kept - step;
        enum attn_status status = read_words(reader, network, reader->low, error);
        *x = kept + step;
        if (!status)
            status = read_words(reader, network, reader->high, error);
        *x = kept;
        if (status)
            return status;
        for (int64_t n = 0; n < positions * FEATURES; ++n) {
            const double slope = (reader->high[n] - reader->low[n]) / (2 * step);
            norms[n / FEATURES] += slope * slope;
        }
    }
    for (int64_t i = 0; i < positions; ++i)
        norms[i] = sqrt(norms[i]);
    return ATTN_OK;
}

/* All pairs of a short sequence: the least norm of those that the mask allows, the largest of those that it forbids. */
static enum attn_status all_pairs(struct study_run *run, struct reader *reader, bool causal, double step,
                                  struct attn_error *error) {
    reader->sequences = (struct layer_sequences){.batch = 1, .positions = SHORT, .mask = {.causal = causal}};
    double norms[SHORT], least = INFINITY, forbidden = 0;
    for (int64_t j = 0; j < SHORT; ++j) {
        const enum attn_status status = differentiate(reader, ATTENTION, j, step, norms, error);
        if (status)
            return status;
        for (int64_t i = 0; i < SHORT; ++i)
            if (causal && j > i)
                forbidden = fmax(forbidden, norms[i]);
            else
                least = fmin(least, norms[i]);
    }
    /* Differences resolve about u / step; a thousand times that is a dependence. */
    study_expect(run, "C3", "least |dy_i/dx_j| of visible words", STUDY_BAR(causal ? "causal" : "unmasked"), least,
                 1000 * DBL_EPSILON / step, INFINITY);
    if (causal)
        study_expect(run, "C3", "largest |dy_i/dx_j| of later words", STUDY_BAR("causal"), forbidden, 0, 0);
    return ATTN_OK;
}

/* |dy_i / dx_0| over the distance i, a draw of words and weights each: means of logarithms, slopes of each draw. */
static enum attn_status over_distance(struct study_run *run, struct reader *reader, enum network network, double step,
                                      double *slopes, double *means, struct attn_error *error) {
    double norms[LONG], distances[LONG], logarithms[LONG];
    double most = 0; /* of the RNN's norms, over |W| gain^i: a step multiplies by RECURRENT_GAIN at most */
    for (int64_t draw = 0; draw < DRAWS; ++draw) {
        const uint64_t stream = 100 + 16 * (uint64_t)draw;
        enum attn_status status =
            network == ATTENTION ? drawn_layer_create(run, stream, LONG, FEATURES, 1, FEATURES, &reader->drawn, error)
                                 : recurrent_create(run, network == RNN ? RECURRENT_RNN : RECURRENT_LSTM, stream + 4,
                                                    LONG, FEATURES, &reader->nets[network], error);
        drawn_normals(study_seed(run), stream + 8, LONG * FEATURES, 1, reader->x);
        if (!status)
            status = differentiate(reader, network, 0, step, norms, error);
        if (status)
            return status;
        for (int64_t i = 1; i < LONG; ++i) {
            distances[i - 1] = (double)i;
            logarithms[i - 1] = log(norms[i]);
            means[i] += logarithms[i - 1] / DRAWS;
            if (network == RNN)
                most = fmax(most, norms[i] / pow(RECURRENT_GAIN, (double)i) /
                                      study_norm(FEATURES * FEATURES, reader->nets[RNN].input.weight));
        }
        slopes[draw] = study_fit(LONG - 1, distances, logarithms).slope;
        if (study_stopping(run))
            return ATTN_INTERRUPTED;
    }
    if (network == RNN)
        study_expect(run, "C3", "largest |dy_i/dx_0| / (|W| gain^i)", STUDY_BAR("RNN"), most, 0, 1);
    return ATTN_OK;
}

static enum attn_status distances(struct study_run *run, struct reader *reader, double step, double decay[NETWORKS],
                                  struct attn_error *error) {
    reader->sequences = (struct layer_sequences){.batch = 1, .positions = LONG};
    for (enum network network = ATTENTION; network < NETWORKS; ++network) {
        double slopes[DRAWS], means[LONG] = {0};
        const enum attn_status status = over_distance(run, reader, network, step, slopes, means, error);
        if (status)
            return status;
        for (int64_t i = 1; i < LONG; i += 3)
            study_record(run, "C3", "geometric mean of |dy_i/dx_0|", STUDY_AT(names[network], "distance", (double)i),
                         exp(means[i]));
        decay[network] = study_mean(DRAWS, slopes);
        const double deviations = decay[network] / sqrt(study_variance(DRAWS, slopes) / DRAWS);
        study_record(run, "C3", "slope of ln |dy_i/dx_0| a word", STUDY_BAR(names[network]), decay[network]);
        study_expect(run, "C3", "that slope / its standard error", STUDY_BAR(names[network]), deviations,
                     network == ATTENTION ? -6 : -INFINITY, network == ATTENTION ? 6 : -6);
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct reader reader = {.attention = study_attention(run),
                            .x = STUDY_ARRAY(run, LONG * FEATURES, double, error),
                            .low = STUDY_ARRAY(run, LONG * FEATURES, double, error),
                            .high = STUDY_ARRAY(run, LONG * FEATURES, double, error)};
    if (!reader.x || !reader.low || !reader.high)
        return ATTN_NO_MEMORY;
    const double step = cbrt(DBL_EPSILON);
    double decay[NETWORKS];
    drawn_normals(study_seed(run), 0, SHORT * FEATURES, 1, reader.x);
    enum attn_status status = drawn_layer_create(run, 1, SHORT, FEATURES, 1, FEATURES, &reader.drawn, error);
    if (!status)
        status = all_pairs(run, &reader, false, step, error);
    if (!status)
        status = all_pairs(run, &reader, true, step, error);
    if (!status)
        status = distances(run, &reader, step, decay, error);
    if (status)
        return status;
    study_conclude(
        run, "C3", study_holds(run, "C3") ? STUDY_SUPPORTED : STUDY_DEPENDS,
        "every visible word counts, and a word %d places away as much as the next; an RNN forgets %.0f %% of "
        "a word a step, an LSTM %.0f %%",
        LONG - 1, 100 * (1 - exp(decay[RNN])), 100 * (1 - exp(decay[LSTM])));
    return ATTN_OK;
}

STUDY(reach) = {
    .name = "reach",
    .claims = "C3",
    .source = "S1 S2",
    .statement = "A contextual vector is a function of all words; self-attention captures long-range dependencies.",
    .law = "|dy_i/dx_j| > 0 for every visible word, 0 for a masked one, without a trend over the distance in "
           "attention and falling by a factor a step in an RNN and an LSTM",
    .run = run,
};
