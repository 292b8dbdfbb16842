/* SPDX-License-Identifier: Apache-2.0 */
#include "record/field.h"

#include <stdlib.h>
#include <string.h>

#include "record/utf8.h"

/* Takes over field.text when it succeeds. */
static enum attn_status add(struct record_fields *fields, const char *name, struct record_field field) {
    const size_t bytes = strlen(name);
    if (bytes == 0 || bytes > RECORD_NAME_BYTES || !record_utf8_valid(name, bytes) || record_find(fields, name))
        return ATTN_INVALID;
    if (fields->count == fields->capacity) {
        const size_t capacity = fields->capacity ? 2 * fields->capacity : 16;
        struct record_field *const items = realloc(fields->items, capacity * sizeof *items);
        if (!items)
            return ATTN_NO_MEMORY;
        fields->items = items;
        fields->capacity = capacity;
    }
    memcpy(field.name, name, bytes + 1);
    if (field.kind != RECORD_TEXT)
        field.text = "";
    fields->items[fields->count++] = field;
    return ATTN_OK;
}

enum attn_status record_add_integer(struct record_fields *fields, const char *name, int64_t value) {
    return add(fields, name, (struct record_field){.kind = RECORD_INTEGER, .integer = value});
}

enum attn_status record_add_real(struct record_fields *fields, const char *name, double value) {
    return add(fields, name, (struct record_field){.kind = RECORD_REAL, .real = value});
}

enum attn_status record_add_text(struct record_fields *fields, const char *name, const char *value) {
    const size_t bytes = strlen(value);
    const size_t room = (record_utf8_valid(value, bytes) ? bytes : 3 * bytes) + 1;
    char *const text = malloc(room);
    if (!text)
        return ATTN_NO_MEMORY;
    record_utf8_copy(text, room, value);
    const enum attn_status status = add(fields, name, (struct record_field){.kind = RECORD_TEXT, .text = text});
    if (status != ATTN_OK)
        free(text);
    return status;
}

const struct record_field *record_find(const struct record_fields *fields, const char *name) {
    for (size_t i = 0; i < fields->count; ++i)
        if (strcmp(fields->items[i].name, name) == 0)
            return &fields->items[i];
    return NULL;
}

int64_t record_integer(const struct record_fields *fields, const char *name, int64_t otherwise) {
    const struct record_field *const field = record_find(fields, name);
    return field && field->kind == RECORD_INTEGER ? field->integer : otherwise;
}

double record_real(const struct record_fields *fields, const char *name, double otherwise) {
    const struct record_field *const field = record_find(fields, name);
    if (!field || field->kind == RECORD_TEXT)
        return otherwise;
    return field->kind == RECORD_REAL ? field->real : (double)field->integer;
}

const char *record_text(const struct record_fields *fields, const char *name, const char *otherwise) {
    const struct record_field *const field = record_find(fields, name);
    return field && field->kind == RECORD_TEXT ? field->text : otherwise;
}

void record_fields_release(struct record_fields *fields) {
    for (size_t i = 0; i < fields->count; ++i)
        if (fields->items[i].kind == RECORD_TEXT)
            free(fields->items[i].text);
    free(fields->items);
    *fields = (struct record_fields){0};
}
