/* SPDX-License-Identifier: Apache-2.0 */
/* Named values: how points, checks and parameters travel. record/ knows no factor by name. */
#ifndef RECORD_FIELD_H
#define RECORD_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "contract/status.h"

enum record_kind { RECORD_INTEGER, RECORD_REAL, RECORD_TEXT };

struct record_field {
    char name[40]; /* with its unit: "elapsed_ns" */
    enum record_kind kind;
    int64_t integer;
    double real; /* may be nan or inf; JSON holds these as the strings "nan", "inf", "-inf" */
    char text[256];
};

struct record_fields {
    struct record_field *items;
    size_t count, capacity;
};

enum attn_status record_add_integer(struct record_fields *fields, const char *name, int64_t value);
enum attn_status record_add_real(struct record_fields *fields, const char *name, double value);
enum attn_status record_add_text(struct record_fields *fields, const char *name, const char *value);
const struct record_field *record_find(const struct record_fields *fields, const char *name); /* NULL: none */
void record_fields_release(struct record_fields *fields);

#endif
