/* SPDX-License-Identifier: Apache-2.0 */
/* The Jacobian of a softmax, J = diag(p) - p p^T, read off the attention's backward pass: with unit vectors as values
 * and a unit vector as the output's slope, dS is a row of it. It is positive semidefinite, so
 *   |J|_2 <= its largest row sum of |J| = max 2 p (1 - p) <= 1/2,   |J|_F <= trace = 1 - sum p^2 <= sqrt(KEYS) |J|_F,
 * and over logits t z whose largest leads by `lead`, 1 - sum p^2 <= 2 (1 - max p) <= 2 (KEYS - 1) e^(-t lead). */
#include <math.h>

#include "study/attend.h"
#include "study/sample.h"

enum { KEYS = 16, DRAWS = 64, TEMPERATURES = 13 /* 0.1 .. 100 */ };
#define ROUNDOFF 0x1p-53

/* Of one Jacobian. */
struct sensitivity {
    double norm, trace, row_sum, off;
};

struct bench {
    double identity[KEYS * KEYS], weights[KEYS], dq[KEYS], dk[KEYS * KEYS], dv[KEYS * KEYS * KEYS];
};

static struct sensitivity look(double t, const struct bench *bench) {
    const double *const p = bench->weights;
    struct sensitivity seen = {.trace = 1 - study_dot(KEYS, p, p)};
    double squares = 0;
    for (int64_t i = 0; i < KEYS; ++i) {
        double sum = 0;
        for (int64_t j = 0; j < KEYS; ++j) {
            const double slope = bench->dk[i * KEYS + j] / t; /* dk = dS q, and q is t */
            sum += fabs(slope);
            squares += slope * slope;
            seen.off = study_larger(seen.off, fabs(slope - p[i] * ((i == j) - p[j])));
        }
        seen.row_sum = study_larger(seen.row_sum, sum);
    }
    seen.norm = sqrt(squares);
    return seen;
}

/* Softmax of t z: one query of one feature, t, against keys z. */
static enum attn_status measure(struct study_run *run, double t, const double *z, struct bench *bench,
                                struct sensitivity *seen, struct attn_error *error) {
    enum attn_status status = study_weights(run, (struct attn_problem){.scale = 1}, study_tensor(&t, 1, 1, 1),
                                            study_tensor(z, 1, KEYS, 1), bench->weights, error);
    const struct attn_operands operands = {.q = study_shared(&t, KEYS, 1, 1),
                                           .k = study_shared(z, KEYS, KEYS, 1),
                                           .v = study_shared(bench->identity, KEYS, KEYS, KEYS),
                                           .dout = study_tensor(bench->identity, KEYS, 1, KEYS),
                                           .dq = study_tensor(bench->dq, KEYS, 1, 1),
                                           .dk = study_tensor(bench->dk, KEYS, KEYS, 1),
                                           .dv = study_tensor(bench->dv, KEYS, KEYS, KEYS)};
    if (!status)
        status = study_attend(run, (struct attn_problem){.direction = ATTN_BACKWARD, .scale = 1}, &operands, error);
    if (!status)
        *seen = look(t, bench);
    return status;
}

static double lead_of(const double *z) {
    double sorted[KEYS];
    for (int n = 0; n < KEYS; ++n)
        sorted[n] = z[n];
    study_quantile(KEYS, sorted, 0.5);
    return sorted[KEYS - 1] - sorted[KEYS - 2];
}

/* All draws at one temperature. */
static enum attn_status sweep(struct study_run *run, double t, const double *logits, struct bench *bench, double *norm,
                              struct attn_error *error) {
    double norms[DRAWS], traces[DRAWS], row_sum = 0, off = 0, fraction = 0, ratio = 0;
    for (int n = 0; n < DRAWS; ++n) {
        const double *const z = logits + n * KEYS;
        struct sensitivity seen;
        const enum attn_status status = measure(run, t, z, bench, &seen, error);
        if (status)
            return status;
        norms[n] = seen.norm;
        traces[n] = seen.trace;
        row_sum = study_larger(row_sum, seen.row_sum);
        off = study_larger(off, seen.off);
        /* Rounding leaves a trace of some u where the bound has vanished. */
        const double bound = fmin(1 - 1.0 / KEYS, 2 * (KEYS - 1) * exp(-t * lead_of(z)));
        fraction = study_larger(fraction, seen.trace / (bound + 2 * KEYS * ROUNDOFF));
        ratio = study_larger(ratio, seen.norm / (seen.trace + 2 * KEYS * ROUNDOFF));
    }
    const struct study_place place = STUDY_AT(NULL, "factor of the logits", t);
    *norm = study_quantile(DRAWS, norms, 0.5);
    study_expect(run, "C14", "largest row sum of |J|", place, row_sum, 0, 0.5 + 4 * KEYS * ROUNDOFF);
    /* Logits up to 6 t are rounded once; p moves by at most half of what they move. */
    study_expect(run, "C14", "largest |J - (diag(p) - p p^T)|", place, off, 0, (8 * KEYS + 6 * t) * ROUNDOFF);
    study_expect(run, "C14", "largest |J|_F / trace", place, ratio, 0, 1 + 4 * KEYS * ROUNDOFF);
    study_expect(run, "C14", "largest (1 - sum p^2) / bound", place, fraction, 0, 1);
    study_record(run, "C14", "median |J|_F", place, *norm);
    study_record(run, "C14", "median 1 - sum p^2", place, study_quantile(DRAWS, traces, 0.5));
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct bench *const bench = STUDY_ARRAY(run, 1, struct bench, error);
    double *const logits = STUDY_ARRAY(run, DRAWS * KEYS, double, error);
    if (!bench || !logits)
        return ATTN_NO_MEMORY;
    for (int n = 0; n < KEYS; ++n)
        bench->identity[n * KEYS + n] = 1;
    study_normals(study_seed(run), 0, DRAWS * KEYS, 1, logits);
    double norms[TEMPERATURES];
    for (int n = 0; n < TEMPERATURES; ++n) {
        const enum attn_status status = sweep(run, pow(10, n / 4.0 - 1), logits, bench, &norms[n], error);
        if (status)
            return status;
    }
    /* Two equal logits far above the rest: the bound of 1/2 is reached. */
    double z[KEYS] = {100, 100};
    struct sensitivity seen;
    const enum attn_status status = measure(run, 1, z, bench, &seen, error);
    if (status)
        return status;
    study_expect(run, "C14", "row sum of |J| at two equal logits", STUDY_ALONE, seen.row_sum, 0.5 - 4 * KEYS * ROUNDOFF,
                 0.5 + 4 * KEYS * ROUNDOFF);
    const bool falls = norms[TEMPERATURES - 1] < 0.1 * norms[TEMPERATURES / 3];
    study_conclude(run, "C14", falls ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "the median norm of the Jacobian is %.2f for unit normal logits, %.2f for ten times, %.2g for a "
                   "hundred times these",
                   norms[TEMPERATURES / 3], norms[2 * (TEMPERATURES / 3)], norms[TEMPERATURES - 1]);
    return ATTN_OK;
}

STUDY(softmax_sensitivity) = {
    .name = "softmax_sensitivity",
    .claims = "C14",
    .source = "S2",
    .statement = "Large scores push softmax where almost all weight goes to one token, and it can hardly adjust.",
    .law = "the Jacobian's norm is at most 1/2, and at most 2 (keys - 1) e^(-lead) once the largest logit leads",
    .run = run,
};
