/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs, operations and bytes on cases worked out by hand, and pairs against brute force. */
#include <criterion/criterion.h>

#include "drawn.h"

static struct attn_problem build(struct attn_problem problem) {
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK, "%s", error.message);
    return problem;
}

Test(counts, dense) {
    /* 2 batches x 4 heads x 8 x 5 = 320 pairs, each 2 x 16 + 2 x 6 operations. */
    const struct attn_problem problem = build((struct attn_problem){
        .batch = 2, .query_heads = 4, .key_heads = 2, .query_len = 8, .key_len = 5, .head_dim = 16, .value_dim = 6});
    cr_expect(problem.live_pairs == 320 && problem.live_keys == 10);
    cr_expect(attn_problem_flops(&problem) == 320.0 * 44);
    /* q 2*4*8*16, out 2*4*8*6, k and v 2*2*5*(16+6), 4 bytes each. */
    cr_expect(attn_problem_min_bytes(&problem) == 4.0 * (1024 + 384 + 440));
}

Test(counts, backward) {
    const struct attn_problem problem = build((struct attn_problem){
        .batch = 1, .query_heads = 1, .query_len = 2, .key_len = 3, .head_dim = 4, .direction = ATTN_BACKWARD});
    /* 5 products of 2 x 4 operations a pair. */
    cr_expect(attn_problem_flops(&problem) == 6.0 * 40);
    /* q, dq: 8 each; out, dout: 8 each; k, v, dk, dv: 12 each; lse: 2. */
    cr_expect(attn_problem_min_bytes(&problem) == 4.0 * (16 + 16 + 48 + 2));
}

Test(counts, sixteen_bit_elements_are_two_bytes) {
    const struct attn_problem problem = build((struct attn_problem){
        .batch = 1, .query_heads = 1, .query_len = 2, .key_len = 3, .head_dim = 4, .type = ATTN_BF16});
    cr_expect(attn_problem_min_bytes(&problem) == 2.0 * (8 + 8 + 24));
}

Test(counts, causal_is_half_and_reads_what_it_needs) {
    struct attn_problem problem = build((struct attn_problem){
        .batch = 1, .query_heads = 2, .query_len = 4, .key_len = 6, .head_dim = 1, .mask = {.causal = true}});
    cr_expect(problem.live_pairs == 2 * (1 + 2 + 3 + 4) && problem.live_keys == 4);
    problem.mask.alignment = ATTN_BOTTOM_RIGHT;
    problem = build(problem);
    cr_expect(problem.live_pairs == 2 * (3 + 4 + 5 + 6) && problem.live_keys == 6);
}

Test(counts, a_window_is_a_band) {
    struct attn_problem problem =
        build((struct attn_problem){.batch = 1,
                                    .query_heads = 1,
                                    .query_len = 10,
                                    .head_dim = 1,
                                    .mask = {.windowed = true, .window_left = 2, .window_right = 1}});
    cr_expect(problem.live_pairs == 2 + 3 + 4 * 7 + 3);
    problem.mask.window_left = ATTN_UNBOUNDED;
    problem = build(problem);
    cr_expect(problem.live_pairs == 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 10);
}

Test(counts, lengths_and_segments) {
    const int64_t lengths[3] = {0, 1, 5};
    struct attn_problem problem = build((struct attn_problem){
        .batch = 3, .query_heads = 1, .query_len = 2, .key_len = 5, .head_dim = 3, .mask = {.key_lengths = lengths}});
    cr_expect(problem.live_pairs == 2 * 6 && problem.live_keys == 6);
    cr_expect(attn_problem_min_bytes(&problem) == 4.0 * (18 + 18 + 6 * 6));
    const int64_t queries[4] = {0, 2, 2, 5}, keys[4] = {0, 3, 7, 8};
    problem = build((struct attn_problem){.batch = 1,
                                          .query_heads = 1,
                                          .query_len = 5,
                                          .key_len = 8,
                                          .head_dim = 3,
                                          .mask = {.segments = 3, .query_offsets = queries, .key_offsets = keys}});
    cr_expect(problem.live_pairs == 2 * 3 + 0 + 3 * 1);
    cr_expect(problem.live_keys == 3 + 1, "keys of a segment without queries are not read");
}

/* A bias is live; what it broadcasts is read once. */
Test(counts, mask_arrays) {
    const float bias[64] = {0};
    const bool allowed[64] = {0};
    struct attn_problem problem = {.batch = 1,
                                   .query_heads = 2,
                                   .query_len = 4,
                                   .key_len = 8,
                                   .head_dim = 1,
                                   .mask = {.bias = bias, .bias_stride = {0, 32, 8, 1}}};
    problem = build(problem);
    cr_expect(problem.live_pairs == 64);
    cr_expect(attn_problem_min_bytes(&problem) == 4.0 * (8 + 8 + 2 * 16) + 4.0 * 64);
    problem.mask.bias_stride[1] = 0;
    problem.mask.allowed = allowed;
    problem.mask.allowed_stride[3] = 1;
    problem = build(problem);
    cr_expect(problem.live_pairs == 64, "a boolean mask does not change the count");
    cr_expect(attn_problem_min_bytes(&problem) == 4.0 * (8 + 8 + 2 * 16) + 4.0 * 32 + 8);
}

Test(counts, pairs_agree_with_brute_force) {
    static struct drawn drawn;
    for (uint64_t seed = 1; seed <= 4000; ++seed) {
        struct attn_error error;
        cr_assert(draw_problem(seed, &drawn, &error) == ATTN_OK, "%s", error.message);
        const struct attn_problem *const problem = &drawn.problem;
        int64_t pairs = 0;
        for (int64_t b = 0; b < problem->batch; ++b)
            for (int64_t i = 0; i < problem->query_len; ++i)
                for (int64_t j = 0; j < problem->key_len; ++j)
                    pairs += problem->query_heads * brute_structure_lives(problem, b, i, j);
        cr_assert(problem->live_pairs == pairs, "seed %d: %d pairs, not %d", (int)seed, (int)problem->live_pairs,
                  (int)pairs);
    }
}
