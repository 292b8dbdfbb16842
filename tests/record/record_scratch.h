/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for one test, and lines and plans to put there. Included once per test program. */
#ifndef TESTS_RECORD_RECORD_SCRATCH_H
#define TESTS_RECORD_RECORD_SCRATCH_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/journal.h"

static char scratch[64]; /* set up and removed by these two, as .init and .fini */

static void scratch_make(void) {
    strcpy(scratch, "/tmp/attnbench-test-XXXXXX");
    cr_assert(mkdtemp(scratch) != NULL);
}

static int scratch_remove_entry(const char *path, const struct stat *facts, int kind, struct FTW *place) {
    (void)facts, (void)kind, (void)place;
    return remove(path);
}

static void scratch_remove(void) {
    nftw(scratch, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Path of `name` in the directory; valid until four more were asked for. */
static inline const char *scratch_path(const char *name) {
    static char paths[4][160];
    static int next;
    char *const path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline void scratch_write(const char *name, const char *text, size_t bytes) {
    FILE *const file = fopen(scratch_path(name), "wb");
    cr_assert(file != NULL);
    cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
    fclose(file);
}

/* The whole file, terminated, to be freed. */
static inline char *scratch_read(const char *name, size_t *bytes) {
    FILE *const file = fopen(scratch_path(name), "rb");
    cr_assert(file != NULL, "%s cannot be read", name);
    struct stat facts;
    cr_assert_eq(fstat(fileno(file), &facts), 0);
    char *const text = calloc(1, (size_t)facts.st_size + 1);
    *bytes = fread(text, 1, (size_t)facts.st_size, file);
    fclose(file);
    return text;
}

static inline bool scratch_exists(const char *name) {
    return access(scratch_path(name), F_OK) == 0;
}

#endif
