/* SPDX-License-Identifier: Apache-2.0 */
/* One answer against the oracle. Every comparison is written so that a NaN fails it. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check/answer.h"

/* What goes on while an answer is read. */
struct judging {
    const struct check_oracle *oracle;
    struct check_verdict *verdict;
    double squared_errors, squared_wants;
    int64_t elements;
    int64_t first_unwritten[4], first_nonfinite[4]; /* valid when their counts say so */
    int64_t unexpected;                             /* non-finite where the answer must be finite */
    int64_t lse_worst[3];
    double lse_got, lse_want, lse_allowed;
};

static void set_place(int64_t to[4], const int64_t place[3], int64_t feature) {
    memcpy(to, place, 3 * sizeof *to);
    to[3] = feature;
}

/* |got - want| over allowed. Where the oracle is not finite any non-finite value is right, and no finite one. */
static double fraction_of_bound(double got, double want, double allowed) {
    if (!isfinite(want))
        return isfinite(got) ? INFINITY : 0.0;
    const double fraction = fabs(got - want) / allowed;
    return fraction >= 0.0 ? fraction : INFINITY;
}

static void count_element(struct judging *judging, const void *array, const struct attn_tensor *tensor,
                          const int64_t place[3], int64_t feature, bool may_be_nonfinite) {
    struct check_verdict *const verdict = judging->verdict;
    if (check_is_unwritten(array, tensor->type, feature)) {
        if (verdict->unwritten++ == 0)
            set_place(judging->first_unwritten, place, feature);
    } else if (!isfinite(check_element(array, tensor->type, feature))) {
        ++verdict->nonfinite;
        if (!may_be_nonfinite && judging->unexpected++ == 0)
            set_place(judging->first_nonfinite, place, feature);
    }
}

/* Every element: written, and finite where the inputs are. */
static void scan_out(struct judging *judging, const struct attn_tensor *out) {
    const bool *const flags = judging->oracle->may_be_nonfinite;
    int64_t row = 0, place[3];
    for (place[0] = 0; place[0] < out->shape[0]; ++place[0])
        for (place[1] = 0; place[1] < out->shape[1]; ++place[1])
            for (place[2] = 0; place[2] < out->shape[2]; ++place[2], ++row) {
                const void *const array = attn_tensor_row(out, place[0], place[1], place[2]);
                for (int64_t c = 0; c < out->shape[3]; ++c)
                    count_element(judging, array, out, place, c, flags && flags[row]);
            }
}

/* lse may be -inf where every key is masked, which only a computed row can tell. */
static void scan_lse(struct judging *judging, const struct attn_tensor *lse) {
    const bool *const flags = judging->oracle->may_be_nonfinite;
    int64_t row = 0, place[3];
    for (place[0] = 0; place[0] < lse->shape[0]; ++place[0])
        for (place[1] = 0; place[1] < lse->shape[1]; ++place[1])
            for (place[2] = 0; place[2] < lse->shape[2]; ++place[2], ++row) {
                const void *const array = attn_tensor_row(lse, place[0], place[1], place[2]);
                const bool empty = check_element(array, lse->type, 0) == -INFINITY;
                if (!empty)
                    count_element(judging, array, lse, place, 0, flags && flags[row]);
            }
}

static void judge_element(struct judging *judging, const int64_t place[3], int64_t feature, double got, double want,
                          double allowed) {
    struct check_verdict *const verdict = judging->verdict;
    const double fraction = fraction_of_bound(got, want, allowed);
    if (fraction > verdict->bound_fraction || judging->elements == 0) {
        verdict->bound_fraction = fraction;
        set_place(verdict->worst, place, feature);
        verdict->worst_got = got;
        verdict->worst_want = want;
        verdict->worst_allowed = allowed;
    }
    ++judging->elements;
    if (!isfinite(want))
        return;
    const double error = isfinite(got) ? fabs(got - want) : INFINITY;
    verdict->max_abs = fmax(verdict->max_abs, error);
    if (want != 0.0)
        verdict->max_rel = fmax(verdict->max_rel, error / fabs(want));
    judging->squared_errors += error * error;
    judging->squared_wants += want * want;
}

static void judge_lse(struct judging *judging, const struct attn_tensor *lse, const struct oracle_row *row) {
    struct check_verdict *const verdict = judging->verdict;
    const int64_t *const place = row->place;
    const double got = check_element(attn_tensor_row(lse, place[0], place[1], place[2]), lse->type, 0);
    double fraction = fraction_of_bound(got, row->lse, row->lse_allowed);
    if (row->lse == -INFINITY) /* fully masked: nothing else is right */
        fraction = got == -INFINITY ? 0.0 : INFINITY;
    else if (isfinite(row->lse))
        verdict->lse_error = fmax(verdict->lse_error, isfinite(got) ? fabs(got - row->lse) : INFINITY);
    if (fraction > verdict->lse_bound_fraction) {
        verdict->lse_bound_fraction = fraction;
        memcpy(judging->lse_worst, place, sizeof judging->lse_worst);
        judging->lse_got = got;
        judging->lse_want = row->lse;
        judging->lse_allowed = row->lse_allowed;
    }
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count) {
    if (count == 0)
        return 0.0;
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* Best and median over the rows that the power rule speaks of: those with at least 2 live keys or, where a
 * problem has none, with 1. Weak: no such row would notice its heaviest key missing. */
static void judge_power(const struct check_oracle *oracle, int judgement, struct check_verdict *verdict) {
    int64_t needed_keys = 1;
    for (int64_t n = 0; n < oracle->row_count; ++n)
        if (oracle->rows[n].live_keys >= 2)
            needed_keys = 2;
    double *const powers = malloc((size_t)oracle->row_count * sizeof *powers);
    for (int kind = 0; kind < 2; ++kind) {
        double best = 0.0;
        int64_t count = 0;
        for (int64_t n = 0; n < oracle->row_count; ++n) {
            const struct oracle_row *const row = &oracle->rows[n];
            if (row->live_keys < needed_keys)
                continue;
            const double power = kind == 0 ? row->heaviest_power[judgement] : row->last_power[judgement];
            best = fmax(best, power);
            if (powers)
                powers[count] = power;
            ++count;
        }
        const double middle = powers ? median(powers, count) : NAN;
        *(kind == 0 ? &verdict->power_heaviest_best : &verdict->power_last_best) = best;
        *(kind == 0 ? &verdict->power_heaviest_median : &verdict->power_last_median) = middle;
    }
    free(powers);
    verdict->weak = oracle->any_value && !(verdict->power_heaviest_best >= 1.0);
}

static void describe(const struct judging *judging, struct check_verdict *verdict) {
    char *const text = verdict->reason;
    const size_t size = sizeof verdict->reason;
    const int64_t *const unwritten = judging->first_unwritten, *const nonfinite = judging->first_nonfinite;
    const int64_t *const worst = verdict->worst, *const lse = judging->lse_worst;
    if (verdict->unwritten > 0)
        snprintf(text, size,
                 "leaves %" PRId64 " elements unwritten, the first at [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                 "]",
                 verdict->unwritten, unwritten[0], unwritten[1], unwritten[2], unwritten[3]);
    else if (judging->unexpected > 0)
        snprintf(text, size,
                 "%" PRId64 " elements are not finite, the first at [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                 "]",
                 judging->unexpected, nonfinite[0], nonfinite[1], nonfinite[2], nonfinite[3]);
    else if (!(verdict->bound_fraction <= 1.0))
        snprintf(text, size,
                 "out[%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                 "] is %.9g; the answer is %.9g, allowed error %.3g: %.3g times the bound",
                 worst[0], worst[1], worst[2], worst[3], verdict->worst_got, verdict->worst_want,
                 verdict->worst_allowed, verdict->bound_fraction);
    else if (!(verdict->lse_bound_fraction <= 1.0))
        snprintf(text, size,
                 "lse[%" PRId64 ", %" PRId64 ", %" PRId64
                 "] is %.9g; the answer is %.9g, allowed error %.3g: %.3g times the bound",
                 lse[0], lse[1], lse[2], judging->lse_got, judging->lse_want, judging->lse_allowed,
                 verdict->lse_bound_fraction);
}

void check_oracle_judge(const struct check_oracle *oracle, const struct attn_operands *operands, unsigned traits,
                        bool finite_only, struct check_verdict *verdict) {
    if (oracle->gradients) {
        answer_judge_gradients(oracle, operands, finite_only, verdict);
        return;
    }
    const struct attn_tensor *const out = &operands->out, *const lse = &operands->lse;
    const int64_t value_dim = oracle->problem.value_dim;
    const bool rounds = (traits & ATTN_ROUNDS_WEIGHTS) && oracle->value_sums;
    const double rounding = attn_type_roundoff(oracle->problem.type);
    struct judging judging = {.oracle = oracle, .verdict = verdict};
    *verdict = (struct check_verdict){.checked_rows = oracle->row_count};

    scan_out(&judging, out);
    if (lse->data)
        scan_lse(&judging, lse);
    for (int64_t n = 0; n < oracle->row_count && !finite_only; ++n) {
        const int64_t *const place = oracle->rows[n].place;
        const void *const row = attn_tensor_row(out, place[0], place[1], place[2]);
        for (int64_t c = 0; c < value_dim; ++c) {
            const int64_t element = n * value_dim + c;
            const double extra = rounds ? rounding * oracle->value_sums[element] : 0.0;
            judge_element(&judging, place, c, check_element(row, out->type, c), oracle->answers[element],
                          oracle->allowed[element] + extra);
        }
        if (lse->data)
            judge_lse(&judging, lse, &oracle->rows[n]);
    }
    if (judging.elements > 0)
        verdict->rms = sqrt(judging.squared_errors / (double)judging.elements);
    if (judging.squared_errors > 0.0) /* an answer of zeros has no norm to compare with: infinity, unless exact */
        verdict->frobenius_ulps = sqrt(judging.squared_errors / judging.squared_wants) / attn_type_roundoff(out->type);
    judge_power(oracle, rounds ? ANSWER_ROUNDED_WEIGHTS : ANSWER_EXACT_WEIGHTS, verdict);
    verdict->weak = verdict->weak && !finite_only;
    verdict->accepted = verdict->unwritten == 0 && judging.unexpected == 0 && verdict->bound_fraction <= 1.0 &&
                        verdict->lse_bound_fraction <= 1.0;
    describe(&judging, verdict);
}
