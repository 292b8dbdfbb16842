/* SPDX-License-Identifier: Apache-2.0 */
/* A table of texts, printed with columns as wide as their widest cell. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct cli_table {
    char **cells; /* row by row; owned */
    bool *right;  /* [columns]: numbers stand to the right */
    size_t columns, count, capacity;
    bool short_of_memory;
};

/* Column after column in the first row: names and alignment. */
void cli_table_column(struct cli_table *table, const char *name, bool right);
/* The next cell, row by row, once all columns are named. */
void cli_table_cell(struct cli_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and empties it. */
void cli_table_print(struct cli_table *table);

#endif
