/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions of 16-bit elements: every value, and every tie between neighbours. */
#include <criterion/criterion.h>
#include <math.h>

#include "contract/element.h"

/* A 16-bit format by its definition. */
struct format {
    int exponent_bits, fraction_bits;
};
static const struct format f16 = {5, 10}, bf16 = {8, 7};

static double value_of(const struct format *format, unsigned half) {
    const int bias = (1 << (format->exponent_bits - 1)) - 1, top = (1 << format->exponent_bits) - 1;
    const int exponent = (int)(half >> format->fraction_bits) & top;
    const int fraction = (int)half & ((1 << format->fraction_bits) - 1);
    const double sign = half & 0x8000 ? -1.0 : 1.0;
    if (exponent == top)
        return fraction ? NAN : sign * INFINITY;
    const int significand = exponent ? fraction + (1 << format->fraction_bits) : fraction;
    return sign * ldexp(significand, (exponent ? exponent : 1) - bias - format->fraction_bits);
}

static float widen(const struct format *format, unsigned half) {
    return format == &f16 ? attn_f32_of_f16((uint16_t)half) : attn_f32_of_bf16((uint16_t)half);
}

static unsigned narrow(const struct format *format, float value) {
    return format == &f16 ? attn_f16_of_f32(value) : attn_bf16_of_f32(value);
}

static bool is_nan(const struct format *format, unsigned half) {
    const double value = value_of(format, half);
    return value != value;
}

static void expect_every_value(const struct format *format) {
    for (unsigned half = 0; half < 0x10000; ++half) {
        const double want = value_of(format, half);
        const float got = widen(format, half);
        if (is_nan(format, half)) {
            cr_assert(got != got, "0x%04x must widen to a NaN", half);
            cr_assert(is_nan(format, narrow(format, got)), "0x%04x must stay a NaN", half);
            continue;
        }
        cr_assert((double)got == want && !signbit(got) == !signbit(want), "0x%04x widens to %a, not %a", half,
                  (double)got, want);
        cr_assert(narrow(format, got) == half, "0x%04x comes back as 0x%04x", half, narrow(format, got));
    }
}

Test(element, every_f16_survives_a_round_trip) {
    expect_every_value(&f16);
}

Test(element, every_bf16_survives_a_round_trip) {
    expect_every_value(&bf16);
}

/* Between neighbours: the midpoint goes to the even one, its neighbours to the nearer one. */
static void expect_every_tie(const struct format *format, unsigned infinity) {
    for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000)
        for (unsigned low = sign; low < sign + infinity - 1; ++low) {
            const float middle = (float)((value_of(format, low) + value_of(format, low + 1)) / 2);
            const float toward_zero = nextafterf(middle, 0.0f);
            const float away = nextafterf(middle, sign ? -INFINITY : INFINITY);
            const unsigned even = low % 2 ? low + 1 : low;
            cr_assert(narrow(format, middle) == even, "tie above 0x%04x goes to 0x%04x", low, narrow(format, middle));
            cr_assert(narrow(format, toward_zero) == low, "below the tie 0x%04x", low);
            cr_assert(narrow(format, away) == low + 1, "above the tie 0x%04x", low);
        }
}

Test(element, f16_ties_go_to_even) {
    expect_every_tie(&f16, 0x7C00);
}

Test(element, bf16_ties_go_to_even) {
    expect_every_tie(&bf16, 0x7F80);
}

Test(element, overflow_becomes_infinity) {
    cr_expect(attn_f16_of_f32(65504.0f) == 0x7BFF);
    cr_expect(attn_f16_of_f32(nextafterf(65520.0f, 0.0f)) == 0x7BFF, "below half an ulp above the largest");
    cr_expect(attn_f16_of_f32(65520.0f) == 0x7C00);
    cr_expect(attn_f16_of_f32(-1e30f) == 0xFC00);
    cr_expect(attn_f16_of_f32(INFINITY) == 0x7C00 && attn_f16_of_f32(-INFINITY) == 0xFC00);
    cr_expect(attn_bf16_of_f32(0x1.FEp127f) == 0x7F7F);
    cr_expect(attn_bf16_of_f32(nextafterf(0x1.FFp127f, 0.0f)) == 0x7F7F);
    cr_expect(attn_bf16_of_f32(0x1.FFp127f) == 0x7F80);
    cr_expect(attn_bf16_of_f32(-INFINITY) == 0xFF80);
}

Test(element, underflow_keeps_its_sign) {
    cr_expect(attn_f16_of_f32(0x1p-26f) == 0);
    cr_expect(attn_f16_of_f32(0x1p-25f) == 0, "a tie with 0 goes to 0");
    cr_expect(attn_f16_of_f32(0x1.000002p-25f) == 1);
    cr_expect(attn_f16_of_f32(-0x1p-30f) == 0x8000);
    cr_expect(attn_bf16_of_f32(-0x1p-149f) == 0x8000);
}

/* A NaN whose payload sits in the bits that are cut off must not become an infinity. */
Test(element, a_nan_stays_a_nan) {
    const uint32_t patterns[] = {0x7F800001, 0xFF800001, 0x7FC00000, 0xFFFFFFFF, 0x7F801000, 0xFFBFFFFF};
    for (size_t n = 0; n < sizeof patterns / sizeof *patterns; ++n) {
        const float nan = attn_f32_of_bits(patterns[n]);
        cr_expect(is_nan(&f16, attn_f16_of_f32(nan)), "f16 of 0x%08x", patterns[n]);
        cr_expect(is_nan(&bf16, attn_bf16_of_f32(nan)), "bf16 of 0x%08x", patterns[n]);
    }
}

Test(element, load_and_store_agree_for_every_type) {
    for (int type = 0; type < ATTN_TYPE_COUNT; ++type) {
        double array[4] = {0};
        attn_store(array, (enum attn_type)type, 2, -1.5f);
        cr_expect(attn_load(array, (enum attn_type)type, 2) == -1.5f, "%s", attn_type_name((enum attn_type)type));
        cr_expect(attn_load(array, (enum attn_type)type, 1) == 0.0f, "the neighbour is left alone");
        cr_expect(attn_load(array, (enum attn_type)type, 3) == 0.0f, "the neighbour is left alone");
    }
}

/* Adding one unit round-off to 1 is a tie, adding a little more is not. */
Test(element, roundoff_is_half_a_step_at_one) {
    cr_expect(attn_f16_of_f32((float)(1.0 + attn_type_roundoff(ATTN_F16))) == attn_f16_of_f32(1.0f));
    cr_expect(attn_f16_of_f32((float)(1.0 + 1.01 * attn_type_roundoff(ATTN_F16))) == attn_f16_of_f32(1.0f) + 1);
    cr_expect(attn_bf16_of_f32((float)(1.0 + attn_type_roundoff(ATTN_BF16))) == attn_bf16_of_f32(1.0f));
    cr_expect(attn_bf16_of_f32((float)(1.0 + 1.01 * attn_type_roundoff(ATTN_BF16))) == attn_bf16_of_f32(1.0f) + 1);
    cr_expect((float)(1.0 + attn_type_roundoff(ATTN_F32)) == 1.0f);
    cr_expect((float)(1.0 + 1.01 * attn_type_roundoff(ATTN_F32)) > 1.0f);
}

Test(element, poison_reads_as_nan) {
    float wide;
    uint16_t half;
    memset(&wide, ATTN_POISON_BYTE, sizeof wide);
    memset(&half, ATTN_POISON_BYTE, sizeof half);
    cr_expect(wide != wide);
    cr_expect(is_nan(&f16, half) && is_nan(&bf16, half));
}
