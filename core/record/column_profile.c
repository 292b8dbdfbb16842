/* SPDX-License-Identifier: Apache-2.0 */
#include "record/column_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_WIDTH 24 /* bytes of any number as text, in a column that also holds texts */

/* Where a column was seen, beside columns[i]. */
struct record_sighting {
    enum record_part part;
    uint64_t first_row;
    size_t place; /* among the fields of that part in that row */
    size_t rows;
};

/* The column's name: with its part's prefix, and without '/', which would mean a group. */
static void column_name(enum record_part part, const char *field, char name[64]) {
    static const char *const prefixes[] = {"", "", "parameter_", "check_", "roof_"};
    snprintf(name, 64, "%s%s", prefixes[part], field);
    for (char *c = name; *c; ++c)
        if (*c == '/')
            *c = '_';
}

/* Index of the column, profile->count when it is new. */
static size_t find(struct record_profile *profile, enum record_part part, const char *name) {
    for (size_t tried = 0; tried < profile->count; ++tried) {
        const size_t i = (profile->next + tried) % profile->count;
        if (profile->sightings[i].part == part && strcmp(profile->columns[i].name, name) == 0) {
            profile->next = i + 1;
            return i;
        }
    }
    return profile->count;
}

static bool grow(struct record_profile *profile) {
    if (profile->count < profile->capacity)
        return true;
    const size_t capacity = profile->capacity ? 2 * profile->capacity : 64;
    struct record_column *const columns = realloc(profile->columns, capacity * sizeof *columns);
    if (columns)
        profile->columns = columns;
    struct record_sighting *const sightings = realloc(profile->sightings, capacity * sizeof *sightings);
    if (sightings)
        profile->sightings = sightings;
    if (columns && sightings)
        profile->capacity = capacity;
    return columns && sightings;
}

/* The kind that holds values of both: text beats real beats integer. */
static enum record_kind wider(enum record_kind a, enum record_kind b) {
    return a > b ? a : b;
}

enum attn_status record_profile_see(struct record_profile *profile, enum record_part part,
                                    const struct record_fields *fields, uint64_t row) {
    for (size_t place = 0; place < fields->count; ++place) {
        const struct record_field *const field = &fields->items[place];
        char name[64];
        column_name(part, field->name, name);
        const size_t i = find(profile, part, name);
        if (i == profile->count) {
            if (!grow(profile))
                return ATTN_NO_MEMORY;
            profile->columns[i] = (struct record_column){.kind = field->kind};
            memcpy(profile->columns[i].name, name, sizeof name);
            profile->sightings[i] = (struct record_sighting){.part = part, .first_row = row, .place = place};
            profile->next = ++profile->count;
        }
        struct record_column *const column = &profile->columns[i];
        struct record_sighting *const sighting = &profile->sightings[i];
        const size_t width = field->kind == RECORD_TEXT ? strlen(field->text) : NUMBER_WIDTH;
        column->kind = wider(column->kind, field->kind);
        column->width = width > column->width ? width : column->width;
        if (row < sighting->first_row) {
            sighting->first_row = row;
            sighting->place = place;
        }
        ++sighting->rows;
    }
    return ATTN_OK;
}

struct ordered {
    struct record_column column;
    struct record_sighting sighting;
};

static int by_part_row_place(const void *left, const void *right) {
    const struct record_sighting *const a = &((const struct ordered *)left)->sighting;
    const struct record_sighting *const b = &((const struct ordered *)right)->sighting;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    if (a->first_row != b->first_row)
        return a->first_row < b->first_row ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

enum attn_status record_profile_finish(struct record_profile *profile, size_t rows) {
    struct ordered *const order = malloc((profile->count + 1) * sizeof *order);
    if (!order)
        return ATTN_NO_MEMORY;
    for (size_t i = 0; i < profile->count; ++i)
        order[i] = (struct ordered){profile->columns[i], profile->sightings[i]};
    qsort(order, profile->count, sizeof *order, by_part_row_place);
    for (size_t i = 0; i < profile->count; ++i) {
        profile->columns[i] = order[i].column;
        profile->sightings[i] = order[i].sighting;
        if (profile->columns[i].kind == RECORD_INTEGER && profile->sightings[i].rows < rows)
            profile->columns[i].kind = RECORD_REAL;
    }
    free(order);
    profile->next = 0;
    return ATTN_OK;
}

void record_profile_put(struct record_profile *profile, enum record_part part, const struct record_fields *fields,
                        struct record_table *table) {
    for (size_t place = 0; place < fields->count; ++place) {
        const struct record_field *const field = &fields->items[place];
        char name[64];
        column_name(part, field->name, name);
        const size_t i = find(profile, part, name);
        if (i == profile->count)
            continue; /* the profile has seen every row: the caller's journal has changed since */
        switch (field->kind) {
        case RECORD_INTEGER: record_table_integer(table, i, field->integer); break;
        case RECORD_REAL: record_table_real(table, i, field->real); break;
        case RECORD_TEXT: record_table_text(table, i, field->text); break;
        }
    }
}

void record_profile_release(struct record_profile *profile) {
    free(profile->columns);
    free(profile->sightings);
    *profile = (struct record_profile){0};
}
