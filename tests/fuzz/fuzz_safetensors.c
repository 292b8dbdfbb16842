/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer over the safetensors reader: whatever the bytes are, they are refused with a sentence, or every tensor that
 * is handed out can be read to its last byte. The linker gives the reader's mmap to this file, which answers with a
 * buffer that AddressSanitizer guards to the byte: behind a mapped file the rest of its page could be read unseen. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int from, off_t offset);
void *__real_mmap64(void *address, size_t length, int protection, int flags, int from, off_t offset);
int __wrap_munmap(void *address, size_t length);
int __real_munmap(void *address, size_t length);

static int descriptor = -1; /* of one file in memory, filled anew for every input */
static char path[32];
static bool reading;   /* the reader is at work: what is mapped now is its file */
static void *buffered; /* what it was given instead */

static void expect(bool condition) {
    if (!condition)
        abort();
}

void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int from, off_t offset) {
    if (!reading)
        return __real_mmap64(address, length, protection, flags, from, offset);
    buffered = malloc(length);
    expect(buffered && pread(from, buffered, length, offset) == (ssize_t)length);
    return buffered;
}

int __wrap_munmap(void *address, size_t length) {
    if (!buffered || address != buffered)
        return __real_munmap(address, length);
    free(buffered);
    buffered = NULL;
    return 0;
}

static void put(const uint8_t *bytes, size_t size) {
    if (descriptor < 0) {
        descriptor = memfd_create("safetensors", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    }
    expect(descriptor >= 0 && ftruncate(descriptor, 0) == 0);
    expect(pwrite(descriptor, bytes, size, 0) == (ssize_t)size);
}

/* Asks for a tensor in the shapes that the seeds have. */
static void read_tensor(const struct record_safetensors *file, const char *name) {
    static const struct {
        int rank;
        int64_t shape[RECORD_MAX_RANK];
    } forms[] = {{0, {0}}, {1, {1}}, {1, {3}}, {1, {0}}, {2, {2, 3}}, {8, {1, 1, 1, 1, 1, 1, 1, 1}}};
    for (size_t n = 0; n < sizeof forms / sizeof *forms; ++n) {
        struct attn_error error = {0};
        const float *data;
        if (record_safetensors_find(file, name, forms[n].rank, forms[n].shape, &data, &error)) {
            expect(!data && error.message[0]);
            continue;
        }
        int64_t count = 1;
        for (int axis = 0; axis < forms[n].rank; ++axis)
            count *= forms[n].shape[axis];
        volatile float sink;
        for (int64_t c = 0; c < count; ++c)
            sink = data[c];
        (void)sink;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct record_safetensors *file;
    struct attn_error error = {0};
    put(bytes, size);
    reading = true;
    const enum attn_status status = record_safetensors_open(path, &file, &error);
    reading = false;
    if (status) {
        expect(!file && error.message[0] && !buffered);
        return 0;
    }
    expect(buffered);
    for (int64_t n = 0; n < record_safetensors_count(file); ++n)
        read_tensor(file, record_safetensors_name(file, n));
    read_tensor(file, "absent");
    record_safetensors_close(file);
    return 0;
}
