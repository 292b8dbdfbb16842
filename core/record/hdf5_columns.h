/* SPDX-License-Identifier: Apache-2.0 */
/* A table as a group of one-dimensional datasets of equal length, one a column, written row by row through a block of
 * rows in memory. Columns rather than compound rows: a column more changes nothing for readers of the others, each has
 * its unit, and each reads as one array. Private to record/. */
#ifndef RECORD_HDF5_COLUMNS_H
#define RECORD_HDF5_COLUMNS_H

#include "record/field.h"
#include "record/hdf5_call.h"

struct record_column {
    char name[64]; /* "_ns", "_bytes", ... at its end say the unit */
    enum record_kind kind;
    size_t width; /* bytes of the longest text; RECORD_TEXT only */
};

struct record_table; /* opaque */

/* Creates group `name` of `file` with `rows` rows. Column 0 is the dimension scale of all others. NULL: HDF5 failed or
 * memory is short. `columns` must outlive the table. */
struct record_table *record_table_create(hid_t file, const char *name, const struct record_column *columns,
                                         size_t column_count, size_t rows);

/* Cells of the current row. A cell that is not set is missing: NaN, 0 or an empty text. Values are converted to the
 * column's kind. */
void record_table_integer(struct record_table *table, size_t column, int64_t value);
void record_table_real(struct record_table *table, size_t column, double value);
void record_table_text(struct record_table *table, size_t column, const char *value);
/* Ends the current row. False: HDF5 failed. */
bool record_table_next(struct record_table *table);

/* The group, for attributes; owned by the table. */
hid_t record_table_group(const struct record_table *table);

/* Writes what is left and closes; NULL is fine. False: HDF5 failed, or fewer rows came than were announced. */
bool record_table_close(struct record_table *table);

#endif
