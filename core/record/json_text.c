/* SPDX-License-Identifier: Apache-2.0 */
#include "record/json_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/utf8.h"

static void put(struct record_json_text *text, const char *bytes, size_t count) {
    if (text->failed || count == 0)
        return;
    if (text->capacity - text->bytes < count) {
        size_t capacity = text->capacity ? text->capacity : 1024;
        while (capacity - text->bytes < count)
            capacity *= 2;
        char *const data = realloc(text->data, capacity);
        if (!data) {
            text->failed = true;
            return;
        }
        text->data = data;
        text->capacity = capacity;
    }
    memcpy(text->data + text->bytes, bytes, count);
    text->bytes += count;
}

void record_json_literal(struct record_json_text *text, const char *literal) {
    put(text, literal, strlen(literal));
}

void record_json_string(struct record_json_text *text, const char *value) {
    const size_t bytes = strlen(value);
    put(text, "\"", 1);
    for (size_t i = 0; i < bytes;) {
        const size_t length = record_utf8_sequence(value + i, bytes - i);
        const unsigned char first = (unsigned char)value[i];
        if (length == 0) {
            record_json_literal(text, RECORD_REPLACEMENT);
        } else if (first == '"' || first == '\\') {
            put(text, (const char[]){'\\', (char)first}, 2);
        } else if (first < 0x20) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", first);
            record_json_literal(text, escape);
        } else {
            put(text, value + i, length);
        }
        i += length ? length : 1;
    }
    put(text, "\"", 1);
}

void record_json_integer(struct record_json_text *text, int64_t value) {
    char digits[24]; /* by hand: snprintf takes ten times as long, and a line holds up to 10,000 numbers */
    char *place = digits + sizeof digits;
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--place = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    if (value < 0)
        *--place = '-';
    put(text, place, (size_t)(digits + sizeof digits - place));
}

void record_json_real(struct record_json_text *text, double value) {
    if (!isfinite(value)) {
        record_json_literal(text, isnan(value) ? "\"nan\"" : value > 0 ? "\"inf\"" : "\"-inf\"");
        return;
    }
    char digits[40];
    for (int precision = 15; precision <= 17; ++precision) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    record_json_literal(text, digits);
    if (!strpbrk(digits, ".e"))
        record_json_literal(text, ".0");
}

void record_json_object(struct record_json_text *text, const struct record_fields *fields) {
    for (size_t i = 0; i < fields->count; ++i) {
        const struct record_field *const field = &fields->items[i];
        record_json_literal(text, i ? ", " : "{");
        record_json_string(text, field->name);
        record_json_literal(text, ": ");
        switch (field->kind) {
        case RECORD_INTEGER: record_json_integer(text, field->integer); break;
        case RECORD_REAL: record_json_real(text, field->real); break;
        case RECORD_TEXT: record_json_string(text, field->text); break;
        }
    }
    record_json_literal(text, fields->count ? "}" : "{}");
}

char *record_json_finish(struct record_json_text *text) {
    put(text, "", 1);
    if (text->failed)
        free(text->data);
    char *const data = text->failed ? NULL : text->data;
    *text = (struct record_json_text){0};
    return data;
}
