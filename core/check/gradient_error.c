/* SPDX-License-Identifier: Apache-2.0 */
/* How far a gradient tensor is from the oracle's, and the gate. */
#include <math.h>

#include "check/gradients.h"
#include "check/live.h"

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
                    const double value = check_element(row, got->type, c);
                    const bool unwritten = check_is_unwritten(row, got->type, c);
                    const double off = unwritten ? INFINITY : element_error(value, *want);
                    error->unwritten += unwritten;
                    error->nonfinite += !unwritten && !isfinite(value) && isfinite(*want);
                    if (off > error->max_abs || (place[0] == 0 && place[1] == 0 && place[2] == 0 && c == 0)) {
                        error->max_abs = off;
                        memcpy(error->worst, place, sizeof place);
                        error->worst[3] = c;
                        error->worst_got = value;
                        error->worst_want = *want;
                    }
                    squared_errors += off * off;
                    if (isfinite(*want)) {
                        squared_wants += *want * *want;
                        error->want_max_abs = fmax(error->want_max_abs, fabs(*want));
                    }
                }
            }
    error->rms = sqrt(squared_errors / (double)attn_tensor_count(got));
    error->frobenius = squared_errors == 0.0 ? 0.0 : sqrt(squared_errors / squared_wants);
}

static bool within_twice(double error, double naive, double floor) {
    return isfinite(error) && error <= 2.0 * naive + floor;
}

bool check_gradient_accept(const struct check_tensor_error *error, const struct check_tensor_error *naive,
                           enum attn_type type) {
    const double floor = 8.0 * 0x1p-24 * naive->want_max_abs + check_subnormal_roundoff(type);
    return within_twice(error->max_abs, naive->max_abs, floor) && within_twice(error->rms, naive->rms, floor);
}
