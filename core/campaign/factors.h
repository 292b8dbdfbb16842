/* SPDX-License-Identifier: Apache-2.0 */
/* The factors: everything that tells one point from another. One table says how each is called, where a config
 * names it, and what values it takes; reading, expansion, exclusion, ids and storage all go through it. */
#ifndef CAMPAIGN_FACTORS_H
#define CAMPAIGN_FACTORS_H

#include "campaign/complaints.h"
#include "campaign/plan.h"

/* In the order in which axes nest, outermost first: what makes a block stands before what varies inside it. */
enum campaign_factor {
    FACTOR_CAPTURE,
    FACTOR_TENSOR,
    FACTOR_PATTERN,
    FACTOR_SEED,
    FACTOR_BATCH,
    FACTOR_QUERY_HEADS,
    FACTOR_KEY_HEADS,
    FACTOR_QUERY_LEN,
    FACTOR_KEY_LEN,
    FACTOR_HEAD_DIM,
    FACTOR_VALUE_DIM,
    FACTOR_SCALE,
    FACTOR_TYPE,
    FACTOR_PASS,
    FACTOR_LSE,
    FACTOR_LAYOUT,
    FACTOR_MASK,
    FACTOR_CAUSAL,
    FACTOR_ALIGN,
    FACTOR_WINDOW,
    FACTOR_LENGTHS,
    FACTOR_PACKED,
    FACTOR_QUERY_START,
    FACTOR_STARTS,
    FACTOR_KEY_START,
    FACTOR_ALIBI,
    FACTOR_BIAS,
    FACTOR_BOOLEAN,
    FACTOR_SINKS,
    FACTOR_SOFTCAP,
    FACTOR_DEAD_ROWS,
    FACTOR_DEAD_BLOCK,
    FACTOR_VARIANT,
    FACTOR_ISA,
    FACTOR_THREADS,
    FACTOR_PLACEMENT,
    FACTOR_CACHE,
    FACTOR_COUNT,
    FACTOR_PARAMETER = FACTOR_COUNT, /* VARIANT.NAME: not in the table, the variant knows it */
    FACTOR_NONE,
};

/* Where a config names the factor when it has one value for all points. */
enum campaign_home { HOME_INPUTS, HOME_PROBLEM, HOME_MASK, HOME_TOP };

enum campaign_factor_kind { FACTOR_INTEGER, FACTOR_REAL, FACTOR_FLAG, FACTOR_NAME, FACTOR_FORM, FACTOR_PAIR };

struct campaign_factor_info {
    const char *name;
    enum campaign_home home;
    enum campaign_factor_kind kind;
    int64_t min, max; /* FACTOR_INTEGER */
};

#define CAMPAIGN_MAX_CHOICES 32

struct campaign_value {
    int64_t integer, second; /* second: the right side of a window */
    double real;
    const char *text;            /* FACTOR_NAME */
    struct check_mask_form form; /* FACTOR_FORM */
    struct campaign_place place; /* where a config says so */
};

const struct campaign_factor_info *campaign_factor_info(enum campaign_factor factor);
/* FACTOR_NONE: nobody knows the name. */
enum campaign_factor campaign_factor_find(const char *name);
/* The names that a FACTOR_NAME is limited to; 0: any text. */
size_t campaign_factor_choices(enum campaign_factor factor, const char *choices[CAMPAIGN_MAX_CHOICES]);
/* Sizes that a capture brings along: batch to value_dim. */
bool campaign_factor_is_shape(enum campaign_factor factor);

/* Gives a point a value, and tells which it has (texts are the point's own or constants). FACTOR_PARAMETER is not
 * allowed here. */
void campaign_factor_set(struct campaign_point *point, enum campaign_factor factor, const struct campaign_value *value);
struct campaign_value campaign_factor_get(const struct campaign_point *point, enum campaign_factor factor);

/* The value as a config would write it. */
void campaign_value_text(enum campaign_factor factor, const struct campaign_value *value, char *text,
                         size_t text_bytes);

/* The fewest digits that read back as the same number. */
void campaign_real_text(double real, char *text, size_t text_bytes);

/* What the dot products are multiplied by, default or not. */
double campaign_point_scale(const struct campaign_point *point);

/* Index of a parameter; -1: the variant has none of that name. */
int campaign_parameter_index(const struct attn_variant *variant, const char *name);
/* Rung `index` of the ladder, likewise for any level. */
const struct attn_variant *campaign_variant_at(const struct attn_registry *registry, int index);
/* The variant as compiled for any level: names, traits and parameters are the same on all. NULL: unknown. A foreign
 * variant is parallel, and without parameters. */
const struct attn_variant *campaign_variant_any(const struct attn_registry *registry, const char *name);
/* "peer:NAME" is a variant of another library: it may be planned, and other programs measure it. */
bool campaign_variant_is_foreign(const char *name);

#endif
