/* SPDX-License-Identifier: Apache-2.0 */
/* What sinusoidal and rotary positions say of places: products that depend on a difference alone. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "drawn_layer.h"
#include "layer/embedding.h"
#include "study/sample.h"

enum { FEATURES = 16, FARTHEST = 1000, OFFSETS = 64, ENTRIES = FARTHEST + OFFSETS + 1, WORDS = 8 };
static const double base = 1e4; /* Vaswani et al. 2017, 3.5 */
static const int64_t places[] = {0, 7, 100, FARTHEST};
enum { PLACES = sizeof places / sizeof *places };

static const struct study_setting settings[] = {
    {"positions", "whole", "whole none", "none: words are moved without telling the layer"},
};

static double frequency(int64_t pair) {
    return pow(base, -2.0 * (double)pair / FEATURES);
}

/* Sines and cosines of p w and (p + k) w, whose angles are off by u of themselves: how far a sum over FEATURES of their
 * products may be off. */
static double rounding(int64_t p, int64_t k) {
    return FEATURES * (double)(p + k + 4) * DBL_EPSILON;
}

/* ---- PE(p) . PE(p + k) = sum over i of cos(k w_i); M_k PE(p) = PE(p + k), M_k a turn by k w_i in each plane ---- */

static void sinusoidal(struct study_run *run, const double *table) {
    for (int n = 0; n < PLACES; ++n) {
        const int64_t p = places[n];
        double off = 0, most = 0;
        char series[32];
        snprintf(series, sizeof series, "p=%d", (int)p);
        for (int64_t k = 0; k <= OFFSETS; k = k < 4 ? k + 1 : k * 2) {
            const double *const here = table + p * FEATURES, *const there = here + k * FEATURES;
            double law = 0;
            for (int64_t i = 0; i < FEATURES / 2; ++i) {
                const double cosine = cos((double)k * frequency(i)), sine = sin((double)k * frequency(i));
                law += cosine;
                off = fmax(off, fabs(cosine * here[2 * i] + sine * here[2 * i + 1] - there[2 * i]));
                off = fmax(off, fabs(cosine * here[2 * i + 1] - sine * here[2 * i] - there[2 * i + 1]));
            }
            most = rounding(p, k);
            study_expect(run, "C18", "PE(p) . PE(p + k)", STUDY_AT(series, "k", (double)k),
                         study_dot(FEATURES, here, there), law - most, law + most);
        }
        study_expect(run, "C18", "largest element of M_k PE(p) - PE(p + k)", STUDY_BAR(series), off, 0, most);
        /* A value worked out elsewhere, to 13 digits: 16 features, 5 places. */
        const double *const here = table + p * FEATURES;
        most = rounding(p, 5) + 5e-13;
        study_expect(run, "C18", "PE(p) . PE(p + 5) - 6.137039961449", STUDY_BAR(series),
                     study_dot(FEATURES, here, here + 5 * FEATURES) - 6.137039961449, -most, most);
    }
}

/* ---- words moved by `shift` places: rotary scores do not change, those of added positions do ---- */

/* x [WORDS][FEATURES] turned as if it began at place `shift`; `memory` holds ENTRIES rows. */
static const double *turned(const double *x, int64_t shift, double *memory) {
    const struct layer_sequences sequences = {.batch = 1, .positions = shift + WORDS};
    memset(memory, 0, (size_t)(shift * FEATURES) * sizeof *memory);
    memcpy(memory + shift * FEATURES, x, WORDS * FEATURES * sizeof *x);
    layer_rotary(&sequences, base, 1, FEATURES, LAYER_TURN_FORWARD, memory);
    return memory + shift * FEATURES;
}

struct moved {
    struct layer_attention attention;
    double q[WORDS * FEATURES], k[WORDS * FEATURES], v[WORDS * FEATURES];
    double place_q[WORDS * FEATURES], place_k[WORDS * FEATURES]; /* q and k with positions added */
    const double *table;
    double *turned_q, *turned_k; /* [ENTRIES][FEATURES] */
    bool whole;
};

static enum attn_status answer_rotary(struct moved *moved, int64_t shift, double *out, struct attn_error *error) {
    const struct attn_problem problem = {.query_len = WORDS, .head_dim = FEATURES};
    const bool whole = moved->whole;
    return drawn_attention(&moved->attention, problem, whole ? turned(moved->q, shift, moved->turned_q) : moved->q,
                           whole ? turned(moved->k, shift, moved->turned_k) : moved->k, moved->v, out, error);
}

static enum attn_status answer_added(struct moved *moved, int64_t shift, double *out, struct attn_error *error) {
    const struct attn_problem problem = {.query_len = WORDS, .head_dim = FEATURES};
    for (int64_t n = 0; n < WORDS * FEATURES; ++n) {
        const double place = moved->whole ? moved->table[shift * FEATURES + n] : 0;
        moved->place_q[n] = moved->q[n] + place;
        moved->place_k[n] = moved->k[n] + place;
    }
    return drawn_attention(&moved->attention, problem, moved->place_q, moved->place_k, moved->v, out, error);
}

static double largest(const double *x) {
    const double zero[WORDS * FEATURES] = {0};
    return study_largest_difference(WORDS * FEATURES, x, zero);
}

static enum attn_status move(struct study_run *run, struct moved *moved, double *added, struct attn_error *error) {
    double from[2][WORDS * FEATURES], to[2][WORDS * FEATURES];
    const double values = largest(moved->v);
    enum attn_status status = answer_rotary(moved, 0, from[0], error);
    if (!status)
        status = answer_added(moved, 0, from[1], error);
    const double score = study_dot(FEATURES, turned(moved->q, 0, moved->turned_q) + 5 * FEATURES,
                                   turned(moved->k, 0, moved->turned_k) + 2 * FEATURES);
    /* |q_i| |k_j| <= FEATURES times the largest elements. */
    const double product = FEATURES * largest(moved->q) * largest(moved->k);
    *added = INFINITY;
    for (int n = 1; n < PLACES && !status; ++n) {
        const int64_t shift = places[n];
        status = answer_rotary(moved, shift, to[0], error);
        if (!status)
            status = answer_added(moved, shift, to[1], error);
        if (status)
            return status;
        const double scores = product * 2 * rounding(shift, WORDS) / FEATURES + product * FEATURES * DBL_EPSILON;
        const double shifted = study_dot(FEATURES, turned(moved->q, shift, moved->turned_q) + 5 * FEATURES,
                                         turned(moved->k, shift, moved->turned_k) + 2 * FEATURES);
        study_expect(run, "C18", "(R_5+s q) . (R_2+s k) - (R_5 q) . (R_2 k)",
                     STUDY_AT("rotary", "shift s", (double)shift), shifted - score, -scores, scores);
        /* Scores off by e move weights by 2e of themselves; sums over the words are off by WORDS u, twice two of them.
         */
        const double change = study_largest_difference(WORDS * FEATURES, from[0], to[0]) / values;
        study_expect(run, "C18", "largest change of an answer", STUDY_AT("rotary", "shift s", (double)shift), change, 0,
                     4 * scores + 4 * WORDS * DBL_EPSILON);
        const double other = study_largest_difference(WORDS * FEATURES, from[1], to[1]) / values;
        study_expect(run, "C18", "largest change of an answer", STUDY_AT("sinusoidal, added", "shift s", (double)shift),
                     other, 0.01, INFINITY);
        *added = fmin(*added, other);
    }
    return status;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, 3 * ENTRIES * FEATURES, double, error);
    struct moved *const moved = STUDY_ARRAY(run, 1, struct moved, error);
    if (!memory || !moved)
        return ATTN_NO_MEMORY;
    const struct layer_embedding table = {.entries = ENTRIES, .features = FEATURES, .table = memory};
    layer_positions_sinusoidal(&table, base);
    sinusoidal(run, memory);
    moved->attention = study_attention(run);
    moved->table = memory;
    moved->turned_q = memory + ENTRIES * FEATURES;
    moved->turned_k = memory + 2 * ENTRIES * FEATURES;
    moved->whole = study_setting_is(run, "positions", "whole");
    drawn_normals(study_seed(run), 0, WORDS * FEATURES, 1, moved->q);
    drawn_normals(study_seed(run), 1, WORDS * FEATURES, 1, moved->k);
    drawn_normals(study_seed(run), 2, WORDS * FEATURES, 1, moved->v);
    double added;
    const enum attn_status status = move(run, moved, &added, error);
    if (status)
        return status;
    study_conclude(run, "C18", study_holds(run, "C18") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "PE(p) . PE(p + k) depends on k alone, and so does a rotary score; positions that are added to the "
                   "words are absolute as well: moving all words by 7 places or more changed an answer by %.2f of a "
                   "value or more",
                   added);
    return ATTN_OK;
}

STUDY(positions) = {
    .name = "positions",
    .claims = "C18",
    .source = "S2",
    .statement = "A positional encoding tells the relative or absolute position of tokens.",
    .law =
        "PE(p) . PE(p + k) = sum cos(k w_i) and PE(p + k) = M_k PE(p) for every p; (R_m q) . (R_n k) depends on m - n",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
