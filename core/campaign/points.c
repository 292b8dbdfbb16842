/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/points.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void campaign_point_complete(struct campaign_point *point) {
    struct check_form *const form = &point->form;
    form->key_heads = form->key_heads ? form->key_heads : form->query_heads;
    form->key_len = form->key_len ? form->key_len : form->query_len;
    form->value_dim = form->value_dim ? form->value_dim : form->head_dim;
    /* The default written out is still the default. */
    if ((float)form->scale == (float)(1.0 / sqrt((double)form->head_dim)))
        form->scale = 0.0;
    if (!form->mask.shifted)
        form->mask.query_start = 0;
    if (!form->mask.windowed)
        form->mask.window_left = form->mask.window_right = 0;
}

static void append(char *text, size_t text_bytes, size_t *used, const char *first, const char *second,
                   const char *third) {
    const size_t room = text_bytes - *used;
    const int length = snprintf(text + *used, room, "%s%s%s", first, second, third);
    *used += (size_t)length < room ? (size_t)length : room - 1;
}

void campaign_parameters_text(const struct campaign_point *point, const struct attn_variant *variant, char *text) {
    size_t used = 0;
    text[0] = '\0';
    for (int n = 0; n < variant->parameter_count; ++n) {
        if (point->overrides[n] == 0)
            continue;
        char value[24];
        snprintf(value, sizeof value, "=%" PRId64, point->overrides[n]);
        append(text, CAMPAIGN_PARAMETERS_BYTES, &used, used ? "," : "", variant->parameters[n].name, value);
    }
    if (used == 0)
        append(text, CAMPAIGN_PARAMETERS_BYTES, &used, "auto", "", "");
}

/* Whether a blank point has the same value; masks are told by their text. */
static bool is_blank(enum campaign_factor factor, const struct campaign_value *value) {
    const struct campaign_point blank = {.variant = NULL};
    const struct campaign_value none = campaign_factor_get(&blank, factor);
    if (campaign_factor_info(factor)->kind == FACTOR_NAME)
        return value->text == none.text || (value->text && none.text && strcmp(value->text, none.text) == 0);
    return campaign_factor_info(factor)->kind != FACTOR_FORM && value->integer == none.integer &&
           value->real == none.real;
}

/* Appends "name=value;" of every factor in [first, last) that differs from a blank point's, so that a factor added to
 * the table one day changes no id of today. Terms of the mask are in its text; a capture is known by its content, not
 * by where it lies. */
static void append_canonical(const struct campaign_point *point, int first, int last, char *text, size_t text_bytes,
                             size_t *used) {
    for (int n = first; n < last; ++n) {
        const enum campaign_factor factor = (enum campaign_factor)n;
        const struct campaign_factor_info *const info = campaign_factor_info(factor);
        char own[512];
        if (info->home == HOME_MASK)
            continue;
        struct campaign_value value = campaign_factor_get(point, factor);
        if (is_blank(factor, &value))
            continue;
        if (factor == FACTOR_CAPTURE)
            value.text = point->capture_digest;
        campaign_value_text(factor, &value, own, sizeof own);
        if (info->kind == FACTOR_FORM && strcmp(own, "none") == 0)
            continue;
        append(text, text_bytes, used, info->name, "=", own);
        append(text, text_bytes, used, ";", "", "");
    }
}

void campaign_point_identify(struct campaign_point *point, const struct attn_registry *registry,
                             char block[RECORD_ID_CHARS + 1]) {
    char text[4096] = "", parameters[CAMPAIGN_PARAMETERS_BYTES];
    size_t used = 0;
    append_canonical(point, 0, FACTOR_VARIANT, text, sizeof text, &used);
    record_id(text, block);
    append_canonical(point, FACTOR_VARIANT, FACTOR_COUNT, text, sizeof text, &used);
    campaign_parameters_text(point, campaign_variant_any(registry, point->variant), parameters);
    append(text, sizeof text, &used, "parameters=", parameters, ";");
    record_id(text, point->id);
}

/* name=VALUE, or the value alone where it speaks for itself. */
static void append_factor(char *label, size_t *used, const struct campaign_point *point, enum campaign_factor factor,
                          bool named) {
    char value[512];
    const struct campaign_value own = campaign_factor_get(point, factor);
    campaign_value_text(factor, &own, value, sizeof value);
    append(label, CAMPAIGN_LABEL_BYTES, used, "/", named ? campaign_factor_info(factor)->name : "", named ? "=" : "");
    append(label, CAMPAIGN_LABEL_BYTES, used, value, "", "");
}

void campaign_point_label(const struct campaign_point *point, const struct attn_registry *registry,
                          char label[CAMPAIGN_LABEL_BYTES]) {
    const struct check_form *const form = &point->form;
    char parameters[CAMPAIGN_PARAMETERS_BYTES], mask[512];
    size_t used = 0;
    check_mask_format(&form->mask, mask, sizeof mask);
    append(label, CAMPAIGN_LABEL_BYTES, &used, point->variant, "/", point->isa);
    append_factor(label, &used, point, FACTOR_THREADS, true);
    append_factor(label, &used, point, FACTOR_PLACEMENT, false);
    if (point->cold)
        append_factor(label, &used, point, FACTOR_CACHE, false);
    if (point->capture_path)
        append_factor(label, &used, point, FACTOR_TENSOR, false);
    const struct {
        enum campaign_factor factor;
        bool shown, named;
    } parts[] = {
        {FACTOR_BATCH, !point->capture_path, true},
        {FACTOR_QUERY_HEADS, !point->capture_path, true},
        {FACTOR_KEY_HEADS, !point->capture_path && form->key_heads != form->query_heads, true},
        {FACTOR_QUERY_LEN, !point->capture_path, true},
        {FACTOR_KEY_LEN, !point->capture_path && form->key_len != form->query_len, true},
        {FACTOR_HEAD_DIM, !point->capture_path, true},
        {FACTOR_VALUE_DIM, !point->capture_path && form->value_dim != form->head_dim, true},
        {FACTOR_SCALE, form->scale != 0.0, true},
        {FACTOR_TYPE, true, false},
        {FACTOR_PASS, form->direction != ATTN_FORWARD, false},
        {FACTOR_LSE, form->lse, true},
        {FACTOR_LAYOUT, form->layout != CHECK_DENSE, false},
        {FACTOR_MASK, strcmp(mask, "none") != 0, false},
        {FACTOR_PATTERN, !point->capture_path, false},
        {FACTOR_SEED, form->seed != 1, true},
    };
    for (size_t n = 0; n < sizeof parts / sizeof *parts; ++n)
        if (parts[n].shown)
            append_factor(label, &used, point, parts[n].factor, parts[n].named);
    campaign_parameters_text(point, campaign_variant_any(registry, point->variant), parameters);
    if (strcmp(parameters, "auto") != 0)
        append(label, CAMPAIGN_LABEL_BYTES, &used, "/", parameters, "");
}

struct campaign_id_slot {
    char id[RECORD_ID_CHARS + 1];
    int64_t number;
};

static struct campaign_id_slot *slot_of(const struct campaign_ids *ids, const char *id) {
    size_t place = (size_t)strtoull(id, NULL, 16) & (ids->capacity - 1);
    while (ids->slots[place].id[0] && strcmp(ids->slots[place].id, id) != 0)
        place = (place + 1) & (ids->capacity - 1);
    return &ids->slots[place];
}

int64_t campaign_ids_add(struct campaign_ids *ids, const char *id, int64_t number, bool *added) {
    if (2 * (ids->count + 1) > ids->capacity) {
        struct campaign_ids larger = {.count = ids->count, .capacity = ids->capacity ? 2 * ids->capacity : 256};
        larger.slots = calloc(larger.capacity, sizeof *larger.slots);
        if (!larger.slots)
            return -1;
        for (size_t n = 0; n < ids->capacity; ++n)
            if (ids->slots[n].id[0])
                *slot_of(&larger, ids->slots[n].id) = ids->slots[n];
        free(ids->slots);
        *ids = larger;
    }
    struct campaign_id_slot *const slot = slot_of(ids, id);
    *added = slot->id[0] == '\0';
    if (*added) {
        snprintf(slot->id, sizeof slot->id, "%s", id);
        slot->number = number;
        ++ids->count;
    }
    return slot->number;
}

void campaign_ids_release(struct campaign_ids *ids) {
    free(ids->slots);
    *ids = (struct campaign_ids){.count = 0};
}
