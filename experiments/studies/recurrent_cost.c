/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer of attention costs against an RNN and an LSTM of the same width: multiply-adds, counted where they are
 * done, and matrix products that wait for each other; times are recorded. */
#include <math.h>
#include <stdio.h>

#include "drawn_layer.h"
#include "layer/plain_gemm.h"
#include "machine/clock.h"
#include "machine/gemm.h"
#include "recurrent.h"

enum { SMALL = 16, LARGE = 256, LONGEST = 1024, REPEATS = 3 };
enum network { ATTENTION, RNN, LSTM, NETWORKS };
static const char *const names[] = {"attention", "RNN", "LSTM"};

static const struct study_setting settings[] = {
    {"mask", "none", "none causal", "which keys a query sees where multiply-adds are counted"},
};

struct networks {
    struct layer_attention attention;
    struct layer_sequences sequences;
    struct drawn_layer drawn;
    struct recurrent rnn, lstm;
    float *x, *y; /* [positions][features] */
};

static enum attn_status create(struct study_run *run, int64_t positions, int64_t features, struct networks *networks,
                               struct attn_error *error) {
    networks->sequences = (struct layer_sequences){.batch = 1, .positions = positions};
    networks->x = STUDY_ARRAY(run, 2 * positions * features, float, error);
    if (!networks->x)
        return ATTN_NO_MEMORY;
    networks->y = networks->x + positions * features;
    drawn_normals(study_seed(run), 0, positions * features, 1, networks->x);
    enum attn_status status = drawn_layer_create(run, 1, positions, features, 1, features, &networks->drawn, error);
    if (!status)
        status = recurrent_create(run, RECURRENT_RNN, 5, positions, features, &networks->rnn, error);
    if (!status)
        status = recurrent_create(run, RECURRENT_LSTM, 7, positions, features, &networks->lstm, error);
    return status;
}

static enum attn_status read_words(const struct networks *networks, enum network network, struct attn_error *error) {
    if (network == ATTENTION)
        return drawn_layer_forward(&networks->drawn, &networks->attention, &networks->sequences, networks->x,
                                   networks->y, error);
    recurrent_forward(network == RNN ? &networks->rnn : &networks->lstm, &networks->drawn.compute,
                      networks->sequences.positions, networks->x, networks->y);
    return ATTN_OK;
}

/* ---- counts: a GEMM is called without a context, so what it did is kept here ---- */

static int64_t multiply_adds, products;

static void counting_gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                          const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    multiply_adds += m * n * k;
    ++products;
    layer_plain_gemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

static enum attn_status counting_attention(void *context, const struct attn_problem *problem,
                                           const struct attn_operands *operands, struct attn_error *error) {
    const struct layer_attention *const inner = context;
    multiply_adds += problem->live_pairs * (problem->head_dim + problem->value_dim);
    products += 2;
    return inner->run(inner->context, problem, operands, error);
}

/* Widths of SMALL features, up to 64 words: there a map is one product. */
static enum attn_status count(struct study_run *run, double products_of[NETWORKS], struct attn_error *error) {
    const double features = SMALL;
    struct layer_attention inner = study_attention(run);
    for (int64_t words = SMALL; words <= 64; words *= 2) {
        struct networks networks = {.attention = {.context = &inner, .run = counting_attention}};
        enum attn_status status = create(run, words, SMALL, &networks, error);
        networks.drawn.compute.gemm = counting_gemm;
        networks.sequences.mask.causal = study_setting_is(run, "mask", "causal");
        double done[NETWORKS];
        for (enum network network = ATTENTION; network < NETWORKS; ++network) {
            multiply_adds = products = 0;
            if (!status)
                status = read_words(&networks, network, error);
            if (status)
                return status;
            const double n = (double)words, square = n * features * features;
            const double work =
                network == ATTENTION ? 4 * square + 2 * n * n * features : (network == RNN ? 2 : 8) * square;
            const double path = network == ATTENTION ? 6 : n + 1;
            done[network] = (double)multiply_adds;
            products_of[network] = (double)products;
            study_expect(run, "C16", "multiply-adds", STUDY_AT(names[network], "words at 16 features", n),
                         done[network], work, work);
            study_expect(run, "C16", "matrix products one after the other",
                         STUDY_AT(names[network], "words at 16 features", n), products_of[network], path, path);
        }
        const double longer = (double)words / features;
        study_expect(run, "C16", "work of attention / work of the other", STUDY_AT("LSTM", "words / features", longer),
                     done[ATTENTION] / done[LSTM], (2 + longer) / 4, (2 + longer) / 4);
        study_expect(run, "C16", "work of attention / work of the other", STUDY_AT("RNN", "words / features", longer),
                     done[ATTENTION] / done[RNN], 2 + longer, 2 + longer);
    }
    return ATTN_OK;
}

/* ---- times ---- */

static enum attn_status take_times(struct study_run *run, double seconds[NETWORKS], struct attn_error *error) {
    for (int64_t features = LARGE / 4; features <= LARGE; features *= 4)
        for (int64_t words = LONGEST / 16; words <= LONGEST; words *= 4) {
            struct networks networks;
            enum attn_status status = study_variant(run, "flash", &networks.attention, error);
            if (!status)
                status = create(run, words, features, &networks, error);
            if (machine_gemm())
                networks.drawn.compute.gemm = machine_gemm();
            networks.drawn.compute.threads = study_threads(run);
            for (enum network network = ATTENTION; network < NETWORKS && !status; ++network) {
                seconds[network] = INFINITY;
                for (int n = 0; n < REPEATS && !status; ++n) {
                    const int64_t begun_ns = machine_clock_ns();
                    status = read_words(&networks, network, error);
                    seconds[network] = fmin(seconds[network], 1e-9 * (double)(machine_clock_ns() - begun_ns));
                }
                char series[64];
                snprintf(series, sizeof series, "%s, %d features", names[network], (int)features);
                study_record(run, "C16", "time, s", STUDY_AT(series, "words", (double)words), seconds[network]);
            }
            if (status)
                return status;
            if (study_stopping(run))
                return ATTN_INTERRUPTED;
        }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double products_of[NETWORKS], seconds[NETWORKS];
    enum attn_status status = count(run, products_of, error);
    if (!status)
        status = take_times(run, seconds, error);
    if (status)
        return status;
    study_conclude(
        run, "C16", study_holds(run, "C16") ? STUDY_DEPENDS : STUDY_REFUTED,
        "64 words take %.0f products one after the other against %.0f, so it can be made parallel; in work it "
        "beats an LSTM only below 2 words a feature, a plain RNN never; %d words of %d features took "
        "%.3f s, RNN %.3f, LSTM %.3f",
        products_of[ATTENTION], products_of[RNN], LONGEST, LARGE, seconds[ATTENTION], seconds[RNN], seconds[LSTM]);
    return ATTN_OK;
}

STUDY(recurrent_cost) = {
    .name = "recurrent_cost",
    .claims = "C16",
    .source = "S1 S2",
    .statement = "Self-attention processes all words of a long sequence at once, faster than an RNN or an LSTM.",
    .law =
        "multiply-adds of N words of D features: attention 4ND^2 + 2N^2 D, RNN 2ND^2, LSTM 8ND^2; products that wait "
        "for each other: 6, N + 1, N + 1",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
