/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle against closed forms, and against brute force over random small problems with every mask. */
#include <criterion/criterion.h>

#include "check/oracle.h"
#include "drawn_operands.h"

static struct check_oracle *create(const struct attn_problem *problem, const struct attn_operands *operands,
                                   int64_t max_pairs, int threads) {
    struct check_oracle *oracle;
    struct attn_error error;
    cr_assert(check_oracle_create(problem, operands, 1, max_pairs, threads, &oracle, &error) == ATTN_OK, "%s",
              error.message);
    return oracle;
}

static void expect_brute(const struct attn_problem *problem, const struct attn_operands *operands, uint64_t seed) {
    struct check_oracle *const oracle = create(problem, operands, 0, 2);
    cr_assert(check_oracle_rows(oracle) == problem->batch * problem->query_heads * problem->query_len);
    for (int64_t n = 0; n < check_oracle_rows(oracle); ++n) {
        int64_t place[3];
        double lse;
        long double weights[DRAWN_LEN];
        const double *const row = check_oracle_row(oracle, n, place, &lse);
        const long double want_lse = brute_weights(problem, operands, place[0], place[1], place[2], weights);
        cr_assert(lse == (double)want_lse || fabs(lse - (double)want_lse) <= 1e-14 * (1.0 + fabs(lse)),
                  "seed %d: lse %.17g, not %.17Lg", (int)seed, lse, want_lse);
        for (int64_t c = 0; c < problem->value_dim; ++c) {
            const double want = (double)brute_answer(problem, operands, place[0], place[1], c, weights);
            cr_assert(fabs(row[c] - want) <= 4e-14, "seed %d: [%d, %d, %d, %d] is %.17g, not %.17g", (int)seed,
                      (int)place[0], (int)place[1], (int)place[2], (int)c, row[c], want);
        }
    }
    check_oracle_destroy(oracle);
}

Test(oracle, agrees_with_brute_force_for_every_mask_and_type) {
    static struct drawn drawn;
    static struct drawn_operands memory;
    for (uint64_t seed = 1; seed <= 2000; ++seed) {
        struct attn_error error;
        cr_assert(draw_problem(seed, &drawn, &error) == ATTN_OK, "%s", error.message);
        drawn.problem.type = (enum attn_type)(seed % 3);
        draw_operands(seed, &drawn.problem, drawn.problem.type, &memory);
        expect_brute(&drawn.problem, &memory.operands, seed);
    }
}

/* A plain problem of `heads` = `batch` = 1 with f32 operands; filled by the tests. */
enum { KEYS = 50, DIM = 6 };
struct plain {
    struct attn_problem problem;
    struct attn_operands operands;
    float q[KEYS * DIM], k[KEYS * DIM], v[KEYS * DIM];
    bool allowed[KEYS * KEYS];
};

static void make_plain(struct plain *plain) {
    uint64_t state = 5;
    plain->problem = (struct attn_problem){.batch = 1, .query_heads = 1, .query_len = KEYS, .head_dim = DIM};
    cr_assert(attn_problem_build(&plain->problem, NULL) == ATTN_OK);
    plain->operands = (struct attn_operands){
        .q = attn_tensor_dense(plain->q, ATTN_F32, 1, 1, KEYS, DIM),
        .k = attn_tensor_dense(plain->k, ATTN_F32, 1, 1, KEYS, DIM),
        .v = attn_tensor_dense(plain->v, ATTN_F32, 1, 1, KEYS, DIM),
    };
    draw_tensor(&state, &plain->operands.q);
    draw_tensor(&state, &plain->operands.k);
    draw_tensor(&state, &plain->operands.v);
    for (int n = 0; n < KEYS * KEYS; ++n)
        plain->allowed[n] = true;
}

static void mask_plain(struct plain *plain) {
    plain->problem.mask.allowed = plain->allowed;
    plain->problem.mask.allowed_stride[2] = KEYS;
    plain->problem.mask.allowed_stride[3] = 1;
}

Test(oracle, equal_logits_give_the_mean_of_the_values) {
    static struct plain plain;
    make_plain(&plain);
    memset(plain.k, 0, sizeof plain.k);
    struct check_oracle *const oracle = create(&plain.problem, &plain.operands, 0, 1);
    for (int64_t n = 0; n < KEYS; ++n) {
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(oracle, n, place, &lse);
        for (int c = 0; c < DIM; ++c) {
            double mean = 0.0;
            for (int j = 0; j < KEYS; ++j)
                mean += (double)plain.v[j * DIM + c] / KEYS;
            cr_expect(fabs(row[c] - mean) <= 1e-15);
        }
        cr_expect(fabs(lse - log(KEYS)) <= 1e-15);
    }
    check_oracle_destroy(oracle);
}

Test(oracle, a_dominant_logit_gives_that_row) {
    static struct plain plain;
    make_plain(&plain);
    for (int n = 0; n < KEYS; ++n) {
        plain.q[n * DIM] = 100.0f;
        plain.k[n * DIM] = n == 17 ? 100.0f : -100.0f;
    }
    struct check_oracle *const oracle = create(&plain.problem, &plain.operands, 0, 1);
    for (int64_t n = 0; n < KEYS; ++n) {
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(oracle, n, place, &lse);
        for (int c = 0; c < DIM; ++c)
            cr_expect(row[c] == (double)plain.v[17 * DIM + c]);
    }
    check_oracle_destroy(oracle);
}

/* Scores of +-1e4 and beyond: float32 exp overflows at 88.7, float64 at 709; the answer is a softmax all the same. */
Test(oracle, scores_of_any_size_are_shifted) {
    const float shifts[] = {1e4f, -2e4f, 1e30f, -1e30f};
    for (int s = 0; s < 4; ++s) {
        static struct plain plain;
        make_plain(&plain);
        plain.problem.scale = 1.0f;
        for (int n = 0; n < KEYS; ++n)
            for (int c = 0; c < DIM; ++c) {
                plain.q[n * DIM + c] = c == 0 ? 1.0f : 0.0f;
                plain.k[n * DIM + c] = c == 0 ? shifts[s] : 0.0f;
            }
        struct check_oracle *const oracle = create(&plain.problem, &plain.operands, 0, 1);
        int64_t place[3];
        double lse, mean = 0.0;
        const double *const row = check_oracle_row(oracle, 0, place, &lse);
        for (int j = 0; j < KEYS; ++j)
            mean += (double)plain.v[j * DIM] / KEYS;
        cr_expect(fabs(row[0] - mean) <= 1e-15, "shift %g: %g, not %g", (double)shifts[s], row[0], mean);
        cr_expect(fabs(lse - ((double)shifts[s] + log(KEYS))) <= 1e-12 * fabs((double)shifts[s]));
        check_oracle_destroy(oracle);
    }
}

Test(oracle, a_fully_masked_row_is_zero_and_its_lse_minus_infinity) {
    static struct plain plain;
    const float sink = 0.75f;
    for (int with_sink = 0; with_sink <= 1; ++with_sink) {
        make_plain(&plain);
        mask_plain(&plain);
        memset(plain.allowed + 3 * KEYS, 0, KEYS);
        plain.problem.mask.sinks = with_sink ? &sink : NULL;
        struct check_oracle *const oracle = create(&plain.problem, &plain.operands, 0, 1);
        int64_t place[3];
        double lse;
        const double *const row = check_oracle_row(oracle, 3, place, &lse);
        cr_expect(lse == (with_sink ? 0.75 : -INFINITY));
        for (int c = 0; c < DIM; ++c)
            cr_expect(row[c] == 0.0);
        check_oracle_destroy(oracle);
    }
}

/* Row 4 may not see key 9, row 5 may: a NaN there (or an infinity) reaches row 5 alone. */
Test(oracle, masked_pairs_are_not_touched_and_a_live_nan_stays) {
    const float poisons[] = {NAN, INFINITY, -INFINITY};
    for (int n = 0; n < 3; ++n)
        for (int in_value = 0; in_value <= 1; ++in_value) {
            static struct plain plain;
            make_plain(&plain);
            mask_plain(&plain);
            for (int i = 0; i < KEYS; ++i)
                plain.allowed[i * KEYS + 9] = i == 5;
            (in_value ? plain.v : plain.k)[9 * DIM + 2] = in_value ? poisons[n] : NAN;
            struct check_oracle *const oracle = create(&plain.problem, &plain.operands, 0, 1);
            for (int64_t i = 0; i < KEYS; ++i) {
                int64_t place[3];
                double lse;
                const double *const row = check_oracle_row(oracle, i, place, &lse);
                for (int c = 0; c < DIM; ++c)
                    cr_expect(!isfinite(row[c]) == (i == 5 && (c == 2 || !in_value)), "row %d, feature %d is %g",
                              (int)i, c, row[c]);
            }
            check_oracle_destroy(oracle);
        }
}

Test(oracle, any_number_of_threads_gives_the_same_bits) {
    static struct drawn drawn;
    static struct drawn_operands memory;
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        cr_assert(draw_problem(seed, &drawn, NULL) == ATTN_OK);
        draw_operands(seed, &drawn.problem, ATTN_F32, &memory);
        struct check_oracle *const one = create(&drawn.problem, &memory.operands, 0, 1);
        struct check_oracle *const three = create(&drawn.problem, &memory.operands, 0, 3);
        for (int64_t n = 0; n < check_oracle_rows(one); ++n) {
            int64_t place[3];
            double lse[2];
            const double *const a = check_oracle_row(one, n, place, &lse[0]);
            const double *const b = check_oracle_row(three, n, place, &lse[1]);
            cr_assert(memcmp(a, b, (size_t)drawn.problem.value_dim * sizeof *a) == 0 && lse[0] == lse[1]);
        }
        check_oracle_destroy(one);
        check_oracle_destroy(three);
    }
}

enum { LONG_LEN = 700 };

/* Which rows of head 1 a sampling oracle computes. */
static int64_t sample(uint64_t seed, int64_t max_pairs, bool *chosen) {
    static float array[2 * LONG_LEN];
    struct attn_problem problem = {.batch = 1, .query_heads = 2, .query_len = LONG_LEN, .head_dim = 1};
    cr_assert(attn_problem_build(&problem, NULL) == ATTN_OK);
    const struct attn_tensor tensor = attn_tensor_dense(array, ATTN_F32, 1, 2, LONG_LEN, 1);
    const struct attn_operands operands = {.q = tensor, .k = tensor, .v = tensor};
    struct check_oracle *oracle;
    cr_assert(check_oracle_create(&problem, &operands, seed, max_pairs, 1, &oracle, NULL) == ATTN_OK);
    memset(chosen, 0, LONG_LEN * sizeof *chosen);
    const int64_t count = check_oracle_rows(oracle);
    for (int64_t n = 0; n < count; ++n) {
        int64_t place[3];
        double lse;
        check_oracle_row(oracle, n, place, &lse);
        if (place[1] == 1)
            chosen[place[2]] = true;
    }
    check_oracle_destroy(oracle);
    return count;
}

Test(oracle, a_sample_holds_first_last_and_tile_edges) {
    bool chosen[LONG_LEN], others[LONG_LEN];
    const int64_t count = sample(1, 200 * LONG_LEN, chosen);
    const int edges[] = {0, 15, 16, 31, 32, 63, 64, 127, 128, 639, 640, 671, 672, 687, 688, 699};
    for (size_t n = 0; n < sizeof edges / sizeof *edges; ++n)
        cr_expect(chosen[edges[n]], "row %d is always computed", edges[n]);
    cr_expect(count > 150 && count < 250, "about 200 rows fit, not %d", (int)count);
    sample(1, 200 * LONG_LEN, others);
    cr_expect(memcmp(chosen, others, sizeof chosen) == 0, "the same seed gives the same rows");
    sample(2, 200 * LONG_LEN, others);
    cr_expect(memcmp(chosen, others, sizeof chosen) != 0, "another seed gives others");
    cr_expect(sample(1, 0, chosen) == 2 * LONG_LEN, "small problems are computed whole");
    cr_expect(sample(1, 1, chosen) == 2 * 16, "edges alone where nothing else fits");
}

Test(oracle, inputs_that_disagree_are_refused) {
    static struct plain plain;
    struct check_oracle *oracle;
    struct attn_error error;
    make_plain(&plain);
    plain.operands.v.shape[2] = 3;
    cr_expect(check_oracle_create(&plain.problem, &plain.operands, 1, 0, 1, &oracle, &error) == ATTN_INVALID);
    cr_expect(strstr(error.message, "v has shape [1, 1, 3, 6]"), "%s", error.message);
    cr_expect(oracle == NULL);
    plain.operands.k.data = NULL;
    cr_expect(check_oracle_create(&plain.problem, &plain.operands, 1, 0, 1, &oracle, &error) == ATTN_INVALID);
    check_oracle_destroy(NULL);
}
