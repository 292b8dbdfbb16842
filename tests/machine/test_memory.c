/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/memory.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const size_t sizes[] = {1, 63, 64, 4095, 4096, 4097, 100000, 3u << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static struct machine_buffer create(size_t bytes, enum machine_guard guard) {
    struct machine_buffer buffer;
    struct attn_error error;
    cr_assert_eq(machine_buffer_create(bytes, guard, 2, &buffer, &error), ATTN_OK);
    return buffer;
}

/* Volatile: the fault is the point. */
static void write_byte(void *base, ptrdiff_t offset) {
    volatile uint8_t *const at = (volatile uint8_t *)base + offset;
    *at = 1;
}

static int read_byte(const void *base, ptrdiff_t offset) {
    const volatile uint8_t *const at = (const volatile uint8_t *)base + offset;
    return *at;
}

/* A sanitizer's handler would turn the fault into a report and an exit code. */
static void die_of_faults(void) {
    signal(SIGSEGV, SIG_DFL);
}

Test(memory, every_byte_of_the_data_is_writable_and_counts_as_data) {
    for (int guard = MACHINE_CANARY; guard <= MACHINE_GUARD_START; guard++)
        for (size_t i = 0; i < SIZES; i++) {
            struct machine_buffer buffer = create(sizes[i], (enum machine_guard)guard);
            memset(buffer.data, 0xFF, sizes[i]);
            cr_assert(machine_buffer_intact(&buffer), "guard %d, %zu bytes", guard, sizes[i]);
            machine_buffer_release(&buffer);
            cr_assert_null(buffer.data);
            cr_assert_null(buffer.mapping);
        }
}

Test(memory, data_stands_where_its_guard_says) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < SIZES; i++) {
        struct machine_buffer canary = create(sizes[i], MACHINE_CANARY), end = create(sizes[i], MACHINE_GUARD_END),
                              start = create(sizes[i], MACHINE_GUARD_START);
        cr_assert_eq((uintptr_t)canary.data % 64, 0);
        cr_assert_eq(((uintptr_t)end.data + sizes[i]) % page, 0);
        cr_assert_eq((uintptr_t)start.data % page, 0);
        machine_buffer_release(&canary);
        machine_buffer_release(&end);
        machine_buffer_release(&start);
    }
}

Test(memory, any_byte_beside_the_data_is_a_canary) {
    for (int distance = 1; distance <= 64; distance++) {
        struct machine_buffer before = create(1000, MACHINE_CANARY), behind = create(1000, MACHINE_CANARY);
        write_byte(before.data, -distance);
        write_byte(behind.data, 999 + distance);
        cr_assert_not(machine_buffer_intact(&before), "%d bytes before", distance);
        cr_assert_not(machine_buffer_intact(&behind), "%d bytes behind", distance);
        machine_buffer_release(&before);
        machine_buffer_release(&behind);
    }
}

Test(memory, the_slack_of_guarded_buffers_is_canaried) {
    struct machine_buffer end = create(1000, MACHINE_GUARD_END), start = create(1000, MACHINE_GUARD_START);
    write_byte(end.data, -1);
    write_byte(start.data, 1000);
    cr_assert_not(machine_buffer_intact(&end));
    cr_assert_not(machine_buffer_intact(&start));
    machine_buffer_release(&end);
    machine_buffer_release(&start);
}

/* A run of equal bytes, the poison among them, must not pass for a canary. */
Test(memory, no_fill_passes_for_a_canary) {
    for (int fill = 0; fill < 256; fill++) {
        struct machine_buffer buffer = create(64, MACHINE_CANARY);
        memset((uint8_t *)buffer.data + 64, fill, 16);
        cr_assert_not(machine_buffer_intact(&buffer), "filled with %d", fill);
        machine_buffer_release(&buffer);
    }
}

Test(memory, writing_behind_a_guarded_end_faults, .init = die_of_faults, .signal = SIGSEGV) {
    write_byte(create(1000, MACHINE_GUARD_END).data, 1000);
}

Test(memory, reading_behind_a_guarded_end_faults, .init = die_of_faults, .signal = SIGSEGV) {
    cr_assert_eq(read_byte(create(4096, MACHINE_GUARD_END).data, 4096), 0);
}

Test(memory, writing_before_a_guarded_start_faults, .init = die_of_faults, .signal = SIGSEGV) {
    write_byte(create(1000, MACHINE_GUARD_START).data, -1);
}

Test(memory, reading_before_a_guarded_start_faults, .init = die_of_faults, .signal = SIGSEGV) {
    cr_assert_eq(read_byte(create(1000, MACHINE_GUARD_START).data, -1), 0);
}

Test(memory, empty_data_has_an_address_that_must_not_be_used, .init = die_of_faults, .signal = SIGSEGV) {
    struct machine_buffer buffer = create(0, MACHINE_GUARD_END);
    cr_assert_not_null(buffer.data);
    cr_assert(machine_buffer_intact(&buffer));
    write_byte(buffer.data, 0);
}

Test(memory, empty_buffers_are_created_and_released) {
    for (int guard = MACHINE_CANARY; guard <= MACHINE_GUARD_START; guard++) {
        struct machine_buffer buffer = create(0, (enum machine_guard)guard);
        cr_assert_not_null(buffer.data);
        cr_assert(machine_buffer_intact(&buffer));
        machine_buffer_release(&buffer);
    }
    struct machine_buffer none = {0};
    cr_assert(machine_buffer_intact(&none));
    machine_buffer_release(&none);
}

Test(memory, more_than_there_is_is_refused_with_its_size) {
    const size_t impossible[] = {(size_t)1 << 46, SIZE_MAX, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < 3; i++) {
        struct machine_buffer buffer;
        struct attn_error error;
        cr_assert_eq(machine_buffer_create(impossible[i], MACHINE_CANARY, 1, &buffer, &error), ATTN_NO_MEMORY);
        char bytes[32];
        snprintf(bytes, sizeof bytes, "%zu bytes", impossible[i]);
        cr_assert_not_null(strstr(error.message, bytes), "%s", error.message);
        cr_assert_null(buffer.data);
    }
}

Test(memory, the_system_says_what_is_left_and_its_page_policy) {
    const size_t available = machine_memory_available_bytes();
    cr_assert_gt(available, (size_t)1 << 20);
    cr_assert_leq(available, (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE));
    const char *const policy = machine_huge_page_policy();
    cr_assert(strcmp(policy, "always") == 0 || strcmp(policy, "madvise") == 0 || strcmp(policy, "never") == 0 ||
              strcmp(policy, "unknown") == 0);
}
