/* SPDX-License-Identifier: Apache-2.0 */
/* The mask grammar and the names of patterns. */
#include "check/form.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/nearest.h"

const char *check_pattern_name(enum check_pattern pattern) {
    static const char *const names[CHECK_PATTERN_COUNT] = {
        [CHECK_NORMAL] = "normal",
        [CHECK_UNIFORM] = "uniform",
        [CHECK_EQUAL_LOGITS] = "equal_logits",
        [CHECK_DOMINANT] = "dominant",
        [CHECK_HUGE_LOGITS] = "huge_logits",
        [CHECK_NEGATIVE_LOGITS] = "negative_logits",
        [CHECK_ASCENDING] = "ascending",
        [CHECK_DESCENDING] = "descending",
        [CHECK_OUTLIERS] = "outliers",
        [CHECK_DENORMALS] = "denormals",
        [CHECK_CONSTANT_VALUES] = "constant_values",
        [CHECK_ZERO_VALUES] = "zero_values",
        [CHECK_MASKED_NAN] = "masked_nan",
        [CHECK_MASKED_INF] = "masked_inf",
        [CHECK_NEEDLES] = "needles",
    };
    return (unsigned)pattern < CHECK_PATTERN_COUNT ? names[pattern] : "unknown";
}

enum term {
    TERM_CAUSAL = 0,
    TERM_ALIGN,
    TERM_WINDOW,
    TERM_LENGTHS,
    TERM_PACKED,
    TERM_QUERY_START,
    TERM_STARTS,
    TERM_KEY_START,
    TERM_ALIBI,
    TERM_BIAS,
    TERM_BOOLEAN,
    TERM_SINKS,
    TERM_SOFTCAP,
    TERM_DEAD_ROWS,
    TERM_DEAD_BLOCK,
    TERM_NONE,
    TERM_COUNT,
};

static const char *const term_names[TERM_COUNT] = {
    "causal", "align", "window",  "lengths", "packed",  "query_start", "starts",     "key_start",
    "alibi",  "bias",  "boolean", "sinks",   "softcap", "dead_rows",   "dead_block", "none",
};

/* Takes the whole of `text` as a number; a sign is allowed, anything behind the digits is not. */
static bool read_integer(const char *text, int64_t *value) {
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0;
}

/* Positions go that far (contract/problem.c); beyond, a side is as good as "inf" and sums could overflow. */
static const int64_t farthest = INT64_C(1) << 40;

static bool read_side(const char *text, int64_t *side) {
    if (strcmp(text, "inf") == 0) {
        *side = ATTN_UNBOUNDED;
        return true;
    }
    return read_integer(text, side) && *side >= 0 && *side <= farthest;
}

static bool read_alignment(const char *text, enum attn_alignment *alignment) {
    *alignment = strcmp(text, "bottom_right") == 0 ? ATTN_BOTTOM_RIGHT : ATTN_TOP_LEFT;
    return *alignment == ATTN_BOTTOM_RIGHT || strcmp(text, "top_left") == 0;
}

static bool read_window(char *text, struct check_mask_form *mask) {
    char *const colon = strchr(text, ':');
    if (!colon)
        return false;
    *colon = '\0';
    const bool read = read_side(text, &mask->window_left) && read_side(colon + 1, &mask->window_right);
    *colon = ':';
    mask->windowed = true;
    return read;
}

static bool read_softcap(const char *text, double *softcap) {
    char *end;
    *softcap = strtod(text, &end);
    return end != text && *end == '\0' && *softcap >= 0.0 && isfinite(*softcap);
}

static bool read_flag(const char *value, bool *flag) {
    *flag = true;
    return !value;
}

/* NULL, or what the term's value must look like. `value` is NULL when the term has no '='. */
static const char *read_term(enum term term, char *value, struct check_mask_form *mask) {
    const char *const text = value ? value : "";
    switch (term) {
    case TERM_CAUSAL:
        mask->causal = true;
        return read_alignment(text, &mask->alignment) ? NULL : "causal=top_left or causal=bottom_right";
    case TERM_ALIGN: return read_alignment(text, &mask->alignment) ? NULL : "align=top_left or align=bottom_right";
    case TERM_WINDOW: return value && read_window(value, mask) ? NULL : "window=LEFT:RIGHT, each 0..2^40 or \"inf\"";
    case TERM_LENGTHS:
        mask->ragged = strcmp(text, "ragged") == 0;
        return mask->ragged || strcmp(text, "full") == 0 ? NULL : "lengths=ragged or lengths=full";
    case TERM_PACKED:
        return read_integer(text, &mask->packed) && mask->packed >= 1 ? NULL : "packed=SEGMENTS, at least 1";
    case TERM_QUERY_START:
        mask->shifted = true;
        return read_integer(text, &mask->query_start) ? NULL : "query_start=N, an integer";
    case TERM_STARTS:
        mask->ragged_starts = strcmp(text, "ragged") == 0;
        mask->shifted |= mask->ragged_starts;
        return mask->ragged_starts || strcmp(text, "alike") == 0 ? NULL : "starts=ragged or starts=alike";
    case TERM_KEY_START: return read_integer(text, &mask->key_start) ? NULL : "key_start=N, an integer";
    case TERM_SOFTCAP: return read_softcap(text, &mask->softcap) ? NULL : "softcap=C, a positive number (0: none)";
    case TERM_ALIBI: return read_flag(value, &mask->alibi) ? NULL : "alibi, without a value";
    case TERM_BIAS: return read_flag(value, &mask->bias) ? NULL : "bias, without a value";
    case TERM_BOOLEAN: return read_flag(value, &mask->boolean) ? NULL : "boolean, without a value";
    case TERM_SINKS: return read_flag(value, &mask->sinks) ? NULL : "sinks, without a value";
    case TERM_DEAD_ROWS: return read_flag(value, &mask->dead_rows) ? NULL : "dead_rows, without a value";
    case TERM_DEAD_BLOCK: return read_flag(value, &mask->dead_block) ? NULL : "dead_block, without a value";
    default: return value ? "none, without a value" : NULL;
    }
}

static enum attn_status parse_term(char *word, unsigned *seen, struct check_mask_form *mask, struct attn_error *error) {
    char *const equals = strchr(word, '=');
    if (equals)
        *equals = '\0';
    int term = 0;
    while (term < TERM_COUNT && strcmp(word, term_names[term]) != 0)
        ++term;
    if (term == TERM_COUNT) {
        const char *const near = attn_nearest(word, term_names, TERM_COUNT);
        return attn_fail(error, ATTN_INVALID,
                         near
                             ? "unknown mask term '%s'; did you mean '%s'?"
                             : "unknown mask term '%s'; known: causal, align, window, lengths, packed, query_start, "
                               "starts, key_start, alibi, bias, boolean, sinks, softcap, dead_rows, dead_block, none%s",
                         word, near ? near : "");
    }
    if (*seen & 1u << term)
        return attn_fail(error, ATTN_INVALID, "mask term '%s' is given twice", word);
    *seen |= 1u << term;
    const char *const wanted = read_term((enum term)term, equals ? equals + 1 : NULL, mask);
    if (wanted)
        return attn_fail(error, ATTN_INVALID, "mask term '%s%s%s' is not understood; write %s", word, equals ? "=" : "",
                         equals ? equals + 1 : "", wanted);
    return ATTN_OK;
}

/* What no text may ask for, whatever the sizes. */
static enum attn_status check_together(unsigned seen, const struct check_mask_form *mask, struct attn_error *error) {
    if (seen & 1u << TERM_NONE && seen != 1u << TERM_NONE)
        return attn_fail(error, ATTN_INVALID, "mask 'none' stands alone; drop it or the other terms");
    if (seen & 1u << TERM_CAUSAL && seen & 1u << TERM_ALIGN)
        return attn_fail(error, ATTN_INVALID, "causal= already says the alignment; drop align=");
    if (mask->packed > 0 && mask->ragged)
        return attn_fail(error, ATTN_INVALID, "packed sequences have lengths of their own; drop lengths=ragged");
    return ATTN_OK;
}

enum attn_status check_mask_parse(const char *text, struct check_mask_form *mask, struct attn_error *error) {
    char words[512];
    *mask = (struct check_mask_form){0};
    if (strlen(text) >= sizeof words)
        return attn_fail(error, ATTN_INVALID, "the mask is longer than %zu characters", sizeof words - 1);
    strcpy(words, text);
    unsigned seen = 0;
    char *rest = words;
    for (char *word; (word = strsep(&rest, ","));) {
        word += strspn(word, " ");
        size_t length = strlen(word);
        while (length > 0 && word[length - 1] == ' ')
            word[--length] = '\0';
        if (length == 0)
            return attn_fail(error, ATTN_INVALID, "the mask '%s' has an empty term; write \"none\" for no mask", text);
        const enum attn_status status = parse_term(word, &seen, mask, error);
        if (status)
            return status;
    }
    return check_together(seen, mask, error);
}

static const char *format_side(int64_t side, char text[24]) {
    if (side == ATTN_UNBOUNDED)
        return "inf";
    snprintf(text, 24, "%" PRId64, side);
    return text;
}

/* 15 digits are what people write and get back; a number that needs more gets all 17. */
static void format_softcap(double softcap, char *text, size_t text_bytes) {
    snprintf(text, text_bytes, "softcap=%.15g", softcap);
    if (strtod(strchr(text, '=') + 1, NULL) != softcap)
        snprintf(text, text_bytes, "softcap=%.17g", softcap);
}

void check_mask_format(const struct check_mask_form *mask, char *text, size_t text_bytes) {
    char terms[TERM_COUNT][64] = {""}, left[24], right[24];
    const char *const alignment = mask->alignment == ATTN_BOTTOM_RIGHT ? "bottom_right" : "top_left";
    if (mask->causal)
        snprintf(terms[TERM_CAUSAL], sizeof terms[0], "causal=%s", alignment);
    else if (mask->alignment == ATTN_BOTTOM_RIGHT)
        snprintf(terms[TERM_ALIGN], sizeof terms[0], "align=%s", alignment);
    if (mask->windowed)
        snprintf(terms[TERM_WINDOW], sizeof terms[0], "window=%s:%s", format_side(mask->window_left, left),
                 format_side(mask->window_right, right));
    if (mask->ragged)
        strcpy(terms[TERM_LENGTHS], "lengths=ragged");
    if (mask->packed > 0)
        snprintf(terms[TERM_PACKED], sizeof terms[0], "packed=%" PRId64, mask->packed);
    if (mask->ragged_starts)
        strcpy(terms[TERM_STARTS], "starts=ragged");
    if (mask->shifted && !(mask->ragged_starts && mask->query_start == 0))
        snprintf(terms[TERM_QUERY_START], sizeof terms[0], "query_start=%" PRId64, mask->query_start);
    if (mask->key_start != 0)
        snprintf(terms[TERM_KEY_START], sizeof terms[0], "key_start=%" PRId64, mask->key_start);
    if (mask->softcap > 0.0)
        format_softcap(mask->softcap, terms[TERM_SOFTCAP], sizeof terms[0]);
    const struct {
        enum term term;
        bool set;
    } flags[] = {
        {TERM_ALIBI, mask->alibi}, {TERM_BIAS, mask->bias},           {TERM_BOOLEAN, mask->boolean},
        {TERM_SINKS, mask->sinks}, {TERM_DEAD_ROWS, mask->dead_rows}, {TERM_DEAD_BLOCK, mask->dead_block},
    };
    for (size_t n = 0; n < sizeof flags / sizeof *flags; ++n)
        if (flags[n].set)
            strcpy(terms[flags[n].term], term_names[flags[n].term]);
    size_t used = 0;
    for (int term = 0; term < TERM_COUNT && used < text_bytes; ++term)
        if (terms[term][0])
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used ? "," : "", terms[term]);
    if (used == 0)
        snprintf(text, text_bytes, "none");
}
