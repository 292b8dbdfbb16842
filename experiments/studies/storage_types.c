/* SPDX-License-Identifier: Apache-2.0 */
/* What 16-bit storage costs. Queries, keys, values and the answer rounded to bf16 or f16 once, sums in float: the error
 * of the answer is a part of that type's u, however many keys there are. With c2 = ROUNDING_MEAN_SQUARE u^2, its mean
 * square relative to the answer's has c2 by the values (weights pass over their roundings and themselves alike), c2 by
 * the answer, and by queries and keys the square of what they change in a score, c2 x sum over c of (q_c k_c scale)^2
 * each. That sum is 1 + 3/16 for unit normal features and the scale 1/8, as keys count by the square of their weight:
 * such a key is N(q / 4, 1). Sums kept in 16 bits are another matter: adding ones stops at 1 / u. */
#include <math.h>
#include <stdio.h>

#include "rounding.h"
#include "study/sample.h"

enum { FEATURES = 64, QUERIES = 64, FEWEST = 64, VARIANTS = 3, TYPES = 2 };

static const char *const variants[VARIANTS] = {"naive", "online_tiled", "flash"};
static const enum attn_type types[TYPES] = {ATTN_BF16, ATTN_F16};

/* Within 15 %: 7 % are six standard deviations of a root mean square of 4,096 roundings; and of few keys none is as
 * heavy as counted above, which makes the error less. flash may round weights too, where a processor multiplies tiles
 * of 16-bit numbers. */
static enum attn_status measure(struct study_run *run, struct rounding *own, int64_t keys,
                                const struct layer_attention attentions[VARIANTS], double errors[TYPES],
                                struct attn_error *error) {
    const double predicted = sqrt(ROUNDING_MEAN_SQUARE * (2 + 2 * (1 + 3.0 / 16)));
    enum attn_status status = rounding_solve(own, keys, error);
    for (int type = 0; type < TYPES; ++type)
        for (int n = 0; n < VARIANTS && !status; ++n) {
            char name[96];
            double distance = NAN;
            status = rounding_measure(own, &attentions[n], types[type], keys, &distance, error);
            snprintf(name, sizeof name, "error of the answer / u of %s", attn_type_name(types[type]));
            const struct study_place at = STUDY_AT(variants[n], "keys", (double)keys);
            if (n < VARIANTS - 1)
                study_expect(run, "L4", name, at, distance, 0.85 * predicted, 1.15 * predicted);
            else
                study_record(run, "L4", name, at, distance);
            errors[type] = n == 0 ? distance : errors[type];
        }
    return status;
}

/* 1 + 1 + ..., every sum rounded to the type. */
static double add_ones(enum attn_type type, int64_t count) {
    double stored; /* room for any type */
    attn_store(&stored, type, 0, 0);
    for (int64_t n = 0; n < count; ++n)
        attn_store(&stored, type, 0, attn_load(&stored, type, 0) + 1);
    return (double)attn_load(&stored, type, 0);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const int64_t most = rounding_most_keys(run, FEWEST);
    const struct rounding_sizes sizes = {QUERIES, most, FEATURES, FEATURES, 1.0F / 8};
    double *const drawn = STUDY_ARRAY(run, (most > QUERIES ? most : QUERIES) * FEATURES, double, error);
    struct rounding own;
    struct layer_attention attentions[VARIANTS];
    enum attn_status status = drawn ? rounding_create(run, &sizes, &own, error) : ATTN_NO_MEMORY;
    for (int n = 0; n < VARIANTS && !status; ++n)
        status = study_variant(run, variants[n], &attentions[n], error);
    if (status)
        return status;
    rounding_draw(&own, drawn);
    double errors[TYPES] = {NAN, NAN};
    for (int64_t keys = FEWEST; keys <= most && !status; keys *= 4) {
        status = measure(run, &own, keys, attentions, errors, error);
        if (!status && study_stopping(run))
            status = ATTN_INTERRUPTED;
    }
    if (status)
        return status;
    for (int type = 0; type < TYPES; ++type)
        for (int64_t count = 64; count <= 16384; count *= 4)
            study_expect(run, "L4", "1 + 1 + ... kept in 16 bits",
                         STUDY_AT(attn_type_name(types[type]), "ones", (double)count), add_ones(types[type], count),
                         fmin((double)count, 1 / attn_type_roundoff(types[type])),
                         fmin((double)count, 1 / attn_type_roundoff(types[type])));
    study_conclude(
        run, "L4", study_holds(run, "L4") ? STUDY_SUPPORTED : STUDY_REFUTED,
        "with %d keys the answer errs by %.2f u in bf16 and %.2f u in f16; a sum kept in them stops at %.0f and "
        "%.0f",
        (int)most, errors[0], errors[1], 1 / attn_type_roundoff(types[0]), 1 / attn_type_roundoff(types[1]));
    return ATTN_OK;
}

static const struct study_setting settings[] = {{"keys", "16384", NULL, "the most; fewer by factors of 4"}};

STUDY(storage_types) = {
    .name = "storage_types",
    .claims = "L4",
    .source = "literature",
    .statement =
        "16-bit storage costs a constant part of its round-off, however many keys, while sums are kept in float.",
    .law = "error = 0.89 u of the type for every number of keys; a sum kept in the type stops at 1 / u",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
