/* SPDX-License-Identifier: Apache-2.0 */
#include <hwloc.h>
#include <omp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "machine/cgroup.h"
#include "machine/hwloc_view.h"
#include "machine/placement.h"

/* The one CPU that the calling thread may run on and was last seen on; -1 when either is not so. */
static int bound_cpu(hwloc_topology_t hwloc) {
    int cpu = -1;
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc(), seen = hwloc_bitmap_alloc();
    if (allowed && seen && hwloc_get_cpubind(hwloc, allowed, HWLOC_CPUBIND_THREAD) == 0 &&
        hwloc_get_last_cpu_location(hwloc, seen, HWLOC_CPUBIND_THREAD) == 0 && hwloc_bitmap_weight(allowed) == 1 &&
        hwloc_bitmap_isequal(allowed, seen))
        cpu = hwloc_bitmap_first(allowed);
    hwloc_bitmap_free(allowed);
    hwloc_bitmap_free(seen);
    return cpu;
}

static void bind_to(hwloc_topology_t hwloc, int cpu) {
    hwloc_bitmap_t one = hwloc_bitmap_alloc();
    if (one && hwloc_bitmap_only(one, (unsigned)cpu) == 0)
        hwloc_set_cpubind(hwloc, one, HWLOC_CPUBIND_THREAD); /* whether it took is read back */
    hwloc_bitmap_free(one);
}

enum attn_status machine_team_bind(const struct machine_topology *topology, const struct machine_placement *placement,
                                   struct machine_team *team, struct attn_error *error) {
    *team = (struct machine_team){0};
    if (!machine_topology_is_this_system(topology))
        return attn_fail(error, ATTN_INVALID,
                         "threads can be bound on this system only; the topology describes another");
    const int planned = placement->threads;
    int delivered = 0;
#pragma omp parallel num_threads(planned)
    {
        const int thread = omp_get_thread_num();
        if (placement->cpus[thread] >= 0)
            bind_to(topology->hwloc, placement->cpus[thread]);
        team->cpus[thread] = bound_cpu(topology->hwloc);
#pragma omp single
        delivered = omp_get_num_threads();
    }
    team->delivered = delivered;
    team->as_planned = delivered == planned;
    for (int i = 0; i < delivered; i++)
        team->as_planned &= placement->cpus[i] < 0 || team->cpus[i] == placement->cpus[i];
    return ATTN_OK;
}

void machine_team_release(const struct machine_topology *topology, int threads) {
    if (!machine_topology_is_this_system(topology))
        return;
#pragma omp parallel num_threads(threads)
    hwloc_set_cpubind(topology->hwloc, topology->start_mask, HWLOC_CPUBIND_THREAD);
}

/* A text that grows by lines and never beyond its room. */
struct lines {
    char *text;
    size_t bytes, used;
};

__attribute__((format(printf, 2, 3))) static void add_line(struct lines *lines, const char *format, ...) {
    va_list arguments;
    if (lines->used + 2 > lines->bytes)
        return;
    if (lines->used > 0)
        lines->text[lines->used++] = '\n';
    va_start(arguments, format);
    const int added = vsnprintf(lines->text + lines->used, lines->bytes - lines->used, format, arguments);
    va_end(arguments);
    if (added > 0)
        lines->used += (size_t)added < lines->bytes - lines->used ? (size_t)added : lines->bytes - lines->used - 1;
}

/* Variables of the OpenMP runtime that bind threads themselves, each at odds with a binding of ours. */
static void runtime_binds(struct lines *lines) {
    static const char *const binders[] = {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"};
    for (size_t i = 0; i < sizeof binders / sizeof *binders; i++) {
        const char *const value = getenv(binders[i]);
        if (value && strcasecmp(value, "false") != 0 && strcasecmp(value, "disabled") != 0)
            add_line(lines, "%s=%s makes the OpenMP runtime place threads too; unset it", binders[i], value);
    }
}

void machine_placement_conflicts(int threads, char *text, size_t text_bytes) {
    struct lines lines = {.text = text, .bytes = text_bytes};
    if (text_bytes > 0)
        text[0] = '\0';
    runtime_binds(&lines);
    const char *const asked = getenv("OMP_NUM_THREADS"), *const limit = getenv("OMP_THREAD_LIMIT");
    const char *const dynamic = getenv("OMP_DYNAMIC");
    const double quota = machine_cgroup_cpu_quota("");
    if (asked && atoi(asked) > 0 && atoi(asked) < threads)
        add_line(&lines, "OMP_NUM_THREADS=%s is ignored: %d threads are requested", asked, threads);
    if (limit && atoi(limit) > 0 && atoi(limit) < threads)
        add_line(&lines, "OMP_THREAD_LIMIT=%s allows fewer threads than the %d requested", limit, threads);
    if (dynamic && strcasecmp(dynamic, "true") == 0)
        add_line(&lines, "OMP_DYNAMIC=%s lets the OpenMP runtime deliver fewer threads than requested", dynamic);
    if (quota > 0 && quota < threads)
        add_line(&lines,
                 "the control group grants %.2f CPUs, fewer than the %d threads requested: they will be throttled",
                 quota, threads);
}
