/* SPDX-License-Identifier: Apache-2.0 */
/* Files that appear whole or not at all. */
#ifndef RECORD_WHOLEFILE_H
#define RECORD_WHOLEFILE_H

#include <stddef.h>

#include "contract/status.h"

/* The whole file, terminated, malloc'ed, the caller's. ATTN_IO with the path and the system's reason. */
enum attn_status record_file_read(const char *path, char **text, size_t *bytes, struct attn_error *error);

/* The name under which `path` is made before it is renamed: in the same directory, so that the rename is atomic.
 * malloc'ed; NULL when memory is short. */
char *record_file_temporary(const char *path);

/* Syncs `temporary`, renames it to `path` and syncs the directory. On failure `temporary` is removed and whatever stood
 * at `path` is untouched. */
enum attn_status record_file_replace(const char *temporary, const char *path, struct attn_error *error);

/* Writes `bytes` bytes to `path` by way of a temporary name. */
enum attn_status record_file_write(const char *path, const char *text, size_t bytes, struct attn_error *error);

#endif
