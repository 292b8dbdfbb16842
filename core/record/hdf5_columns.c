/* SPDX-License-Identifier: Apache-2.0 */
#include "record/hdf5_columns.h"

#include <hdf5_hl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROWS 4096 /* rows held in memory, and a chunk of longer tables */
#define DEFLATE    1    /* level: time stamps and samples hardly shrink further at higher ones */

struct record_table {
    hid_t group;
    const struct record_column *columns;
    size_t column_count, rows, flushed, pending; /* rows announced, on file, in memory */
    size_t block_rows;
    struct cells {
        hid_t type, dataset;
        size_t bytes; /* of a cell */
        char *data;   /* [block_rows] */
    } * cells;        /* [column_count] */
};

/* The unit that a name's ending stands for; NULL: a plain number or a text. */
static const char *unit_of(const char *name) {
    static const struct {
        const char *ending, *unit;
    } units[] = {{"_ns", "ns"},    {"_us", "us"},   {"_ms", "ms"},    {"_s", "s"},           {"_bytes", "B"},
                 {"_ulps", "ulp"}, {"_ghz", "GHz"}, {"_gbs", "GB/s"}, {"_gflops", "GFLOP/s"}};
    const size_t length = strlen(name);
    for (size_t i = 0; i < sizeof units / sizeof *units; ++i) {
        const size_t ending = strlen(units[i].ending);
        if (length > ending && strcmp(name + length - ending, units[i].ending) == 0)
            return units[i].unit;
    }
    return NULL;
}

static hid_t type_of(const struct record_column *column) {
    if (column->kind == RECORD_INTEGER)
        return H5Tcopy(H5T_NATIVE_INT64);
    if (column->kind == RECORD_REAL)
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, column->width ? column->width : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static bool create_column(struct record_table *table, size_t index) {
    const struct record_column *const column = &table->columns[index];
    struct cells *const cells = &table->cells[index];
    const hsize_t rows = table->rows, chunk = BLOCK_ROWS;
    cells->type = type_of(column);
    cells->bytes = H5Tget_size(cells->type);
    cells->data = malloc(table->block_rows * cells->bytes);
    const hid_t space = H5Screate_simple(1, &rows, NULL);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(properties, false);
    if (rows > chunk && H5Zfilter_avail(H5Z_FILTER_DEFLATE) > 0) {
        H5Pset_chunk(properties, 1, &chunk);
        H5Pset_shuffle(properties);
        H5Pset_deflate(properties, DEFLATE);
    }
    cells->dataset = H5Dcreate2(table->group, column->name, cells->type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
    if (cells->dataset < 0 || !cells->data)
        return false;
    if (index == 0 ? H5DSset_scale(cells->dataset, column->name) < 0
                   : H5DSattach_scale(cells->dataset, table->cells[0].dataset, 0) < 0)
        return false;
    const char *const unit = unit_of(column->name);
    return !unit || record_hdf5_set_text(cells->dataset, "units", unit);
}

static void clear_row(struct record_table *table) {
    for (size_t i = 0; i < table->column_count; ++i) {
        char *const cell = table->cells[i].data + table->pending * table->cells[i].bytes;
        memset(cell, 0, table->cells[i].bytes);
        if (table->columns[i].kind == RECORD_REAL)
            memcpy(cell, &(double){NAN}, sizeof(double));
    }
}

/* Frees without writing. */
static bool release(struct record_table *table) {
    bool closed = true;
    for (size_t i = 0; i < table->column_count; ++i) {
        struct cells *const cells = &table->cells[i];
        if (cells->dataset > 0 && H5Dclose(cells->dataset) < 0)
            closed = false;
        if (cells->type > 0)
            H5Tclose(cells->type);
        free(cells->data);
    }
    if (table->group >= 0)
        H5Gclose(table->group);
    free(table->cells);
    free(table);
    return closed;
}

struct record_table *record_table_create(hid_t file, const char *name, const struct record_column *columns,
                                         size_t column_count, size_t rows) {
    struct record_table *const table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->group = record_hdf5_create_group(file, name);
    table->columns = columns;
    table->rows = rows;
    table->block_rows = rows < 1 ? 1 : rows < BLOCK_ROWS ? rows : BLOCK_ROWS;
    table->cells = calloc(column_count, sizeof *table->cells);
    table->column_count = table->cells ? column_count : 0;
    bool made = table->group >= 0 && table->cells;
    for (size_t i = 0; made && i < column_count; ++i)
        made = create_column(table, i);
    if (!made) {
        release(table);
        return NULL;
    }
    clear_row(table);
    return table;
}

static char *cell_of(struct record_table *table, size_t column) {
    return table->cells[column].data + table->pending * table->cells[column].bytes;
}

void record_table_integer(struct record_table *table, size_t column, int64_t value) {
    char digits[24];
    switch (table->columns[column].kind) {
    case RECORD_INTEGER: memcpy(cell_of(table, column), &value, sizeof value); break;
    case RECORD_REAL: record_table_real(table, column, (double)value); break;
    case RECORD_TEXT:
        snprintf(digits, sizeof digits, "%" PRId64, value);
        record_table_text(table, column, digits);
        break;
    }
}

void record_table_real(struct record_table *table, size_t column, double value) {
    char digits[32];
    switch (table->columns[column].kind) {
    case RECORD_INTEGER: break; /* no integer: stays missing */
    case RECORD_REAL: memcpy(cell_of(table, column), &value, sizeof value); break;
    case RECORD_TEXT:
        snprintf(digits, sizeof digits, "%.17g", value);
        record_table_text(table, column, digits);
        break;
    }
}

void record_table_text(struct record_table *table, size_t column, const char *value) {
    if (table->columns[column].kind != RECORD_TEXT)
        return; /* no number: stays missing */
    const size_t bytes = strlen(value), room = table->cells[column].bytes;
    memcpy(cell_of(table, column), value, bytes < room ? bytes : room);
}

static bool flush(struct record_table *table) {
    const hsize_t start = table->flushed, count = table->pending;
    const hsize_t rows = table->rows;
    bool written = true;
    const hid_t memory = H5Screate_simple(1, &count, NULL);
    const hid_t file = H5Screate_simple(1, &rows, NULL);
    H5Sselect_hyperslab(file, H5S_SELECT_SET, &start, NULL, &count, NULL);
    for (size_t i = 0; written && i < table->column_count; ++i)
        written = H5Dwrite(table->cells[i].dataset, table->cells[i].type, memory, file, H5P_DEFAULT,
                           table->cells[i].data) >= 0;
    H5Sclose(file);
    H5Sclose(memory);
    table->flushed += table->pending;
    table->pending = 0;
    return written;
}

bool record_table_next(struct record_table *table) {
    if (table->flushed + table->pending >= table->rows)
        return false;
    ++table->pending;
    const bool full = table->pending == table->block_rows;
    if (full && !flush(table))
        return false;
    clear_row(table);
    return true;
}

hid_t record_table_group(const struct record_table *table) {
    return table->group;
}

bool record_table_close(struct record_table *table) {
    if (!table)
        return true;
    const bool written = table->pending == 0 || flush(table);
    const bool whole = table->flushed == table->rows;
    return release(table) && written && whole;
}
