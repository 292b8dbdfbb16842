/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients against the oracle's. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "check/answer.h"

enum { TENSORS = 3 };

/* One gradient tensor under judgement. */
struct tensor_verdict {
    const char *name;
    struct check_tensor_error error;
    struct check_noise noise;
    double fraction;
    double power; /* its largest element over what that element is allowed to be off */
};

static struct tensor_verdict judge_tensor(const char *name, const double *want, const struct attn_tensor *got,
                                          struct check_noise noise) {
    struct tensor_verdict verdict = {.name = name, .noise = noise};
    check_gradient_error(want, got, &verdict.error);
    verdict.fraction = check_gradient_fraction(&verdict.error, &noise, got->type);
    verdict.power =
        verdict.error.want_max_abs / (CHECK_NOISE_MARGIN * noise.peak + check_subnormal_roundoff(got->type));
    return verdict;
}

static void describe(const struct tensor_verdict *tensor, char *text, size_t size) {
    const struct check_tensor_error *const error = &tensor->error;
    const int64_t *const worst = error->worst;
    char place[96];
    snprintf(place, sizeof place, "[%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "]", worst[0], worst[1], worst[2],
             worst[3]);
    if (error->unwritten > 0)
        snprintf(text, size, "leaves %" PRId64 " elements of %s unwritten; the first that is wrong stands at %s",
                 error->unwritten, tensor->name, place);
    else if (error->nonfinite > 0)
        snprintf(text, size, "%" PRId64 " elements of %s are not finite; the first that is wrong stands at %s",
                 error->nonfinite, tensor->name, place);
    else
        snprintf(text, size,
                 "%s%s is %.9g; the gradient is %.9g, error %.3g of %.3g allowed; root mean square %.3g of %.3g",
                 tensor->name, place, error->worst_got, error->worst_want, error->max_abs,
                 CHECK_NOISE_MARGIN * tensor->noise.peak, error->rms, CHECK_NOISE_MARGIN * tensor->noise.rms);
}

static double middle(double a, double b, double c) {
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

void answer_judge_gradients(const struct check_oracle *oracle, const struct attn_operands *operands, bool finite_only,
                            struct check_verdict *verdict) {
    const struct check_gradients *const want = oracle->gradients;
    const struct attn_problem *const problem = &oracle->problem;
    const struct tensor_verdict tensors[TENSORS] = {
        judge_tensor("dq", want->dq, &operands->dq, want->dq_noise),
        judge_tensor("dk", want->dk, &operands->dk, want->dk_noise),
        judge_tensor("dv", want->dv, &operands->dv, want->dv_noise),
    };
    const struct tensor_verdict *worst = &tensors[0];
    bool any_gradient = false;
    *verdict = (struct check_verdict){.checked_rows = problem->batch * problem->query_heads * problem->query_len};
    for (int n = 0; n < TENSORS; ++n) {
        const struct check_tensor_error *const error = &tensors[n].error;
        verdict->unwritten += error->unwritten;
        verdict->nonfinite += error->nonfinite;
        verdict->max_abs = fmax(verdict->max_abs, error->max_abs);
        verdict->rms = fmax(verdict->rms, error->rms);
        verdict->frobenius_ulps = fmax(verdict->frobenius_ulps, error->frobenius / attn_type_roundoff(problem->type));
        any_gradient = any_gradient || error->want_max_abs > 0.0;
        if (tensors[n].fraction > worst->fraction)
            worst = &tensors[n];
    }
    if (!finite_only) {
        verdict->bound_fraction = worst->fraction;
        verdict->worst_allowed = CHECK_NOISE_MARGIN * worst->noise.peak;
    }
    memcpy(verdict->worst, worst->error.worst, sizeof verdict->worst);
    verdict->worst_got = worst->error.worst_got;
    verdict->worst_want = worst->error.worst_want;
    verdict->power_heaviest_best = fmax(fmax(tensors[0].power, tensors[1].power), tensors[2].power);
    verdict->power_heaviest_median = middle(tensors[0].power, tensors[1].power, tensors[2].power);
    verdict->power_last_best = verdict->power_heaviest_best;
    verdict->power_last_median = verdict->power_heaviest_median;
    verdict->weak = !finite_only && any_gradient && !(verdict->power_heaviest_best >= 1.0);
    verdict->accepted = verdict->unwritten == 0 && verdict->nonfinite == 0 && verdict->bound_fraction <= 1.0;
    if (!verdict->accepted)
        describe(worst, verdict->reason, sizeof verdict->reason);
}
