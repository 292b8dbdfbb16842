/* SPDX-License-Identifier: Apache-2.0 */
/* Query, key and value of a token are three linear maps of its one vector. The layer's against sums in twice the
 * precision, within gamma_n = n u / (1 - n u) of the sum of |x w| (Higham 2002, 3.1). */
#include <math.h>
#include <string.h>

#include "layer/plain_gemm.h"
#include "layer/self_attention.h"
#include "study/attend.h"
#include "study/sample.h"

enum { TOKENS = 32, LARGEST = 512, MAPS = 3 };
#define ROUNDOFF 0x1p-53

/* x . w as if in twice the precision: products and sums keep what rounding takes (Ogita, Rump and Oishi 2005, Dot2).
 * Also sum |x w|. */
static double exact_dot(int64_t count, const double *x, const double *w, double *size) {
    double sum = 0, rest = 0;
    *size = 0;
    for (int64_t n = 0; n < count; ++n) {
        const double product = x[n] * w[n], lost = fma(x[n], w[n], -product), next = sum + product;
        const double part = next - sum;
        rest += lost + ((sum - (next - part)) + (product - part));
        sum = next;
        *size += fabs(product);
    }
    return sum + rest;
}

/* The largest error of a projection over what gamma allows it. */
static double error_fraction(int64_t features, const double *x, const double *weight, const double *projected) {
    const double gamma = (double)features * ROUNDOFF / (1 - (double)features * ROUNDOFF);
    double most = 0;
    for (int64_t i = 0; i < TOKENS; ++i)
        for (int64_t c = 0; c < features; ++c) {
            double size;
            const double want = exact_dot(features, x + i * features, weight + c * features, &size);
            most = study_larger(most, fabs(projected[i * features + c] - want) / (gamma * size));
        }
    return most;
}

/* The largest |cos| between what two maps make of the same token. */
static double largest_cosine(int64_t features, const double *a, const double *b) {
    double most = 0;
    for (int64_t i = 0; i < TOKENS; ++i)
        most = study_larger(most, fabs(study_cosine(features, a + i * features, b + i * features)));
    return most;
}

/* Of all features and maps. */
struct worst {
    double fraction, cosine;
};

static enum attn_status measure(struct study_run *run, int64_t features, double *memory, float *lse,
                                struct worst *worst, struct attn_error *error) {
    const int64_t count = TOKENS * features, area = features * features;
    double *const x = memory, *const y = x + count, *const weights = y + count, *const saved = weights + 4 * area;
    struct layer_linear maps[MAPS + 1]; /* query, key, value; the output map is not looked at */
    study_normals(study_seed(run), 0, count, 1, x);
    for (int n = 0; n <= MAPS; ++n) {
        const int drawn = study_setting_is(run, "maps", "own") ? n : 0;
        maps[n] = (struct layer_linear){features, features, weights + n * area, NULL};
        study_normals(study_seed(run), 1 + (uint64_t)drawn, area, 1 / sqrt((double)features), maps[n].weight);
    }
    const struct layer_self_attention layer = {1, features, 0, 0, maps[0], maps[1], maps[2], maps[3]};
    const struct layer_attention_saved kept = {saved, saved + count, saved + 2 * count, saved + 3 * count, lse};
    const struct layer_attention attention = study_attention(run);
    const struct layer_sequences sequences = {1, TOKENS, {.causal = false}};
    const enum attn_status status =
        layer_self_attention_forward(&layer, &attention, &(struct layer_compute){layer_plain_gemm, study_threads(run)},
                                     &sequences, x, &kept, y, error);
    if (status)
        return status;
    static const char *const names[MAPS] = {"query", "key", "value"};
    static const char *const pairs[MAPS] = {"query, key", "key, value", "value, query"};
    const double *const projected[MAPS] = {kept.q, kept.k, kept.v};
    for (int n = 0; n < MAPS; ++n) {
        const double fraction = error_fraction(features, x, maps[n].weight, projected[n]);
        const double cosine = largest_cosine(features, projected[n], projected[(n + 1) % MAPS]);
        study_expect(run, "C9", "largest error / gamma", STUDY_AT(names[n], "features", (double)features), fraction, 0,
                     1);
        /* The cosine of two independent directions has the deviation 1 / sqrt(features): six of them. */
        study_expect(run, "C9", "largest |cos| of a token's two vectors",
                     STUDY_AT(pairs[n], "features", (double)features), cosine, 0, 6 / sqrt((double)features));
        worst->fraction = study_larger(worst->fraction, fraction);
        worst->cosine = study_larger(worst->cosine, cosine);
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, 6 * TOKENS * LARGEST + 4 * LARGEST * LARGEST, double, error);
    float *const lse = STUDY_ARRAY(run, TOKENS, float, error);
    if (!memory || !lse)
        return ATTN_NO_MEMORY;
    struct worst worst = {0};
    for (int64_t features = 64; features <= LARGEST; features *= 2) {
        const enum attn_status status = measure(run, features, memory, lse, &worst, error);
        if (status)
            return status;
    }
    study_conclude(
        run, "C9", study_holds(run, "C9") ? STUDY_SUPPORTED : STUDY_REFUTED,
        "three matrices make three vectors of one, each within %.2g of what rounding may do, no two closer than a "
        "cosine of %.2f",
        worst.fraction, worst.cosine);
    return ATTN_OK;
}

static const struct study_setting settings[] = {
    {"maps", "own", "own shared", "whether query, key and value have a matrix each, or share one"},
};

STUDY(projections) = {
    .name = "projections",
    .claims = "C9",
    .source = "S0 S2 S3 S4",
    .statement = "Query, key and value are made of one vector by multiplying it with three matrices.",
    .law = "error within gamma of the sum of |x w|; three different vectors",
    .settings = settings,
    .setting_count = 1,
    .run = run,
};
