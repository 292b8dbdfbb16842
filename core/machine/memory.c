/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "machine/cgroup.h"
#include "machine/textfile.h"

/* Smaller requests are not worth the time that asking the system for its free memory takes. */
static const size_t worth_asking_bytes = (size_t)64 << 20;

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Differs from byte to byte, so that no fill, poison or shifted copy passes for it. */
static uint8_t canary_at(const uint8_t *address) {
    return (uint8_t)(((uintptr_t)address * 167) ^ 0x5A);
}

/* The writable pages between the two guard pages. */
static uint8_t *pages_begin(const struct machine_buffer *buffer) {
    return (uint8_t *)buffer->mapping + page_size();
}

static uint8_t *pages_end(const struct machine_buffer *buffer) {
    return (uint8_t *)buffer->mapping + buffer->mapping_bytes - page_size();
}

static void write_canary(uint8_t *begin, const uint8_t *end) {
    for (uint8_t *at = begin; at < end; at++)
        *at = canary_at(at);
}

static bool canary_holds(const uint8_t *begin, const uint8_t *end) {
    for (const uint8_t *at = begin; at < end; at++)
        if (*at != canary_at(at))
            return false;
    return true;
}

/* A page belongs to the NUMA node of the thread that writes to it first. */
static void touch(uint8_t *begin, const uint8_t *end, int threads) {
    const size_t page = page_size();
    const int64_t pages = (int64_t)((size_t)(end - begin) / page);
    if (threads <= 1 || pages <= 1) {
        for (int64_t i = 0; i < pages; i++)
            begin[(size_t)i * page] = 0;
        return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < pages; i++)
        begin[(size_t)i * page] = 0;
}

static enum attn_status refuse(size_t bytes, struct attn_error *error) {
    return attn_fail(error, ATTN_NO_MEMORY, "no memory for a buffer of %zu bytes (%.2f GiB); %.2f GiB are available",
                     bytes, (double)bytes / (double)(1 << 30),
                     (double)machine_memory_available_bytes() / (double)(1 << 30));
}

enum attn_status machine_buffer_create(size_t bytes, enum machine_guard guard, int threads,
                                       struct machine_buffer *buffer, struct attn_error *error) {
    *buffer = (struct machine_buffer){0};
    const size_t page = page_size();
    /* Between canaries the data starts a page of its own, behind a page of canary; one line follows it. */
    const size_t before = guard == MACHINE_CANARY ? page : 0, behind = guard == MACHINE_CANARY ? 64 : 0;
    if (bytes > SIZE_MAX / 2 || (bytes >= worth_asking_bytes && bytes > machine_memory_available_bytes()))
        return refuse(bytes, error);
    const size_t writable = (before + bytes + behind + page - 1) / page * page;
    const size_t mapped = writable + 2 * page;
    uint8_t *const mapping = mmap(NULL, mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return refuse(bytes, error);
    if (writable > 0 && mprotect(mapping + page, writable, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, mapped);
        return refuse(bytes, error);
    }
    uint8_t *const begin = mapping + page, *const end = begin + writable;
    uint8_t *const data = guard == MACHINE_GUARD_END ? end - bytes : begin + before;
    touch(begin, end, threads);
    write_canary(begin, data);
    write_canary(data + bytes, end);
    *buffer = (struct machine_buffer){
        .data = data, .bytes = bytes, .guard = guard, .mapping = mapping, .mapping_bytes = mapped};
    return ATTN_OK;
}

bool machine_buffer_intact(const struct machine_buffer *buffer) {
    if (!buffer->mapping)
        return true;
    const uint8_t *const data = buffer->data;
    return canary_holds(pages_begin(buffer), data) && canary_holds(data + buffer->bytes, pages_end(buffer));
}

void machine_buffer_release(struct machine_buffer *buffer) {
    if (buffer->mapping)
        munmap(buffer->mapping, buffer->mapping_bytes);
    *buffer = (struct machine_buffer){0};
}

size_t machine_memory_available_bytes(void) {
    char text[4096];
    const int64_t left = machine_cgroup_memory_left_bytes("");
    int64_t available = (int64_t)sysconf(_SC_AVPHYS_PAGES) * (int64_t)page_size();
    if (machine_read_text("", "/proc/meminfo", text, sizeof text)) {
        const char *const line = strstr(text, "MemAvailable:");
        if (line)
            available = strtoll(line + strlen("MemAvailable:"), NULL, 10) * 1024;
    }
    return (size_t)(left < available ? left : available);
}

const char *machine_huge_page_policy(void) {
    char text[128];
    if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1)
        return "never";
    if (!machine_read_text("", "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text))
        return "unknown";
    if (strstr(text, "[always]"))
        return "always";
    if (strstr(text, "[madvise]"))
        return "madvise";
    return strstr(text, "[never]") ? "never" : "unknown";
}
