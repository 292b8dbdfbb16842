/* SPDX-License-Identifier: Apache-2.0 */
/* Backward passes of the ladder, at every ISA level that this machine runs. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/exam.h"
#include "check/gradients.h"
#include "machine/isa.h"
#include "words.h"

static const char *const offering[] = {"naive", "flash"};
enum { NAIVE = 0, FLASH, OFFERING };

static const struct attn_caches caches = {.l1d_bytes = 32768, .l2_bytes = 524288, .line_bytes = 64};

/* NULL: this machine does not run the level. */
static const struct attn_variant *variant_at(int which, int level) {
    const char *const name = attn_registry.levels[level];
    return machine_isa_objection(name) ? NULL : attn_registry_find(&attn_registry, offering[which], name);
}

static struct check_form make_form(int64_t batch, int64_t query_heads, int64_t key_heads, int64_t query_len,
                                   int64_t key_len, int64_t head_dim, int64_t value_dim, const char *mask) {
    struct check_form form = {.batch = batch,
                              .query_heads = query_heads,
                              .key_heads = key_heads,
                              .query_len = query_len,
                              .key_len = key_len,
                              .head_dim = head_dim,
                              .value_dim = value_dim,
                              .direction = ATTN_BACKWARD,
                              .seed = 5};
    cr_assert_eq(check_mask_parse(mask, &form.mask, NULL), ATTN_OK, "%s", mask);
    return form;
}

/* Operands with the oracle's out and lse, and its gradients. */
struct bed {
    struct check_instance *instance;
    struct check_oracle *oracle;
    struct check_gradients want;
};

static void bed_answer(struct bed *bed) {
    const struct attn_problem *const problem = &bed->instance->problem;
    const struct attn_operands *const operands = &bed->instance->operands;
    cr_assert_eq(check_oracle_create(problem, operands, 1, 0, 1, &bed->oracle, NULL), ATTN_OK);
    cr_assert_eq(check_oracle_gradients(problem, operands, 1, &bed->want, NULL), ATTN_OK);
    check_instance_supply(bed->instance, bed->oracle);
}

static struct bed make_bed(const struct check_form *form) {
    struct bed bed = {0};
    cr_assert_eq(check_instance_create(form, MACHINE_CANARY, 1, &bed.instance, NULL), ATTN_OK);
    bed_answer(&bed);
    return bed;
}

static void bed_release(struct bed *bed) {
    check_instance_destroy(bed->instance);
    check_oracle_destroy(bed->oracle);
    check_gradients_release(&bed->want);
}

/* Runs the backward pass into the instance's gradients. */
static void run(struct bed *bed, const struct attn_variant *variant, int threads, const int64_t *overrides) {
    const struct attn_problem *const problem = &bed->instance->problem;
    struct attn_execution execution = {.threads = threads, .caches = caches};
    cr_assert_eq(check_resolve(variant, problem, overrides, &execution, NULL), ATTN_OK);
    const size_t bytes = variant->backward.workspace_bytes(problem, &execution);
    execution.workspace = aligned_alloc(64, (bytes + 63) / 64 * 64);
    memset(execution.workspace, 0x7F, bytes);
    check_instance_poison(bed->instance);
    variant->backward.run(problem, &bed->instance->operands, &execution);
    free(execution.workspace);
}

enum { TENSORS = 3 };
struct errors {
    struct check_tensor_error of[TENSORS]; /* dq, dk, dv */
};

static const char *const tensor_names[TENSORS] = {"dq", "dk", "dv"};

static struct errors errors_of(const struct bed *bed) {
    const struct attn_operands *const operands = &bed->instance->operands;
    struct errors errors;
    check_gradient_error(bed->want.dq, &operands->dq, &errors.of[0]);
    check_gradient_error(bed->want.dk, &operands->dk, &errors.of[1]);
    check_gradient_error(bed->want.dv, &operands->dv, &errors.of[2]);
    return errors;
}

static const char *const masks[] = {"none",
                                    "causal=top_left",
                                    "causal=bottom_right,lengths=ragged",
                                    "window=7:3",
                                    "packed=3,causal=bottom_right",
                                    "bias,softcap=5",
                                    "boolean,sinks",
                                    "alibi",
                                    "dead_rows"};

/* Right by the oracle, and at most twice as far from it as naive; what plain arithmetic must be expected to do is the
 * floor, because naive is at times exact by luck. */
static void expect_within_twice_naive(enum check_pattern pattern, enum attn_type type, const char *mask, int level) {
    struct check_form form = make_form(1, 2, 1, 70, 90, 40, 24, mask);
    form.pattern = pattern;
    form.type = type;
    struct bed bed = make_bed(&form);
    const struct check_noise noise[TENSORS] = {bed.want.dq_noise, bed.want.dk_noise, bed.want.dv_noise};
    struct errors errors[OFFERING];
    for (int which = 0; which < OFFERING; ++which) {
        run(&bed, variant_at(which, level), 1, NULL);
        errors[which] = errors_of(&bed);
    }
    for (int n = 0; n < TENSORS; ++n) {
        const struct check_tensor_error *const naive = &errors[NAIVE].of[n], *const flash = &errors[FLASH].of[n];
        cr_expect(check_gradient_fraction(naive, &noise[n], type) <= 1.0 && naive->unwritten == 0);
        cr_expect(flash->max_abs <= 2.0 * naive->max_abs + 2.0 * noise[n].peak &&
                      flash->rms <= 2.0 * naive->rms + 2.0 * noise[n].rms && flash->unwritten == 0,
                  "%s, %s, %s, %s, %s: largest error %g (naive %g), root mean square %g (%g)",
                  attn_registry.levels[level], check_pattern_name(pattern), attn_type_name(type), mask, tensor_names[n],
                  flash->max_abs, naive->max_abs, flash->rms, naive->rms);
    }
    bed_release(&bed);
}

Test(backward, flash_is_at_most_twice_as_far_off_as_naive, .timeout = 120) {
    static const enum check_pattern patterns[] = {CHECK_NORMAL, CHECK_HUGE_LOGITS, CHECK_NEEDLES, CHECK_DESCENDING};
    for (int level = 0; level < attn_registry.level_count; ++level)
        for (size_t m = 0; variant_at(FLASH, level) && m < sizeof masks / sizeof *masks; ++m)
            for (size_t p = 0; p < sizeof patterns / sizeof *patterns; ++p)
                for (int type = ATTN_F32; type <= ATTN_F16; ++type)
                    expect_within_twice_naive(patterns[p], (enum attn_type)type, masks[m], level);
}

/* Every exam on shapes that kernels find hard. */
Test(backward, hard_shapes_are_accepted, .timeout = 300) {
    static const struct {
        int64_t query_heads, key_heads, query_len, key_len, head_dim, value_dim;
        int64_t block_queries, block_keys;
        const char *mask;
    } shapes[] = {
        {3, 1, 50, 70, 72, 72, 0, 0, "causal=bottom_right"},
        {5, 1, 30, 65, 80, 96, 0, 0, "none"},
        {8, 1, 21, 40, 96, 80, 0, 0, "window=9:4"},
        {8, 1, 1, 300, 64, 64, 0, 0, "lengths=ragged"},
        {2, 2, 40, 33, 112, 112, 0, 0, "causal=top_left,sinks"},
        {1, 1, 33, 61, 192, 128, 0, 0, "causal=bottom_right"},
        {1, 1, 20, 35, 256, 256, 0, 0, "none"},
        {1, 1, 150, 150, 64, 64, 144, 16, "causal=top_left"},
        {1, 1, 150, 150, 17, 33, 96, 48, "causal=bottom_right,window=40:2"},
        {1, 1, 400, 37, 16, 16, 6, 16, "boolean,softcap=3"},
        {2, 1, 90, 200, 32, 32, 12, 64, "packed=5,causal=top_left"},
    };
    for (size_t n = 0; n < sizeof shapes / sizeof *shapes; ++n) {
        const struct check_form form =
            make_form(1, shapes[n].query_heads, shapes[n].key_heads, shapes[n].query_len, shapes[n].key_len,
                      shapes[n].head_dim, shapes[n].value_dim, shapes[n].mask);
        const int64_t overrides[ATTN_MAX_PARAMETERS] = {shapes[n].block_queries, shapes[n].block_keys};
        struct check_bench *bench;
        cr_assert_eq(check_bench_create(&form, 1, &bench, NULL), ATTN_OK);
        for (int level = 0; level < attn_registry.level_count; ++level)
            for (int which = 0; which < OFFERING && variant_at(which, level); ++which) {
                const struct attn_execution execution = {.threads = which == FLASH ? 3 : 1, .caches = caches};
                struct check_result result;
                cr_assert_eq(check_exam_on(bench, variant_at(which, level), &execution,
                                           which == FLASH ? overrides : NULL, &result, NULL),
                             ATTN_OK);
                cr_expect(result.status == CHECK_ACCEPTED && !result.verdict.weak, "%s at %s, shape %zu: %s",
                          offering[which], attn_registry.levels[level], n, result.reason);
            }
        check_bench_destroy(bench);
    }
}

/* Five words, loss = sum of all outputs. Products of weights, differences of dP from D and words are below 1, and there
 * are five to a sum: 8 roundings of 1. */
Test(backward, goldens_of_the_word_table) {
    const double allowed = 8.0 * 0x1p-24;
    const struct check_form form = make_form(1, 1, 1, WORDS, WORDS, 2, 2, "none");
    for (int level = 0; level < attn_registry.level_count; ++level)
        for (int which = 0; which < OFFERING && variant_at(which, level); ++which) {
            struct bed bed = make_bed(&form);
            const struct attn_operands *const operands = &bed.instance->operands;
            for (int n = 0; n < 2 * WORDS; ++n) {
                ((float *)operands->q.data)[n] = (float)word_queries[n / 2][n % 2];
                ((float *)operands->k.data)[n] = (float)word_keys[n / 2][n % 2];
                ((float *)operands->v.data)[n] = (float)word_values[n / 2][n % 2];
                ((float *)operands->dout.data)[n] = 1.0f;
            }
            check_oracle_destroy(bed.oracle);
            check_gradients_release(&bed.want);
            bed_answer(&bed);
            run(&bed, variant_at(which, level), 1, NULL);
            for (int n = 0; n < 2 * WORDS; ++n) {
                cr_expect(fabs((double)((float *)operands->dq.data)[n] - word_dq[n / 2][n % 2]) <= allowed);
                cr_expect(fabs((double)((float *)operands->dk.data)[n] - word_dk[n / 2][n % 2]) <= allowed);
                cr_expect(fabs((double)((float *)operands->dv.data)[n] - word_dv[n / 2]) <= allowed);
            }
            bed_release(&bed);
        }
}

/* Sum over positions of feature c. */
static double sum_of(const struct attn_tensor *tensor, int64_t h, int64_t c) {
    double sum = 0.0;
    for (int64_t j = 0; j < tensor->shape[2]; ++j)
        sum += (double)((const float *)attn_tensor_row(tensor, 0, h, j))[c];
    return sum;
}

/* Weights of a row sum to 1, so dv sums to dout's sum over the group. One vector added to all keys changes no weight,
 * so dk sums to 0. */
Test(backward, sums_that_must_hold) {
    const struct check_form form = make_form(1, 3, 1, 130, 170, 64, 48, "none");
    for (int level = 0; level < attn_registry.level_count; ++level)
        for (int which = 0; which < OFFERING && variant_at(which, level); ++which) {
            struct bed bed = make_bed(&form);
            const struct attn_operands *const operands = &bed.instance->operands;
            const double spread = CHECK_NOISE_MARGIN * sqrt((double)form.key_len); /* errors of as many rows */
            run(&bed, variant_at(which, level), 2, NULL);
            for (int64_t c = 0; c < form.head_dim; ++c)
                cr_expect(fabs(sum_of(&operands->dk, 0, c)) <= spread * bed.want.dk_noise.peak);
            for (int64_t c = 0; c < form.value_dim; ++c) {
                const double dout =
                    sum_of(&operands->dout, 0, c) + sum_of(&operands->dout, 1, c) + sum_of(&operands->dout, 2, c);
                cr_expect(fabs(sum_of(&operands->dv, 0, c) - dout) <= spread * bed.want.dv_noise.peak);
            }
            bed_release(&bed);
        }
}

/* All gradients of an f32 instance whose tensors are dense. */
static void copy_gradients(const struct bed *bed, float *to) {
    const struct attn_tensor *const tensors[] = {&bed->instance->operands.dq, &bed->instance->operands.dk,
                                                 &bed->instance->operands.dv};
    for (int n = 0; n < TENSORS; ++n) {
        memcpy(to, tensors[n]->data, (size_t)attn_tensor_count(tensors[n]) * sizeof *to);
        to += attn_tensor_count(tensors[n]);
    }
}

Test(backward, any_number_of_threads_gives_the_same_bits, .timeout = 120) {
    static float one[3 * 500 * 64], other[3 * 500 * 64];
    static const int64_t heads[][2] = {{1, 1}, {3, 1}, {3, 3}};
    static const char *const same_masks[] = {"none", "causal=top_left", "window=30:5"};
    for (size_t n = 0; n < sizeof heads / sizeof *heads; ++n)
        for (size_t m = 0; m < sizeof same_masks / sizeof *same_masks; ++m) {
            const struct check_form form = make_form(1, heads[n][0], heads[n][1], 150, 160, 64, 20, same_masks[m]);
            struct bed bed = make_bed(&form);
            for (int level = 0; level < attn_registry.level_count && variant_at(FLASH, level); ++level)
                for (int threads = 1; threads <= 4; ++threads) {
                    const int64_t overrides[ATTN_MAX_PARAMETERS] = {24, 32};
                    run(&bed, variant_at(FLASH, level), threads, overrides);
                    copy_gradients(&bed, threads == 1 ? one : other);
                    cr_expect(threads == 1 || memcmp(one, other, sizeof one) == 0, "%s: %d threads, %s",
                              attn_registry.levels[level], threads, same_masks[m]);
                }
            bed_release(&bed);
        }
}

/* A NaN or an infinity in any input spreads to what it touches, which the oracle knows, and to nothing else. */
Test(backward, what_is_not_finite_spreads_as_far_as_it_must, .timeout = 120) {
    static const char *const cut_masks[] = {"none", "causal=top_left", "boolean", "window=4:2", "dead_rows"};
    for (size_t m = 0; m < sizeof cut_masks / sizeof *cut_masks; ++m)
        for (int at = 0; at < 4; ++at)
            for (int infinite = 0; infinite < (at < 2 ? 1 : 2); ++infinite) { /* no contract covers infinite scores */
                const struct check_form form = make_form(1, 1, 1, 60, 60, 16, 16, cut_masks[m]);
                struct bed bed = make_bed(&form);
                const struct attn_operands *const operands = &bed.instance->operands;
                const struct attn_tensor *const inputs[] = {&operands->q, &operands->k, &operands->v, &operands->dout};
                for (int64_t position = 3; position < 60; position += 29)
                    ((float *)attn_tensor_row(inputs[at], 0, 0, position))[5] = infinite ? INFINITY : NAN;
                check_oracle_destroy(bed.oracle);
                check_gradients_release(&bed.want);
                bed_answer(&bed);
                for (int level = 0; level < attn_registry.level_count; ++level)
                    for (int which = 0; which < OFFERING && variant_at(which, level); ++which) {
                        const int64_t overrides[ATTN_MAX_PARAMETERS] = {18, 16};
                        run(&bed, variant_at(which, level), 1, which == FLASH ? overrides : NULL);
                        const struct errors errors = errors_of(&bed);
                        for (int n = 0; n < TENSORS; ++n)
                            cr_expect(errors.of[n].max_abs < 1e-3, "%s at %s, %s, input %d, %s: %s is %g, not %g",
                                      offering[which], attn_registry.levels[level], cut_masks[m], at,
                                      infinite ? "infinity" : "NaN", tensor_names[n], errors.of[n].worst_got,
                                      errors.of[n].worst_want);
                    }
                bed_release(&bed);
            }
}
