/* SPDX-License-Identifier: Apache-2.0 */
/* S0 wants [0.9, 0.3] to become [0.5, 0.8] and gives no weights. Let the context be `copies` of one word c, attention
 * without weights: y = w x + (1 - w) c with w = 1 / (1 + copies e^(s (x.c - x.x))). Then c = (y - w x) / (1 - w), and
 * x.x - x.c = x.(x - y) / (1 - w) = 0.21 / (1 - w), so w solves
 *     ln(copies w / (1 - w)) = 0.21 s / (1 - w),
 * whose left side leads between two roots, on either side of w = 1 / (1 + 0.21 s).
 * With c in [0, 1] the second coordinate, 0.3 w + (1 - w) c = 0.8, needs w <= 2/7. */
#include <math.h>
#include <stdio.h>

#include "study/attend.h"
#include "study/sample.h"

enum { MOST_COPIES = 12 };
#define ROUNDOFF 0x1p-53

static const double word[2] = {.9, .3}, wanted[2] = {.5, .8};

struct solution {
    double weight, context[2];
};

/* The smaller root, or the larger one; at the latter the word itself outweighs its context. */
static struct solution solve(double scale, int copies, bool larger) {
    const double product = study_dot(2, word, word) - study_dot(2, word, wanted);
    const double middle = 1 / (1 + product * scale);
    double inside = middle, outside = larger ? 1 : 0;
    for (int n = 0; n < 100; ++n) {
        const double w = (inside + outside) / 2;
        const bool leads = log(copies * w / (1 - w)) > product * scale / (1 - w);
        *(leads ? &inside : &outside) = w;
    }
    struct solution solution = {.weight = inside};
    for (int c = 0; c < 2; ++c)
        solution.context[c] = (wanted[c] - inside * word[c]) / (1 - inside);
    return solution;
}

struct answer {
    double weight, distance; /* of the word on itself; of its output from what was wanted */
};

static enum attn_status attend(struct study_run *run, float scale, int copies, const struct solution *solution,
                               struct answer *answer, struct attn_error *error) {
    double x[1 + MOST_COPIES][2] = {{word[0], word[1]}}, out[1 + MOST_COPIES][2];
    double weights[(1 + MOST_COPIES) * (1 + MOST_COPIES)];
    for (int n = 1; n <= copies; ++n)
        for (int c = 0; c < 2; ++c)
            x[n][c] = solution->context[c];
    const struct attn_problem problem = {.scale = scale};
    const struct attn_tensor rows = study_tensor(x[0], 1, 1 + copies, 2);
    const struct attn_operands operands = {
        .q = rows, .k = rows, .v = rows, .out = study_tensor(out[0], 1, 1 + copies, 2)};
    enum attn_status status = study_weights(run, problem, rows, rows, weights, error);
    if (!status)
        status = study_attend(run, problem, &operands, error);
    *answer = (struct answer){weights[0], hypot(out[0][0] - wanted[0], out[0][1] - wanted[1])};
    return status;
}

/* Rounding of w: the bisection's, and a score's of products of x and c; of y: that times |x - c|, and its own sum. */
static double rounding(const struct solution *solution) {
    const double length = 1 + study_norm(2, solution->context);
    return 32 * length * length * ROUNDOFF;
}

/* One word of context under the three scales: two solutions each. */
static enum attn_status one_word(struct study_run *run, struct solution *first, struct attn_error *error) {
    for (int reading = 0; reading < LAYER_SCALE_COUNT; ++reading)
        for (int larger = 0; larger < 2; ++larger) {
            const float scale = layer_scale_value((enum layer_scale)reading, 2);
            const struct solution solution = solve((double)scale, 1, larger);
            char series[48];
            struct answer answer;
            const enum attn_status status = attend(run, scale, 1, &solution, &answer, error);
            if (status)
                return status;
            snprintf(series, sizeof series, "scale %s, %s root", layer_scale_name((enum layer_scale)reading),
                     larger ? "larger" : "smaller");
            const double allowed = rounding(&solution);
            study_expect(run, "C36", "distance of the answer from [0.5, 0.8]", STUDY_BAR(series), answer.distance, 0,
                         allowed);
            study_expect(run, "C36", "weight of the word on itself", STUDY_BAR(series), answer.weight,
                         solution.weight - allowed, solution.weight + allowed);
            study_record(run, "C36", "context word, first coordinate", STUDY_BAR(series), solution.context[0]);
            study_record(run, "C36", "context word, second coordinate", STUDY_BAR(series), solution.context[1]);
            if (reading == LAYER_SCALE_NONE)
                first[larger] = solution;
        }
    return ATTN_OK;
}

/* Copies of one word, unscaled: how many it takes until its coordinates lie in [0, 1]. */
static enum attn_status many_words(struct study_run *run, int *fewest, struct solution *found,
                                   struct attn_error *error) {
    static const char axis[] = "copies of the context word", weight[] = "weight of the word on itself, unscaled";
    *fewest = 0;
    for (int copies = 1; copies <= MOST_COPIES; ++copies) {
        const struct solution solution = solve(1, copies, false);
        struct answer answer;
        const enum attn_status status = attend(run, 1, copies, &solution, &answer, error);
        if (status)
            return status;
        const double allowed = rounding(&solution);
        study_expect(run, "C36", weight, STUDY_AT("measured", axis, copies), answer.weight, solution.weight - allowed,
                     solution.weight + allowed);
        study_record(run, "C36", weight, STUDY_AT("2/7: most with coordinates in [0, 1]", axis, copies), 2.0 / 7);
        study_record(run, "C36", "context word, unscaled", STUDY_AT("first coordinate", axis, copies),
                     solution.context[0]);
        study_record(run, "C36", "context word, unscaled", STUDY_AT("second coordinate", axis, copies),
                     solution.context[1]);
        study_expect(run, "C36", "distance from [0.5, 0.8], unscaled", STUDY_AT(NULL, axis, copies), answer.distance, 0,
                     allowed);
        if (!*fewest && answer.weight <= 2.0 / 7 && solution.context[0] >= 0 && solution.context[1] <= 1) {
            *fewest = copies;
            *found = solution;
        }
    }
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct solution one[2], many = {0};
    int fewest;
    enum attn_status status = one_word(run, one, error);
    if (!status)
        status = many_words(run, &fewest, &many, error);
    if (status)
        return status;
    /* Solved with 60 digits: w = .64293589, c = (-.22024702, 1.70030877). */
    study_expect(run, "C36", "solution of the smaller root, unscaled", STUDY_BAR("weight on itself"), one[0].weight,
                 .64293589 - 5e-9, .64293589 + 5e-9);
    study_expect(run, "C36", "solution of the smaller root, unscaled", STUDY_BAR("first coordinate"), one[0].context[0],
                 -.22024702 - 5e-9, -.22024702 + 5e-9);
    study_expect(run, "C36", "solution of the smaller root, unscaled", STUDY_BAR("second coordinate"),
                 one[0].context[1], 1.70030877 - 5e-9, 1.70030877 + 5e-9);
    study_conclude(run, "C36", fewest == 1 ? STUDY_SUPPORTED : STUDY_DEPENDS,
                   "the context (%.4f, %.4f) does it, or (%.4f, %.4f); with coordinates in [0, 1] no single word can, "
                   "but %d copies of (%.3f, %.3f)",
                   one[0].context[0], one[0].context[1], one[1].context[0], one[1].context[1], fewest, many.context[0],
                   many.context[1]);
    return ATTN_OK;
}

STUDY(moved_word) = {
    .name = "moved_word",
    .claims = "C36",
    .source = "S0",
    .statement = "With self-attention [0.9, 0.3] can become [0.5, 0.8] in a sentence about technology.",
    .law =
        "attention without weights does it for the context that solves ln(copies w / (1 - w)) = 0.21 scale / (1 - w)",
    .run = run,
};
