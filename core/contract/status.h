/* SPDX-License-Identifier: Apache-2.0 */
/* How every library function reports failure: a status as return value and, in the caller's
 * attn_error, one sentence that says what is wrong and what would be right. Nothing below the
 * command line prints or exits. */
#ifndef CONTRACT_STATUS_H
#define CONTRACT_STATUS_H

enum attn_status {
    ATTN_OK = 0,
    ATTN_INVALID,     /* the caller asked for something that can't be: shapes, names, syntax */
    ATTN_UNSUPPORTED, /* well-formed, but not offered here: objection, ISA level, missing library */
    ATTN_NO_MEMORY,
    ATTN_IO,          /* the operating system refused a file, pipe or process */
    ATTN_INTERRUPTED, /* SIGINT or SIGTERM was honoured; what was done so far is kept */
    ATTN_INTERNAL,    /* a promise of this library was broken */
};

struct attn_error {
    enum attn_status status;
    char message[2048]; /* UTF-8, no trailing newline; several problems are separated by '\n' */
};

/* Records status and the formatted message in `error` (which may be NULL) and returns status.
 * A message longer than the buffer is cut at its end. */
enum attn_status attn_fail(struct attn_error *error, enum attn_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "invalid", "unsupported", ... for messages and tests; never NULL. */
const char *attn_status_name(enum attn_status status);

#endif
