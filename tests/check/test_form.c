/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "check/form.h"
#include "check/random.h"

static struct check_mask_form parsed(const char *text) {
    struct check_mask_form mask;
    struct attn_error error = {0};
    cr_assert_eq(check_mask_parse(text, &mask, &error), ATTN_OK, "'%s': %s", text, error.message);
    return mask;
}

static void expect_canonical(const char *text, const char *canonical) {
    char formatted[512];
    const struct check_mask_form mask = parsed(text);
    check_mask_format(&mask, formatted, sizeof formatted);
    cr_expect_str_eq(formatted, canonical, "'%s' became '%s', not '%s'", text, formatted, canonical);
}

Test(form, masks_are_written_in_one_order) {
    expect_canonical("none", "none");
    expect_canonical("lengths=full", "none");
    expect_canonical("softcap=0", "none");
    expect_canonical("causal=top_left", "causal=top_left");
    expect_canonical("align=top_left", "none");
    expect_canonical("align=bottom_right,window=2:inf", "align=bottom_right,window=2:inf");
    expect_canonical("alibi, window=0:3 ,causal=bottom_right", "causal=bottom_right,window=0:3,alibi");
    expect_canonical("window=inf:inf", "window=inf:inf");
    expect_canonical("softcap=0.1,sinks", "sinks,softcap=0.1");
    expect_canonical("softcap=30.0", "softcap=30");
    expect_canonical("softcap=0.30000000000000004", "softcap=0.30000000000000004");
    expect_canonical("query_start=-5,key_start=+7", "query_start=-5,key_start=7");
    expect_canonical("query_start=0", "query_start=0"); /* given, so it overrides the alignment */
    expect_canonical("starts=ragged,query_start=0", "starts=ragged");
    expect_canonical("starts=ragged,query_start=7", "query_start=7,starts=ragged");
    expect_canonical("starts=alike", "none");
    expect_canonical("dead_rows,dead_block,boolean,bias", "bias,boolean,dead_rows,dead_block");
    expect_canonical("packed=4,causal=bottom_right", "causal=bottom_right,packed=4");
}

static void expect_refused(const char *text, const char *part) {
    struct check_mask_form mask;
    struct attn_error error = {0};
    cr_expect_eq(check_mask_parse(text, &mask, &error), ATTN_INVALID, "'%s' was taken", text);
    cr_expect(strstr(error.message, part), "'%s': '%s' does not say '%s'", text, error.message, part);
}

Test(form, refusals_say_what_would_be_right) {
    expect_refused("casual=top_left", "did you mean 'causal'?");
    expect_refused("qwertyuiop", "known: causal");
    expect_refused("causal", "causal=top_left or causal=bottom_right");
    expect_refused("causal=left", "causal=top_left or causal=bottom_right");
    expect_refused("window=3", "window=LEFT:RIGHT");
    expect_refused("window=-1:3", "window=LEFT:RIGHT");
    expect_refused("window=1:2x", "window=LEFT:RIGHT");
    expect_refused("window=0:9223372036854775806", "window=LEFT:RIGHT");
    expect_refused("lengths=some", "lengths=ragged");
    expect_refused("starts=5", "starts=ragged or starts=alike");
    expect_refused("packed=0", "at least 1");
    expect_refused("packed=two", "at least 1");
    expect_refused("query_start=1.5", "an integer");
    expect_refused("key_start=99999999999999999999", "an integer");
    expect_refused("softcap=-1", "a positive number");
    expect_refused("softcap=nan", "a positive number");
    expect_refused("softcap=inf", "a positive number");
    expect_refused("alibi=1", "alibi, without a value");
    expect_refused("alibi,alibi", "twice");
    expect_refused("none,alibi", "stands alone");
    expect_refused("causal=top_left,align=bottom_right", "drop align");
    expect_refused("packed=2,lengths=ragged", "drop lengths=ragged");
    expect_refused("", "empty term");
    expect_refused("alibi,,bias", "empty term");
}

/* A mask that the grammar can say, drawn term by term. */
static struct check_mask_form drawn_mask(uint64_t seed) {
    const uint64_t bits = check_bits(seed, 0);
    struct check_mask_form mask = {
        .causal = bits & 1,
        .alignment = bits & 2 ? ATTN_BOTTOM_RIGHT : ATTN_TOP_LEFT,
        .windowed = bits & 4,
        .packed = bits & 8 ? 1 + check_below(check_bits(seed, 1), 1000) : 0,
        .shifted = bits & 16,
        .key_start = bits & 32 ? check_below(check_bits(seed, 2), 1 << 20) - (1 << 19) : 0,
        .alibi = bits & 64,
        .bias = bits & 128,
        .boolean = bits & 256,
        .sinks = bits & 512,
        .dead_rows = bits & 1024,
        .dead_block = bits & 2048,
        .softcap = bits & 4096 ? 100.0 * check_unit(check_bits(seed, 3)) : 0.0,
    };
    mask.ragged = mask.packed == 0 && bits & 8192;
    if (mask.windowed) {
        mask.window_left = bits & 16384 ? ATTN_UNBOUNDED : check_below(check_bits(seed, 4), 1 << 30);
        mask.window_right = bits & 32768 ? ATTN_UNBOUNDED : check_below(check_bits(seed, 5), 1 << 30);
    }
    mask.ragged_starts = mask.shifted && bits & 65536;
    if (mask.shifted)
        mask.query_start = check_below(check_bits(seed, 6), 1 << 20) - (1 << 19);
    return mask;
}

static bool same_masks(const struct check_mask_form *a, const struct check_mask_form *b) {
    return a->causal == b->causal && a->alignment == b->alignment && a->windowed == b->windowed &&
           a->window_left == b->window_left && a->window_right == b->window_right && a->ragged == b->ragged &&
           a->packed == b->packed && a->shifted == b->shifted && a->ragged_starts == b->ragged_starts &&
           a->query_start == b->query_start && a->key_start == b->key_start && a->alibi == b->alibi &&
           a->bias == b->bias && a->boolean == b->boolean && a->sinks == b->sinks && a->dead_rows == b->dead_rows &&
           a->dead_block == b->dead_block && a->softcap == b->softcap;
}

Test(form, what_is_written_reads_back) {
    char text[512];
    for (uint64_t seed = 0; seed < 5000; ++seed) {
        const struct check_mask_form mask = drawn_mask(seed);
        check_mask_format(&mask, text, sizeof text);
        const struct check_mask_form again = parsed(text);
        cr_assert(same_masks(&mask, &again), "'%s' read back differently", text);
    }
}

Test(form, short_buffers_are_not_overrun) {
    char text[16];
    memset(text, '#', sizeof text);
    const struct check_mask_form mask = parsed("causal=bottom_right,window=1:2,alibi,bias,boolean,sinks");
    check_mask_format(&mask, text, 8);
    cr_expect_eq(strlen(text), 7);
    cr_expect_eq(text[8], '#');
}

Test(form, every_pattern_has_its_own_name) {
    for (int a = 0; a < CHECK_PATTERN_COUNT; ++a)
        for (int b = a + 1; b < CHECK_PATTERN_COUNT; ++b)
            cr_expect_str_neq(check_pattern_name((enum check_pattern)a), check_pattern_name((enum check_pattern)b));
    cr_expect_str_eq(check_pattern_name(CHECK_PATTERN_COUNT), "unknown");
}
