/* SPDX-License-Identifier: Apache-2.0 */
/* Needles: nearly every row's weight sits on one key, at an edge. */
#include <math.h>

#include "check/needles.h"
#include "drawn_values.h"

/* What the needles of one problem come to. */
struct needle_count {
    int64_t rows, dominated;   /* rows with a live key; rows in which one key has 99 % of the weight */
    int64_t on_last, on_first; /* that key is the row's last, first live one */
    int64_t guarded;           /* a key outside the row's range or masked would score far more */
};

static void count_row(const struct check_instance *instance, int64_t b, int64_t h, int64_t i,
                      struct needle_count *count) {
    const struct attn_problem *const problem = &instance->problem;
    const struct live_row row = check_live_row(problem, b, h, i);
    int64_t heaviest = -1, first = -1, last = -1;
    double best = -INFINITY, sum = 0, outside = -INFINITY;
    for (int pass = 0; pass < 2; ++pass)
        for (int64_t j = 0; j < problem->key_len; ++j) {
            const double s = score(instance, b, h, i, j);
            if (j < row.first || j >= row.last || !check_pair_lives(problem, &row, j)) {
                outside = fmax(outside, s);
                continue;
            }
            if (pass == 1)
                sum += exp(s - best);
            first = first < 0 ? j : first;
            last = j;
            if (s > best) {
                best = s;
                heaviest = j;
            }
        }
    if (heaviest < 0)
        return;
    ++count->rows;
    if (sum > 1.01)
        return;
    ++count->dominated;
    count->on_last += heaviest == last;
    count->on_first += heaviest == first;
    count->guarded += outside > best + 4.0;
}

static struct needle_count count_needles(const struct check_form *form) {
    struct check_instance *const instance = made(form);
    struct needle_count count = {0};
    for (int64_t b = 0; b < form->batch; ++b)
        for (int64_t h = 0; h < form->query_heads; ++h)
            for (int64_t i = 0; i < form->query_len; ++i)
                count_row(instance, b, h, i, &count);
    check_instance_destroy(instance);
    return count;
}

Test(needles, they_carry_the_weight_of_nearly_every_row, .timeout = 120) {
    static const struct {
        const char *mask;
        double dominated; /* least fraction of rows */
        bool guarded;     /* a stronger key lies outside some row's mask */
    } cases[] = {{"none", 0.99, false},
                 {"causal=top_left", 0.9, true},
                 {"causal=bottom_right", 0.98, true},
                 {"lengths=ragged", 0.95, true},
                 {"packed=5", 0.9, true},
                 {"window=30:0", 0.6, true},
                 {"window=0:9,align=bottom_right", 0.3, true},
                 {"boolean", 0.98, true},
                 {"bias,causal=bottom_right", 0.95, true},
                 {"query_start=37,causal=top_left", 0.98, true},
                 {"dead_block", 0.98, false}};
    for (size_t n = 0; n < sizeof cases / sizeof *cases; ++n)
        for (uint64_t seed = 1; seed <= 2; ++seed) {
            struct check_form form = form_of(cases[n].mask, CHECK_NEEDLES, n % 3);
            form.seed = seed;
            const struct needle_count count = count_needles(&form);
            cr_expect((double)count.dominated >= cases[n].dominated * (double)count.rows, "%s: %ld of %ld rows",
                      cases[n].mask, (long)count.dominated, (long)count.rows);
            cr_expect(count.on_last > 0 && count.on_first > 0, "%s: %ld on the last key, %ld on the first",
                      cases[n].mask, (long)count.on_last, (long)count.on_first);
            cr_expect(!cases[n].guarded || count.guarded > 0, "%s: no row is guarded", cases[n].mask);
        }
}

/* Whatever the drawing of further needles, and even where neither the first nor the last row reads anything. */
Test(needles, they_mark_the_outermost_keys_that_are_read) {
    static const char *const shifted[] = {"window=0:0,query_start=-40", "window=3:0,query_start=120"};
    for (size_t m = 0; m < 2; ++m)
        for (uint64_t seed = 0; seed < 20; ++seed) {
            struct check_needles needles;
            struct check_instance *const instance = drawn(shifted[m], CHECK_NORMAL, ATTN_F32);
            check_needles_place(&instance->problem, 0, 1, seed, &needles);
            bool first = false, last = false;
            for (int n = 0; n < needles.count; ++n) {
                first = first || (needles.near[n] == needles.live_begin && needles.far[n] == needles.live_begin - 1);
                last = last || (needles.near[n] == needles.live_end - 1 && needles.far[n] == needles.live_end) ||
                       (needles.near[n] == 199 && needles.far[n] == -1);
            }
            cr_expect(first && last, "%s", shifted[m]);
            cr_expect(needles.live_begin == (m ? 117 : 0) && needles.live_end == (m ? 200 : 110));
            check_instance_destroy(instance);
        }
}

Test(needles, a_few_rows_and_one_head_still_stand_at_the_last_key, .timeout = 120) {
    static const char *const masks[] = {"none", "causal=bottom_right", "lengths=ragged",
                                        "window=9:0,align=bottom_right"};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; ++m)
        for (int64_t query_len = 1; query_len <= 2; ++query_len) {
            struct check_form form = form_of(masks[m], CHECK_NEEDLES, ATTN_F32);
            form.batch = form.query_heads = form.key_heads = 1;
            form.query_len = query_len;
            form.key_len = 20000;
            const struct needle_count count = count_needles(&form);
            cr_expect(count.on_last == query_len, "%s: %ld of %ld rows", masks[m], (long)count.on_last,
                      (long)count.rows);
        }
}

Test(needles, they_exist_with_a_single_feature) {
    struct check_form form = form_of("none", CHECK_NEEDLES, ATTN_F32);
    form.head_dim = form.value_dim = 1;
    const struct needle_count count = count_needles(&form);
    cr_expect_eq(count.dominated, count.rows);
    cr_expect_eq(count.on_last, count.rows);
}
