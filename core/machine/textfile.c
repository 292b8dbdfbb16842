/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/textfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

bool machine_read_text(const char *root, const char *path, char *text, size_t text_bytes) {
    char whole[PATH_MAX];
    text[0] = '\0';
    const int length = snprintf(whole, sizeof whole, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof whole)
        return false;
    const int file = open(whole, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    size_t filled = 0;
    ssize_t got = 1;
    while (filled + 1 < text_bytes && got != 0) {
        got = read(file, text + filled, text_bytes - 1 - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        filled += (size_t)got;
    }
    close(file);
    while (filled > 0 && isspace((unsigned char)text[filled - 1]))
        filled--;
    text[filled] = '\0';
    return got >= 0;
}
