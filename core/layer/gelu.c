/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/gelu.h"

#include <math.h>

#include "contract/exp.h"

#define INVERSE_ROOT_2      0.70710678118654752440
#define INVERSE_ROOT_TWO_PI ((layer_real)0.39894228040143267794)

/* The normal distribution at x, and its bell exp(-x^2 / 2). */
struct normal {
    layer_real distribution, bell;
};

#ifdef LAYER_F64
#define LOOP /* erfc is a call */

/* erfc keeps its relative accuracy far to the left, where 1 + erf has none. */
static inline struct normal normal_at(double x) {
    return (struct normal){0.5 * erfc(-x * INVERSE_ROOT_2), exp(-0.5 * x * x)};
}

#else
#define LOOP _Pragma("omp simd")

/* In plain arithmetic without branches, so that loops become vector code: erfc would take as long as the products
 * around it. Phi(-t) = exp(-t^2 / 2) m(t) for t >= 0, where m is a polynomial in (t - 3) / (t + 3), minimax in relative
 * error, 6.6e-9 up to t = 13.25; beyond, the bell is 0. To the left the relative error is that of the bell's argument,
 * t^2 / 2 units of roundoff. */
static inline struct normal normal_at(float x) {
    const float size = fabsf(x), t = size > 14 ? 14 : size; /* a NaN stays one, infinity does not become one */
    const float w = (t - 3) / (t + 3), bell = plain_exp(-0.5f * t * t);
    float m = 5.4150860e-05f;
    m = m * w + 1.1603739e-04f;
    m = m * w - 3.3991132e-04f;
    m = m * w - 9.8418281e-04f;
    m = m * w + 2.9047027e-03f;
    m = m * w + 6.1321831e-03f;
    m = m * w - 4.6213314e-02f;
    m = m * w + 1.2322502e-01f;
    m = m * w - 2.0640261e-01f;
    m = m * w + 1.2151395e-01f;
    const float tail = bell * m;
    return (struct normal){x > 0 ? 1 - tail : tail, bell};
}

#endif

LAYER_WIDE static void forward_span(int64_t count, const layer_real *x, layer_real *y) {
    LOOP for (int64_t n = 0; n < count; ++n) y[n] = x[n] * normal_at(x[n]).distribution;
}

LAYER_WIDE static void backward_span(int64_t count, const layer_real *x, const layer_real *dy, layer_real *dx) {
    LOOP for (int64_t n = 0; n < count; ++n) {
        const struct normal normal = normal_at(x[n]);
        dx[n] = dy[n] * (normal.distribution + x[n] * INVERSE_ROOT_TWO_PI * normal.bell);
    }
}

/* Elements that a thread takes at once; they stay in its first cache. */
#define SPAN 1024

static int64_t span_at(int64_t begin, int64_t count) {
    return count - begin < SPAN ? count - begin : SPAN;
}

void layer_gelu_forward(const struct layer_compute *compute, int64_t count, const layer_real *x, layer_real *y) {
#pragma omp parallel for num_threads(compute->threads)
    for (int64_t n = 0; n < count; n += SPAN)
        forward_span(span_at(n, count), x + n, y + n);
}

void layer_gelu_backward(const struct layer_compute *compute, int64_t count, const layer_real *x, const layer_real *dy,
                         layer_real *dx) {
#pragma omp parallel for num_threads(compute->threads)
    for (int64_t n = 0; n < count; n += SPAN)
        backward_span(span_at(n, count), x + n, dy + n, dx + n);
}
