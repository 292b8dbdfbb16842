/* SPDX-License-Identifier: Apache-2.0 */
/* The journal is the record: one JSON line per finished (point, invocation). A line counts once write()
 * returned. Everything else is derived from it. Schema: results/README.md. */
#ifndef RECORD_JOURNAL_H
#define RECORD_JOURNAL_H

#include <stdbool.h>

#include "record/field.h"

#define RECORD_ID_CHARS 16 /* a point's stable id: lower-case hexadecimal digits */

enum record_status { RECORD_MEASURED = 0, RECORD_SKIPPED, RECORD_REJECTED, RECORD_FAILED };
const char *record_status_name(enum record_status status); /* "MEASURED", ... */

struct record_line {
    char point[RECORD_ID_CHARS + 1];
    int64_t invocation, position; /* both from 0; position: place in this invocation's order */
    enum record_status status;
    char reason[512]; /* why not MEASURED */
    bool timing_valid;
    char timing_reason[128]; /* "oversubscribed", "2 of 4 threads delivered", "unstable"; may stand beside valid */
    char started_utc[32];
    double *samples_ns; /* owned */
    size_t sample_count;
    char ended_by[24];
    int64_t threads_delivered;
    int64_t *cpus; /* owned; CPU of each thread */
    size_t cpu_count;
    int64_t workspace_bytes;
    struct record_fields summary;    /* numbers over samples_ns, within this process: "median_ns", "min_ns", ... */
    struct record_fields parameters; /* as resolved */
    struct record_fields check;      /* check columns: see results/README.md */
    struct record_fields roof;       /* empty where no peaks were asked for */
};

/* The line as JSON without newline (malloc'ed; the caller frees), NULL when out of memory. */
char *record_line_encode(const struct record_line *line);
/* Parses one line, given without its newline; any bytes may come. ATTN_INVALID when it is not one: `line` is then
 * zeroed. `line` need not be initialised; release it. Unknown members are passed over, long texts are cut. */
enum attn_status record_line_decode(const char *text, size_t bytes, struct record_line *line, struct attn_error *error);
void record_line_release(struct record_line *line);

struct record_journal; /* an open journal, appended by one process */

/* Opens for appending, making the file if need be; a torn last line is cut off first. The descriptor is
 * close-on-exec. The caller ignores SIGXFSZ, or a file-size limit kills before it can be reported. */
enum attn_status record_journal_open(const char *path, struct record_journal **journal, struct attn_error *error);
/* Appends text + '\n' by one write(); fdatasync at most once a second. ATTN_IO: nothing of the line stays
 * (a part that reached a full disk is truncated away). */
enum attn_status record_journal_append(struct record_journal *journal, const char *text, struct attn_error *error);
/* Syncs and frees; NULL is fine. */
enum attn_status record_journal_close(struct record_journal *journal, struct attn_error *error);

/* Every whole line in order; `visit` may keep nothing of `line`. A torn last line is passed over; a damaged line
 * elsewhere is ATTN_INVALID with its number. */
enum attn_status record_journal_read(const char *path,
                                     enum attn_status (*visit)(void *context, const struct record_line *line,
                                                               struct attn_error *error),
                                     void *context, struct attn_error *error);

/* The same with each line's place, for readers that come back to it. */
struct record_place {
    int64_t number, offset; /* 1-based line; byte at which it starts */
    size_t bytes;           /* without newline */
};
typedef enum attn_status record_journal_visit(void *context, const struct record_line *line,
                                              const struct record_place *place, struct attn_error *error);
enum attn_status record_journal_scan(const char *path, record_journal_visit *visit, void *context,
                                     struct attn_error *error);

#endif
