/* SPDX-License-Identifier: Apache-2.0 */
/* Goldens and invariants of the parts, compiled for both number types: tolerances are in their round-off. */
#include <math.h>
#include <string.h>

#include "layer/embedding.h"
#include "layer/gelu.h"
#include "layer/norm.h"
#include "layer/plain_gemm.h"
#include "layer/readout.h"
#include "layer_draw.h"

static const struct layer_compute one_thread = {layer_plain_gemm, 1};

static double roundoff(void) {
    return attn_type_roundoff(LAYER_TYPE);
}

static void expect_near(double got, double want, double tolerance, const char *what) {
    cr_expect(fabs(got - want) <= tolerance, "%s: %.17g, not %.17g (off by %.2g, allowed %.2g)", what, got, want,
              got - want, tolerance);
}

/* ---- layer norm ---- */

/* One word of a tutorial under three published definitions, in 17 digits. */
static void expect_norm(enum layer_norm_kind kind, double epsilon, const double want[4]) {
    layer_real x[4] = {(layer_real)0.3, (layer_real)0.9, 1, 0}, gain[4] = {1, 1, 1, 1}, bias[4] = {0}, y[4];
    const struct layer_norm norm = {kind, 4, epsilon, gain, bias};
    layer_norm_forward(&norm, &one_thread, 1, x, y);
    /* The inputs' own rounding, times a slope of at most 1 / deviation < 3, then a rounding of the answer. */
    for (int c = 0; c < 4; ++c)
        expect_near((double)y[c], want[c], 8 * roundoff(), "layer norm");
}

Test(layer_norm, biased_variance_without_epsilon) {
    expect_norm(LAYER_NORM_BIASED_VARIANCE, 0,
                (const double[]){-0.6019292654288462, 0.8427009716003844, 1.0834726777719228, -1.3242443839434614});
}

Test(layer_norm, biased_variance_with_epsilon_inside_the_root) {
    expect_norm(LAYER_NORM_BIASED_VARIANCE, 1e-5,
                (const double[]){-0.6019118189622996, 0.8426765465472192, 1.0834412741321389, -1.3242060017170590});
}

Test(layer_norm, unbiased_deviation_with_epsilon_added) {
    expect_norm(LAYER_NORM_UNBIASED_DEVIATION, 1e-6,
                (const double[]){-0.5212849481884319, 0.7297989274638044, 0.9383129067391770, -1.1468268860145499});
}

enum { FEATURES = 24, ROWS = 6 };

static struct layer_norm drawn_norm(enum layer_norm_kind kind) {
    return (struct layer_norm){kind, FEATURES, 1e-5, draw(11, FEATURES, 1), draw(12, FEATURES, 1)};
}

static void release_norm(struct layer_norm *norm) {
    free(norm->gain);
    free(norm->bias);
}

Test(layer_norm, a_row_does_not_see_its_batch_mates) {
    for (int kind = 0; kind < 2; ++kind) {
        struct layer_norm norm = drawn_norm((enum layer_norm_kind)kind);
        layer_real *const x = draw(1, ROWS * FEATURES, 1), together[ROWS * FEATURES], alone[FEATURES];
        layer_norm_forward(&norm, &(struct layer_compute){layer_plain_gemm, 3}, ROWS, x, together);
        for (int row = 0; row < ROWS; ++row) {
            layer_norm_forward(&norm, &one_thread, 1, x + row * FEATURES, alone);
            cr_expect(memcmp(alone, together + row * FEATURES, sizeof alone) == 0, "row %d", row);
        }
        free(x);
        release_norm(&norm);
    }
}

/* Neither definition sees a shift of the row, so its slope along one is 0. */
Test(layer_norm, slopes_of_a_row_sum_to_zero) {
    for (int kind = 0; kind < 2; ++kind) {
        struct layer_norm norm = drawn_norm((enum layer_norm_kind)kind);
        layer_real *const x = draw(1, ROWS * FEATURES, 1), *const dy = draw(2, ROWS * FEATURES, 1);
        layer_real dx[ROWS * FEATURES];
        layer_norm_backward(&norm, &one_thread, ROWS, x, dy, dx, NULL);
        for (int row = 0; row < ROWS; ++row) {
            double sum = 0, size = 0;
            for (int c = 0; c < FEATURES; ++c) {
                sum += (double)dx[row * FEATURES + c];
                size += fabs((double)dx[row * FEATURES + c]);
            }
            cr_expect(size > 1, "there are slopes");
            expect_near(sum, 0, FEATURES * roundoff() * size, "sum of slopes");
        }
        free(x);
        free(dy);
        release_norm(&norm);
    }
}

Test(layer_norm, a_constant_row) {
    layer_real x[4] = {5, 5, 5, 5}, gain[4] = {1, 2, 3, 4}, bias[4] = {9, 8, 7, 6}, y[4], dx[4];
    const layer_real dy[4] = {1, 0, 0, 0};
    for (int kind = 0; kind < 2; ++kind) {
        const struct layer_norm norm = {(enum layer_norm_kind)kind, 4, 1e-5, gain, bias};
        layer_norm_forward(&norm, &one_thread, 1, x, y);
        layer_norm_backward(&norm, &one_thread, 1, x, dy, dx, NULL);
        for (int c = 0; c < 4; ++c) {
            cr_expect(y[c] == bias[c]);
            cr_expect(isfinite((double)dx[c]));
        }
        const struct layer_norm bare = {(enum layer_norm_kind)kind, 4, 0, gain, bias};
        layer_norm_forward(&bare, &one_thread, 1, x, y);
        cr_expect(isnan((double)y[0]), "0/0 is not hidden");
    }
}

/* ---- GELU: values of x Phi(x) to 17 digits ---- */

Test(gelu, known_values) {
    const double want[][2] = {{0, 0},
                              {1, 0.84134474606854295},
                              {-1, -0.15865525393145705},
                              {3, 2.9959503059051097},
                              {-6, -5.9195258702261884e-9}};
    for (size_t n = 0; n < sizeof want / sizeof *want; ++n) {
        const layer_real x = (layer_real)want[n][0];
        layer_real y;
        layer_gelu_forward(&one_thread, 1, &x, &y);
        /* The argument's rounding, stretched by the slope of ln Phi (6.2 at -6), and the library's erfc. */
        expect_near((double)y, want[n][1], 64 * roundoff() * fabs(want[n][1]), "gelu");
    }
}

/* In units of roundoff: x^2 of the exponent's argument, 2 |x| of a polynomial whose terms cancel further out, 12 of the
 * other operations. Results below the normal numbers are 0. */
Test(gelu, is_as_exact_as_its_argument_everywhere) {
    for (int n = -5600; n <= 5600; ++n) {
        const layer_real x = (layer_real)(n / 400.0 + 1e-3);
        const long double want = 0.5L * x * erfcl(-(long double)x * 0.70710678118654752440084436210484904L);
        const double allowed = (12 + 2 * fabs((double)x) + (double)x * (double)x) * roundoff();
        layer_real y;
        layer_gelu_forward(&one_thread, 1, &x, &y);
        expect_near((double)y, (double)want, allowed * fabs((double)want) + 0x1p-122, "gelu");
    }
    const layer_real beyond[] = {INFINITY, NAN};
    layer_real y[2];
    layer_gelu_forward(&one_thread, 2, beyond, y);
    cr_expect(y[0] == INFINITY && isnan(y[1]));
}

/* ---- positions ---- */

static double dot(const layer_real *a, const layer_real *b, int64_t count) {
    double sum = 0;
    for (int64_t n = 0; n < count; ++n)
        sum += (double)a[n] * (double)b[n];
    return sum;
}

Test(positions, sinusoidal_products_depend_on_the_distance_alone) {
    enum { DIM = 16, LAST = 1100 };
    const struct layer_embedding table = {LAST, DIM, zeros(LAST * DIM)};
    layer_positions_sinusoidal(&table, 1e4);
    const int places[] = {0, 7, 100, 1000};
    for (int n = 0; n < 4; ++n)
        expect_near(dot(table.table + places[n] * DIM, table.table + (places[n] + 5) * DIM, DIM), 6.137039961449,
                    6e-13 + 2 * DIM * roundoff() + 1100 * 0x1p-53 * DIM, "PE(p) . PE(p + 5)");
    cr_expect(table.table[0] == 0 && table.table[1] == 1, "sine first, then cosine");
    free(table.table);
}

Test(positions, rotary_products_depend_on_the_distance_alone) {
    enum { DIM = 8, LAST = 64 };
    layer_real *const q = draw(21, DIM, 1), *const k = draw(22, DIM, 1);
    layer_real queries[LAST * DIM], keys[LAST * DIM];
    for (int place = 0; place < LAST; ++place) {
        memcpy(queries + place * DIM, q, DIM * sizeof *q);
        memcpy(keys + place * DIM, k, DIM * sizeof *k);
    }
    const struct layer_sequences sequences = {1, LAST, {.causal = false}};
    layer_rotary(&sequences, 1e4, 1, DIM, LAYER_TURN_FORWARD, queries);
    layer_rotary(&sequences, 1e4, 1, DIM, LAYER_TURN_FORWARD, keys);
    const double want = dot(queries + 9 * DIM, keys, DIM), size = sqrt(dot(q, q, DIM) * dot(k, k, DIM));
    for (int place = 0; place + 9 < LAST; ++place)
        expect_near(dot(queries + (place + 9) * DIM, keys + place * DIM, DIM), want, (DIM + LAST) * roundoff() * size,
                    "distance 9");
    cr_expect(fabs(dot(queries + 10 * DIM, keys, DIM) - want) > 1e-3, "another distance, another product");
    layer_rotary(&sequences, 1e4, 1, DIM, LAYER_TURN_BACKWARD, queries);
    for (int n = 0; n < LAST * DIM; ++n)
        expect_near((double)queries[n], (double)q[n % DIM], 8 * roundoff() * size, "turned back");
    free(q);
    free(k);
}

Test(positions, a_packed_sequence_counts_from_its_own_start) {
    const int64_t offsets[] = {0, 2, 5};
    const struct layer_sequences packed = {1, 5, {.segments = 2, .query_offsets = offsets, .key_offsets = offsets}};
    layer_real table[] = {10, 20, 30}, x[5] = {1, 1, 1, 1, 1};
    struct attn_error error;
    cr_assert(layer_positions_forward(&(struct layer_embedding){3, 1, table}, &packed, x, &error) == ATTN_OK);
    const layer_real want[] = {11, 21, 11, 21, 31};
    cr_expect(memcmp(x, want, sizeof x) == 0);
    cr_expect(layer_positions_forward(&(struct layer_embedding){2, 1, table}, &packed, x, &error) == ATTN_INVALID);
    cr_expect(strstr(error.message, "longer than the 2 positions") != NULL, "%s", error.message);
    cr_expect(memcmp(x, want, sizeof x) == 0, "untouched");
}

Test(embedding, unknown_ids_are_refused) {
    layer_real table[] = {1, 2, 3, 4, 5, 6}, x[4];
    const struct layer_embedding embedding = {3, 2, table};
    struct attn_error error;
    cr_assert(layer_embedding_forward(&embedding, 2, (const int64_t[]){2, 0}, x, &error) == ATTN_OK);
    cr_expect(x[0] == 5 && x[1] == 6 && x[2] == 1 && x[3] == 2);
    cr_expect(layer_embedding_forward(&embedding, 2, (const int64_t[]){0, 3}, x, &error) == ATTN_INVALID);
    cr_expect_str_eq(error.message, "token 1 has id 3; the table holds ids 0 to 2");
    cr_expect(layer_embedding_forward(&embedding, 1, (const int64_t[]){-1}, x, &error) == ATTN_INVALID);
    cr_expect(x[0] == 5, "untouched");
}

/* ---- losses ---- */

Test(losses, softmax_of_three_scores) {
    const layer_real logits[] = {(layer_real)0.3, (layer_real)0.8, (layer_real)0.4};
    const double weights[] = {0.26639017577276806, 0.43920314910210871, 0.29440667512512325};
    struct attn_error error;
    for (int64_t label = 0; label < 3; ++label) {
        double loss;
        layer_real slopes[3];
        cr_assert(layer_softmax_loss(1, 3, logits, &label, &loss, slopes, &error) == ATTN_OK);
        expect_near(loss, -log(weights[label]), 4 * roundoff(), "loss");
        for (int c = 0; c < 3; ++c)
            expect_near((double)slopes[c], weights[c] - (c == label), 4 * roundoff(), "slope");
    }
}

Test(losses, a_logistic_loss_is_a_softmax_of_two) {
    const double values[] = {-800, -3, 0, .7, 90};
    struct attn_error error;
    for (int n = 0; n < 5; ++n)
        for (int64_t label = 0; label < 2; ++label) {
            const layer_real logit = (layer_real)values[n], pair[] = {0, logit};
            layer_real slope, slopes[2];
            double loss, other;
            cr_assert(layer_logistic_loss(1, &logit, &label, &loss, &slope, &error) == ATTN_OK);
            cr_assert(layer_softmax_loss(1, 2, pair, &label, &other, slopes, &error) == ATTN_OK);
            expect_near(loss, other, 0x1p-51 * (1 + other), "loss");
            expect_near((double)slope, (double)slopes[1], 2 * roundoff(), "slope");
        }
}

Test(losses, a_label_that_is_no_class_is_refused) {
    const layer_real logits[] = {0, 0, 0, 0};
    double loss;
    struct attn_error error;
    cr_expect(layer_softmax_loss(2, 2, logits, (const int64_t[]){1, 2}, &loss, NULL, &error) == ATTN_INVALID);
    cr_expect_str_eq(error.message, "row 1 has label 2; labels are 0 to 1");
    cr_expect(layer_logistic_loss(1, logits, (const int64_t[]){-1}, &loss, NULL, &error) == ATTN_INVALID);
}

Test(sgd, a_step_goes_down_and_forgets_the_gradient) {
    layer_real parameters[] = {1, -2}, gradient[] = {4, -8};
    layer_sgd_step(2, 0.25, parameters, gradient);
    cr_expect(parameters[0] == 0 && parameters[1] == 0 && gradient[0] == 0 && gradient[1] == 0);
}
