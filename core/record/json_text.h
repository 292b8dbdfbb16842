/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON into growing memory: ten thousand samples a line are written as digits, without a tree of values. */
#ifndef RECORD_JSON_TEXT_H
#define RECORD_JSON_TEXT_H

#include <stdbool.h>

#include "record/field.h"

/* Zeroed: empty. Once memory has run out `failed` stays set and nothing more is written. */
struct record_json_text {
    char *data;
    size_t bytes, capacity;
    bool failed;
};

void record_json_literal(struct record_json_text *text, const char *literal); /* as it is */
void record_json_string(struct record_json_text *text, const char *value);    /* quoted, escaped, made UTF-8 */
void record_json_integer(struct record_json_text *text, int64_t value);
/* The shortest digits that read back as the same double, always told from an integer; "nan", "inf", "-inf" quoted. */
void record_json_real(struct record_json_text *text, double value);
void record_json_object(struct record_json_text *text, const struct record_fields *fields);

/* The text, terminated, malloc'ed, the caller's; NULL when memory ran out. */
char *record_json_finish(struct record_json_text *text);

#endif
