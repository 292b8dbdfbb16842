/* SPDX-License-Identifier: Apache-2.0 */
/* A problem as people write it: sizes, a mask form, a pattern of inputs and a seed. Small, copyable,
 * without arrays; check/instance.h turns it into a built problem with memory behind it. */
#ifndef CHECK_FORM_H
#define CHECK_FORM_H

#include "contract/problem.h"

enum check_pattern {
    CHECK_NORMAL = 0,      /* standard normal q, k, v */
    CHECK_UNIFORM,         /* uniform in [-1, 1) */
    CHECK_EQUAL_LOGITS,    /* all keys alike: the answer is the mean of the live values */
    CHECK_DOMINANT,        /* one live key far above all others */
    CHECK_HUGE_LOGITS,     /* scores near +1e4 */
    CHECK_NEGATIVE_LOGITS, /* scores near -2e4 */
    CHECK_ASCENDING,       /* scores rise with the key: the running maximum moves every time */
    CHECK_DESCENDING,
    CHECK_OUTLIERS,        /* N(0,1) + N(0,100) * Bernoulli(1e-3) */
    CHECK_DENORMALS,       /* checked for finite and written only */
    CHECK_CONSTANT_VALUES, /* every v row the same */
    CHECK_ZERO_VALUES,     /* v = 0; exempt from the power rule */
    CHECK_MASKED_NAN,      /* NaN in k and v wherever no query may read (keys dead for every query) */
    CHECK_MASKED_INF,      /* likewise infinities of both signs */
    CHECK_NEEDLES,         /* each query's weight sits on one edge key, a stronger key just outside the mask */
    CHECK_PATTERN_COUNT,
};
const char *check_pattern_name(enum check_pattern pattern);

/* The mask as a form. Text: comma-separated terms, "none" for all defaults:
 *   causal=top_left | causal=bottom_right   window=LEFT:RIGHT (a side may be "inf")
 *   align=bottom_right (where the positions of a window or ALiBi start; causal= says it too)
 *   lengths=ragged | lengths=full           packed=SEGMENTS (lengths drawn by seed, 0 and 1 among them)
 *   query_start=N  key_start=N              alibi  bias  boolean  sinks  softcap=C
 *   starts=ragged (a query start of each sequence, drawn by seed, from query_start on) | starts=alike
 *   dead_rows (a boolean mask that masks whole rows)
 *   dead_block (a boolean mask over the first 64 keys; over the first half of fewer than 128) */
struct check_mask_form {
    bool causal;
    enum attn_alignment alignment;
    bool windowed;
    int64_t window_left, window_right;
    bool ragged;
    int64_t packed; /* segments; 0: not packed */
    bool shifted;   /* query starts given */
    bool ragged_starts;
    int64_t query_start, key_start;
    bool alibi, bias, boolean, sinks, dead_rows, dead_block;
    double softcap;
};

enum attn_status check_mask_parse(const char *text, struct check_mask_form *mask, struct attn_error *error);
/* The canonical text: parse(format(m)) == m, and equal masks have equal texts. */
void check_mask_format(const struct check_mask_form *mask, char *text, size_t text_bytes);

/* How operands lie in memory. */
enum check_layout {
    CHECK_DENSE = 0,   /* [batch][head][position][feature] */
    CHECK_INTERLEAVED, /* [batch][position][head][feature], as projections leave them */
};

/* Tensors read from a capture instead of drawn; borrowed. f32; converted to the form's type. */
struct check_capture {
    struct attn_tensor q, k, v;
    const int64_t *key_lengths; /* [batch] or NULL */
};

struct check_form {
    int64_t batch, query_heads, key_heads, query_len, key_len, head_dim, value_dim; /* 0: the partner's */
    double scale;                                                                   /* 0: 1/sqrt(head_dim) */
    enum attn_type type;
    enum attn_direction direction;
    bool lse; /* ask for log-sum-exp */
    struct check_mask_form mask;
    enum check_pattern pattern;
    uint64_t seed;
    const struct check_capture *capture; /* not NULL: sizes and lengths come from here, pattern is ignored */
    enum check_layout layout;
};

#endif
