/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a workspace up. A variant lays its arrays out in one function, which both workspace_bytes (on no memory)
 * and run (on execution->workspace) call, so that the two can't disagree. */
#ifndef KERNELS_SCRATCH_H
#define KERNELS_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

#define SCRATCH_ALIGNMENT ((size_t)64) /* a cache line: no two threads write to the same one */

struct scratch {
    char *memory; /* NULL: only count */
    size_t bytes; /* handed out so far */
};

static inline size_t scratch_round_up(size_t bytes) {
    return (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

/* The next `bytes` bytes, aligned; NULL when only counting. */
static inline void *scratch_take(struct scratch *scratch, size_t bytes) {
    const size_t offset = scratch_round_up(scratch->bytes);
    scratch->bytes = offset + bytes;
    return scratch->memory ? scratch->memory + offset : NULL;
}

/* The next `count` floats. */
static inline float *scratch_floats(struct scratch *scratch, int64_t count) {
    return scratch_take(scratch, (size_t)count * sizeof(float));
}

/* Bytes of `threads` slices of `slice_bytes`; slice t begins at scratch_slice(memory, slice_bytes, t). */
static inline size_t scratch_slices_bytes(size_t slice_bytes, int threads) {
    return (size_t)(threads - 1) * scratch_round_up(slice_bytes) + slice_bytes;
}

static inline struct scratch scratch_slice(void *memory, size_t slice_bytes, int thread) {
    return (struct scratch){.memory = (char *)memory + (size_t)thread * scratch_round_up(slice_bytes)};
}

#endif
