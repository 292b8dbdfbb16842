/* SPDX-License-Identifier: Apache-2.0 */
/* A bias in the key map adds q_i . b_k to every score of a row, which softmax does not see: the outputs stay, and the
 * slope of any loss along b_k is 0. Biases of queries and values do matter. */
#include <math.h>

#include "layer/plain_gemm.h"
#include "layer/self_attention.h"
#include "study/attend.h"
#include "study/sample.h"

enum {
    TOKENS = 12,
    MODEL = 16,
    HEADS = 2,
    HEAD_DIM = 8,
    X = TOKENS * MODEL,
    MAP = MODEL * MODEL,
    MAPS = 4,
    BIASED = 3
};
#define ROUNDOFF 0x1p-53

static const char *const names[BIASED] = {"query", "key", "value"};

struct subject {
    double x[X], dy[X], y[X], plain[X], dx[X];
    double maps[MAPS][MAP], biases[MAPS][MODEL], slopes[MAPS][MAP], bias_slopes[MAPS][MODEL];
    double saved[4][X], scratch[4][X];
    float lse[HEADS * TOKENS];
};

static struct layer_linear map_of(double *weight, double *bias) {
    return (struct layer_linear){MODEL, MODEL, weight, bias};
}

static struct layer_self_attention layer_of(double maps[MAPS][MAP], double biases[MAPS][MODEL]) {
    return (struct layer_self_attention){HEADS,
                                         HEAD_DIM,
                                         0,
                                         0,
                                         map_of(maps[0], biases[0]),
                                         map_of(maps[1], biases[1]),
                                         map_of(maps[2], biases[2]),
                                         map_of(maps[3], biases[3])};
}

static const struct layer_compute compute = {layer_plain_gemm, 1};
static const struct layer_sequences sequences = {1, TOKENS, {.causal = false}};

static struct layer_attention_saved saved_of(double saved[4][X], float *lse) {
    return (struct layer_attention_saved){saved[0], saved[1], saved[2], saved[3], lse};
}

static enum attn_status forward(struct study_run *run, struct subject *subject, double *y, struct attn_error *error) {
    const struct layer_self_attention layer = layer_of(subject->maps, subject->biases);
    const struct layer_attention attention = study_attention(run);
    const struct layer_attention_saved saved = saved_of(subject->saved, subject->lse);
    return layer_self_attention_forward(&layer, &attention, &compute, &sequences, subject->x, &saved, y, error);
}

static double largest(int64_t count, const double *values) {
    double most = 0;
    for (int64_t n = 0; n < count; ++n)
        most = study_larger(most, fabs(values[n]));
    return most;
}

static double longest_row(const double *rows) {
    double most = 0;
    for (int n = 0; n < TOKENS * HEADS; ++n)
        most = fmax(most, study_norm(HEAD_DIM, rows + n * HEAD_DIM));
    return most;
}

/* Slopes of the loss dy . y along the three biases. */
static enum attn_status slopes(struct study_run *run, struct subject *subject, double of[BIASED],
                               struct attn_error *error) {
    const struct layer_self_attention layer = layer_of(subject->maps, subject->biases);
    const struct layer_self_attention gradient = layer_of(subject->slopes, subject->bias_slopes);
    const struct layer_attention attention = study_attention(run);
    const struct layer_attention_saved saved = saved_of(subject->saved, subject->lse);
    const struct layer_attention_saved scratch = saved_of(subject->scratch, NULL);
    enum attn_status status = forward(run, subject, subject->y, error);
    if (!status)
        status = layer_self_attention_backward(&layer, &attention, &compute, &sequences, subject->x, &saved,
                                               subject->dy, &scratch, subject->dx, &gradient, error);
    if (status)
        return status;
    for (int n = 0; n < BIASED; ++n)
        of[n] = largest(MODEL, subject->bias_slopes[n]);
    /* A row's dS is off by some (TOKENS + HEAD_DIM) u of |dout| |v| for each key; TOKENS rows, times scale |q|. */
    const double scale = (double)layer_scale_value(LAYER_SCALE_ROOT, HEAD_DIM);
    const double row =
        16 * (TOKENS + HEAD_DIM) * ROUNDOFF * longest_row(subject->scratch[3]) * longest_row(subject->saved[2]);
    static const char name[] = "largest |slope of the loss along a bias|";
    study_expect(run, "C39", name, STUDY_BAR("key"), of[1], 0, TOKENS * scale * longest_row(subject->saved[0]) * row);
    study_expect(run, "C39", name, STUDY_BAR("query"), of[0], 1e-3, INFINITY);
    study_expect(run, "C39", name, STUDY_BAR("value"), of[2], 1e-3, INFINITY);
    return ATTN_OK;
}

/* How far the outputs move when one bias has the given size and the others are 0. */
static enum attn_status move(struct study_run *run, struct subject *subject, int which, double size, double *moved,
                             struct attn_error *error) {
    study_normals(study_seed(run), 20 + (uint64_t)which, MODEL, size, subject->biases[which]);
    const double shift = longest_row(subject->saved[0]) * study_norm(MODEL, subject->biases[which]);
    const enum attn_status status = forward(run, subject, subject->y, error);
    const struct study_place place = STUDY_AT(names[which], "size of the bias", size);
    *moved = study_largest_difference(X, subject->y, subject->plain);
    /* The bias rounds keys and scores by their own size: |q| |b| and |q| |k|, HEAD_DIM products each. */
    const double score =
        4 * (HEAD_DIM + 4) * ROUNDOFF * (shift + longest_row(subject->saved[0]) * longest_row(subject->saved[1]));
    const double allowed = 2 * (score + (2 * TOKENS + MODEL) * ROUNDOFF) * longest_row(subject->saved[2]) * HEADS *
                           largest(MAP, subject->maps[3]) * MODEL;
    if (which == 1)
        study_expect(run, "C39", "largest change of an output", place, *moved, 0, allowed);
    else
        study_expect(run, "C39", "largest change of an output", place, *moved, size / 100, INFINITY);
    for (int c = 0; c < MODEL; ++c)
        subject->biases[which][c] = 0;
    return status;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct subject *const subject = STUDY_ARRAY(run, 1, struct subject, error);
    if (!subject)
        return ATTN_NO_MEMORY;
    study_normals(study_seed(run), 0, X, 1, subject->x);
    study_normals(study_seed(run), 1, X, 1, subject->dy);
    for (int n = 0; n < MAPS; ++n)
        study_normals(study_seed(run), 2 + (uint64_t)n, MAP, 1 / sqrt(MODEL), subject->maps[n]);
    enum attn_status status = forward(run, subject, subject->plain, error);
    double moved[BIASED] = {0}, of[BIASED] = {0};
    for (int which = 0; !status && which < BIASED; ++which)
        for (double size = .01; !status && size < 2; size *= sqrt(10))
            status = move(run, subject, which, size, &moved[which], error);
    for (int n = 0; n < BIASED; ++n)
        study_normals(study_seed(run), 30 + (uint64_t)n, MODEL, 1, subject->biases[n]);
    if (!status)
        status = slopes(run, subject, of, error);
    study_conclude(
        run, "C39", study_holds(run, "C39") ? STUDY_DEPENDS : STUDY_SUPPORTED,
        "query and value biases have slopes of %.2f and %.2f, a key bias has %.1g: it cancels in softmax and "
        "can learn nothing; of size 1 it moves no output by more than %.1g",
        of[0], of[2], of[1], moved[1]);
    return status;
}

STUDY(key_bias) = {
    .name = "key_bias",
    .claims = "C39",
    .source = "S0 S1",
    .statement = "Trainable weights and biases let the model adapt.",
    .law = "the slope along a key bias is exactly 0, and no key bias moves an output",
    .run = run,
};
