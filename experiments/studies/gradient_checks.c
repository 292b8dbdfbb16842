/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients of a whole layer against central differences along drawn directions. A step of h is off by h^2 f''' / 6 and
 * by what the loss's rounding u makes of 1/h: over h the error is a V, whose bottom lies near u^(1/3) for each number.
 * The loss is linear in the value and output maps: their differences have no left arm of the V.
 *
 * And what must cancel: a row of dS sums to 0, for softmax does not see a shift; so do the keys' slopes; the values'
 * slopes sum to the outputs', for weights sum to 1. */
#include <math.h>
#include <string.h>

#include "layer/plain_gemm.h"
#include "layer/self_attention.h"
#include "study/attend.h"
#include "study/sample.h"

enum { TOKENS = 8, MODEL = 12, HEADS = 2, HEAD_DIM = 16, WIDTH = HEADS * HEAD_DIM, DIRECTIONS = 8, STEPS = 21 };
enum { MAP = WIDTH * MODEL, X = TOKENS * MODEL, SAVED = TOKENS * WIDTH };
enum { INPUT, QUERY, KEY, VALUE, OUTPUT, TENSORS };
#define ROUNDOFF 0x1p-53

static const char *const tensor_names[TENSORS] = {"x", "W_q", "W_k", "W_v", "W_o"};
static const int tensor_counts[TENSORS] = {X, MAP, MAP, MAP, MAP};

struct subject {
    double x[X], maps[4][MAP], y[X], dy[X], saved[4][SAVED], slopes[4][SAVED];
    double dx[X], gradient[4][MAP], direction[MAP], kept[MAP];
    float lse[HEADS * TOKENS];
    struct layer_attention attention;
};

static double *values_of(struct subject *subject, int tensor) {
    return tensor == INPUT ? subject->x : subject->maps[tensor - 1];
}

static struct layer_self_attention layer_of(double maps[4][MAP]) {
    return (struct layer_self_attention){HEADS,
                                         HEAD_DIM,
                                         0,
                                         0,
                                         {MODEL, WIDTH, maps[0], NULL},
                                         {MODEL, WIDTH, maps[1], NULL},
                                         {MODEL, WIDTH, maps[2], NULL},
                                         {WIDTH, MODEL, maps[3], NULL}};
}

static struct layer_attention_saved saved_of(double saved[4][SAVED], float *lse) {
    return (struct layer_attention_saved){saved[0], saved[1], saved[2], saved[3], lse};
}

static const struct layer_compute compute = {layer_plain_gemm, 1};
static const struct layer_sequences sequences = {1, TOKENS, {.causal = false}};

static enum attn_status loss_of(struct subject *subject, double *loss, struct attn_error *error) {
    const struct layer_self_attention layer = layer_of(subject->maps);
    const struct layer_attention_saved saved = saved_of(subject->saved, subject->lse);
    const enum attn_status status = layer_self_attention_forward(&layer, &subject->attention, &compute, &sequences,
                                                                 subject->x, &saved, subject->y, error);
    *loss = study_dot(X, subject->y, subject->dy);
    return status;
}

/* |analytic - numeric| / |gradient| for one direction of length 1 and one step. */
static enum attn_status difference(struct subject *subject, int tensor, double step, double *error_of,
                                   struct attn_error *error) {
    double *const values = values_of(subject, tensor), loss[2];
    const double *const gradient = tensor == INPUT ? subject->dx : subject->gradient[tensor - 1];
    const int count = tensor_counts[tensor];
    memcpy(subject->kept, values, (size_t)count * sizeof *values);
    for (int side = 0; side < 2; ++side) {
        for (int n = 0; n < count; ++n)
            values[n] = subject->kept[n] + (side ? step : -step) * subject->direction[n];
        const enum attn_status status = loss_of(subject, &loss[side], error);
        if (status)
            return status;
    }
    memcpy(values, subject->kept, (size_t)count * sizeof *values);
    const double analytic = study_dot(count, gradient, subject->direction), numeric = (loss[1] - loss[0]) / (2 * step);
    *error_of = fabs(analytic - numeric) / study_norm(count, gradient);
    return ATTN_OK;
}

static void draw_direction(uint64_t seed, int tensor, int n, struct subject *subject) {
    const int count = tensor_counts[tensor];
    study_normals(seed, 100 + (uint64_t)(tensor * DIRECTIONS + n), count, 1, subject->direction);
    const double length = study_norm(count, subject->direction);
    for (int c = 0; c < count; ++c)
        subject->direction[c] /= length;
}

/* Root mean square errors over the directions; steps 10^-1, 10^-1.5 .. 10^-11. */
static enum attn_status sweep(struct study_run *run, struct subject *subject, int tensor, double *best,
                              struct attn_error *error) {
    double steps[STEPS], errors[STEPS], bottom = INFINITY, bottom_step = NAN;
    for (int n = 0; n < STEPS; ++n) {
        double squares = 0;
        for (int d = 0; d < DIRECTIONS; ++d) {
            double one;
            draw_direction(study_seed(run), tensor, d, subject);
            const enum attn_status status = difference(subject, tensor, pow(10, -1 - n / 2.0), &one, error);
            if (status)
                return status;
            squares += one * one;
        }
        steps[n] = -1 - n / 2.0;
        errors[n] = log10(sqrt(squares / DIRECTIONS));
        if (errors[n] < bottom) {
            bottom = errors[n];
            bottom_step = steps[n];
        }
        study_record(run, "C26", "|gradient - difference| / |gradient|",
                     STUDY_AT(tensor_names[tensor], "step", pow(10, steps[n])), pow(10, errors[n]));
    }
    const struct study_place bar = STUDY_BAR(tensor_names[tensor]);
    *best = pow(10, bottom);
    study_expect(run, "C26", "smallest |gradient - difference| / |gradient|", bar, *best, 0, 1e-9);
    /* The arms, straight in the logarithms: five steps to 10^-3, and the last seven, whose roundings scatter. */
    if (tensor <= KEY) {
        study_expect(run, "C26", "order of the error at large steps", bar, study_fit(5, steps, errors).slope, 1.8, 2.2);
        /* A direction of length 1 gives each number a step of h / sqrt(count). */
        const double best_step = log10(cbrt(ROUNDOFF) * sqrt(tensor_counts[tensor]));
        study_expect(run, "C26", "log10 of the best step", bar, bottom_step, best_step - 1.5, best_step + 1.5);
    }
    study_expect(run, "C26", "order of the error at small steps", bar,
                 study_fit(7, steps + STEPS - 7, errors + STEPS - 7).slope, -1.35, -0.65);
    return ATTN_OK;
}

static enum attn_status check_layer(struct study_run *run, double *worst, struct attn_error *error) {
    struct subject *const subject = STUDY_ARRAY(run, 1, struct subject, error);
    if (!subject)
        return ATTN_NO_MEMORY;
    subject->attention = study_attention(run);
    study_normals(study_seed(run), 0, X, 1, subject->x);
    study_normals(study_seed(run), 1, X, 1, subject->dy);
    for (int n = 0; n < 4; ++n)
        study_normals(study_seed(run), 2 + (uint64_t)n, MAP, 1 / sqrt(n < 3 ? MODEL : WIDTH), subject->maps[n]);
    const struct layer_self_attention layer = layer_of(subject->maps), gradient = layer_of(subject->gradient);
    const struct layer_attention_saved saved = saved_of(subject->saved, subject->lse),
                                       slopes = saved_of(subject->slopes, NULL);
    double loss;
    enum attn_status status = loss_of(subject, &loss, error);
    if (!status)
        status = layer_self_attention_backward(&layer, &subject->attention, &compute, &sequences, subject->x, &saved,
                                               subject->dy, &slopes, subject->dx, &gradient, error);
    *worst = 0;
    for (int tensor = 0; !status && tensor < TENSORS; ++tensor) {
        double best = 0;
        status = sweep(run, subject, tensor, &best, error);
        *worst = study_larger(*worst, best);
    }
    return status;
}

/* ---- what must cancel ---- */

enum { ROWS = 24, FEATURES = 16, COUNT = ROWS * FEATURES };

struct sums {
    double q[COUNT], k[COUNT], v[COUNT], dout[COUNT], dq[COUNT], dk[COUNT], dv[COUNT];
    double row_dq[COUNT], row_dk[ROWS * COUNT], row_dv[ROWS * COUNT]; /* every query a sequence of its own */
};

static double largest_column_sum(const double *plus, const double *minus) {
    double largest = 0;
    for (int c = 0; c < FEATURES; ++c) {
        double sum = 0;
        for (int n = c; n < COUNT; n += FEATURES)
            sum += plus[n] - (minus ? minus[n] : 0);
        largest = study_larger(largest, fabs(sum));
    }
    return largest;
}

static double largest_norm(const double *rows) {
    double largest = 0;
    for (int i = 0; i < ROWS; ++i)
        largest = fmax(largest, study_norm(FEATURES, rows + i * FEATURES));
    return largest;
}

/* dS of a row from its dK = scale dS^T q. */
static double largest_row_sum(const struct sums *sums, double scale) {
    double largest = 0;
    for (int i = 0; i < ROWS; ++i) {
        const double *const q = sums->q + i * FEATURES;
        double sum = 0;
        for (int j = 0; j < ROWS; ++j)
            sum += study_dot(FEATURES, sums->row_dk + i * COUNT + j * FEATURES, q);
        largest = study_larger(largest, fabs(sum / (scale * study_dot(FEATURES, q, q))));
    }
    return largest;
}

static enum attn_status check_sums(struct study_run *run, bool causal, struct attn_error *error) {
    struct sums *const sums = STUDY_ARRAY(run, 1, struct sums, error);
    if (!sums)
        return ATTN_NO_MEMORY;
    double *const drawn[] = {sums->q, sums->k, sums->v, sums->dout};
    for (int n = 0; n < 4; ++n)
        study_normals(study_seed(run), 50 + (uint64_t)n, COUNT, 1, drawn[n]);
    int64_t starts[ROWS];
    for (int n = 0; n < ROWS; ++n)
        starts[n] = n;
    const struct attn_operands together = {.q = study_tensor(sums->q, 1, ROWS, FEATURES),
                                           .k = study_tensor(sums->k, 1, ROWS, FEATURES),
                                           .v = study_tensor(sums->v, 1, ROWS, FEATURES),
                                           .dout = study_tensor(sums->dout, 1, ROWS, FEATURES),
                                           .dq = study_tensor(sums->dq, 1, ROWS, FEATURES),
                                           .dk = study_tensor(sums->dk, 1, ROWS, FEATURES),
                                           .dv = study_tensor(sums->dv, 1, ROWS, FEATURES)};
    const struct attn_operands apart = {.q = study_tensor(sums->q, ROWS, 1, FEATURES),
                                        .k = study_shared(sums->k, ROWS, ROWS, FEATURES),
                                        .v = study_shared(sums->v, ROWS, ROWS, FEATURES),
                                        .dout = study_tensor(sums->dout, ROWS, 1, FEATURES),
                                        .dq = study_tensor(sums->row_dq, ROWS, 1, FEATURES),
                                        .dk = study_tensor(sums->row_dk, ROWS, ROWS, FEATURES),
                                        .dv = study_tensor(sums->row_dv, ROWS, ROWS, FEATURES)};
    struct attn_problem problem = {.direction = ATTN_BACKWARD, .mask = {.causal = causal}};
    enum attn_status status = study_attend(run, problem, &together, error);
    problem.mask.query_start = starts;
    if (!status)
        status = study_attend(run, problem, &apart, error);
    if (status)
        return status;
    /* dS is off by a few (ROWS + FEATURES) u of |dout| |v|, each of ROWS; divided by |q|^2 and multiplied by |q| it is
     * so again. dK sums ROWS of these rows times scale |q|; dV sums ROWS of dout. */
    const double scale = (double)layer_scale_value(LAYER_SCALE_ROOT, FEATURES);
    const double row = 16 * (ROWS + FEATURES) * ROUNDOFF * largest_norm(sums->dout) * largest_norm(sums->v);
    const struct study_place bar = STUDY_BAR(causal ? "causal" : "all keys");
    study_expect(run, "C26", "largest |sum of a row of dS|", bar, largest_row_sum(sums, scale), 0, row);
    study_expect(run, "C26", "largest |sum of dK over keys|", bar, largest_column_sum(sums->dk, NULL), 0,
                 ROWS * scale * largest_norm(sums->q) * row);
    study_expect(run, "C26", "largest |sum of dV - sum of dO|", bar, largest_column_sum(sums->dv, sums->dout), 0,
                 8 * ROWS * ROWS * ROUNDOFF * largest_norm(sums->dout));
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double worst = NAN;
    enum attn_status status = check_layer(run, &worst, error);
    for (int causal = 0; !status && causal < 2; ++causal)
        status = check_sums(run, causal, error);
    study_conclude(run, "C26", study_holds(run, "C26") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "slopes of the input and of all four maps agree with central differences to %.1g of their norm at "
                   "the best step, and what must cancel does",
                   worst);
    return status;
}

STUDY(gradient_checks) = {
    .name = "gradient_checks",
    .claims = "C26",
    .source = "S0 S4",
    .statement = "Backpropagation carries the loss to the three matrices.",
    .law =
        "gradients equal central differences, whose error over the step is a V; sum dS = 0, sum dK = 0, sum dV = sum "
        "dO",
    .run = run,
};
