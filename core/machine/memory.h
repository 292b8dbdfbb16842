/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for operands and workspaces: 64-byte aligned, first-touched in parallel, guarded. The one
 * place where the harness allocates large memory. */
#ifndef MACHINE_MEMORY_H
#define MACHINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "contract/status.h"

enum machine_guard {
    MACHINE_CANARY,      /* data on a page start (so 64-byte aligned) between canaries: for timing */
    MACHINE_GUARD_END,   /* data ends flush at a PROT_NONE page: overruns fault */
    MACHINE_GUARD_START, /* data starts flush after a PROT_NONE page: underruns fault; slack behind is canaried */
};

struct machine_buffer {
    void *data;
    size_t bytes;
    enum machine_guard guard;
    void *mapping;
    size_t mapping_bytes;
};

/* bytes may be 0 (data is then a valid, unusable address). Pages are touched by `threads` OpenMP
 * threads in equal contiguous parts. Huge pages are neither asked for nor forbidden: the system's policy
 * holds. ATTN_NO_MEMORY names the size. */
enum attn_status machine_buffer_create(size_t bytes, enum machine_guard guard, int threads,
                                       struct machine_buffer *buffer, struct attn_error *error);

/* False when a canary byte before or behind the data has changed. */
bool machine_buffer_intact(const struct machine_buffer *buffer);

/* Safe on a zeroed struct; leaves one. */
void machine_buffer_release(struct machine_buffer *buffer);

/* Memory this process may still use: the least of MemAvailable and the cgroup's limit. */
size_t machine_memory_available_bytes(void);

/* "always", "madvise", "never" or "unknown": the transparent huge page policy buffers live under. */
const char *machine_huge_page_policy(void);

#endif
