/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "machine/clock.h"
#include "machine/host.h"
#include "machine/isa.h"
#include "machine/peaks.h"
#include "machine/placement.h"

static void print_levels(void) {
    printf("\nISA levels\n");
    for (const char *const *level = machine_isa_levels; *level; ++level) {
        const char *const objection = machine_isa_objection(*level);
        printf("  %-24s %s\n", *level, objection ? objection : "runs here");
    }
}

static void print_facts(void) {
    struct machine_fact facts[128];
    const size_t count = machine_host_facts(facts, sizeof facts / sizeof *facts);
    printf("\nhost and build\n");
    for (size_t i = 0; i < count; ++i)
        printf("  %-24s %s\n", facts[i].name, facts[i].value);
}

static void print_peaks_of(const char *level, const struct machine_peaks *peaks) {
    printf("  %-12s %7d %7.2f %12.1f %18.1f %7.2f %5.0f %5.0f %5.0f %10.1f %14.1f\n", level, peaks->threads,
           peaks->clock_ghz, peaks->fma_gflops, peaks->tile_gflops, peaks->exp_per_ns, peaks->read_gbs[MACHINE_L1],
           peaks->read_gbs[MACHINE_L2], peaks->read_gbs[MACHINE_L3], peaks->read_gbs[MACHINE_DRAM],
           peaks->sgemm_gflops);
}

/* One row for every thread count from 1 to the cores, doubling, and every ISA level that runs here. */
static enum attn_status print_peaks(const struct attn_registry *registry, const struct machine_topology *topology,
                                    struct attn_error *error) {
    const int cores = machine_topology_cores(topology);
    printf("\npeaks          threads     GHz  f32 GFLOP/s  bf16 tile GFLOP/s  exp/ns    L1    L2    L3  DRAM GB/s  "
           "SGEMM GFLOP/s\n");
    for (int threads = 1; threads <= cores; threads = threads < cores && 2 * threads > cores ? cores : 2 * threads) {
        double fma_gflops = 0.0, sgemm_gflops = 0.0;
        for (int level = 0; level < registry->level_count; ++level) {
            struct machine_peaks peaks;
            if (machine_isa_objection(registry->levels[level]))
                continue;
            const enum attn_status status =
                machine_peaks_measure(topology, registry->probes[level], "compact", threads, false, &peaks, error);
            if (status)
                return status;
            print_peaks_of(registry->levels[level], &peaks);
            fma_gflops = fmax(fma_gflops, peaks.fma_gflops);
            sgemm_gflops = fmax(sgemm_gflops, peaks.sgemm_gflops);
        }
        const enum attn_status status = machine_peaks_judge(fma_gflops, sgemm_gflops, error);
        if (status)
            return status;
    }
    return ATTN_OK;
}

int cli_machine(const struct cli_call *call) {
    struct machine_topology *topology;
    struct attn_error error;
    if (machine_topology_load(&topology, &error) != ATTN_OK)
        return cli_fail(&error);
    const struct attn_caches caches = machine_topology_caches(topology);
    const struct machine_clock_facts clock = machine_clock_measure();
    printf("topology\n  %-24s %d\n  %-24s %d\n  %-24s %d\n  %-24s %d\n", "cores", machine_topology_cores(topology),
           "processing units", machine_topology_pus(topology), "NUMA nodes", machine_topology_numa_nodes(topology),
           "packages", machine_topology_packages(topology));
    printf("  %-24s L1d %" PRId64 " KiB, L2 %" PRId64 " KiB, L3 %" PRId64 " KiB, lines of %" PRId64 " bytes\n",
           "caches of a core", caches.l1d_bytes / 1024, caches.l2_bytes / 1024, caches.l3_bytes / 1024,
           caches.line_bytes);
    printf("\nclock\n  %-24s %.1f ns\n  %-24s %.1f ns\n", "one reading takes", clock.overhead_ns, "resolution",
           clock.resolution_ns);
    print_levels();
    print_facts();
    char conflicts[2048];
    machine_placement_conflicts(machine_topology_cores(topology), conflicts, sizeof conflicts);
    if (conflicts[0])
        printf("\nconflicts with bound threads\n%s%s", conflicts, conflicts[strlen(conflicts) - 1] == '\n' ? "" : "\n");
    const enum attn_status status =
        call->arguments.peaks && call->registry->probes ? print_peaks(call->registry, topology, &error) : ATTN_OK;
    machine_topology_free(topology);
    return status ? cli_fail(&error) : CLI_OK;
}

/* What a fact is called, and what --version calls it. */
void cli_version(const struct attn_registry *registry) {
    static const char *const shown[] = {"git_commit", "git_dirty", "compiler", "compiler_flags", "openmp", "gemm"};
    struct machine_fact facts[128];
    const size_t count = machine_host_facts(facts, sizeof facts / sizeof *facts);
    for (size_t i = 0; i < count; ++i)
        if (!strcmp(facts[i].name, "version"))
            printf("attnbench %s\n", facts[i].value);
    for (size_t name = 0; name < sizeof shown / sizeof *shown; ++name)
        for (size_t i = 0; i < count; ++i)
            if (!strcmp(facts[i].name, shown[name]))
                printf("%-16s %s\n", facts[i].name, facts[i].value);
    printf("%-16s %s\n%-16s", "hdf5", CLI_HDF5_VERSION, "isa_levels");
    for (int level = 0; level < registry->level_count; ++level)
        printf(" %s%s", registry->levels[level], machine_isa_objection(registry->levels[level]) ? " (not here)" : "");
    printf("\n");
}
