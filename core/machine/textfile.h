/* SPDX-License-Identifier: Apache-2.0 */
/* Short texts of /proc and /sys, which say nothing of their size before they are read. */
#ifndef MACHINE_TEXTFILE_H
#define MACHINE_TEXTFILE_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the start of the file whose path is `root` followed by `path` into `text`, terminated and without
 * white space at its end. False, and an empty text, when it can't be read. `root` is "" but in tests. */
bool machine_read_text(const char *root, const char *path, char *text, size_t text_bytes);

#endif
