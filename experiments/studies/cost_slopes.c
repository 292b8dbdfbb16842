/* SPDX-License-Identifier: Apache-2.0 */
/* How operations, memory and time grow with the number of words: slopes of logarithms over logarithms. */
#include <math.h>

#include "drawn_layer.h"
#include "layer/variant_attention.h"
#include "machine/clock.h"
#include "study/sample.h"

enum { HEAD_DIM = 64, FEWEST = 256, SIZES = 7, SHORTEST = 128, TIMES = 4, REPEATS = 3 };

static const struct study_setting settings[] = {
    {"mask", "none", "none window", "window: a word sees the 64 before it"},
};

/* Beside what grows fastest a variant keeps at most some eight vectors a word: N^2 + 8 HEAD_DIM N has a slope of 2 less
 * 4 HEAD_DIM / (N ln 2) between N and 2N, here the two longest. */
#define LOWER (4.0 * HEAD_DIM / ((FEWEST << (SIZES - 2)) * 0.693))

/* What each stores, by its own first line, and so the slope of its workspace. */
static const struct {
    const char *variant;
    double low, high;
} stores[] = {
    {"naive", 2 - LOWER, 2},        /* every score */
    {"blas_unfused", 2 - LOWER, 2}, /* every score */
    {"row_softmax", 1 - LOWER, 1},  /* a row of scores */
    {"online", 0, 0},               /* a running answer */
    {"online_tiled", 0, 0},         /* a block of keys for a tile of queries */
    {"flash", 0, 1},                /* keys packed anew, and what a tile needs, which is much at these sizes */
};

static struct attn_problem problem_of(const struct study_run *run, int64_t words) {
    struct attn_problem problem = {.batch = 1, .query_heads = 1, .query_len = words, .head_dim = HEAD_DIM};
    if (study_setting_is(run, "mask", "window"))
        problem.mask = (struct attn_mask){.windowed = true, .window_left = 64};
    return problem;
}

static double slope_between(double fewer, double more) {
    return log(more / fewer) / log(2);
}

static enum attn_status count_operations(struct study_run *run, struct attn_error *error) {
    double words[SIZES], operations[SIZES], bytes[SIZES];
    for (int n = 0; n < SIZES; ++n) {
        struct attn_problem problem = problem_of(run, (int64_t)FEWEST << n);
        const enum attn_status status = attn_problem_build(&problem, error);
        if (status)
            return status;
        study_record(run, "C31", "operations", STUDY_AT(NULL, "words", (double)problem.query_len),
                     attn_problem_flops(&problem));
        words[n] = log((double)problem.query_len);
        operations[n] = log(attn_problem_flops(&problem));
        bytes[n] = log(attn_problem_min_bytes(&problem));
    }
    study_expect(run, "C31", "slope", STUDY_BAR("operations"), study_fit(SIZES, words, operations).slope, 2 - 1e-12,
                 2 + 1e-12);
    study_expect(run, "C31", "slope", STUDY_BAR("bytes of q, k, v, out"), study_fit(SIZES, words, bytes).slope,
                 1 - 1e-12, 1 + 1e-12);
    return ATTN_OK;
}

/* Of one thread, as each thread of a team adds its own. */
static enum attn_status measure_workspace(struct study_run *run, const char *name, double low, double high,
                                          struct attn_error *error) {
    const struct layer_variant *layer;
    const enum attn_status status = study_registered(run, name, &layer, error);
    if (status)
        return status;
    double bytes[SIZES];
    for (int n = 0; n < SIZES; ++n) {
        struct attn_problem problem = problem_of(run, (int64_t)FEWEST << n);
        struct attn_execution execution = layer->execution;
        execution.threads = 1;
        if (attn_problem_build(&problem, error))
            return ATTN_INVALID;
        if (layer->variant->resolve)
            layer->variant->resolve(&problem, &execution);
        bytes[n] = (double)layer->variant->forward.workspace_bytes(&problem, &execution);
        study_record(run, "C31", "workspace, bytes", STUDY_AT(name, "words", (double)problem.query_len), bytes[n]);
    }
    study_expect(run, "C31", "slope of the workspace", STUDY_BAR(name),
                 slope_between(bytes[SIZES - 2], bytes[SIZES - 1]), low, high);
    return ATTN_OK;
}

static enum attn_status take_times(struct study_run *run, const char *name, double *slope, struct attn_error *error) {
    const int64_t longest = (int64_t)SHORTEST << (TIMES - 1);
    float *const q = STUDY_ARRAY(run, 4 * longest * HEAD_DIM, float, error);
    if (!q)
        return ATTN_NO_MEMORY;
    drawn_normals(study_seed(run), 0, 3 * longest * HEAD_DIM, 1, q);
    double seconds[TIMES];
    struct layer_attention attention;
    enum attn_status status = study_variant(run, name, &attention, error);
    for (int n = 0; n < TIMES && !status; ++n) {
        const int64_t words = (int64_t)SHORTEST << n, count = words * HEAD_DIM;
        seconds[n] = INFINITY;
        for (int repeat = 0; repeat < REPEATS && !status; ++repeat) {
            const int64_t begun_ns = machine_clock_ns();
            status =
                drawn_attention(&attention, problem_of(run, words), q, q + count, q + 2 * count, q + 3 * count, error);
            seconds[n] = fmin(seconds[n], 1e-9 * (double)(machine_clock_ns() - begun_ns));
        }
        if (!status)
            study_record(run, "C31", "time, s", STUDY_AT(name, "words", (double)words), seconds[n]);
    }
    if (status)
        return status;
    *slope = slope_between(seconds[TIMES - 2], seconds[TIMES - 1]);
    study_record(run, "C31", "slope of the time", STUDY_BAR(name), *slope);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double naive, flash;
    enum attn_status status = count_operations(run, error);
    for (size_t n = 0; n < sizeof stores / sizeof *stores && !status; ++n)
        status = measure_workspace(run, stores[n].variant, stores[n].low, stores[n].high, error);
    if (!status)
        status = take_times(run, "naive", &naive, error);
    if (!status)
        status = take_times(run, "flash", &flash, error);
    if (status)
        return status;
    study_conclude(
        run, "C31", study_holds(run, "C31") ? STUDY_DEPENDS : STUDY_REFUTED,
        "operations grow with the square of the words in every variant, time too (slopes %.2f for naive, %.2f "
        "for flash); memory does where scores are stored, and not where they stream",
        naive, flash);
    return ATTN_OK;
}

STUDY(cost_slopes) = {
    .name = "cost_slopes",
    .claims = "C31",
    .source = "S0 S1 S2 S3 S4",
    .statement = "Every word looks at every word: cost and memory grow with the square of the length.",
    .law = "operations N^2; workspace N^2 with a stored score matrix, N with a row of scores, 1 for an online softmax",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
