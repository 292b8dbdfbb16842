/* SPDX-License-Identifier: Apache-2.0 */
/* A streaming softmax (Milakov, Gimelshein 2018) rescales what it has summed whenever a key raises the running maximum.
 * With scores in exchangeable order key n is the greatest so far with probability 1/n, independently of the others: the
 * number of rescalings has the mean H_n = 1 + 1/2 + ... + 1/n and the variance H_n - (1 + 1/4 + ... + 1/n^2) (Renyi
 * 1962), whatever the scores' distribution. Maxima of blocks are as exchangeable as the keys. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "study/sample.h"
#include "study/study.h"

enum { LARGEST = 16384, BLOCK = 64, ROWS = 400 };

struct counts {
    double keys, blocks, beyond; /* rescalings: key by key, block by block, when a key is beyond 2^8 of the reference */
};

static struct counts count_rescalings(int64_t keys, const double *scores) {
    struct counts counts = {0};
    double max = -INFINITY, block_max = -INFINITY, reference = -INFINITY, within = -INFINITY;
    for (int64_t n = 0; n < keys; ++n) {
        counts.keys += scores[n] > max;
        max = fmax(max, scores[n]);
        within = fmax(within, scores[n]);
        if ((n + 1) % BLOCK == 0 || n + 1 == keys) {
            counts.blocks += within > block_max;
            block_max = fmax(block_max, within);
            within = -INFINITY;
        }
        if (scores[n] > reference + log(256)) {
            ++counts.beyond;
            reference = scores[n];
        }
    }
    return counts;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct harmonic {
    double mean, deviation;
};

static struct harmonic records_of(int64_t count) {
    double mean = 0, squares = 0;
    for (int64_t n = count; n > 0; --n) {
        mean += 1 / (double)n;
        squares += 1 / ((double)n * (double)n);
    }
    return (struct harmonic){mean, sqrt(mean - squares)};
}

/* Rows of exchangeable scores, or, when they drift, of scores that rise by 4 standard deviations along the row. */
static void measure_drawn(struct study_run *run, int64_t keys, double *scores, double *mean_keys) {
    const int64_t rows = study_setting_integer(run, "rows");
    const double drift = study_setting_is(run, "drift", "upward") ? 4 : 0;
    struct counts sum = {0};
    for (int64_t row = 0; row < rows; ++row) {
        study_normals(study_seed(run), (uint64_t)(keys * rows + row), keys, 1, scores);
        for (int64_t n = 0; n < keys; ++n)
            scores[n] += drift * (double)n / (double)keys;
        const struct counts counts = count_rescalings(keys, scores);
        sum.keys += counts.keys;
        sum.blocks += counts.blocks;
        sum.beyond += counts.beyond;
    }
    const struct harmonic by_key = records_of(keys), by_block = records_of(keys / BLOCK);
    const double key_spread = 6 * by_key.deviation / sqrt((double)rows);
    const double block_spread = 6 * by_block.deviation / sqrt((double)rows);
    const double at = (double)keys;
    *mean_keys = sum.keys / (double)rows;
    study_expect(run, "L1", "rescalings of a row, mean", STUDY_AT("key by key", "keys", at), *mean_keys,
                 by_key.mean - key_spread, by_key.mean + key_spread);
    study_expect(run, "L1", "rescalings of a row, mean", STUDY_AT("blocks of 64", "keys", at),
                 sum.blocks / (double)rows, by_block.mean - block_spread, by_block.mean + block_spread);
    study_record(run, "L1", "rescalings of a row, mean", STUDY_AT("key by key, when beyond 2^8", "keys", at),
                 sum.beyond / (double)rows);
}

static void measure_sorted(struct study_run *run, int64_t keys, double *scores) {
    const double at = (double)keys;
    study_normals(study_seed(run), (uint64_t)keys, keys, 1, scores);
    qsort(scores, (size_t)keys, sizeof *scores, ascending);
    study_expect(run, "L1", "rescalings of a sorted row", STUDY_AT("ascending", "keys", at),
                 count_rescalings(keys, scores).keys, at, at);
    for (int64_t n = 0; n < keys / 2; ++n) {
        const double kept = scores[n];
        scores[n] = scores[keys - 1 - n];
        scores[keys - 1 - n] = kept;
    }
    study_expect(run, "L1", "rescalings of a sorted row", STUDY_AT("descending", "keys", at),
                 count_rescalings(keys, scores).keys, 1, 1);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const scores = STUDY_ARRAY(run, LARGEST, double, error);
    if (!scores)
        return ATTN_NO_MEMORY;
    double mean = NAN;
    for (int64_t keys = BLOCK; keys <= LARGEST; keys *= 4) {
        measure_drawn(run, keys, scores, &mean);
        measure_sorted(run, keys, scores);
        if (study_stopping(run))
            return ATTN_INTERRUPTED;
    }
    study_conclude(
        run, "L1", study_holds(run, "L1") ? STUDY_SUPPORTED : STUDY_REFUTED,
        "of %d keys in drawn order %.2f raise the maximum (H_n = %.2f), in ascending order all, in descending "
        "order one",
        LARGEST, mean, records_of(LARGEST).mean);
    return ATTN_OK;
}

static const struct study_setting settings[] = {
    {"rows", "400", NULL, "drawn at every number of keys"},
    {"drift", "none", "none upward", "of scores along a row; upward: keys are not exchangeable"},
};

STUDY(streaming_maxima) = {
    .name = "streaming_maxima",
    .claims = "L1",
    .source = "literature",
    .statement = "A streaming softmax rescales its sums seldom: the running maximum of n drawn keys rises H_n times.",
    .law = "H_n rescalings for keys in exchangeable order, H_(n/64) by blocks of 64, n in ascending order, 1 in "
           "descending",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
