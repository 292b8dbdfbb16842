/* SPDX-License-Identifier: Apache-2.0 */
/* Which columns a table needs, learnt from all its rows before the first is written: every name that occurs, the kind
 * that holds all its values, the longest text. Private to record/. */
#ifndef RECORD_COLUMN_PROFILE_H
#define RECORD_COLUMN_PROFILE_H

#include "record/hdf5_columns.h"

struct record_profile {
    struct record_column *columns; /* in their final order after record_profile_finish */
    struct record_sighting *sightings;
    size_t count, capacity;
    size_t next; /* where the next field is looked for first: rows resemble each other */
};

/* Parts of a row: their fields stand in this order, under their own names or behind a prefix. */
enum record_part {
    RECORD_PART_OWN = 0,
    RECORD_PART_SUMMARY,
    RECORD_PART_PARAMETER,
    RECORD_PART_CHECK,
    RECORD_PART_ROOF
};

/* Takes note of the fields of one part of the row whose sort key is `row`. */
enum attn_status record_profile_see(struct record_profile *profile, enum record_part part,
                                    const struct record_fields *fields, uint64_t row);

/* Orders the columns by part, then by the first row that has them, so that the order in which rows were seen does not
 * matter; integers that some of the `rows` rows lack become reals, whose missing cells are NaN. */
enum attn_status record_profile_finish(struct record_profile *profile, size_t rows);

/* Sets the cells of one part of the table's current row. */
void record_profile_put(struct record_profile *profile, enum record_part part, const struct record_fields *fields,
                        struct record_table *table);

void record_profile_release(struct record_profile *profile);

#endif
