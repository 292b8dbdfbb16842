/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences of unequal length in one batch: padded to the longest, padded with the lengths told, or packed. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "drawn_layer.h"
#include "machine/clock.h"
#include "study/sample.h"

enum { BATCH = 16, HEADS = 4, HEAD_DIM = 32, WIDTH = HEADS * HEAD_DIM, LONGEST = 64, TIMED = 256, REPEATS = 3 };
enum layout { PADDED, LENGTHS, PACKED, LAYOUTS };
static const char *const layouts[] = {"padded", "padded, lengths told", "packed"};

struct batch {
    int64_t longest, words, lengths[BATCH], offsets[BATCH + 1];
    float *packed[4], *padded[4]; /* q, k, v, out: [words][WIDTH], [BATCH x longest][WIDTH] */
};

/* Lengths uniform over 1..longest, the first of them the longest. */
static enum attn_status draw(struct study_run *run, int64_t longest, struct batch *batch, struct attn_error *error) {
    batch->longest = longest;
    batch->offsets[0] = 0;
    for (int64_t b = 0; b < BATCH; ++b) {
        batch->lengths[b] = b ? 1 + study_below(study_seed(run), 0, (uint64_t)b, longest) : longest;
        batch->offsets[b + 1] = batch->offsets[b] + batch->lengths[b];
    }
    batch->words = batch->offsets[BATCH];
    for (int n = 0; n < 4; ++n) {
        float *const packed = STUDY_ARRAY(run, batch->words * WIDTH, float, error);
        float *const padded = STUDY_ARRAY(run, BATCH * longest * WIDTH, float, error);
        if (!packed || !padded)
            return ATTN_NO_MEMORY;
        if (n < 3)
            drawn_normals(study_seed(run), 1 + (uint64_t)n, batch->words * WIDTH, 1, packed);
        for (int64_t b = 0; b < BATCH; ++b)
            memcpy(padded + b * longest * WIDTH, packed + batch->offsets[b] * WIDTH,
                   (size_t)(batch->lengths[b] * WIDTH) * sizeof *packed);
        batch->packed[n] = packed;
        batch->padded[n] = padded;
    }
    return ATTN_OK;
}

static struct attn_problem problem_of(const struct batch *batch, enum layout layout) {
    struct attn_problem problem = {.batch = layout == PACKED ? 1 : BATCH,
                                   .query_heads = HEADS,
                                   .query_len = layout == PACKED ? batch->words : batch->longest,
                                   .head_dim = HEAD_DIM};
    if (layout == LENGTHS)
        problem.mask.key_lengths = batch->lengths;
    if (layout == PACKED)
        problem.mask =
            (struct attn_mask){.segments = BATCH, .query_offsets = batch->offsets, .key_offsets = batch->offsets};
    return problem;
}

static enum attn_status answer(const struct layer_attention *attention, const struct batch *batch, enum layout layout,
                               struct attn_error *error) {
    float *const *const arrays = layout == PACKED ? batch->packed : batch->padded;
    return drawn_attention(attention, problem_of(batch, layout), arrays[0], arrays[1], arrays[2], arrays[3], error);
}

/* The largest difference between the packed answers and the padded ones of real words. */
static double difference(const struct batch *batch) {
    double largest = 0;
    for (int64_t b = 0; b < BATCH && !isnan(largest); ++b) {
        const double own = drawn_difference(batch->lengths[b] * WIDTH, batch->packed[3] + batch->offsets[b] * WIDTH,
                                            batch->padded[3] + b * batch->longest * WIDTH);
        largest = isnan(own) ? own : fmax(largest, own);
    }
    return largest;
}

/* Pairs of words that each layout computes, over those of the padded one. */
static enum attn_status count_pairs(struct study_run *run, const struct batch *batch, double shares[LAYOUTS],
                                    struct attn_error *error) {
    double square = 0, rectangle = 0;
    for (int64_t b = 0; b < BATCH; ++b) {
        square += (double)(batch->lengths[b] * batch->lengths[b]);
        rectangle += (double)(batch->lengths[b] * batch->longest);
    }
    const double whole = (double)(BATCH * batch->longest * batch->longest);
    const double expected[LAYOUTS] = {1, rectangle / whole, square / whole};
    for (enum layout layout = PADDED; layout < LAYOUTS; ++layout) {
        struct attn_problem problem = problem_of(batch, layout);
        const enum attn_status status = attn_problem_build(&problem, error);
        if (status)
            return status;
        shares[layout] = (double)problem.live_pairs / (HEADS * whole);
        study_expect(run, "C27", "pairs of words / (sentences x longest^2)", STUDY_BAR(layouts[layout]), shares[layout],
                     expected[layout], expected[layout]);
    }
    return ATTN_OK;
}

static enum attn_status take_times(struct study_run *run, double *ratio, struct attn_error *error) {
    struct batch batch;
    struct layer_attention attention;
    double seconds[LAYOUTS] = {INFINITY, INFINITY, INFINITY};
    enum attn_status status = draw(run, TIMED, &batch, error);
    if (!status)
        status = study_variant(run, "flash", &attention, error);
    for (int n = 0; n < REPEATS * LAYOUTS && !status; ++n) {
        const int64_t begun_ns = machine_clock_ns();
        status = answer(&attention, &batch, n % LAYOUTS, error);
        seconds[n % LAYOUTS] = fmin(seconds[n % LAYOUTS], 1e-9 * (double)(machine_clock_ns() - begun_ns));
    }
    for (enum layout layout = PADDED; layout < LAYOUTS && !status; ++layout)
        study_record(run, "C27", "time of flash / time padded", STUDY_BAR(layouts[layout]),
                     seconds[layout] / seconds[PADDED]);
    *ratio = seconds[PACKED] / seconds[PADDED];
    return status;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    struct batch batch;
    double shares[LAYOUTS], ratio;
    enum attn_status status = draw(run, LONGEST, &batch, error);
    if (!status)
        status = count_pairs(run, &batch, shares, error);
    if (!status)
        status = answer(&attention, &batch, PACKED, error);
    if (!status)
        status = answer(&attention, &batch, LENGTHS, error);
    if (status)
        return status;
    study_expect(run, "C27", "packed answers - padded ones, largest", STUDY_BAR("lengths told"), difference(&batch), 0,
                 0);
    status = answer(&attention, &batch, PADDED, error);
    if (status)
        return status;
    /* Padding is a key like any other, of score 0: an answer that counts it is another one. */
    study_expect(run, "C27", "packed answers - padded ones, largest", STUDY_BAR("not told"), difference(&batch), 0.01,
                 INFINITY);
    status = take_times(run, &ratio, error);
    if (status)
        return status;
    study_conclude(run, "C27", study_holds(run, "C27") ? STUDY_DEPENDS : STUDY_REFUTED,
                   "packed, lengths drawn from 1 to the longest need %.2f of the padded batch's pairs, and flash took "
                   "%.2f of the time; padded, the rest is waste, and wrong unless the lengths are told",
                   shares[PACKED], ratio);
    return ATTN_OK;
}

STUDY(ragged_batch) = {
    .name = "ragged_batch",
    .claims = "C27",
    .source = "S2",
    .statement = "Self-attention handles sequences of variable length efficiently.",
    .law = "packed: sum N_i^2 of B N_max^2 pairs; padded with lengths: sum N_i N_max; the same answers, bit for bit",
    .run = run,
};
