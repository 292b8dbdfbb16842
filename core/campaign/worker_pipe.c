/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/worker_pipe.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Writes all parts, in one system call unless the pipe is full. */
static bool write_all(struct iovec *parts, int count) {
    while (count > 0) {
        const ssize_t written = writev(WORKER_LINE_FD, parts, count);
        if (written < 0 && errno != EINTR)
            return false;
        size_t left = written < 0 ? 0 : (size_t)written;
        while (count > 0 && left >= parts->iov_len) {
            left -= parts->iov_len;
            ++parts;
            --count;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + left;
            parts->iov_len -= left;
        }
    }
    return true;
}

bool worker_pipe_begin(long item) {
    char line[40];
    const int length = snprintf(line, sizeof line, "BEGIN %ld\n", item);
    struct iovec part = {.iov_base = line, .iov_len = (size_t)length};
    return write_all(&part, 1);
}

bool worker_pipe_line(long item, int code, const char *text) {
    char head[64], newline = '\n';
    const int length = snprintf(head, sizeof head, "LINE %ld %d ", item, code);
    /* writev reads only, but its descriptor of memory has no const */
    union {
        const char *in;
        char *out;
    } body = {.in = text};
    struct iovec parts[] = {{head, (size_t)length}, {body.out, strlen(text)}, {&newline, 1}};
    return write_all(parts, 3);
}

bool worker_pipe_may_go_on(void) {
    struct pollfd poller = {.fd = WORKER_LEAVE_FD, .events = POLLIN};
    return poll(&poller, 1, 0) == 0;
}
