/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: the same bits for any threads, values restored, damage found, too much refused. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/instance.h"

static const char *const masks[] = {"none",
                                    "causal=bottom_right",
                                    "window=3:0",
                                    "lengths=ragged,boolean",
                                    "packed=5,alibi",
                                    "bias,sinks",
                                    "dead_rows",
                                    "dead_block,query_start=2",
                                    "causal=top_left,query_start=2,starts=ragged"};
static const size_t mask_count = sizeof masks / sizeof *masks;

static struct check_form form_of(const char *mask, enum check_pattern pattern, enum attn_type type) {
    struct check_form form = {.batch = 3,
                              .query_heads = 4,
                              .key_heads = 2,
                              .query_len = 70,
                              .key_len = 90,
                              .head_dim = 65,
                              .value_dim = 63,
                              .type = type,
                              .lse = true,
                              .pattern = pattern,
                              .seed = 7};
    struct attn_error error = {0};
    cr_assert_eq(check_mask_parse(mask, &form.mask, &error), ATTN_OK, "%s", error.message);
    if (form.mask.packed > 0)
        form.batch = 1;
    return form;
}

static struct check_instance *made(const struct check_form *form, enum machine_guard guard, int threads) {
    struct check_instance *instance;
    struct attn_error error = {0};
    cr_assert_eq(check_instance_create(form, guard, threads, &instance, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(attn_operands_check(&instance->problem, &instance->operands, &error), ATTN_OK, "%s", error.message);
    return instance;
}

static bool same_values(const struct attn_tensor *a, const struct attn_tensor *b) {
    for (int64_t s = 0; s < a->shape[0]; ++s)
        for (int64_t h = 0; h < a->shape[1]; ++h)
            for (int64_t i = 0; i < a->shape[2]; ++i)
                if (memcmp(attn_tensor_row(a, s, h, i), attn_tensor_row(b, s, h, i),
                           (size_t)a->shape[3] * attn_type_bytes(a->type)) != 0)
                    return false;
    return true;
}

static bool same_inputs(const struct check_instance *a, const struct check_instance *b) {
    return same_values(&a->operands.q, &b->operands.q) && same_values(&a->operands.k, &b->operands.k) &&
           same_values(&a->operands.v, &b->operands.v);
}

static bool same_pairs(const struct check_instance *a, const struct check_instance *b) {
    const struct attn_mask *const x = &a->problem.mask, *const y = &b->problem.mask;
    for (int64_t s = 0; s < a->problem.batch; ++s)
        for (int64_t h = 0; h < a->problem.query_heads; ++h)
            for (int64_t i = 0; i < a->problem.query_len; ++i)
                for (int64_t j = 0; j < a->problem.key_len; ++j) {
#define AT(array, strides) (array)[s * strides[0] + h * strides[1] + i * strides[2] + j * strides[3]]
                    if (x->bias && AT(x->bias, x->bias_stride) != AT(y->bias, y->bias_stride))
                        return false;
                    if (x->allowed && AT(x->allowed, x->allowed_stride) != AT(y->allowed, y->allowed_stride))
                        return false;
#undef AT
                }
    return a->problem.live_pairs == b->problem.live_pairs && a->problem.live_keys == b->problem.live_keys;
}

Test(instance, threads_guards_and_layouts_change_no_value, .timeout = 120) {
    for (int pattern = 0; pattern < CHECK_PATTERN_COUNT; ++pattern)
        for (size_t m = 0; m < mask_count; ++m) {
            struct check_form form = form_of(masks[m], (enum check_pattern)pattern, m % 3);
            struct check_instance *const one = made(&form, MACHINE_GUARD_END, 1);
            struct check_instance *const three = made(&form, MACHINE_CANARY, 3);
            form.layout = CHECK_INTERLEAVED;
            struct check_instance *const interleaved = made(&form, MACHINE_GUARD_START, 2);
            cr_expect(same_inputs(one, three) && same_pairs(one, three), "%s under %s: threads changed a value",
                      check_pattern_name(form.pattern), masks[m]);
            cr_expect(same_inputs(one, interleaved) && same_pairs(one, interleaved),
                      "%s under %s: the layout changed a value", check_pattern_name(form.pattern), masks[m]);
            check_instance_destroy(one);
            check_instance_destroy(three);
            check_instance_destroy(interleaved);
        }
}

Test(instance, another_seed_changes_keys_and_its_own_restores_them, .timeout = 120) {
    for (int pattern = 0; pattern < CHECK_PATTERN_COUNT; ++pattern)
        for (int type = ATTN_F32; type <= ATTN_F16; ++type) {
            const struct check_form form = form_of("none", (enum check_pattern)pattern, (enum attn_type)type);
            struct check_instance *const changed = made(&form, MACHINE_GUARD_END, 1);
            struct check_instance *const kept = made(&form, MACHINE_GUARD_END, 1);
            check_instance_fill(changed, CHECK_OTHER_SEED(form.seed));
            cr_expect(!same_values(&changed->operands.k, &kept->operands.k), "%s: the same keys",
                      check_pattern_name(form.pattern));
            cr_expect_null(check_instance_damage(changed));
            check_instance_fill(changed, form.seed);
            cr_expect(same_inputs(changed, kept), "%s: not restored", check_pattern_name(form.pattern));
            cr_expect_null(check_instance_damage(changed));
            check_instance_destroy(changed);
            check_instance_destroy(kept);
        }
}

static void expect_damage(struct check_instance *instance, const void *where, const char *complaint) {
    unsigned char *const byte = (unsigned char *)(uintptr_t)where;
    *byte ^= 1;
    const char *const found = check_instance_damage(instance);
    cr_expect(found && strcmp(found, complaint) == 0, "found '%s', expected '%s'", found ? found : "nothing",
              complaint);
    *byte ^= 1;
    cr_expect_null(check_instance_damage(instance));
}

static const unsigned char *last_byte(const struct attn_tensor *tensor) {
    return (const unsigned char *)tensor->data + (size_t)attn_tensor_count(tensor) * attn_type_bytes(tensor->type) - 1;
}

Test(instance, any_changed_byte_is_found) {
    const struct check_form form =
        form_of("causal=top_left,lengths=ragged,query_start=1,alibi,bias,boolean,sinks", CHECK_NORMAL, ATTN_BF16);
    struct check_instance *const instance = made(&form, MACHINE_CANARY, 1);
    const struct attn_operands *const operands = &instance->operands;
    const struct attn_mask *const mask = &instance->problem.mask;
    expect_damage(instance, operands->q.data, "modifies an input: q");
    expect_damage(instance, last_byte(&operands->k), "modifies an input: k");
    expect_damage(instance, last_byte(&operands->v), "modifies an input: v");
    expect_damage(instance, mask->key_lengths, "modifies an input: key_lengths");
    expect_damage(instance, mask->query_start, "modifies an input: query_start");
    expect_damage(instance, mask->bias, "modifies an input: bias");
    expect_damage(instance, mask->allowed, "modifies an input: the boolean mask");
    expect_damage(instance, mask->alibi_slopes, "modifies an input: alibi_slopes");
    expect_damage(instance, mask->sinks, "modifies an input: sinks");
    expect_damage(instance, last_byte(&operands->out) + 1, "writes outside of out");
    expect_damage(instance, (const char *)operands->lse.data - 1, "writes outside of lse");
    expect_damage(instance, last_byte(&operands->q) + 1, "writes outside of q");
    check_instance_destroy(instance);
}

Test(instance, poison_covers_answers_and_nothing_else) {
    const struct check_form form = form_of("none", CHECK_NORMAL, ATTN_F32);
    struct check_instance *const instance = made(&form, MACHINE_GUARD_END, 1);
    check_instance_poison(instance);
    const struct attn_tensor *const answers[] = {&instance->operands.out, &instance->operands.lse};
    for (int n = 0; n < 2; ++n)
        for (const unsigned char *byte = answers[n]->data; byte <= last_byte(answers[n]); ++byte)
            cr_assert_eq(*byte, ATTN_POISON_BYTE);
    cr_expect_null(check_instance_damage(instance));
    check_instance_destroy(instance);
}

static void expect_refusal(const struct check_form *form, enum attn_status status, const char *part) {
    struct check_instance *instance;
    struct attn_error error = {0};
    const enum attn_status got = check_instance_create(form, MACHINE_CANARY, 1, &instance, &error);
    cr_expect_eq(got, status, "%s: %s", attn_status_name(got), error.message);
    cr_expect(strstr(error.message, part), "'%s' does not say '%s'", error.message, part);
    cr_expect_null(instance);
}

Test(instance, what_cannot_be_is_refused_before_anything_is_allocated, .timeout = 10) {
    struct check_form form = form_of("none", CHECK_NORMAL, ATTN_F32);
    form.query_heads = 5;
    expect_refusal(&form, ATTN_INVALID, "not a multiple");
    form = form_of("none", CHECK_NORMAL, ATTN_F32);
    form.query_len = -1;
    expect_refusal(&form, ATTN_INVALID, "query_len is -1");
    form.query_len = INT64_C(1) << 31;
    expect_refusal(&form, ATTN_INVALID, "query_len is 2147483648");
    form.query_len = form.key_len = form.batch = INT64_C(1) << 30;
    expect_refusal(&form, ATTN_INVALID, "2^48 bytes");
    form.batch = 1 << 17; /* each tensor is under 2^48 bytes, all of them far beyond any memory */
    form.query_len = form.key_len = 1 << 20;
    form.query_heads = form.key_heads = 1;
    form.head_dim = form.value_dim = 64;
    expect_refusal(&form, ATTN_NO_MEMORY, "GiB are available");
    form = form_of("bias", CHECK_NORMAL, ATTN_F32);
    form.query_len = form.key_len = 1 << 24; /* the bias alone would take 2^50 bytes */
    expect_refusal(&form, ATTN_NO_MEMORY, "GiB are available");
    form = form_of("packed=2", CHECK_NORMAL, ATTN_F32);
    form.batch = 2;
    expect_refusal(&form, ATTN_INVALID, "packed sequences need batch 1");
    form = form_of("key_start=2199023255552", CHECK_NORMAL, ATTN_F32);
    expect_refusal(&form, ATTN_INVALID, "key_start");
    form = form_of("none", CHECK_PATTERN_COUNT, ATTN_F32);
    expect_refusal(&form, ATTN_INVALID, "pattern");
}

Test(instance, the_estimate_is_what_is_taken) {
    struct check_form form = form_of("none", CHECK_NORMAL, ATTN_F32);
    form.lse = false;
    double bytes;
    cr_assert_eq(check_instance_estimate(&form, &bytes, NULL), ATTN_OK);
    const double q = 3 * 4 * 70 * 65, k = 3 * 2 * 90 * 65, v = 3 * 2 * 90 * 63, out = 3 * 4 * 70 * 63;
    cr_expect_eq(bytes, 4 * (q + k + v + out));
}

Test(instance, sizes_default_to_their_partners) {
    const struct check_form form = {.batch = 1, .query_heads = 2, .query_len = 3, .head_dim = 4};
    struct check_instance *const instance = made(&form, MACHINE_CANARY, 1);
    const struct attn_problem *const problem = &instance->problem;
    cr_expect(problem->key_heads == 2 && problem->key_len == 3 && problem->value_dim == 4 && problem->scale == 0.5f);
    cr_expect_null(instance->operands.lse.data);
    check_instance_destroy(instance);
}

/* One start for all is what a variant that reads the first alone would get right. */
Test(instance, ragged_starts_differ) {
    struct check_form form = form_of("query_start=-9,starts=ragged", CHECK_NORMAL, ATTN_F32);
    for (form.seed = 0; form.seed < 100; ++form.seed)
        for (int packed = 0; packed < 2; ++packed) {
            form.mask.packed = packed ? 2 : 0;
            form.batch = packed ? 1 : 2;
            form.key_len = form.seed % 2 ? 90 : 1; /* few places to choose from */
            struct check_instance *const instance = made(&form, MACHINE_CANARY, 1);
            const int64_t *const starts = instance->problem.mask.query_start;
            cr_expect(starts[0] != starts[1] && starts[0] >= -9 && starts[1] >= -9, "%lld and %lld",
                      (long long)starts[0], (long long)starts[1]);
            check_instance_destroy(instance);
        }
}

Test(instance, a_backward_form_has_gradients_and_dout) {
    struct check_form form = form_of("none", CHECK_NORMAL, ATTN_F32);
    form.direction = ATTN_BACKWARD;
    struct check_instance *const instance = made(&form, MACHINE_GUARD_END, 1);
    check_instance_poison(instance);
    cr_expect_eq(*last_byte(&instance->operands.dk), ATTN_POISON_BYTE);
    expect_damage(instance, instance->operands.dout.data, "modifies an input: dout");
    check_instance_destroy(instance);
}

Test(instance, a_capture_gives_sizes_lengths_and_values) {
    enum { batch = 2, heads = 2, queries = 3, keys = 5, dim = 4 };
    float q[batch * heads * queries * dim], k[batch * heads * keys * dim], v[batch * heads * keys * dim];
    for (int n = 0; n < batch * heads * keys * dim; ++n)
        k[n] = v[n] = (float)n;
    for (int n = 0; n < batch * heads * queries * dim; ++n)
        q[n] = -(float)n;
    const int64_t lengths[batch] = {5, 2};
    const struct check_capture capture = {
        .q = attn_tensor_dense(q, ATTN_F32, batch, heads, queries, dim),
        .k = attn_tensor_dense(k, ATTN_F32, batch, heads, keys, dim),
        .v = attn_tensor_dense(v, ATTN_F32, batch, heads, keys, dim),
        .key_lengths = lengths,
    };
    const struct check_form form = {.seed = 3, .capture = &capture, .type = ATTN_BF16, .pattern = CHECK_NEEDLES};
    struct check_instance *const instance = made(&form, MACHINE_GUARD_END, 1);
    cr_expect_eq(instance->problem.key_len, keys);
    cr_expect_eq(instance->problem.mask.key_lengths[1], 2);
    for (int n = 0; n < batch * heads * keys * dim; ++n)
        cr_expect_eq(((const uint16_t *)instance->operands.k.data)[n], attn_bf16_of_f32((float)n));
    check_instance_fill(instance, CHECK_OTHER_SEED(form.seed));
    double squares = 0, captured = 0;
    for (int n = 0; n < batch * heads * keys * dim; ++n) {
        const double value = attn_load(instance->operands.k.data, ATTN_BF16, n);
        squares += value * value;
        captured += (double)n * n;
    }
    cr_expect(fabs(sqrt(squares / captured) - 1.0) < 0.3, "other values are at the capture's scale");
    check_instance_fill(instance, form.seed);
    cr_expect_eq(((const uint16_t *)instance->operands.k.data)[17], attn_bf16_of_f32(17.0f));
    check_instance_destroy(instance);
}
