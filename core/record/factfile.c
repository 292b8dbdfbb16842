/* SPDX-License-Identifier: Apache-2.0 */
#include "record/factfile.h"

#include <stdlib.h>
#include <string.h>

#include "record/json_read.h"
#include "record/json_text.h"
#include "record/wholefile.h"

enum attn_status record_provenance_write(const char *path, const struct record_fields *facts,
                                         struct attn_error *error) {
    struct record_json_text builder = {0};
    record_json_object(&builder, facts);
    record_json_literal(&builder, "\n");
    char *const text = record_json_finish(&builder);
    if (!text)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for the facts", path);
    const enum attn_status status = record_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

enum attn_status record_provenance_read(const char *path, struct record_fields *facts, struct attn_error *error) {
    char *text;
    size_t bytes;
    enum attn_status status = record_file_read(path, &text, &bytes, error);
    if (status != ATTN_OK)
        return status;
    struct attn_error why = {0};
    json_t *const root = record_json_parse(text, bytes, &why);
    status = root ? record_json_fields(root, "provenance", facts, &why) : ATTN_INVALID;
    json_decref(root);
    free(text);
    return status == ATTN_OK ? status : attn_fail(error, status, "%s: %s", path, why.message);
}
