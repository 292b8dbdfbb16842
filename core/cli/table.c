/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Characters of UTF-8 text: bytes that do not continue one. */
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; text && *text; ++text)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void append(struct cli_table *table, char *text) {
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity * 2 + 64;
        char **const grown = realloc(table->cells, capacity * sizeof *grown);
        if (!grown) {
            free(text);
            table->short_of_memory = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    table->cells[table->count++] = text;
}

static char *format_text(const char *format, va_list arguments) {
    char *text = NULL;
    return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

void cli_table_cell(struct cli_table *table, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *const text = format_text(format, arguments);
    va_end(arguments);
    table->short_of_memory |= !text;
    append(table, text);
}

void cli_table_column(struct cli_table *table, const char *name, bool right) {
    bool *const grown = realloc(table->right, (table->columns + 1) * sizeof *grown);
    if (!grown) {
        table->short_of_memory = true;
        return;
    }
    table->right = grown;
    table->right[table->columns++] = right;
    cli_table_cell(table, "%s", name);
}

static void print_row(const struct cli_table *table, size_t first, const size_t *widths) {
    for (size_t column = 0; column < table->columns; ++column) {
        const char *const text = table->cells[first + column];
        const int padding = (int)(widths[column] - width_of(text));
        const bool last = column + 1 == table->columns;
        if (table->right[column])
            printf("%*s%s", padding, "", text ? text : "");
        else
            printf("%s%*s", text ? text : "", last ? 0 : padding, "");
        fputs(last ? "\n" : "  ", stdout);
    }
}

void cli_table_print(struct cli_table *table) {
    size_t *const widths = calloc(table->columns + 1, sizeof *widths);
    if (!widths || table->short_of_memory)
        fprintf(stderr, "attnbench: no memory for a table\n");
    for (size_t i = 0; widths && i < table->count; ++i) {
        const size_t width = width_of(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t first = 0; widths && !table->short_of_memory && first + table->columns <= table->count;
         first += table->columns)
        print_row(table, first, widths);
    for (size_t i = 0; i < table->count; ++i)
        free(table->cells[i]);
    free(widths);
    free(table->cells);
    free(table->right);
    *table = (struct cli_table){0};
}
