/* SPDX-License-Identifier: Apache-2.0 */
/* The row helpers against brute force over thousands of random small masks. */
#include <criterion/criterion.h>

#include "contract/row.h"
#include "drawn.h"

enum { PROBLEMS = 4000 };

typedef void check_row(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, uint64_t seed);

static void for_every_row(check_row *check) {
    static struct drawn drawn;
    struct attn_error error;
    for (uint64_t seed = 1; seed <= PROBLEMS; ++seed) {
        cr_assert(draw_problem(seed, &drawn, &error) == ATTN_OK, "seed %d: %s", (int)seed, error.message);
        const struct attn_problem *const problem = &drawn.problem;
        for (int64_t b = 0; b < problem->batch; ++b)
            for (int64_t h = 0; h < problem->query_heads; ++h)
                for (int64_t i = 0; i < problem->query_len; ++i)
                    check(problem, b, h, i, seed);
    }
}

static void check_range(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, uint64_t seed) {
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    cr_assert(0 <= row.key_begin && row.key_begin <= row.key_end && row.key_end <= problem->key_len);
    for (int64_t j = 0; j < problem->key_len; ++j)
        cr_assert((j >= row.key_begin && j < row.key_end) == brute_structure_lives(problem, b, i, j),
                  "seed %d, query %d, key %d", (int)seed, (int)i, (int)j);
}

Test(row, range_holds_exactly_the_structurally_live_keys) {
    for_every_row(check_range);
}

static void check_scores(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, uint64_t seed) {
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    for (int64_t j = row.key_begin; j < row.key_end; ++j) {
        const float dot = 0.25f * (float)(j - 3);
        const float score = attn_score(&row, j, dot);
        const bool lives = brute_pair_lives(problem, b, h, i, j);
        cr_assert((score != -INFINITY) == lives, "seed %d, query %d, key %d", (int)seed, (int)i, (int)j);
        const double want = lives ? brute_score(problem, b, h, i, j, (double)dot) : 0.0;
        if (lives) /* three roundings of numbers up to 30 */
            cr_assert(fabs((double)score - want) <= 4e-6 * (1.0 + fabs(want)), "seed %d: %g, not %g", (int)seed,
                      (double)score, want);
        if (row.plain)
            cr_assert(lives && score == problem->scale * dot, "seed %d: a plain row is scale * dot", (int)seed);
    }
}

Test(row, scores_follow_the_definition) {
    for_every_row(check_scores);
}

static void check_masked_nan(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, uint64_t seed) {
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    for (int64_t j = row.key_begin; j < row.key_end; ++j) {
        const float score = attn_score(&row, j, NAN);
        if (brute_pair_lives(problem, b, h, i, j))
            cr_assert(score != score, "seed %d: a live NaN stays one", (int)seed);
        else
            cr_assert(score == -INFINITY, "seed %d: a masked NaN is not used", (int)seed);
    }
}

Test(row, a_masked_nan_is_not_used_and_a_live_one_stays) {
    for_every_row(check_masked_nan);
}

static void check_start(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, uint64_t seed) {
    (void)seed;
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    const float *const sinks = problem->mask.sinks;
    cr_assert(row.max == (sinks ? sinks[h] : -INFINITY));
    cr_assert(row.sum == (sinks && sinks[h] > -INFINITY ? 1.0f : 0.0f));
}

Test(row, softmax_starts_from_the_sink) {
    for_every_row(check_start);
}

/* All tiles [i, last) that start at this row: the hull of the live keys, and nothing more. */
static void check_tiles(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i, uint64_t seed) {
    int64_t want_begin = problem->key_len, want_end = 0;
    for (int64_t last = i + 1; last <= problem->query_len; ++last) {
        for (int64_t j = 0; j < problem->key_len; ++j)
            if (brute_structure_lives(problem, b, last - 1, j)) {
                want_begin = j < want_begin ? j : want_begin;
                want_end = j + 1 > want_end ? j + 1 : want_end;
            }
        int64_t begin, end;
        attn_tile_keys(problem, b, h, i, last, &begin, &end);
        if (want_end == 0)
            cr_assert(begin == end, "seed %d: an empty tile visits nothing", (int)seed);
        else
            cr_assert(begin == want_begin && end == want_end, "seed %d: queries %d..%d visit %d..%d, not %d..%d",
                      (int)seed, (int)i, (int)last, (int)begin, (int)end, (int)want_begin, (int)want_end);
    }
}

Test(row, tile_range_is_the_hull_of_its_rows) {
    for_every_row(check_tiles);
}

/* Draws are only worth something when they reach the corners. */
Test(row, the_draws_reach_every_kind_of_mask) {
    static struct drawn drawn;
    struct attn_error error;
    int packed = 0, empty_segments = 0, dead_rows = 0, windows = 0, plain = 0, shifted = 0, ragged = 0;
    for (uint64_t seed = 1; seed <= PROBLEMS; ++seed) {
        cr_assert(draw_problem(seed, &drawn, &error) == ATTN_OK);
        const struct attn_problem *const problem = &drawn.problem;
        const struct attn_row row = attn_row_begin(problem, 0, 0, problem->query_len - 1);
        packed += problem->mask.segments > 1;
        for (int64_t s = 0; s < problem->mask.segments; ++s)
            empty_segments += drawn.query_offsets[s] == drawn.query_offsets[s + 1];
        dead_rows += row.key_begin == row.key_end;
        windows += problem->mask.windowed && row.key_end - row.key_begin > 1;
        plain += row.plain;
        shifted += problem->mask.query_start != NULL;
        ragged += problem->mask.key_lengths != NULL;
    }
    cr_expect(packed > 100 && empty_segments > 100 && dead_rows > 100 && windows > 100 && plain > 100 &&
                  shifted > 100 && ragged > 100,
              "%d packed, %d empty segments, %d dead rows, %d windows, %d plain, %d shifted, %d ragged", packed,
              empty_segments, dead_rows, windows, plain, shifted, ragged);
}
