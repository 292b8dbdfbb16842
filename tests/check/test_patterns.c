/* SPDX-License-Identifier: Apache-2.0 */
/* What each pattern promises, read off the drawn values. */
#include <math.h>

#include "check/random.h"
#include "drawn_values.h"

/* Mean, standard deviation, extremes of a tensor. */
struct moments {
    double mean, deviation, least, greatest;
};

static struct moments moments_of(const struct attn_tensor *tensor) {
    struct moments moments = {.least = INFINITY, .greatest = -INFINITY};
    const int64_t count = attn_tensor_count(tensor);
    for (int64_t n = 0; n < count; ++n) {
        const double x = check_element(tensor->data, tensor->type, n);
        moments.mean += x / (double)count;
        moments.deviation += x * x / (double)count;
        moments.least = fmin(moments.least, x);
        moments.greatest = fmax(moments.greatest, x);
    }
    moments.deviation = sqrt(moments.deviation - moments.mean * moments.mean);
    return moments;
}

Test(patterns, the_inverse_normal_is_one) {
    for (uint64_t n = 0; n < 100000; ++n) {
        const uint64_t bits = n < 53 ? UINT64_C(1) << (n + 11) : check_bits(5, n);
        const double p = ((double)(bits >> 11) + 0.5) * 0x1p-53, x = check_normal(bits);
        cr_assert(fabs(0.5 * erfc(-x / sqrt(2.0)) - p) <= 1e-5 * fmin(p, 1.0 - p) + 1e-15, "p = %g, x = %g", p, x);
    }
}

Test(patterns, normal_and_uniform_have_their_moments) {
    struct check_instance *const normal = drawn("none", CHECK_NORMAL, ATTN_F32);
    struct check_instance *const uniform = drawn("none", CHECK_UNIFORM, ATTN_F32);
    const struct attn_tensor *const tensors[] = {&normal->operands.q, &normal->operands.k, &normal->operands.v};
    for (int n = 0; n < 3; ++n) {
        const struct moments moments = moments_of(tensors[n]);
        const double spread = 5.0 / sqrt((double)attn_tensor_count(tensors[n])); /* five standard errors */
        cr_expect(fabs(moments.mean) < spread && fabs(moments.deviation - 1.0) < spread);
        cr_expect(moments.greatest > 3.5 && moments.greatest < 6.0 && moments.least < -3.5 && moments.least > -6.0);
    }
    const struct moments flat = moments_of(&uniform->operands.k);
    cr_expect(flat.least >= -1.0 && flat.least < -0.99 && flat.greatest < 1.0 && flat.greatest > 0.99);
    cr_expect(fabs(flat.mean) < 0.03 && fabs(flat.deviation - sqrt(1.0 / 3.0)) < 0.02);
    check_instance_destroy(normal);
    check_instance_destroy(uniform);
}

Test(patterns, equal_logits_are_equal_and_constant_values_constant) {
    struct check_instance *const equal = drawn("none", CHECK_EQUAL_LOGITS, ATTN_F32);
    struct check_instance *const constant = drawn("none", CHECK_CONSTANT_VALUES, ATTN_F16);
    struct check_instance *const zero = drawn("none", CHECK_ZERO_VALUES, ATTN_BF16);
    for (int64_t h = 0; h < 2; ++h)
        for (int64_t j = 1; j < 200; ++j)
            for (int64_t c = 0; c < 24; ++c) {
                cr_assert_eq(element(&equal->operands.k, 1, h, j, c), element(&equal->operands.k, 1, h, 0, c));
                cr_assert_eq(element(&constant->operands.v, 1, h, j, c), element(&constant->operands.v, 1, h, 0, c));
                cr_assert_eq(element(&zero->operands.v, 1, h, j, c), 0.0);
            }
    cr_expect_neq(element(&equal->operands.k, 0, 0, 0, 0), element(&equal->operands.k, 0, 1, 0, 0));
    cr_expect_neq(element(&constant->operands.v, 0, 0, 0, 0), element(&constant->operands.v, 1, 0, 0, 0));
    check_instance_destroy(equal);
    check_instance_destroy(constant);
    check_instance_destroy(zero);
}

static void expect_scores_near(enum check_pattern pattern, enum attn_type type, double target) {
    struct check_instance *const instance = drawn("none", pattern, type);
    double mean = 0, within = 0;
    for (int64_t i = 0; i < 150; ++i) {
        double row_mean = 0, squares = 0;
        for (int64_t j = 0; j < 200; ++j) {
            const double s = score(instance, 1, 3, i, j);
            row_mean += s / 200;
            squares += s * s / 200;
        }
        mean += row_mean / 150;
        within += sqrt(fmax(0.0, squares - row_mean * row_mean)) / 150;
    }
    cr_expect(fabs(mean / target - 1.0) < 0.05, "%s: mean score %g", check_pattern_name(pattern), mean);
    cr_expect(type != ATTN_F32 || (within > 2.5 && within < 3.5), "%s: scores of a row spread by %g",
              check_pattern_name(pattern), within);
    check_instance_destroy(instance);
}

Test(patterns, huge_and_negative_scores_are_where_they_should_be) {
    for (int type = ATTN_F32; type <= ATTN_F16; ++type) {
        expect_scores_near(CHECK_HUGE_LOGITS, (enum attn_type)type, 1e4);
        expect_scores_near(CHECK_NEGATIVE_LOGITS, (enum attn_type)type, -2e4);
    }
}

Test(patterns, ordered_scores_rise_or_fall_with_every_key) {
    for (int sign = -1; sign <= 1; sign += 2) {
        struct check_instance *const instance = drawn("none", sign > 0 ? CHECK_ASCENDING : CHECK_DESCENDING, ATTN_F32);
        for (int64_t i = 0; i < 150; i += 7)
            for (int64_t j = 1; j < 200; ++j)
                cr_assert(sign * (score(instance, 0, 1, i, j) - score(instance, 0, 1, i, j - 1)) > 0);
        cr_expect(fabs(score(instance, 0, 1, 3, sign > 0 ? 199 : 0)) >= 7.9);
        check_instance_destroy(instance);
    }
}

Test(patterns, the_dominant_key_dominates_every_row_that_reads_it) {
    static const char *const masks[] = {"none", "causal=top_left", "boolean", "lengths=ragged"};
    for (size_t m = 0; m < sizeof masks / sizeof *masks; ++m) {
        struct check_instance *const instance = drawn(masks[m], CHECK_DOMINANT, ATTN_F32);
        int64_t dominated = 0;
        for (int64_t i = 0; i < 150; ++i) {
            double best = -INFINITY, second = -INFINITY;
            const struct live_row row = check_live_row(&instance->problem, 0, 2, i);
            for (int64_t j = row.first; j < row.last; ++j) {
                const double s =
                    check_pair_lives(&instance->problem, &row, j) ? score(instance, 0, 2, i, j) : -INFINITY;
                second = fmax(second, fmin(s, best));
                best = fmax(s, best);
            }
            dominated += best - second > log(200.0) + 10.0;
        }
        cr_expect(dominated >= 10, "%s: %ld rows", masks[m], (long)dominated);
        cr_expect(m != 0 || dominated == 150, "unmasked: %ld rows", (long)dominated);
        check_instance_destroy(instance);
    }
}

Test(patterns, outliers_are_rare_and_large) {
    struct check_instance *const instance = drawn("none", CHECK_OUTLIERS, ATTN_F32);
    const struct attn_tensor *const q = &instance->operands.q;
    int64_t large = 0;
    for (int64_t n = 0; n < attn_tensor_count(q); ++n)
        large += fabsf(((const float *)q->data)[n]) > 6.0f;
    /* 28,800 elements, one in 1,000 with standard deviation 10: about 16 beyond 6 */
    cr_expect(large >= 5 && large <= 40, "%ld", (long)large);
    check_instance_destroy(instance);
}

Test(patterns, denormals_are_denormal_in_their_type) {
    static const double smallest_normal[] = {[ATTN_F32] = 0x1p-126, [ATTN_BF16] = 0x1p-126, [ATTN_F16] = 0x1p-14};
    for (int type = ATTN_F32; type <= ATTN_F16; ++type) {
        struct check_instance *const instance = drawn("none", CHECK_DENORMALS, (enum attn_type)type);
        const struct attn_tensor *const v = &instance->operands.v;
        int64_t denormal = 0;
        for (int64_t n = 0; n < attn_tensor_count(v); ++n) {
            const double size = fabs(check_element(v->data, v->type, n));
            denormal += size > 0 && size < smallest_normal[type];
        }
        cr_expect(denormal > attn_tensor_count(v) * 98 / 100, "%s: %ld", attn_type_name((enum attn_type)type),
                  (long)denormal);
        check_instance_destroy(instance);
    }
}

/* By the definitions, pair by pair. */
static bool is_read(const struct attn_problem *problem, int64_t b, int64_t key_head, int64_t j) {
    const int64_t group = problem->query_heads / problem->key_heads;
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h)
        for (int64_t i = 0; i < problem->query_len; ++i) {
            const struct live_row row = check_live_row(problem, b, h, i);
            if (j >= row.first && j < row.last && check_pair_lives(problem, &row, j))
                return true;
        }
    return false;
}

Test(patterns, exactly_the_keys_that_nobody_reads_are_not_finite, .timeout = 120) {
    static const struct {
        const char *mask;
        bool some; /* unread keys must exist */
    } cases[] = {{"none", false},
                 {"causal=top_left", true}, /* 150 queries, 200 keys */
                 {"lengths=ragged", true},
                 {"window=3:2,query_start=20", true},
                 {"window=0:0,align=bottom_right", true},
                 {"packed=6", true},
                 {"dead_block", true},
                 {"dead_block,bias,causal=bottom_right", true},
                 {"boolean", false},
                 {"bias,boolean,window=2:2", false}};
    for (size_t n = 0; n < sizeof cases / sizeof *cases; ++n)
        for (int infinite = 0; infinite < 2; ++infinite) {
            const struct check_form form =
                form_of(cases[n].mask, infinite ? CHECK_MASKED_INF : CHECK_MASKED_NAN, n % 3);
            struct check_instance *const instance = made(&form);
            int64_t unread = 0, positive = 0;
            for (int64_t b = 0; b < form.batch; ++b)
                for (int64_t h = 0; h < 2; ++h)
                    for (int64_t j = 0; j < 200; ++j) {
                        const bool read = is_read(&instance->problem, b, h, j);
                        const double k = element(&instance->operands.k, b, h, j, 5);
                        const double v = element(&instance->operands.v, b, h, j, 23);
                        cr_assert(read       ? isfinite(k) && isfinite(v)
                                  : infinite ? isinf(k) && isinf(v)
                                             : isnan(k) && isnan(v),
                                  "%s: key %ld", cases[n].mask, (long)j);
                        unread += !read;
                        positive += !read && v > 0;
                    }
            cr_expect(!cases[n].some || unread > 0, "%s leaves no key unread", cases[n].mask);
            cr_expect(!infinite || unread < 20 || (positive > 0 && positive < unread));
            check_instance_destroy(instance);
        }
}

Test(patterns, a_negative_scale_turns_nothing_round) {
    static const enum check_pattern aimed[] = {CHECK_HUGE_LOGITS, CHECK_ASCENDING, CHECK_NEEDLES, CHECK_DOMINANT};
    for (size_t n = 0; n < sizeof aimed / sizeof *aimed; ++n) {
        struct check_form form = form_of("none", aimed[n], ATTN_F32);
        form.scale = -0.25;
        struct check_instance *const instance = made(&form);
        double best = -INFINITY;
        for (int64_t j = 0; j < 200; ++j)
            best = fmax(best, score(instance, 0, 0, 0, j));
        cr_expect(best >= 7.9, "%s: best score %g", check_pattern_name(aimed[n]), best);
        check_instance_destroy(instance);
    }
}
