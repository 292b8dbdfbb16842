/* SPDX-License-Identifier: Apache-2.0 */
/* No query's answer depends on which other queries are answered with it, or in what order: the same bits. So all may be
 * answered at once. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "drawn_layer.h"
#include "layer/variant_attention.h"
#include "machine/clock.h"
#include "study/sample.h"

enum { TOKENS = 128, HEADS = 2, HEAD_DIM = 32, WIDTH = HEADS * HEAD_DIM, LONG = 512, REPEATS = 3 };

struct arrays {
    int64_t tokens;
    float *q, *k, *v, *out, *answer, *shuffled; /* [tokens][HEADS][HEAD_DIM]; shuffled: row n is q's row order[n] */
    int64_t *order;
};

static enum attn_status draw(struct study_run *run, int64_t tokens, struct arrays *arrays, struct attn_error *error) {
    const int64_t count = tokens * WIDTH;
    float *const memory = STUDY_ARRAY(run, 6 * count, float, error);
    *arrays = (struct arrays){.tokens = tokens, .order = STUDY_ARRAY(run, tokens, int64_t, error)};
    float **const all[] = {&arrays->q, &arrays->k, &arrays->v, &arrays->out, &arrays->answer, &arrays->shuffled};
    if (!memory || !arrays->order)
        return ATTN_NO_MEMORY;
    for (uint64_t n = 0; n < 6; ++n) {
        *all[n] = memory + (int64_t)n * count;
        if (n < 3)
            drawn_normals(study_seed(run), n, count, 1, *all[n]);
    }
    study_shuffled(study_seed(run), 3, tokens, arrays->order);
    for (int64_t n = 0; n < tokens; ++n)
        memcpy(arrays->shuffled + n * WIDTH, arrays->q + arrays->order[n] * WIDTH, WIDTH * sizeof(float));
    return ATTN_OK;
}

/* All queries of q against all keys, in calls of `count` queries. */
static enum attn_status answer(const struct layer_attention *attention, const struct arrays *arrays, const float *q,
                               int64_t count, float *out, struct attn_error *error) {
    const struct attn_problem problem = {
        .query_heads = HEADS, .query_len = count, .key_len = arrays->tokens, .head_dim = HEAD_DIM};
    enum attn_status status = ATTN_OK;
    for (int64_t first = 0; first < arrays->tokens && !status; first += count)
        status =
            drawn_attention(attention, problem, q + first * WIDTH, arrays->k, arrays->v, out + first * WIDTH, error);
    return status;
}

/* Rows of `answer` whose bits are not those of `out`; order: row n is that of query order[n]. */
static double differing(const struct arrays *arrays, const int64_t *order) {
    double rows = 0;
    for (int64_t n = 0; n < arrays->tokens; ++n)
        rows += memcmp(arrays->answer + n * WIDTH, arrays->out + (order ? order[n] : n) * WIDTH,
                       WIDTH * sizeof(float)) != 0;
    return rows;
}

static void tell(struct study_run *run, bool exact, const char *quantity, const char *name, double rows) {
    if (exact)
        study_expect(run, "C15", quantity, STUDY_BAR(name), rows, 0, 0);
    else
        study_record(run, "C15", quantity, STUDY_BAR(name), rows);
}

/* `exact`: the law expects the same bits of it. */
static enum attn_status compare(struct study_run *run, const char *name, const struct layer_attention *attention,
                                bool exact, const struct arrays *arrays, struct attn_error *error) {
    enum attn_status status = answer(attention, arrays, arrays->q, TOKENS, arrays->out, error);
    if (!status)
        status = answer(attention, arrays, arrays->shuffled, TOKENS, arrays->answer, error);
    if (status)
        return status;
    tell(run, exact, "rows changed by shuffling the queries", name, differing(arrays, arrays->order));
    status = answer(attention, arrays, arrays->q, TOKENS / 2, arrays->answer, error);
    if (status)
        return status;
    tell(run, exact, "rows changed by answering in two halves", name, differing(arrays, NULL));
    status = answer(attention, arrays, arrays->q, 1, arrays->answer, error);
    if (!status)
        tell(run, false, "rows changed by answering one query a call", name, differing(arrays, NULL));
    return status;
}

/* A variant whose threads share the rows, and which promises the same bits for any number of them, cannot let a row
 * depend on its neighbours. Whether a single query takes another path is its own affair. */
static enum attn_status compare_variants(struct study_run *run, const struct arrays *arrays, int *exact,
                                         struct attn_error *error) {
    const struct attn_registry *const registry = study_variants(run);
    for (int n = 0; registry && n < registry->variant_count; ++n) {
        const struct attn_variant *const variant = registry->variants[n * registry->level_count];
        const unsigned promise = ATTN_PARALLEL | ATTN_THREAD_INVARIANT;
        struct layer_attention attention;
        enum attn_status status = variant ? study_variant(run, variant->name, &attention, error) : ATTN_UNSUPPORTED;
        if (!status)
            status = compare(run, variant->name, &attention, (variant->traits & promise) == promise, arrays, error);
        if (status && status != ATTN_UNSUPPORTED)
            return status;
        *exact += !status && (variant->traits & promise) == promise;
    }
    return ATTN_OK;
}

/* The fastest of a few, in seconds. */
static enum attn_status take_time(const struct layer_attention *attention, const struct arrays *arrays, int64_t count,
                                  double *seconds, struct attn_error *error) {
    *seconds = INFINITY;
    for (int n = 0; n < REPEATS; ++n) {
        const int64_t begun_ns = machine_clock_ns();
        const enum attn_status status = answer(attention, arrays, arrays->q, count, arrays->out, error);
        if (status)
            return status;
        *seconds = fmin(*seconds, 1e-9 * (double)(machine_clock_ns() - begun_ns));
    }
    return ATTN_OK;
}

static enum attn_status take_times(struct study_run *run, double *gained, struct attn_error *error) {
    struct arrays arrays;
    const struct layer_variant *flash;
    double together, alone, one_thread;
    enum attn_status status = draw(run, LONG, &arrays, error);
    if (!status)
        status = study_registered(run, "flash", &flash, error);
    if (status)
        return status;
    struct layer_variant team = *flash, single = *flash;
    single.execution.threads = 1;
    const struct layer_attention on_all = {.context = &team, .run = layer_variant_attention},
                                 on_one = {.context = &single, .run = layer_variant_attention};
    status = take_time(&on_all, &arrays, LONG, &together, error);
    if (!status)
        status = take_time(&on_one, &arrays, LONG, &one_thread, error);
    if (!status)
        status = take_time(&on_one, &arrays, 1, &alone, error);
    layer_variant_release(&team);
    layer_variant_release(&single);
    if (status)
        return status;
    *gained = alone / one_thread;
    char series[32];
    snprintf(series, sizeof series, "one call, %d threads", study_threads(run));
    study_record(run, "C30", "speed-up over one query a call", STUDY_BAR("one call, one thread"), *gained);
    study_record(run, "C30", "speed-up over one query a call", STUDY_BAR(series), alone / together);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct arrays arrays;
    const struct layer_attention attention = study_attention(run);
    int exact = 0;
    double gained;
    enum attn_status status = draw(run, TOKENS, &arrays, error);
    if (!status)
        status = compare(run, "oracle", &attention, true, &arrays, error);
    if (!status)
        status = compare_variants(run, &arrays, &exact, error);
    if (!status)
        status = take_times(run, &gained, error);
    if (status)
        return status;
    study_conclude(run, "C15", study_holds(run, "C15") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "shuffled or split, every row keeps its bits in the oracle and in %d parallel variants", exact);
    study_conclude(run, "C30", study_holds(run, "C15") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "rows do not wait for each other: on one thread %d queries in one call are %.1f times as fast as in "
                   "as many calls; a GPU was not asked",
                   LONG, gained);
    return ATTN_OK;
}

STUDY(row_independence) = {
    .name = "row_independence",
    .claims = "C15 C30",
    .source = "S0 S1 S2",
    .statement = "The contextual embedding of every word is computed independently of the others, all at once.",
    .law = "a query's answer has the same bits whatever the order of the queries and however they are split into calls",
    .run = run,
};
