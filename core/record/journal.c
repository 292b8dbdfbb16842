/* SPDX-License-Identifier: Apache-2.0 */
#include "record/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SYNC_INTERVAL_S 1

struct record_journal {
    int descriptor;
    off_t bytes; /* whole lines; whatever lies behind is cut before the next line is written */
    bool torn;   /* something may lie behind */
    bool synced;
    time_t synced_s;
    char *path;
};

static enum attn_status refuse(struct attn_error *error, const char *path, const char *what, int reason) {
    return attn_fail(error, ATTN_IO, "%s: %s: %s", path, what, strerror(reason));
}

static time_t monotonic_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* The offset behind the last newline, -1 on a read error. */
static off_t end_of_whole_lines(int descriptor, off_t bytes) {
    char block[4096];
    while (bytes > 0) {
        const off_t begin = bytes > (off_t)sizeof block ? bytes - (off_t)sizeof block : 0;
        const ssize_t count = pread(descriptor, block, (size_t)(bytes - begin), begin);
        if (count <= 0)
            return -1;
        const char *const newline = memrchr(block, '\n', (size_t)count);
        if (newline)
            return begin + (newline - block) + 1;
        bytes = begin;
    }
    return 0;
}

static enum attn_status cut_torn_line(struct record_journal *journal, struct attn_error *error) {
    struct stat facts;
    if (fstat(journal->descriptor, &facts) != 0)
        return refuse(error, journal->path, "cannot look at the journal", errno);
    if (!S_ISREG(facts.st_mode))
        return attn_fail(error, ATTN_IO, "%s: not a regular file; a journal must be one", journal->path);
    journal->bytes = end_of_whole_lines(journal->descriptor, facts.st_size);
    if (journal->bytes < 0)
        return refuse(error, journal->path, "cannot read the journal", errno);
    if (journal->bytes < facts.st_size && ftruncate(journal->descriptor, journal->bytes) != 0)
        return refuse(error, journal->path, "cannot cut the torn last line", errno);
    return ATTN_OK;
}

enum attn_status record_journal_open(const char *path, struct record_journal **journal, struct attn_error *error) {
    struct record_journal *const opened = calloc(1, sizeof *opened);
    *journal = NULL;
    if (!opened || !(opened->path = strdup(path))) {
        free(opened);
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory to open the journal", path);
    }
    opened->descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const enum attn_status status =
        opened->descriptor < 0 ? refuse(error, path, "cannot open the journal", errno) : cut_torn_line(opened, error);
    if (status != ATTN_OK) {
        if (opened->descriptor >= 0)
            close(opened->descriptor);
        free(opened->path);
        free(opened);
        return status;
    }
    opened->synced_s = monotonic_s();
    *journal = opened;
    return ATTN_OK;
}

/* Cuts whatever lies behind the whole lines; a cut that fails is tried again before the next line. */
static void restore(struct record_journal *journal) {
    journal->torn = ftruncate(journal->descriptor, journal->bytes) != 0;
}

/* One writev, which is one write to the file; what a full disk left over is asked for again to learn the reason. */
static bool write_line(const struct record_journal *journal, const char *text, size_t bytes) {
    char newline = '\n';
    size_t done = 0;
    while (done <= bytes) {
        union { /* iovec is not const-correct */
            const char *from;
            char *to;
        } rest = {.from = text + done};
        struct iovec parts[2] = {{.iov_base = rest.to, .iov_len = bytes - done}, {.iov_base = &newline, .iov_len = 1}};
        const ssize_t count = writev(journal->descriptor, parts, 2);
        if (count < 0 && errno != EINTR)
            return false;
        done += count > 0 ? (size_t)count : 0;
    }
    return true;
}

static bool synced(struct record_journal *journal) {
    journal->synced_s = monotonic_s();
    journal->synced = fdatasync(journal->descriptor) == 0;
    return journal->synced;
}

enum attn_status record_journal_append(struct record_journal *journal, const char *text, struct attn_error *error) {
    const size_t bytes = strlen(text);
    if (memchr(text, '\n', bytes))
        return attn_fail(error, ATTN_INVALID, "%s: a journal line holds no newline", journal->path);
    if (journal->torn)
        restore(journal);
    if (journal->torn)
        return refuse(error, journal->path, "cannot cut the line that could not be written", errno);
    journal->synced = false;
    if (!write_line(journal, text, bytes)) {
        const int reason = errno;
        restore(journal);
        return refuse(error, journal->path, "cannot append", reason);
    }
    if (monotonic_s() - journal->synced_s >= SYNC_INTERVAL_S && !synced(journal)) {
        const int reason = errno;
        restore(journal);
        return refuse(error, journal->path, "cannot sync", reason);
    }
    journal->bytes += (off_t)bytes + 1;
    return ATTN_OK;
}

enum attn_status record_journal_close(struct record_journal *journal, struct attn_error *error) {
    if (!journal)
        return ATTN_OK;
    enum attn_status status = ATTN_OK;
    if (!journal->synced && !synced(journal))
        status = refuse(error, journal->path, "cannot sync", errno);
    if (close(journal->descriptor) != 0 && status == ATTN_OK)
        status = refuse(error, journal->path, "cannot close", errno);
    free(journal->path);
    free(journal);
    return status;
}

/* ---- reading ---- */

static enum attn_status visit_line(const char *path, const char *text, size_t bytes, int64_t number, int64_t offset,
                                   record_journal_visit *visit, void *context, struct attn_error *error) {
    struct record_line line;
    struct attn_error why = {0};
    const enum attn_status status = record_line_decode(text, bytes, &line, &why);
    if (status != ATTN_OK)
        return attn_fail(error, status, "%s:%" PRId64 ": %s", path, number, why.message);
    const struct record_place place = {.number = number, .offset = offset, .bytes = bytes};
    const enum attn_status outcome = visit(context, &line, &place, error);
    record_line_release(&line);
    return outcome;
}

enum attn_status record_journal_scan(const char *path, record_journal_visit *visit, void *context,
                                     struct attn_error *error) {
    FILE *const file = fopen(path, "rbe");
    if (!file)
        return refuse(error, path, "cannot open the journal", errno);
    char *text = NULL;
    size_t capacity = 0;
    ssize_t bytes = 0;
    enum attn_status status = ATTN_OK;
    int64_t offset = 0;
    for (int64_t number = 1; status == ATTN_OK && (bytes = getline(&text, &capacity, file)) > 0; ++number) {
        if (text[bytes - 1] != '\n')
            break; /* torn: it never counted */
        status = visit_line(path, text, (size_t)bytes - 1, number, offset, visit, context, error);
        offset += bytes;
    }
    if (status == ATTN_OK && bytes < 0 && !feof(file))
        status = refuse(error, path, "cannot read the journal", errno);
    free(text);
    fclose(file);
    return status;
}

struct simple_visit {
    enum attn_status (*visit)(void *context, const struct record_line *line, struct attn_error *error);
    void *context;
};

static enum attn_status visit_simply(void *context, const struct record_line *line, const struct record_place *place,
                                     struct attn_error *error) {
    (void)place;
    const struct simple_visit *const simple = context;
    return simple->visit(simple->context, line, error);
}

enum attn_status record_journal_read(const char *path,
                                     enum attn_status (*visit)(void *context, const struct record_line *line,
                                                               struct attn_error *error),
                                     void *context, struct attn_error *error) {
    struct simple_visit simple = {.visit = visit, .context = context};
    return record_journal_scan(path, visit_simply, &simple, error);
}
