/* SPDX-License-Identifier: Apache-2.0 */
/* Reading members of a JSON object with messages that name them. Private to record/. */
#ifndef RECORD_JSON_READ_H
#define RECORD_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>

#include "record/field.h"

/* Parses a whole document that must be an object; NULL with `error` filled (ATTN_INVALID). json_decref it. */
json_t *record_json_parse(const char *text, size_t bytes, struct attn_error *error);

/* A member that is missing leaves `value` alone and is ATTN_OK unless `required`; of the wrong kind: ATTN_INVALID. */
enum attn_status record_json_get_integer(const json_t *object, const char *key, bool required, int64_t *value,
                                         struct attn_error *error);
/* Cut between characters when it is longer than `room` - 1 bytes. */
enum attn_status record_json_get_text(const json_t *object, const char *key, bool required, char *value, size_t room,
                                      struct attn_error *error);
enum attn_status record_json_get_flag(const json_t *object, const char *key, bool *value, struct attn_error *error);
/* Appends the members of the object `key` to `fields`: numbers, strings ("nan", "inf", "-inf" are reals). */
enum attn_status record_json_get_fields(const json_t *object, const char *key, struct record_fields *fields,
                                        struct attn_error *error);
/* The members of `object` itself, named `what` in messages. */
enum attn_status record_json_fields(json_t *object, const char *what, struct record_fields *fields,
                                    struct attn_error *error);

#endif
