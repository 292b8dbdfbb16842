/* SPDX-License-Identifier: Apache-2.0 */
/* plain_exp against exp in double, over the whole range of float, at every ISA level that this machine runs. */
#include <criterion/criterion.h>
#include <math.h>

#include "contract/element.h"
#include "exp_levels.h"
#include "machine/isa.h"

static const struct {
    const char *name;
    exp_of_many *run;
} levels[] = {
#define ROW(level) {#level, exp_of_many_##level},
    FOR_EACH_LEVEL(ROW)
#undef ROW
};
enum { LEVELS = sizeof levels / sizeof *levels, COUNT = 4096 };

/* What contract/exp.h promises wherever the result is a normal number. */
static const double allowed_ulps = 1.1;

/* |got - exp(x)| in units of the last place of a float as large as exp(x). */
static double error_ulps(float x, float got) {
    const double want = exp(x);
    return fabs(got - want) / ldexp(1.0, ilogb(want) - 23);
}

/* Every 1009th float, a prime, so that low mantissa bits take all values. */
static void sweep(int level, uint32_t sign) {
    float x[COUNT], y[COUNT];
    double worst = 0.0, worst_x = 0.0;
    const uint32_t last = attn_bits_of_f32(105.0f);
    for (uint32_t bits = 0; bits < last;) {
        for (int n = 0; n < COUNT; ++n, bits += 1009)
            x[n] = attn_f32_of_bits(sign | (bits < last ? bits : last));
        levels[level].run(x, y, COUNT);
        for (int n = 0; n < COUNT; ++n) {
            const double want = exp(x[n]);
            if (want < 0x1p-126)
                cr_expect(y[n] == 0.0f || error_ulps(x[n], y[n]) <= allowed_ulps, "exp(%a) is %a", (double)x[n],
                          (double)y[n]);
            else if (want > 0x1.fffffep127)
                cr_expect(y[n] == INFINITY, "exp(%a) is %a", (double)x[n], (double)y[n]);
            else if (!(error_ulps(x[n], y[n]) <= worst)) {
                worst = error_ulps(x[n], y[n]);
                worst_x = x[n];
            }
        }
    }
    cr_expect(worst <= allowed_ulps, "%s: %.3f ulps at %a", levels[level].name, worst, worst_x);
}

Test(exp, error_is_bounded_everywhere, .timeout = 120) {
    for (int level = 0; level < LEVELS; ++level)
        if (!machine_isa_objection(levels[level].name)) {
            sweep(level, 0);
            sweep(level, 0x80000000);
        }
}

Test(exp, edges) {
    float nan_payload = attn_f32_of_bits(0x7FC001FF); /* bits that a shift into the exponent would make visible */
    const float x[] = {0.0f,   -0.0f, -INFINITY, INFINITY, NAN,   nan_payload, -nan_payload,
                       -1e30f, 1e30f, -0x1p126f, -88.0f,   89.0f, 0x1p-149f};
    const float want[] = {1.0f, 1.0f, 0.0f, INFINITY, NAN, NAN, NAN, 0.0f, INFINITY, 0.0f, 0.0f, INFINITY, 1.0f};
    enum { EDGES = sizeof x / sizeof *x };
    for (int level = 0; level < LEVELS; ++level) {
        if (machine_isa_objection(levels[level].name))
            continue;
        float y[EDGES];
        levels[level].run(x, y, EDGES);
        for (int n = 0; n < EDGES; ++n)
            cr_expect(isnan(want[n]) ? isnan(y[n]) : y[n] == want[n], "%s: exp(%a) is %a, not %a", levels[level].name,
                      (double)x[n], (double)y[n], (double)want[n]);
    }
}
