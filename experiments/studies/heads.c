/* SPDX-License-Identifier: Apache-2.0 */
/* Several heads are several attentions side by side; their answers, joined, go through one matrix back to the width of
 * the model. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "drawn_layer.h"
#include "layer/variant_attention.h"
#include "machine/clock.h"

enum { MODEL = 24, HEADS = 4, HEAD_DIM = 6, WIDTH = HEADS * HEAD_DIM, WORDS = 20 };
enum { NARROW_HEADS = 3, NARROW_DIM = 5, NARROW = NARROW_HEADS * NARROW_DIM };
enum { TIMED_HEADS = 8, TIMED_DIM = 64, TIMED_WORDS = 256, TIMED = TIMED_WORDS * TIMED_HEADS * TIMED_DIM, REPEATS = 3 };

static const struct study_setting settings[] = {
    {"join", "concat", "concat mean", "mean: each head's answer becomes the mean of all"},
};

struct heads {
    struct layer_attention attention;
    struct drawn_layer drawn;
    float x[WORDS * MODEL], y[WORDS * MODEL], joined_y[WORDS * MODEL];
    float q[WORDS * HEAD_DIM], k[WORDS * HEAD_DIM], v[WORDS * HEAD_DIM], out[WORDS * HEAD_DIM];
    float joined[WORDS * WIDTH], kept[WORDS * WIDTH];
};

/* ---- C19 ---- */

/* One head alone, by its rows of the three matrices, to its place in `joined`. */
static enum attn_status run_head(struct heads *heads, int64_t h, struct attn_error *error) {
    const struct layer_self_attention *const layer = &heads->drawn.layer;
    const struct layer_linear *const maps[] = {&layer->query, &layer->key, &layer->value};
    float *const parts[] = {heads->q, heads->k, heads->v};
    for (int n = 0; n < 3; ++n) {
        const struct layer_linear map = {
            .in_features = MODEL, .out_features = HEAD_DIM, .weight = maps[n]->weight + h * HEAD_DIM * MODEL};
        layer_linear_forward(&map, &heads->drawn.compute, WORDS, heads->x, parts[n]);
    }
    const struct attn_problem problem = {.query_len = WORDS, .head_dim = HEAD_DIM};
    const enum attn_status status =
        drawn_attention(&heads->attention, problem, heads->q, heads->k, heads->v, heads->out, error);
    for (int64_t n = 0; n < WORDS && !status; ++n)
        memcpy(heads->joined + n * WIDTH + h * HEAD_DIM, heads->out + n * HEAD_DIM, HEAD_DIM * sizeof(float));
    return status;
}

static void average_heads(struct heads *heads) {
    for (int64_t n = 0; n < WORDS; ++n)
        for (int64_t c = 0; c < HEAD_DIM; ++c) {
            float mean = 0;
            for (int64_t h = 0; h < HEADS; ++h)
                mean += heads->joined[n * WIDTH + h * HEAD_DIM + c] / HEADS;
            for (int64_t h = 0; h < HEADS; ++h)
                heads->joined[n * WIDTH + h * HEAD_DIM + c] = mean;
        }
}

static enum attn_status together_or_alone(struct study_run *run, struct heads *heads, struct attn_error *error) {
    const struct layer_sequences sequences = {.batch = 1, .positions = WORDS};
    enum attn_status status =
        drawn_layer_forward(&heads->drawn, &heads->attention, &sequences, heads->x, heads->y, error);
    for (int64_t h = 0; h < HEADS && !status; ++h)
        status = run_head(heads, h, error);
    if (status)
        return status;
    if (study_setting_is(run, "join", "mean"))
        average_heads(heads);
    layer_linear_forward(&heads->drawn.layer.output, &heads->drawn.compute, WORDS, heads->joined, heads->joined_y);
    study_expect(run, "C19", "heads together - heads alone, joined", STUDY_BAR("before W_O"),
                 drawn_difference(WORDS * WIDTH, heads->drawn.saved.context, heads->joined), 0, 0);
    study_expect(run, "C19", "heads together - heads alone, joined", STUDY_BAR("after W_O"),
                 drawn_difference(WORDS * MODEL, heads->y, heads->joined_y), 0, 0);

    /* Another W_q in head 0: the others do not notice. */
    memcpy(heads->kept, heads->drawn.saved.context, sizeof heads->kept);
    for (int64_t n = 0; n < HEAD_DIM * MODEL; ++n)
        heads->drawn.layer.query.weight[n] *= -1;
    status = drawn_layer_forward(&heads->drawn, &heads->attention, &sequences, heads->x, heads->y, error);
    double own = 0, others = 0;
    for (int64_t n = 0; n < WORDS * WIDTH; ++n) {
        double *const most = n % WIDTH < HEAD_DIM ? &own : &others;
        *most = fmax(*most, fabs((double)heads->drawn.saved.context[n] - (double)heads->kept[n]));
    }
    study_expect(run, "C19", "change of answers by another W_q in head 0", STUDY_BAR("head 0"), own, 0.01, INFINITY);
    study_expect(run, "C19", "change of answers by another W_q in head 0", STUDY_BAR("other heads"), others, 0, 0);
    return status;
}

static enum attn_status compare_cost(struct study_run *run, struct attn_error *error) {
    struct attn_problem many = {
        .batch = 1, .query_heads = TIMED_HEADS, .query_len = TIMED_WORDS, .head_dim = TIMED_DIM};
    struct attn_problem one = {
        .batch = 1, .query_heads = 1, .query_len = TIMED_WORDS, .head_dim = TIMED_HEADS * TIMED_DIM};
    enum attn_status status = attn_problem_build(&many, error);
    if (!status)
        status = attn_problem_build(&one, error);
    float *const q = STUDY_ARRAY(run, 4 * TIMED, float, error);
    if (status || !q)
        return status ? status : ATTN_NO_MEMORY;
    study_expect(run, "C19", "operations of 8 heads of 64 / of one of 512", STUDY_ALONE,
                 attn_problem_flops(&many) / attn_problem_flops(&one), 1, 1);
    drawn_normals(study_seed(run), 20, 3 * TIMED, 1, q);
    const struct layer_variant *variant;
    status = study_registered(run, "parallel_heads", &variant, error);
    if (status)
        return status;
    struct layer_variant teams[2] = {*variant, *variant}; /* of one thread, and of all */
    teams[0].execution.threads = 1;
    double seconds[2] = {INFINITY, INFINITY};
    for (int n = 0; n < 2 * REPEATS && !status; ++n) {
        const struct layer_attention attention = {.context = &teams[n % 2], .run = layer_variant_attention};
        const int64_t begun_ns = machine_clock_ns();
        status = drawn_attention(&attention, many, q, q + TIMED, q + 2 * TIMED, q + 3 * TIMED, error);
        seconds[n % 2] = fmin(seconds[n % 2], 1e-9 * (double)(machine_clock_ns() - begun_ns));
    }
    layer_variant_release(&teams[0]);
    layer_variant_release(&teams[1]);
    char series[32];
    snprintf(series, sizeof series, "%d threads", study_threads(run));
    if (!status)
        study_record(run, "C19", "speed-up of 8 heads over one thread", STUDY_BAR(series), seconds[0] / seconds[1]);
    return status;
}

/* ---- C21 ---- */

/* S3's two heads for "cat", joined as the layer joins them: a view, nothing is copied. */
static double join_of_source(void) {
    float joined[4];
    static const float parts[2][2] = {{0.2f, 0.3f}, {0.6f, 0.4f}}, expected[4] = {0.2f, 0.3f, 0.6f, 0.4f};
    const struct layer_sequences one_word = {.batch = 1, .positions = 1};
    const struct attn_tensor view = layer_heads_view(joined, &one_word, 2, 2);
    for (int64_t h = 0; h < 2; ++h)
        memcpy(attn_tensor_row(&view, 0, h, 0), parts[h], sizeof parts[h]);
    return drawn_difference(4, joined, expected);
}

static enum attn_status project(struct study_run *run, struct heads *heads, struct attn_error *error) {
    const struct layer_sequences sequences = {.batch = 1, .positions = WORDS};
    struct drawn_layer narrow;
    float y[(WORDS + 1) * MODEL];
    for (int64_t n = 0; n < (WORDS + 1) * MODEL; ++n)
        y[n] = NAN;
    enum attn_status status = drawn_layer_create(run, 10, WORDS, MODEL, NARROW_HEADS, NARROW_DIM, &narrow, error);
    if (!status)
        status = drawn_layer_forward(&narrow, &heads->attention, &sequences, heads->x, y, error);
    if (status)
        return status;
    double written = 0, most = 0;
    for (int64_t n = 0; n < (WORDS + 1) * MODEL; ++n)
        written += !isnan(y[n]);
    for (int64_t n = 0; n < WORDS * MODEL; ++n) {
        const float *const context = narrow.saved.context + n / MODEL * NARROW;
        const float *const weights = narrow.layer.output.weight + n % MODEL * NARROW;
        double sum = 0, sizes = 0;
        for (int64_t c = 0; c < NARROW; ++c) {
            sum += (double)context[c] * (double)weights[c];
            sizes += fabs((double)context[c] * (double)weights[c]);
        }
        most = fmax(most, fabs((double)y[n] - sum) / sizes);
    }
    const double gamma = NARROW * (double)FLT_EPSILON / 2 / (1 - NARROW * (double)FLT_EPSILON / 2);
    study_expect(run, "C21", "features of a word after W_O, of 24 (3 heads of 5)", STUDY_ALONE, written / WORDS, MODEL,
                 MODEL);
    study_expect(run, "C21", "error of W_O / sum of its terms' sizes", STUDY_ALONE, most, 0, gamma);
    study_expect(run, "C21", "[0.2, 0.3] and [0.6, 0.4] joined - [0.2, 0.3, 0.6, 0.4]", STUDY_ALONE, join_of_source(),
                 0, 0);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct heads *const heads = STUDY_ARRAY(run, 1, struct heads, error);
    if (!heads)
        return ATTN_NO_MEMORY;
    heads->attention = study_attention(run);
    drawn_normals(study_seed(run), 0, WORDS * MODEL, 1, heads->x);
    enum attn_status status = drawn_layer_create(run, 1, WORDS, MODEL, HEADS, HEAD_DIM, &heads->drawn, error);
    if (!status)
        status = together_or_alone(run, heads, error);
    if (!status)
        status = compare_cost(run, error);
    if (!status)
        status = project(run, heads, error);
    if (status)
        return status;
    study_conclude(
        run, "C19", study_holds(run, "C19") ? STUDY_SUPPORTED : STUDY_REFUTED,
        "%d heads together give the bits of %d attentions on their own, joined, at the cost of one as wide as "
        "all",
        HEADS, HEADS);
    study_conclude(run, "C21", study_holds(run, "C21") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "%d features of %d heads become the model's %d", NARROW, NARROW_HEADS, MODEL);
    return ATTN_OK;
}

STUDY(heads) = {
    .name = "heads",
    .claims = "C19 C21",
    .source = "S2 S3",
    .statement =
        "Multi-head attention runs independent heads, joins their answers and brings them back to the width of "
        "the model by an output projection.",
    .law = "H heads together = H single heads, joined, times W_O; a head's weights change no other head; as many "
           "operations as one head of the whole width",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
