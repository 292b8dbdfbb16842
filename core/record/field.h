/* SPDX-License-Identifier: Apache-2.0 */
/* Named values: how points, checks and parameters travel. record/ knows no factor by name. */
#ifndef RECORD_FIELD_H
#define RECORD_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include "contract/status.h"

enum record_kind { RECORD_INTEGER, RECORD_REAL, RECORD_TEXT };

struct record_field {
    char name[64]; /* with its unit: "elapsed_ns" */
    enum record_kind kind;
    int64_t integer;
    double real; /* may be nan or inf; JSON holds these as the strings "nan", "inf", "-inf" */
    char *text;  /* owned when kind is RECORD_TEXT, any length; "" otherwise; UTF-8 */
};

/* Zeroed: empty. Names are unique; order is kept. */
struct record_fields {
    struct record_field *items;
    size_t count, capacity;
};

#define RECORD_NAME_BYTES 47 /* the longest name; the result file puts "parameter_" or "check_" before some */

/* ATTN_INVALID: an empty name, one too long, one that is there already, one that is not UTF-8; ATTN_NO_MEMORY. The
 * fields then stay as they were. Bytes of `value` that are not UTF-8 become U+FFFD. */
enum attn_status record_add_integer(struct record_fields *fields, const char *name, int64_t value);
enum attn_status record_add_real(struct record_fields *fields, const char *name, double value);
enum attn_status record_add_text(struct record_fields *fields, const char *name, const char *value);

const struct record_field *record_find(const struct record_fields *fields, const char *name); /* NULL: none */
/* The field's value, `otherwise` when it is missing or of another kind (an integer serves as real). */
int64_t record_integer(const struct record_fields *fields, const char *name, int64_t otherwise);
double record_real(const struct record_fields *fields, const char *name, double otherwise);
const char *record_text(const struct record_fields *fields, const char *name, const char *otherwise);

/* Leaves it zeroed. */
void record_fields_release(struct record_fields *fields);

#endif
