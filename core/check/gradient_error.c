/* SPDX-License-Identifier: Apache-2.0 */
/* How far a gradient tensor is from the oracle's, and the gate. */
#include <math.h>

#include "check/gradients.h"
#include "check/live.h"

/* What lies beyond the numbers of a type is stored as infinity. */
static double in_range(double want, enum attn_type type) {
    const double overflow = type == ATTN_F16 ? 65520.0 : 0x1p128;
    return type != ATTN_F64 && fabs(want) >= overflow ? copysign(INFINITY, want) : want;
}

/* |got - want|; infinity where one of them is finite and the other is not. */
static double element_error(double got, double want) {
    if (isfinite(want))
        return isfinite(got) ? fabs(got - want) : INFINITY;
    return isfinite(got) ? INFINITY : 0.0;
}

void check_gradient_error(const double *want, const struct attn_tensor *got, struct check_tensor_error *error) {
    double squared_errors = 0.0, squared_wants = 0.0;
    int64_t place[3];
    *error = (struct check_tensor_error){0};
    for (place[0] = 0; place[0] < got->shape[0]; ++place[0])
        for (place[1] = 0; place[1] < got->shape[1]; ++place[1])
            for (place[2] = 0; place[2] < got->shape[2]; ++place[2]) {
                const void *const row = attn_tensor_row(got, place[0], place[1], place[2]);
                for (int64_t c = 0; c < got->shape[3]; ++c, ++want) {
                    const double wanted = in_range(*want, got->type);
                    const double value = check_element(row, got->type, c);
                    const bool unwritten = check_is_unwritten(row, got->type, c);
                    const double off = unwritten ? INFINITY : element_error(value, wanted);
                    error->unwritten += unwritten;
                    error->nonfinite += !unwritten && !isfinite(value) && isfinite(wanted);
                    if (off > error->max_abs || (place[0] == 0 && place[1] == 0 && place[2] == 0 && c == 0)) {
                        error->max_abs = off;
                        memcpy(error->worst, place, sizeof place);
                        error->worst[3] = c;
                        error->worst_got = value;
                        error->worst_want = wanted;
                    }
                    squared_errors += off * off;
                    if (isfinite(wanted)) {
                        squared_wants += wanted * wanted;
                        error->want_max_abs = fmax(error->want_max_abs, fabs(wanted));
                    }
                }
            }
    error->rms = sqrt(squared_errors / (double)attn_tensor_count(got));
    error->frobenius = squared_errors == 0.0 ? 0.0 : sqrt(squared_errors / squared_wants);
}

static double fraction(double error, double noise, double smallest) {
    const double allowed = CHECK_NOISE_MARGIN * noise + smallest;
    return isfinite(error) ? error / allowed : INFINITY;
}

double check_gradient_fraction(const struct check_tensor_error *error, const struct check_noise *noise,
                               enum attn_type type) {
    const double smallest = check_subnormal_roundoff(type);
    return fmax(fraction(error->max_abs, noise->peak, smallest), fraction(error->rms, noise->rms, smallest));
}

void check_gradients_supply(const struct check_gradients *gradients, const struct attn_operands *operands) {
    const struct attn_tensor *const out = &operands->out, *const lse = &operands->lse;
    const double *answer = gradients->out, *answer_lse = gradients->lse;
    for (int64_t b = 0; b < out->shape[0]; ++b)
        for (int64_t h = 0; h < out->shape[1]; ++h)
            for (int64_t i = 0; i < out->shape[2]; ++i) {
                void *const row = attn_tensor_row(out, b, h, i);
                for (int64_t c = 0; c < out->shape[3]; ++c)
                    attn_store(row, out->type, c, (float)*answer++);
                *(float *)attn_tensor_row(lse, b, h, i) = (float)*answer_lse++;
            }
}
