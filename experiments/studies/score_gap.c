/* SPDX-License-Identifier: Apache-2.0 */
/* One key scores higher than all the others, which are alike: p = 1 / (1 + (keys - 1) e^-gap). The gap that gives it
 * 0.99 is found by bisection of the attention's own answer. */
#include <math.h>
#include <stdio.h>

#include "study/attend.h"

enum { LARGEST = 4096, HEAD_DIM = 64 };
static const double wanted = 0.99;

/* The weight of key 0, whose dot product with the query is `gap`, while the other keys' is 0. */
static enum attn_status favoured(struct study_run *run, float scale, int64_t keys, double gap, double *memory,
                                 double *weight, struct attn_error *error) {
    double *const query = memory, *const key = memory + HEAD_DIM, *const values = key + keys * HEAD_DIM;
    query[0] = 1;
    key[0] = gap;
    values[0] = 1;
    const struct attn_operands operands = {.q = study_tensor(query, 1, 1, HEAD_DIM),
                                           .k = study_tensor(key, 1, keys, HEAD_DIM),
                                           .v = study_tensor(values, 1, keys, 1),
                                           .out = study_tensor(weight, 1, 1, 1)};
    return study_attend(run, (struct attn_problem){.scale = scale}, &operands, error);
}

static enum attn_status measure(struct study_run *run, enum layer_scale scale, int64_t keys, double *gap,
                                struct attn_error *error) {
    double *const memory = STUDY_ARRAY(run, HEAD_DIM + keys * (HEAD_DIM + 1), double, error);
    if (!memory)
        return ATTN_NO_MEMORY;
    const float value = layer_scale_value(scale, HEAD_DIM);
    double low = 0, high = 0x1p+8;
    while (high - low > 0x1p-44 * high) {
        double weight;
        const enum attn_status status = favoured(run, value, keys, (low + high) / 2, memory, &weight, error);
        if (status)
            return status;
        *(weight < wanted ? &low : &high) = (low + high) / 2;
    }
    *gap = (low + high) / 2;
    /* p (1 - p) = 0.0099 a unit of the scaled gap: what rounds the sum of keys by keys u moves the gap by as much of
     * 1 / 0.0099. */
    const double want = log(wanted / (1 - wanted) * (double)(keys - 1)) / (double)value;
    const double allowed = want * 0x1p-43 + ((double)keys + 8) * 0x1p-53 / (wanted * (1 - wanted)) / (double)value;
    study_expect(run, "C34", "gap between raw scores that gives a weight of 0.99",
                 STUDY_AT(layer_scale_name(scale), "keys", (double)keys), *gap, want - allowed, want + allowed);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    static const int64_t keys[] = {2, 3, 8, 64, 512, LARGEST};
    enum { THREE = 1, SIXTY_FOUR = 3, COUNT = sizeof keys / sizeof *keys };
    double gaps[2][COUNT];
    for (int scale = LAYER_SCALE_NONE; scale <= LAYER_SCALE_ROOT; ++scale)
        for (int n = 0; n < COUNT; ++n) {
            const enum attn_status status = measure(run, (enum layer_scale)scale, keys[n], &gaps[scale][n], error);
            if (status)
                return status;
        }
    study_conclude(run, "C34", gaps[LAYER_SCALE_NONE][THREE] > 1 ? STUDY_REFUTED : STUDY_SUPPORTED,
                   "a weight of 0.99 needs a gap of %.2f among 3 keys and of %.2f among 64: e to that is %.0f and %.0f "
                   "times the other keys' share",
                   gaps[LAYER_SCALE_NONE][THREE], gaps[LAYER_SCALE_NONE][SIXTY_FOUR],
                   exp(gaps[LAYER_SCALE_NONE][THREE]), exp(gaps[LAYER_SCALE_NONE][SIXTY_FOUR]));
    return ATTN_OK;
}

STUDY(score_gap) = {
    .name = "score_gap",
    .claims = "C34",
    .source = "S4",
    .statement = "Without scaling, softmax can assign almost all weight to one token even if raw scores are not vastly "
                 "different.",
    .law = "a weight of 0.99 takes a gap of ln(99 (keys - 1)) over the scale",
    .run = run,
};
