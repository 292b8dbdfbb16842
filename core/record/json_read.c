/* SPDX-License-Identifier: Apache-2.0 */
#include "record/json_read.h"

#include <math.h>
#include <string.h>

#include "record/utf8.h"

json_t *record_json_parse(const char *text, size_t bytes, struct attn_error *error) {
    json_error_t at;
    json_t *const root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        attn_fail(error, ATTN_INVALID, "not JSON: %s (byte %d)", at.text, at.position);
    else if (json_is_object(root))
        return root;
    else
        attn_fail(error, ATTN_INVALID, "not a JSON object");
    json_decref(root);
    return NULL;
}

/* The member, or NULL with `status` saying whether that is an error. */
static json_t *member(const json_t *object, const char *key, bool required, enum attn_status *status,
                      struct attn_error *error) {
    json_t *const value = json_object_get(object, key);
    *status = value || !required ? ATTN_OK : attn_fail(error, ATTN_INVALID, "'%s' is missing", key);
    return value;
}

enum attn_status record_json_get_integer(const json_t *object, const char *key, bool required, int64_t *value,
                                         struct attn_error *error) {
    enum attn_status status;
    const json_t *const found = member(object, key, required, &status, error);
    if (!found)
        return status;
    if (!json_is_integer(found))
        return attn_fail(error, ATTN_INVALID, "'%s' is not an integer", key);
    *value = json_integer_value(found);
    return ATTN_OK;
}

enum attn_status record_json_get_text(const json_t *object, const char *key, bool required, char *value, size_t room,
                                      struct attn_error *error) {
    enum attn_status status;
    const json_t *const found = member(object, key, required, &status, error);
    if (!found)
        return status;
    if (!json_is_string(found))
        return attn_fail(error, ATTN_INVALID, "'%s' is not a string", key);
    record_utf8_copy(value, room, json_string_value(found));
    return ATTN_OK;
}

enum attn_status record_json_get_flag(const json_t *object, const char *key, bool *value, struct attn_error *error) {
    const json_t *const found = json_object_get(object, key);
    if (!found)
        return ATTN_OK;
    if (!json_is_boolean(found))
        return attn_fail(error, ATTN_INVALID, "'%s' is neither true nor false", key);
    *value = json_is_true(found);
    return ATTN_OK;
}

static enum attn_status add_string(struct record_fields *fields, const char *name, const char *text) {
    if (strcmp(text, "nan") == 0)
        return record_add_real(fields, name, NAN);
    if (strcmp(text, "inf") == 0)
        return record_add_real(fields, name, INFINITY);
    if (strcmp(text, "-inf") == 0)
        return record_add_real(fields, name, -INFINITY);
    return record_add_text(fields, name, text);
}

enum attn_status record_json_fields(json_t *object, const char *what, struct record_fields *fields,
                                    struct attn_error *error) {
    if (!json_is_object(object))
        return attn_fail(error, ATTN_INVALID, "'%s' is not an object", what);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        enum attn_status status;
        if (json_is_integer(value))
            status = record_add_integer(fields, name, json_integer_value(value));
        else if (json_is_real(value))
            status = record_add_real(fields, name, json_real_value(value));
        else if (json_is_string(value))
            status = add_string(fields, name, json_string_value(value));
        else
            return attn_fail(error, ATTN_INVALID, "'%s' in '%s' is neither number nor string", name, what);
        if (status == ATTN_INVALID)
            return attn_fail(error, status, "'%s' holds the name '%s': names have 1 to %d bytes and occur once", what,
                             name, RECORD_NAME_BYTES);
        if (status != ATTN_OK)
            return attn_fail(error, status, "no memory for '%s'", what);
    }
    return ATTN_OK;
}

enum attn_status record_json_get_fields(const json_t *object, const char *key, struct record_fields *fields,
                                        struct attn_error *error) {
    json_t *const found = json_object_get(object, key);
    return found ? record_json_fields(found, key, fields, error) : ATTN_OK;
}
