/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of unit normal keys are, given the query, independent normal energies of deviation sigma = scale |q|: their
 * softmax is the Random Energy Model (Derrida 1981) at inverse temperature sigma, which freezes at sqrt(2 ln keys).
 * Unscaled, sigma is the root of head_dim: it freezes from head_dim = 2 ln keys on. Two expansions at this number of
 * keys, used 2.5 times below and above that point:
 *   below:  entropy = ln keys - sigma^2 / 2 + [sigma^2 e^(sigma^2) - (e^(sigma^2) - 1) / 2] / keys;
 *   above, m = (density of a tie of the two largest) / sigma, as in a Poisson-Dirichlet law of that parameter:
 *           sum of squared weights = 1 - m,  entropy = zeta(2) m + zeta(3) m^2.
 * The last term of each is also the error it is allowed, beside six standard errors of the sample's mean. */
#include <math.h>

#include "study/attend.h"
#include "study/extreme.h"
#include "study/sample.h"

enum { KEYS = 64, LARGEST = 1024, CHUNK = 25, SIZED = 64, SCALES = LAYER_SCALE_COUNT };
static const double away = 2.5;
static const char *const scale_names[SCALES] = {"unscaled", "1 / sqrt(head_dim)", "1 / head_dim"};

/* What is kept of every trial's row of weights. */
struct sample {
    int64_t trials;
    double *entropy, *largest, *squares; /* the entropy over ln keys */
};

struct estimate {
    double mean, allowed; /* six standard errors */
};

static struct estimate estimate_of(int64_t trials, const double *values) {
    return (struct estimate){study_mean(trials, values), 6 * sqrt(study_variance(trials, values) / (double)trials)};
}

static void keep(const double *weights, int64_t trial, const struct sample *sample) {
    double entropy = 0, largest = 0;
    for (int64_t j = 0; j < KEYS; ++j) {
        largest = fmax(largest, weights[j]);
        if (weights[j] != 0)
            entropy -= weights[j] * log(weights[j]);
    }
    sample->entropy[trial] = entropy / log(KEYS);
    sample->largest[trial] = largest;
    sample->squares[trial] = study_dot(KEYS, weights, weights);
}

/* One query against KEYS keys of its own each trial, every feature of deviation `size`. */
static enum attn_status draw(struct study_run *run, int64_t head_dim, float scale, double size, double *memory,
                             const struct sample *sample, struct attn_error *error) {
    double *const queries = memory, *const keys = queries + CHUNK * LARGEST,
                  *const weights = keys + CHUNK * KEYS * LARGEST;
    for (int64_t first = 0; first < sample->trials; first += CHUNK) {
        const int64_t count = sample->trials - first < CHUNK ? sample->trials - first : CHUNK;
        const uint64_t stream = 2 * (uint64_t)(head_dim * sample->trials + first);
        study_normals(study_seed(run), stream, count * head_dim, size, queries);
        study_normals(study_seed(run), stream + 1, count * KEYS * head_dim, size, keys);
        const enum attn_status status =
            study_weights(run, (struct attn_problem){.scale = scale}, study_tensor(queries, count, 1, head_dim),
                          study_tensor(keys, count, KEYS, head_dim), weights, error);
        if (status)
            return status;
        for (int64_t n = 0; n < count; ++n)
            keep(weights + n * KEYS, first + n, sample);
    }
    return ATTN_OK;
}

static void state(struct study_run *run, const char *claim, struct study_place place, double sigma, bool expected,
                  const struct sample *sample) {
    const struct estimate entropy = estimate_of(sample->trials, sample->entropy);
    const struct estimate squares = estimate_of(sample->trials, sample->squares);
    const double freezing = sqrt(2 * log(KEYS)), variance = sigma * sigma;
    static const char entropy_name[] = "entropy / ln keys", squares_name[] = "sum of squared weights";
    if (expected && sigma <= freezing / away) {
        const double leading = 1 - variance / 2 / log(KEYS);
        const double last = (variance * exp(variance) - (exp(variance) - 1) / 2) / KEYS / log(KEYS);
        study_expect(run, claim, entropy_name, place, entropy.mean, leading - entropy.allowed,
                     leading + 2 * last + entropy.allowed);
        study_record(run, claim, squares_name, place, squares.mean);
    } else if (expected && sigma >= away * freezing) {
        const double m = study_tie_density(KEYS) / sigma, zeta2 = M_PI * M_PI / 6, zeta3 = 1.2020569031595943;
        study_expect(run, claim, entropy_name, place, entropy.mean, zeta2 * m / log(KEYS) - entropy.allowed,
                     (zeta2 * m + 2 * zeta3 * m * m) / log(KEYS) + entropy.allowed);
        study_expect(run, claim, squares_name, place, squares.mean, 1 - m - m * m - squares.allowed,
                     1 - m + m * m + squares.allowed);
    } else {
        study_record(run, claim, entropy_name, place, entropy.mean);
        study_record(run, claim, squares_name, place, squares.mean);
    }
    study_record(run, claim, "largest weight", place, study_mean(sample->trials, sample->largest));
}

/* The model's limit for infinitely many keys, with its two phases, and the point between them. */
static void record_limit(struct study_run *run) {
    static const char series[] = "unscaled, keys to infinity", entropy[] = "entropy / ln keys";
    static const char squares[] = "sum of squared weights", point[] = "2 ln keys", axis[] = "head_dim";
    const double critical = 2 * log(KEYS);
    for (double head_dim = 1; head_dim <= LARGEST; head_dim *= 2) {
        if (head_dim > critical && head_dim < 2 * critical) {
            study_record(run, "C12", entropy, STUDY_AT(series, axis, critical), 0);
            study_record(run, "C12", squares, STUDY_AT(series, axis, critical), 0);
        }
        study_record(run, "C12", entropy, STUDY_AT(series, axis, head_dim), fmax(0, 1 - head_dim / critical));
        study_record(run, "C12", squares, STUDY_AT(series, axis, head_dim), fmax(0, 1 - sqrt(critical / head_dim)));
    }
    study_record(run, "C12", entropy, STUDY_AT(point, axis, critical), 0);
    study_record(run, "C12", squares, STUDY_AT(point, axis, critical), 0);
}

/* The three scales as head_dim grows: C12. */
static enum attn_status over_dimensions(struct study_run *run, double *memory, const struct sample *sample,
                                        struct attn_error *error) {
    double last[SCALES] = {0};
    for (int64_t head_dim = 1; head_dim <= LARGEST; head_dim *= 2)
        for (int scale = 0; scale < SCALES; ++scale) {
            const float value = layer_scale_value((enum layer_scale)scale, head_dim);
            const enum attn_status status = draw(run, head_dim, value, 1, memory, sample, error);
            if (status)
                return status;
            /* |q|^2 is head_dim, give or take its root: the expansions want it known. */
            state(run, "C12", STUDY_AT(scale_names[scale], "head_dim", (double)head_dim),
                  (double)value * sqrt((double)head_dim), head_dim >= 16, sample);
            last[scale] = study_mean(sample->trials, sample->entropy);
        }
    record_limit(run);
    const bool right = last[LAYER_SCALE_NONE] < 0.1 && last[LAYER_SCALE_ROOT] > 0.8;
    study_conclude(run, "C12", right ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "at head_dim %d the entropy is %.3f of ln %d unscaled, %.3f scaled by the root, and %.4f, all but "
                   "uniform, scaled by head_dim itself",
                   LARGEST, last[LAYER_SCALE_NONE], KEYS, last[LAYER_SCALE_ROOT], last[LAYER_SCALE_DIMENSION]);
    return ATTN_OK;
}

/* Longer vectors of one dimension, scaled by its root: C33. */
static enum attn_status over_sizes(struct study_run *run, double *memory, const struct sample *sample,
                                   struct attn_error *error) {
    static const double sizes[] = {.5, 1, 2, 4, 8};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    double entropy[COUNT];
    for (int n = 0; n < COUNT; ++n) {
        const enum attn_status status =
            draw(run, SIZED, layer_scale_value(LAYER_SCALE_ROOT, SIZED), sizes[n], memory, sample, error);
        if (status)
            return status;
        state(run, "C33", STUDY_AT(scale_names[LAYER_SCALE_ROOT], "size of the vectors' features", sizes[n]),
              sizes[n] * sizes[n], true, sample);
        entropy[n] = study_mean(sample->trials, sample->entropy);
    }
    study_conclude(run, "C33", entropy[COUNT - 1] > 0.5 ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "entropy / ln %d is %.3f, %.3f, %.3f, %.3f, %.3f for vectors of size .5, 1, 2, 4, 8: the root of "
                   "head_dim cures dimension, not length",
                   KEYS, entropy[0], entropy[1], entropy[2], entropy[3], entropy[4]);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t trials = study_setting_integer(run, "trials");
    double *const memory = STUDY_ARRAY(run, CHUNK * ((KEYS + 1) * LARGEST + KEYS), double, error);
    double *const kept = STUDY_ARRAY(run, 3 * trials, double, error);
    if (!memory || !kept)
        return ATTN_NO_MEMORY;
    const struct sample sample = {trials, kept, kept + trials, kept + 2 * trials};
    const enum attn_status status = over_dimensions(run, memory, &sample, error);
    return status ? status : over_sizes(run, memory, &sample, error);
}

static const struct study_setting settings[] = {
    {"trials", "400", NULL, "drawn queries a point, each with 64 keys of its own"},
};

STUDY(saturation) = {
    .name = "saturation",
    .claims = "C12 C33",
    .source = "S0 S2 S4",
    .statement =
        "Unscaled, softmax gives almost all weight to one token; divided by d_k or its root it stays balanced, "
        "even when vectors are very large.",
    .law = "entropy and sum of squared weights as the Random Energy Model has them, which freezes at head_dim = 2 ln "
           "keys unscaled",
    .settings = settings,
    .setting_count = 1,
    .run = run,
};
