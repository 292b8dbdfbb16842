/* SPDX-License-Identifier: Apache-2.0 */
#include "record/wholefile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum attn_status refuse(struct attn_error *error, const char *path, const char *what) {
    return attn_fail(error, ATTN_IO, "%s: %s: %s", path, what, strerror(errno));
}

static enum attn_status read_all(FILE *file, const char *path, char **text, size_t *bytes, struct attn_error *error) {
    size_t capacity = 1 << 16, used = 0;
    char *data = NULL;
    do {
        char *const larger = used + 1 < capacity && data ? data : realloc(data, capacity *= 2);
        if (!larger) {
            free(data);
            return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for %zu bytes", path, capacity);
        }
        data = larger;
        used += fread(data + used, 1, capacity - used - 1, file);
    } while (!feof(file) && !ferror(file));
    if (ferror(file)) {
        free(data);
        return refuse(error, path, "cannot read");
    }
    data[used] = '\0';
    *text = data;
    *bytes = used;
    return ATTN_OK;
}

enum attn_status record_file_read(const char *path, char **text, size_t *bytes, struct attn_error *error) {
    FILE *const file = fopen(path, "rbe");
    if (!file)
        return refuse(error, path, "cannot open");
    const enum attn_status status = read_all(file, path, text, bytes, error);
    fclose(file);
    return status;
}

char *record_file_temporary(const char *path) {
    char *name;
    return asprintf(&name, "%s.tmp", path) < 0 ? NULL : name;
}

/* Opens, syncs and closes. */
static int sync_path(const char *path, int flags) {
    const int descriptor = open(path, flags | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    const int outcome = fsync(descriptor);
    const int reason = errno;
    close(descriptor);
    errno = reason;
    return outcome;
}

static void sync_directory_of(const char *path) {
    const char *const slash = strrchr(path, '/');
    char *const directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (directory)
        sync_path(directory, O_RDONLY | O_DIRECTORY); /* some file systems refuse; the rename stands all the same */
    free(directory);
}

enum attn_status record_file_replace(const char *temporary, const char *path, struct attn_error *error) {
    enum attn_status status = ATTN_OK;
    if (sync_path(temporary, O_RDWR) != 0)
        status = refuse(error, temporary, "cannot sync");
    else if (rename(temporary, path) != 0)
        status = refuse(error, path, "cannot rename into place");
    if (status != ATTN_OK)
        unlink(temporary);
    else
        sync_directory_of(path);
    return status;
}

static enum attn_status write_all(int descriptor, const char *path, const char *text, size_t bytes,
                                  struct attn_error *error) {
    for (size_t done = 0; done < bytes;) {
        const ssize_t count = write(descriptor, text + done, bytes - done);
        if (count < 0 && errno != EINTR)
            return refuse(error, path, "cannot write");
        done += count > 0 ? (size_t)count : 0;
    }
    return ATTN_OK;
}

enum attn_status record_file_write(const char *path, const char *text, size_t bytes, struct attn_error *error) {
    char *const temporary = record_file_temporary(path);
    if (!temporary)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for its name", path);
    const int descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    enum attn_status status =
        descriptor < 0 ? refuse(error, path, "cannot create") : write_all(descriptor, path, text, bytes, error);
    if (descriptor >= 0 && close(descriptor) != 0 && status == ATTN_OK)
        status = refuse(error, path, "cannot write");
    if (status == ATTN_OK)
        status = record_file_replace(temporary, path, error);
    else if (descriptor >= 0)
        unlink(temporary);
    free(temporary);
    return status;
}
