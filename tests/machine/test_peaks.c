/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks by probes that lie in known ways, and roofs over made-up peaks. Whether the shipped probes do their work and
 * nothing else is tested in tests/variants. */
#include "machine/peaks.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

/* A chain of additions, one cycle each. */
static double cycles(int64_t rounds, double *sink) {
    uint64_t sum = 1;
    for (int64_t n = 0; n < 64 * rounds; ++n) {
        sum += 3;
        __asm__ volatile("" : "+r"(sum));
    }
    *sink = (double)sum;
    return 64.0 * (double)rounds;
}

/* What the chain would be if it counted one operation in four cycles: possible on any machine. */
static double modest(int64_t rounds, double *sink) {
    return cycles(rounds, sink) / 4;
}

/* What is left of a loop that the compiler has deleted: it does nothing, and says that it did all. */
static double deleted(int64_t rounds, double *sink) {
    return 1e6 * modest(rounds, sink);
}

static double modest_read(const void *data, size_t bytes, int64_t rounds, double *sink) {
    const double done = modest(rounds * (int64_t)(bytes / 1024), sink);
    return *(const char *)data ? 0.0 : done;
}

static double deleted_read(const void *data, size_t bytes, int64_t rounds, double *sink) {
    return 1e6 * modest_read(data, bytes, rounds, sink);
}

static const struct attn_probes honest = {.cycles = cycles,
                                          .fma_f32 = modest,
                                          .exp_f32 = modest,
                                          .read = modest_read,
                                          .read_ahead = modest_read,
                                          .fma_per_cycle_limit = 16,
                                          .tiles_per_cycle_limit = 16,
                                          .read_per_cycle_limit = 16};

static enum attn_status measured(const struct attn_probes *probes, const char *policy, int threads,
                                 struct machine_peaks *peaks, struct attn_error *error) {
    struct machine_topology *topology;
    cr_assert_eq(machine_topology_load(&topology, error), ATTN_OK, "%s", error->message);
    const enum attn_status status = machine_peaks_measure(topology, probes, policy, threads, true, peaks, error);
    machine_topology_free(topology);
    return status;
}

Test(peaks, what_is_asked_for_is_measured, .timeout = 60) {
    struct machine_peaks peaks;
    struct attn_error error = {.message = ""};
    cr_assert_eq(measured(&honest, "compact", 1, &peaks, &error), ATTN_OK, "%s", error.message);
    cr_expect(peaks.clock_ghz > 0.0 && peaks.fma_gflops > 0.0 && peaks.read_gbs[MACHINE_DRAM] > 0.0);
    cr_expect_eq(peaks.tile_gflops, 0.0, "there are no tiles");
    cr_expect(peaks.exp_per_ns == 0.0 && peaks.sgemm_gflops == 0.0, "these are no roofs");
    cr_expect(isinf(peaks.holds_bytes[MACHINE_DRAM]));
    for (int memory = 0; memory < MACHINE_DRAM; ++memory)
        cr_expect_eq(peaks.holds_bytes[memory] >= 8192, peaks.read_gbs[memory] > 0.0, "%s",
                     machine_memory_names[memory]);
}

Test(peaks, a_deleted_loop_is_an_error_that_names_it, .timeout = 120) {
    struct machine_peaks peaks;
    struct attn_error error = {.message = ""};
    struct attn_probes probes = honest;
    probes.fma_f32 = deleted;
    cr_expect_eq(measured(&probes, "compact", 1, &peaks, &error), ATTN_INTERNAL);
    cr_expect(strstr(error.message, "multiply-add probe"), "%s", error.message);
    probes = honest;
    probes.tiles_bf16 = deleted;
    cr_expect_eq(measured(&probes, "compact", 1, &peaks, &error), ATTN_INTERNAL);
    cr_expect(strstr(error.message, "tile probe"), "%s", error.message);
    for (int ahead = 0; ahead < 2; ++ahead) {
        probes = honest;
        *(ahead ? &probes.read_ahead : &probes.read) = deleted_read;
        cr_expect_eq(measured(&probes, "compact", 1, &peaks, &error), ATTN_INTERNAL);
        cr_expect(strstr(error.message, "read probe"), "%s", error.message);
    }
}

Test(peaks, threads_that_cannot_be_placed_are_unsupported) {
    struct machine_peaks peaks;
    struct attn_error error = {.message = ""};
    cr_expect_eq(measured(&honest, "one_per_numa", 1024, &peaks, &error), ATTN_UNSUPPORTED);
}

Test(peaks, a_product_faster_than_its_multiply_adds_is_an_error) {
    struct attn_error error = {.message = ""};
    cr_expect_eq(machine_peaks_judge(100.0, 99.0, &error), ATTN_OK);
    cr_expect_eq(machine_peaks_judge(100.0, 109.0, &error), ATTN_OK);
    cr_expect_eq(machine_peaks_judge(100.0, 0.0, &error), ATTN_OK, "there is no library");
    cr_expect_eq(machine_peaks_judge(40.0, 100.0, &error), ATTN_INTERNAL);
    cr_expect(strstr(error.message, "SGEMM reached 100 GFLOP/s"), "%s", error.message);
}

static const struct machine_peaks peaks_here = {
    .fma_gflops = 100.0, .read_gbs = {400.0, 200.0, 50.0, 10.0}, .holds_bytes = {1e4, 1e6, 1e7, INFINITY}};

Test(peaks, the_lower_roof_counts) {
    struct machine_roof roof = machine_roof_over(&peaks_here, 1e6, 1e3, false, false);
    cr_expect_eq(roof.time_ns, 1e4, "arithmetic: 1e6 operations at 100 a nanosecond, not 1e3 bytes at 400");
    roof = machine_roof_over(&peaks_here, 1e3, 1e8, false, false);
    cr_expect_eq(roof.time_ns, 1e7, "memory: 1e8 bytes at 10 a nanosecond, not 1e3 operations");
}

Test(peaks, operands_lie_in_the_smallest_cache_that_holds_them) {
    const struct {
        double bytes;
        bool cold;
        enum machine_memory memory;
    } cases[] = {{1e4, false, MACHINE_L1},
                 {1e4 + 1, false, MACHINE_L2},
                 {1e7, false, MACHINE_L3},
                 {2e7, false, MACHINE_DRAM},
                 {1, true, MACHINE_DRAM}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const struct machine_roof roof = machine_roof_over(&peaks_here, 1.0, cases[i].bytes, cases[i].cold, false);
        cr_expect_eq(roof.memory, cases[i].memory, "%g bytes", cases[i].bytes);
        cr_expect_eq(roof.gbs, peaks_here.read_gbs[cases[i].memory]);
    }
    struct machine_peaks without_l2 = peaks_here;
    without_l2.read_gbs[MACHINE_L2] = 0.0;
    cr_expect_eq(machine_roof_over(&without_l2, 1.0, 1e5, false, false).memory, MACHINE_L3);
}

Test(peaks, bf16_stands_under_tiles_where_there_are_any) {
    struct machine_peaks with_tiles = peaks_here;
    with_tiles.tile_gflops = 1000.0;
    cr_expect_eq(machine_roof_over(&with_tiles, 1e6, 1.0, false, true).time_ns, 1e3);
    cr_expect_eq(machine_roof_over(&with_tiles, 1e6, 1.0, false, false).time_ns, 1e4, "f32 has no tiles");
    cr_expect_eq(machine_roof_over(&peaks_here, 1e6, 1.0, false, true).time_ns, 1e4, "there are no tiles here");
}
