/* SPDX-License-Identifier: Apache-2.0 */
#include "recurrent.h"

#include <math.h>

#include "drawn_layer.h"

/* Rows of a square matrix to an orthonormal set, times `gain` (modified Gram-Schmidt). */
static void make_orthogonal(int64_t n, double gain, layer_real *rows) {
    for (int64_t i = 0; i < n; ++i) {
        layer_real *const row = rows + i * n;
        double squares = 0;
        for (int64_t other = 0; other < i; ++other) {
            double dot = 0;
            for (int64_t c = 0; c < n; ++c)
                dot += (double)row[c] * (double)rows[other * n + c];
            for (int64_t c = 0; c < n; ++c)
                row[c] -= (layer_real)(dot * (double)rows[other * n + c]);
        }
        for (int64_t c = 0; c < n; ++c)
            squares += (double)row[c] * (double)row[c];
        for (int64_t c = 0; c < n; ++c)
            row[c] = (layer_real)((double)row[c] / sqrt(squares));
    }
    for (int64_t c = 0; c < n * n; ++c)
        rows[c] *= (layer_real)gain;
}

enum attn_status recurrent_create(struct study_run *run, enum recurrent_kind kind, uint64_t stream, int64_t positions,
                                  int64_t features, struct recurrent *net, struct attn_error *error) {
    const int64_t width = features * (kind == RECURRENT_LSTM ? 4 : 1);
    layer_real *const weights = STUDY_ARRAY(run, 2 * features * width + width, layer_real, error);
    layer_real *const gates = STUDY_ARRAY(run, (positions + 1) * width + features, layer_real, error);
    if (!weights || !gates)
        return ATTN_NO_MEMORY;
    *net = (struct recurrent){
        .kind = kind,
        .features = features,
        .input = {.in_features = features,
                  .out_features = width,
                  .weight = weights,
                  .bias = weights + features * width},
        .state = {.in_features = features, .out_features = width, .weight = weights + (features + 1) * width},
        .gates = gates};
    const double deviation = 1 / sqrt((double)features);
    drawn_normals(study_seed(run), stream, features * width, deviation, net->input.weight);
    drawn_normals(study_seed(run), stream + 1, features * width, deviation, net->state.weight);
    if (kind == RECURRENT_RNN)
        make_orthogonal(features, RECURRENT_GAIN, net->state.weight);
    for (int64_t c = features; kind == RECURRENT_LSTM && c < 2 * features; ++c)
        net->input.bias[c] = 1;
    return ATTN_OK;
}

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

void recurrent_forward(const struct recurrent *net, const struct layer_compute *compute, int64_t positions,
                       const layer_real *x, layer_real *h) {
    const int64_t features = net->features, width = net->state.out_features;
    layer_real *const from_state = net->gates + positions * width, *const cells = from_state + width;
    const struct layer_compute alone = {.gemm = compute->gemm, .threads = 1};
    layer_linear_forward(&net->input, compute, positions, x, net->gates);
    for (int64_t c = 0; c < features; ++c)
        cells[c] = 0;
    for (int64_t t = 0; t < positions; ++t) {
        layer_real *const gates = net->gates + t * width, *const state = h + t * features;
        layer_linear_forward(&net->state, &alone, 1, t > 0 ? state - features : cells, from_state);
        for (int64_t c = 0; c < width; ++c)
            gates[c] += from_state[c];
        for (int64_t c = 0; c < features; ++c) {
            if (net->kind == RECURRENT_RNN) {
                state[c] = (layer_real)tanh((double)gates[c]);
                continue;
            }
            const double in = logistic((double)gates[c]), keep = logistic((double)gates[features + c]);
            const double out = logistic((double)gates[3 * features + c]);
            cells[c] = (layer_real)(keep * (double)cells[c] + in * tanh((double)gates[2 * features + c]));
            state[c] = (layer_real)(out * tanh((double)cells[c]));
        }
    }
}
