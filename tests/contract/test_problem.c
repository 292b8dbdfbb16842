/* SPDX-License-Identifier: Apache-2.0 */
/* Building a problem: defaults, and every refusal with what is wrong and what would be right. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "contract/problem.h"

static struct attn_problem small(void) {
    return (struct attn_problem){.batch = 2, .query_heads = 4, .query_len = 8, .head_dim = 16};
}

static struct attn_problem packed(const int64_t *query_offsets, const int64_t *key_offsets, int64_t segments) {
    struct attn_problem problem = small();
    problem.batch = 1;
    problem.mask.segments = segments;
    problem.mask.query_offsets = query_offsets;
    problem.mask.key_offsets = key_offsets;
    return problem;
}

/* Refused, and the message holds both parts. */
static void expect_refused(struct attn_problem problem, const char *wrong, const char *right) {
    struct attn_error error = {0};
    cr_expect(attn_problem_build(&problem, &error) == ATTN_INVALID, "accepted what should say: %s", wrong);
    cr_expect(error.status == ATTN_INVALID);
    cr_expect(strstr(error.message, wrong), "'%s' lacks '%s'", error.message, wrong);
    cr_expect(strstr(error.message, right), "'%s' lacks '%s'", error.message, right);
}

static void expect_accepted(struct attn_problem problem) {
    struct attn_error error = {0};
    cr_expect(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
}

Test(problem, zero_means_the_default) {
    struct attn_problem problem = small();
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
    cr_expect(problem.key_heads == 4 && problem.key_len == 8 && problem.value_dim == 16);
    cr_expect(problem.scale == 0.25f);
    cr_expect(problem.live_pairs == 2 * 4 * 8 * 8);
    cr_expect(problem.live_keys == 2 * 8);
}

Test(problem, what_is_given_is_kept) {
    struct attn_problem problem = {.batch = 1,
                                   .query_heads = 6,
                                   .key_heads = 2,
                                   .query_len = 3,
                                   .key_len = 5,
                                   .head_dim = 7,
                                   .value_dim = 9,
                                   .scale = -2.0f,
                                   .type = ATTN_BF16};
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
    cr_expect(problem.key_heads == 2 && problem.key_len == 5 && problem.value_dim == 9 && problem.scale == -2.0f);
}

Test(problem, an_error_is_optional) {
    struct attn_problem problem = small();
    problem.batch = 0;
    cr_expect(attn_problem_build(&problem, NULL) == ATTN_INVALID);
}

/* Every size at 0 (where that is not a default), -1 and 2^31; 2^31 - 1 alone is a legal size. */
Test(problem, sizes_are_positive_and_below_2_31) {
    const char *const names[] = {"batch", "query_heads", "key_heads", "query_len", "key_len", "head_dim", "value_dim"};
    const bool has_default[] = {false, false, true, false, true, false, true};
    for (int n = 0; n < 7; ++n) {
        const int64_t values[] = {0, -1, INT64_MIN, INT64_C(1) << 31, INT64_MAX};
        for (int v = has_default[n] ? 1 : 0; v < 5; ++v) {
            struct attn_problem problem = small();
            int64_t *const sizes[] = {&problem.batch,   &problem.query_heads, &problem.key_heads, &problem.query_len,
                                      &problem.key_len, &problem.head_dim,    &problem.value_dim};
            *sizes[n] = values[v];
            expect_refused(problem, names[n], "1..2147483647");
        }
    }
    expect_accepted(
        (struct attn_problem){.batch = 1, .query_heads = 1, .query_len = 1, .key_len = INT32_MAX, .head_dim = 1});
}

Test(problem, heads_must_divide) {
    struct attn_problem problem = small();
    problem.key_heads = 3;
    expect_refused(problem, "query_heads 4 is not a multiple of key_heads 3", "each KV head serves the same number");
    problem.key_heads = 8;
    expect_refused(problem, "not a multiple", "each KV head serves the same number");
    problem.key_heads = 2;
    expect_accepted(problem);
}

Test(problem, tensors_stay_below_2_48_bytes) {
    struct attn_problem problem = {
        .batch = INT32_MAX, .query_heads = INT32_MAX, .query_len = INT32_MAX, .head_dim = INT32_MAX};
    expect_refused(problem, "q would have 2147483647 x 2147483647", "make the problem smaller");
    problem = (struct attn_problem){.batch = 1, .query_heads = 1, .query_len = 1 << 24, .head_dim = 1 << 23};
    expect_refused(problem, "2^48 bytes", "smaller");
    problem = (struct attn_problem){
        .batch = 1, .query_heads = 1, .query_len = 1, .head_dim = 1, .key_len = 1 << 30, .value_dim = 1 << 17};
    expect_refused(problem, "v would have", "smaller");
    problem.value_dim = 1 << 16; /* exactly 2^48 bytes as f32 */
    expect_accepted(problem);
}

Test(problem, pairs_can_be_counted) {
    struct attn_problem problem = {
        .batch = 1, .query_heads = 4, .query_len = INT32_MAX, .key_len = INT32_MAX, .head_dim = 1};
    expect_refused(problem, "more than 2^63 pairs", "make the problem smaller");
}

Test(problem, scale_is_finite_and_type_is_computable) {
    struct attn_problem problem = small();
    problem.scale = NAN;
    expect_refused(problem, "scale is nan", "must be finite");
    problem.scale = -INFINITY;
    expect_refused(problem, "scale is -inf", "must be finite");
    problem = small();
    problem.type = ATTN_F64;
    expect_refused(problem, "type", "f32, bf16 or f16");
}

Test(problem, window_sides_are_lengths) {
    struct attn_problem problem = small();
    problem.mask.windowed = true;
    problem.mask.window_left = -1;
    expect_refused(problem, "window (-1, 0)", "negative side");
    problem.mask.window_left = 3;
    problem.mask.window_right = -7;
    expect_refused(problem, "window (3, -7)", "negative side");
    problem.mask.window_right = ATTN_UNBOUNDED - 1; /* would overflow when added to a position */
    expect_refused(problem, "window", "2^40");
    problem.mask.window_right = ATTN_UNBOUNDED;
    expect_accepted(problem);
    problem.mask = (struct attn_mask){.window_left = -1}; /* not windowed: not read */
    expect_accepted(problem);
}

Test(problem, softcap_is_a_number) {
    const float bad[] = {NAN, -1.0f, INFINITY};
    for (int n = 0; n < 3; ++n) {
        struct attn_problem problem = small();
        problem.mask.softcap = bad[n];
        expect_refused(problem, "softcap is", "positive and finite, or 0");
    }
}

Test(problem, positions_stay_in_range) {
    struct attn_problem problem = small();
    problem.mask.key_start = (INT64_C(1) << 40) + 1;
    expect_refused(problem, "key_start is 1099511627777", "+-2^40");
    const int64_t start[2] = {0, -(INT64_C(1) << 41)};
    problem = small();
    problem.mask.query_start = start;
    expect_refused(problem, "query_start[1] is -2199023255552", "+-2^40");
}

Test(problem, key_lengths_lie_in_the_keys) {
    int64_t lengths[2] = {0, 9};
    struct attn_problem problem = small();
    problem.mask.key_lengths = lengths;
    expect_refused(problem, "key_lengths[1] is 9", "0..key_len = 8");
    lengths[1] = -1;
    expect_refused(problem, "key_lengths[1] is -1", "0..key_len = 8");
    lengths[1] = 8;
    expect_accepted(problem);
}

Test(problem, offsets_ascend_from_zero_to_the_total) {
    const int64_t good[3] = {0, 8, 8}, late[3] = {1, 4, 8}, early[3] = {0, 4, 7}, descending[4] = {0, 5, 3, 8};
    const int64_t outside[3] = {0, 9, 8};
    expect_accepted(packed(good, good, 2));
    expect_refused(packed(late, good, 2), "query_offsets runs from 1 to 8", "from 0 to the total length 8");
    expect_refused(packed(good, early, 2), "key_offsets runs from 0 to 7", "from 0 to the total length 8");
    expect_refused(packed(descending, descending, 3), "query_offsets[1] = 5", "must not descend");
    expect_refused(packed(outside, good, 2), "query_offsets[1] = 9", "must not descend");
    expect_refused(packed(NULL, good, 2), "query_offsets", "3 numbers");
    expect_refused(packed(good, NULL, 2), "key_offsets", "3 numbers");
    expect_refused(packed(good, good, -1), "segments is -1", "0..");
    expect_refused(packed(good, NULL, 0), "segments is 0", "their count - 1");
}

Test(problem, packing_contradicts_batches_and_lengths) {
    const int64_t offsets[3] = {0, 3, 8}, lengths[2] = {8, 8};
    struct attn_problem problem = packed(offsets, offsets, 2);
    problem.batch = 2;
    expect_refused(problem, "not 2", "batch 1");
    problem = packed(offsets, offsets, 2);
    problem.mask.key_lengths = lengths;
    expect_refused(problem, "key_lengths do not go with packed", "key_offsets");
}
