/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/factors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/placement.h"

#define MAX_SIZE INT64_C(0x7FFFFFFF)
#define FAR      (INT64_C(1) << 40) /* positions go to +-2^40, contract/problem.h */

static const struct campaign_factor_info table[FACTOR_COUNT] = {
    [FACTOR_CAPTURE] = {"capture", HOME_INPUTS, FACTOR_NAME, 0, 0},
    [FACTOR_TENSOR] = {"tensor", HOME_INPUTS, FACTOR_NAME, 0, 0},
    [FACTOR_PATTERN] = {"pattern", HOME_INPUTS, FACTOR_NAME, 0, 0},
    [FACTOR_SEED] = {"seed", HOME_INPUTS, FACTOR_INTEGER, 0, INT64_MAX},
    [FACTOR_BATCH] = {"batch", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_QUERY_HEADS] = {"query_heads", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_KEY_HEADS] = {"key_heads", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_QUERY_LEN] = {"query_len", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_KEY_LEN] = {"key_len", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_HEAD_DIM] = {"head_dim", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_VALUE_DIM] = {"value_dim", HOME_PROBLEM, FACTOR_INTEGER, 1, MAX_SIZE},
    [FACTOR_SCALE] = {"scale", HOME_PROBLEM, FACTOR_REAL, 0, 0},
    [FACTOR_TYPE] = {"type", HOME_PROBLEM, FACTOR_NAME, 0, 0},
    [FACTOR_PASS] = {"pass", HOME_PROBLEM, FACTOR_NAME, 0, 0},
    [FACTOR_LSE] = {"lse", HOME_PROBLEM, FACTOR_FLAG, 0, 0},
    [FACTOR_LAYOUT] = {"layout", HOME_PROBLEM, FACTOR_NAME, 0, 0},
    [FACTOR_MASK] = {"mask", HOME_PROBLEM, FACTOR_FORM, 0, 0},
    [FACTOR_CAUSAL] = {"causal", HOME_MASK, FACTOR_NAME, 0, 0},
    [FACTOR_ALIGN] = {"align", HOME_MASK, FACTOR_NAME, 0, 0},
    [FACTOR_WINDOW] = {"window", HOME_MASK, FACTOR_PAIR, 0, 0},
    [FACTOR_LENGTHS] = {"lengths", HOME_MASK, FACTOR_NAME, 0, 0},
    [FACTOR_PACKED] = {"packed", HOME_MASK, FACTOR_INTEGER, 0, MAX_SIZE},
    [FACTOR_QUERY_START] = {"query_start", HOME_MASK, FACTOR_INTEGER, -FAR, FAR},
    [FACTOR_STARTS] = {"starts", HOME_MASK, FACTOR_NAME, 0, 0},
    [FACTOR_KEY_START] = {"key_start", HOME_MASK, FACTOR_INTEGER, -FAR, FAR},
    [FACTOR_ALIBI] = {"alibi", HOME_MASK, FACTOR_FLAG, 0, 0},
    [FACTOR_BIAS] = {"bias", HOME_MASK, FACTOR_FLAG, 0, 0},
    [FACTOR_BOOLEAN] = {"boolean", HOME_MASK, FACTOR_FLAG, 0, 0},
    [FACTOR_SINKS] = {"sinks", HOME_MASK, FACTOR_FLAG, 0, 0},
    [FACTOR_SOFTCAP] = {"softcap", HOME_MASK, FACTOR_REAL, 0, 0},
    [FACTOR_DEAD_ROWS] = {"dead_rows", HOME_MASK, FACTOR_FLAG, 0, 0},
    [FACTOR_DEAD_BLOCK] = {"dead_block", HOME_MASK, FACTOR_FLAG, 0, 0},
    [FACTOR_VARIANT] = {"variant", HOME_TOP, FACTOR_NAME, 0, 0},
    [FACTOR_ISA] = {"isa", HOME_TOP, FACTOR_NAME, 0, 0},
    [FACTOR_THREADS] = {"threads", HOME_TOP, FACTOR_INTEGER, 1, MACHINE_MAX_THREADS},
    [FACTOR_PLACEMENT] = {"placement", HOME_TOP, FACTOR_NAME, 0, 0},
    [FACTOR_CACHE] = {"cache", HOME_TOP, FACTOR_NAME, 0, 0},
};

const struct campaign_factor_info *campaign_factor_info(enum campaign_factor factor) {
    return &table[factor];
}

enum campaign_factor campaign_factor_find(const char *name) {
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        if (strcmp(table[factor].name, name) == 0)
            return (enum campaign_factor)factor;
    return FACTOR_NONE;
}

bool campaign_factor_is_shape(enum campaign_factor factor) {
    return factor >= FACTOR_BATCH && factor <= FACTOR_VALUE_DIM;
}

/* Closed lists whose values are indices in the point. */
static const char *const causal_names[] = {"none", "top_left", "bottom_right"};
static const char *const length_names[] = {"full", "ragged"};
static const char *const start_names[] = {"alike", "ragged"};
static const char *const pass_names[] = {"forward", "backward"};
static const char *const layout_names[] = {"dense", "interleaved"};
static const char *const cache_names[] = {"warm", "cold"};

size_t campaign_factor_choices(enum campaign_factor factor, const char *choices[CAMPAIGN_MAX_CHOICES]) {
    static const struct {
        enum campaign_factor factor;
        size_t count;
        const char *const *names;
    } lists[] = {
        {FACTOR_PASS, 2, pass_names},      {FACTOR_CAUSAL, 3, causal_names}, {FACTOR_ALIGN, 2, causal_names + 1},
        {FACTOR_LENGTHS, 2, length_names}, {FACTOR_STARTS, 2, start_names},  {FACTOR_LAYOUT, 2, layout_names},
        {FACTOR_CACHE, 2, cache_names},
    };
    size_t count = 0;
    for (; factor == FACTOR_PATTERN && count < CHECK_PATTERN_COUNT; ++count)
        choices[count] = check_pattern_name((enum check_pattern)count);
    for (; factor == FACTOR_TYPE && count <= ATTN_F16; ++count)
        choices[count] = attn_type_name((enum attn_type)count);
    for (size_t n = 0; n < sizeof lists / sizeof *lists; ++n)
        for (; lists[n].factor == factor && count < lists[n].count; ++count)
            choices[count] = lists[n].names[count];
    return count;
}

/* Index of the value's text among the factor's choices; texts were checked when they were read. */
static int choice_of(enum campaign_factor factor, const char *text) {
    const char *choices[CAMPAIGN_MAX_CHOICES];
    const size_t count = campaign_factor_choices(factor, choices);
    for (size_t n = 0; n < count; ++n)
        if (strcmp(choices[n], text) == 0)
            return (int)n;
    return 0;
}

/* The member that holds a plain integer or flag; NULL for the others. */
static int64_t *integer_member(struct campaign_point *point, enum campaign_factor factor) {
    struct check_form *const form = &point->form;
    switch (factor) {
    case FACTOR_BATCH: return &form->batch;
    case FACTOR_QUERY_HEADS: return &form->query_heads;
    case FACTOR_KEY_HEADS: return &form->key_heads;
    case FACTOR_QUERY_LEN: return &form->query_len;
    case FACTOR_KEY_LEN: return &form->key_len;
    case FACTOR_HEAD_DIM: return &form->head_dim;
    case FACTOR_VALUE_DIM: return &form->value_dim;
    case FACTOR_PACKED: return &form->mask.packed;
    case FACTOR_QUERY_START: return &form->mask.query_start;
    case FACTOR_KEY_START: return &form->mask.key_start;
    default: return NULL;
    }
}

static bool *flag_member(struct campaign_point *point, enum campaign_factor factor) {
    struct check_mask_form *const mask = &point->form.mask;
    switch (factor) {
    case FACTOR_LSE: return &point->form.lse;
    case FACTOR_ALIBI: return &mask->alibi;
    case FACTOR_BIAS: return &mask->bias;
    case FACTOR_BOOLEAN: return &mask->boolean;
    case FACTOR_SINKS: return &mask->sinks;
    case FACTOR_DEAD_ROWS: return &mask->dead_rows;
    case FACTOR_DEAD_BLOCK: return &mask->dead_block;
    default: return NULL;
    }
}

void campaign_factor_set(struct campaign_point *point, enum campaign_factor factor,
                         const struct campaign_value *value) {
    struct check_form *const form = &point->form;
    int64_t *const integer = integer_member(point, factor);
    bool *const flag = flag_member(point, factor);
    if (integer)
        *integer = value->integer;
    else if (flag)
        *flag = value->integer != 0;
    switch (factor) {
    case FACTOR_CAPTURE: point->capture_path = value->text; break;
    case FACTOR_TENSOR: point->capture_tensor = value->text; break;
    case FACTOR_PATTERN: form->pattern = (enum check_pattern)choice_of(factor, value->text); break;
    case FACTOR_SEED: form->seed = (uint64_t)value->integer; break;
    case FACTOR_SCALE: form->scale = value->real; break;
    case FACTOR_TYPE: form->type = (enum attn_type)choice_of(factor, value->text); break;
    case FACTOR_PASS: form->direction = (enum attn_direction)choice_of(factor, value->text); break;
    case FACTOR_LAYOUT: form->layout = (enum check_layout)choice_of(factor, value->text); break;
    case FACTOR_MASK: form->mask = value->form; break;
    case FACTOR_CAUSAL: {
        const int choice = choice_of(factor, value->text);
        form->mask.causal = choice > 0;
        form->mask.alignment = choice == 2 ? ATTN_BOTTOM_RIGHT : ATTN_TOP_LEFT;
        break;
    }
    case FACTOR_ALIGN: form->mask.alignment = (enum attn_alignment)choice_of(factor, value->text); break;
    case FACTOR_WINDOW:
        form->mask.windowed = value->integer >= 0;
        form->mask.window_left = form->mask.windowed ? value->integer : 0;
        form->mask.window_right = form->mask.windowed ? value->second : 0;
        break;
    case FACTOR_LENGTHS: form->mask.ragged = choice_of(factor, value->text) == 1; break;
    case FACTOR_QUERY_START: form->mask.shifted = true; break;
    case FACTOR_STARTS:
        form->mask.ragged_starts = choice_of(factor, value->text) == 1;
        form->mask.shifted |= form->mask.ragged_starts;
        break;
    case FACTOR_SOFTCAP: form->mask.softcap = value->real; break;
    case FACTOR_VARIANT: point->variant = value->text; break;
    case FACTOR_ISA: point->isa = value->text; break;
    case FACTOR_THREADS: point->threads = (int)value->integer; break;
    case FACTOR_PLACEMENT: point->placement = value->text; break;
    case FACTOR_CACHE: point->cold = choice_of(factor, value->text) == 1; break;
    default: break;
    }
}

struct campaign_value campaign_factor_get(const struct campaign_point *point, enum campaign_factor factor) {
    struct campaign_point copy = *point;
    const struct check_form *const form = &copy.form;
    const int64_t *const integer = integer_member(&copy, factor);
    const bool *const flag = flag_member(&copy, factor);
    struct campaign_value value = {.integer = integer ? *integer : flag ? *flag : 0};
    switch (factor) {
    case FACTOR_CAPTURE: value.text = point->capture_path; break;
    case FACTOR_TENSOR: value.text = point->capture_tensor; break;
    case FACTOR_PATTERN: value.text = check_pattern_name(form->pattern); break;
    case FACTOR_SEED: value.integer = (int64_t)form->seed; break;
    case FACTOR_SCALE: value.real = form->scale; break;
    case FACTOR_TYPE: value.text = attn_type_name(form->type); break;
    case FACTOR_PASS: value.text = pass_names[form->direction]; break;
    case FACTOR_LAYOUT: value.text = layout_names[form->layout]; break;
    case FACTOR_MASK: value.form = form->mask; break;
    case FACTOR_CAUSAL:
        value.text = causal_names[!form->mask.causal ? 0 : form->mask.alignment == ATTN_BOTTOM_RIGHT ? 2 : 1];
        break;
    case FACTOR_ALIGN: value.text = causal_names[1 + (form->mask.alignment == ATTN_BOTTOM_RIGHT)]; break;
    case FACTOR_WINDOW:
        value.integer = form->mask.windowed ? form->mask.window_left : -1;
        value.second = form->mask.window_right;
        break;
    case FACTOR_LENGTHS: value.text = length_names[form->mask.ragged]; break;
    case FACTOR_STARTS: value.text = start_names[form->mask.ragged_starts]; break;
    case FACTOR_SOFTCAP: value.real = form->mask.softcap; break;
    case FACTOR_VARIANT: value.text = point->variant; break;
    case FACTOR_ISA: value.text = point->isa; break;
    case FACTOR_THREADS: value.integer = point->threads; break;
    case FACTOR_PLACEMENT: value.text = point->placement; break;
    case FACTOR_CACHE: value.text = cache_names[point->cold]; break;
    default: break;
    }
    return value;
}

static void side_text(int64_t side, char text[24]) {
    if (side == ATTN_UNBOUNDED)
        snprintf(text, 24, "inf");
    else
        snprintf(text, 24, "%" PRId64, side);
}

void campaign_real_text(double real, char *text, size_t text_bytes) {
    for (int digits = 1; digits <= 17; ++digits) {
        snprintf(text, text_bytes, "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            return;
    }
}

void campaign_value_text(enum campaign_factor factor, const struct campaign_value *value, char *text,
                         size_t text_bytes) {
    char left[24], right[24];
    switch (factor < FACTOR_COUNT ? table[factor].kind : FACTOR_INTEGER) {
    case FACTOR_INTEGER: snprintf(text, text_bytes, "%" PRId64, value->integer); break;
    case FACTOR_REAL: campaign_real_text(value->real, text, text_bytes); break;
    case FACTOR_FLAG: snprintf(text, text_bytes, "%s", value->integer ? "true" : "false"); break;
    case FACTOR_NAME: snprintf(text, text_bytes, "%s", value->text ? value->text : ""); break;
    case FACTOR_FORM: check_mask_format(&value->form, text, text_bytes); break;
    case FACTOR_PAIR:
        side_text(value->integer, left);
        side_text(value->second, right);
        snprintf(text, text_bytes, value->integer < 0 ? "none" : "%s:%s", left, right);
        break;
    }
}

double campaign_point_scale(const struct campaign_point *point) {
    return point->form.scale != 0.0 ? point->form.scale : (float)(1.0 / sqrt((double)point->form.head_dim));
}

int campaign_parameter_index(const struct attn_variant *variant, const char *name) {
    for (int n = 0; n < variant->parameter_count; ++n)
        if (strcmp(variant->parameters[n].name, name) == 0)
            return n;
    return -1;
}

const struct attn_variant *campaign_variant_at(const struct attn_registry *registry, int index) {
    const struct attn_variant *const *const row = registry->variants + index * registry->level_count;
    int level = 0;
    while (level < registry->level_count - 1 && !row[level])
        ++level;
    return row[level];
}

bool campaign_variant_is_foreign(const char *name) {
    static const char prefix[] = "peer:";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 && name[sizeof prefix - 1];
}

const struct attn_variant *campaign_variant_any(const struct attn_registry *registry, const char *name) {
    static const struct attn_variant foreign = {.name = "peer", .traits = ATTN_PARALLEL};
    if (campaign_variant_is_foreign(name))
        return &foreign;
    for (int index = 0; index < registry->variant_count; ++index) {
        const struct attn_variant *const variant = campaign_variant_at(registry, index);
        if (variant && strcmp(variant->name, name) == 0)
            return variant;
    }
    return NULL;
}
