/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/peaks.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/gemm.h"
#include "machine/memory.h"
#include "machine/placement.h"

const char *const machine_memory_names[MACHINE_MEMORIES] = {"L1", "L2", "L3", "DRAM"};

enum {
    FEWEST_REPETITIONS = 5,
    WIDEST_FMA = 64 /* f32 operations a cycle of the widest known core: the library picks its own level */
};
static const double REPETITION_NS = 1e6; /* long beside the clock's reading, shorter than a time slice: some escape */
static const double PROBE_NS = 120e6;    /* of all repetitions of a probe */
static const double TOLERANCE = 1.1;     /* the clock may drift while probes run */

/* One probe, ready to run on any thread; `data` is the thread's own part of a buffer, NULL where unused. */
struct probe {
    double (*plain)(int64_t rounds, double *sink);
    double (*read)(const void *data, size_t bytes, int64_t rounds, double *sink);
    char *data;
    size_t bytes; /* per thread */
};

static double probe_run(const struct probe *probe, int thread, int64_t rounds, double *sink) {
    return probe->read ? probe->read(probe->data + (size_t)thread * probe->bytes, probe->bytes, rounds, sink)
                       : probe->plain(rounds, sink);
}

/* Rounds that take about REPETITION_NS on one thread. */
static int64_t probe_rounds(const struct probe *probe) {
    double sink;
    for (int64_t rounds = 1;; rounds *= 2) {
        const int64_t start = machine_clock_ns();
        probe_run(probe, 0, rounds, &sink);
        if ((double)(machine_clock_ns() - start) >= REPETITION_NS / 2)
            return rounds * 2;
    }
}

/* The best rate, in units per nanosecond, of `threads` threads that start together. */
static double probe_rate(const struct probe *probe, int threads) {
    const int64_t rounds = probe_rounds(probe);
    const int64_t begun = machine_clock_ns();
    double best = 0.0;
    for (int repetition = 0; repetition < FEWEST_REPETITIONS || (double)(machine_clock_ns() - begun) < PROBE_NS;
         ++repetition) {
        double done = 0.0;
        int64_t start = 0;
#pragma omp parallel num_threads(threads) reduction(+ : done)
        {
            double sink;
#pragma omp barrier
#pragma omp master
            start = machine_clock_ns();
            done += probe_run(probe, omp_get_thread_num(), rounds, &sink);
        }
        const double rate = done / (double)(machine_clock_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

static double plain_rate(double (*plain)(int64_t, double *), int threads) {
    const struct probe probe = {.plain = plain};
    return plain ? probe_rate(&probe, threads) : 0.0;
}

/* Read bandwidth of each memory, whichever way of reading is faster: of caches half their size, of DRAM four times the
 * last level, in all. */
static enum attn_status read_rates(const struct attn_probes *probes, struct machine_peaks *peaks,
                                   struct attn_error *error) {
    const double last_level = fmax(peaks->holds_bytes[MACHINE_L2], peaks->holds_bytes[MACHINE_L3]);
    for (int memory = 0; memory < MACHINE_MEMORIES; ++memory) {
        const double bytes = memory == MACHINE_DRAM ? 4 * fmax(last_level, 32 << 20) : peaks->holds_bytes[memory] / 2;
        const size_t part = (size_t)(bytes / peaks->threads) / 4096 * 4096;
        struct machine_buffer buffer = {0};
        if (part == 0)
            continue;
        const enum attn_status status =
            machine_buffer_create(part * (size_t)peaks->threads, MACHINE_CANARY, peaks->threads, &buffer, error);
        if (status)
            return status;
        memset(buffer.data, 0, buffer.bytes);
        const struct probe plain = {.read = probes->read, .data = buffer.data, .bytes = part},
                           ahead = {.read = probes->read_ahead, .data = buffer.data, .bytes = part};
        peaks->read_gbs[memory] = fmax(probe_rate(&plain, peaks->threads), probe_rate(&ahead, peaks->threads));
        machine_buffer_release(&buffer);
    }
    return ATTN_OK;
}

static enum attn_status sgemm_rate(int threads, double *rate, struct attn_error *error) {
    enum { SIZE = 2048 };
    attn_sgemm *const sgemm = machine_gemm();
    *rate = 0.0;
    machine_gemm_single_thread(); /* placement is ours: one product per thread */
    if (!sgemm)
        return ATTN_OK;
    const size_t matrix = (size_t)SIZE * SIZE;
    struct machine_buffer buffer = {0};
    const enum attn_status status =
        machine_buffer_create(3 * matrix * sizeof(float) * (size_t)threads, MACHINE_CANARY, threads, &buffer, error);
    if (status)
        return status;
    memset(buffer.data, 0, buffer.bytes);
    for (int repetition = 0; repetition < 3; ++repetition) {
        int64_t start = 0;
#pragma omp parallel num_threads(threads)
        {
            float *const a = (float *)buffer.data + 3 * matrix * (size_t)omp_get_thread_num();
#pragma omp barrier
#pragma omp master
            start = machine_clock_ns();
            sgemm(false, false, SIZE, SIZE, SIZE, 1.0f, a, SIZE, a + matrix, SIZE, 0.0f, a + 2 * matrix, SIZE);
        }
        const double found = 2.0 * SIZE * SIZE * SIZE * threads / (double)(machine_clock_ns() - start);
        *rate = found > *rate ? found : *rate;
    }
    machine_buffer_release(&buffer);
    return ATTN_OK;
}

/* A rate above the theoretical limit is no peak but a mistake. */
static enum attn_status check_limit(const char *name, double per_thread, double limit, struct attn_error *error) {
    if (per_thread <= TOLERANCE * limit)
        return ATTN_OK;
    return attn_fail(
        error, ATTN_INTERNAL,
        "the %s probe found %.4g per nanosecond and thread, more than the %.4g that the clock allows; a loop "
        "was deleted, or the clock is wrong",
        name, per_thread, limit);
}

static enum attn_status check_limits(const struct attn_probes *probes, const struct machine_peaks *peaks,
                                     struct attn_error *error) {
    const double clock = peaks->clock_ghz, threads = peaks->threads;
    enum attn_status status =
        check_limit("multiply-add", peaks->fma_gflops / threads, probes->fma_per_cycle_limit * clock, error);
    if (!status)
        status = check_limit("tile", peaks->tile_gflops / threads, probes->tiles_per_cycle_limit * clock, error);
    if (!status)
        status =
            check_limit("exponential", peaks->exp_per_ns / threads, probes->fma_per_cycle_limit * clock / 8, error);
    if (!status)
        status = check_limit("SGEMM", peaks->sgemm_gflops / threads, WIDEST_FMA * clock, error);
    for (int memory = 0; memory < MACHINE_MEMORIES && !status; ++memory) {
        char name[16];
        snprintf(name, sizeof name, "%s read", machine_memory_names[memory]);
        status = check_limit(name, peaks->read_gbs[memory] / threads, probes->read_per_cycle_limit * clock, error);
    }
    return status;
}

static enum attn_status measure(const struct attn_probes *probes, bool roofs, struct machine_peaks *peaks,
                                struct attn_error *error) {
    const int threads = peaks->threads;
    peaks->clock_ghz = plain_rate(probes->cycles, 1);
    peaks->fma_gflops = plain_rate(probes->fma_f32, threads);
    peaks->tile_gflops = plain_rate(probes->tiles_bf16, threads);
    enum attn_status status = read_rates(probes, peaks, error);
    if (!roofs) {
        peaks->exp_per_ns = plain_rate(probes->exp_f32, threads);
        if (!status)
            status = sgemm_rate(threads, &peaks->sgemm_gflops, error);
    }
    /* The clock may have been slow, or disturbed, the first time: a limit that was passed is looked at again. */
    enum attn_status limits = ATTN_OK;
    for (int looked = 0; !status && (looked == 0 || (limits && looked < 20)); ++looked) {
        peaks->clock_ghz = fmax(peaks->clock_ghz, plain_rate(probes->cycles, 1));
        limits = check_limits(probes, peaks, error);
    }
    return status ? status : limits;
}

enum attn_status machine_peaks_measure(const struct machine_topology *topology, const struct attn_probes *probes,
                                       const char *policy, int threads, bool roofs, struct machine_peaks *peaks,
                                       struct attn_error *error) {
    static struct machine_placement placement;
    static struct machine_team team;
    *peaks = (struct machine_peaks){.threads = threads};
    enum attn_status status = machine_placement_plan(topology, policy, threads, &placement, error);
    if (!status)
        status = machine_team_bind(topology, &placement, &team, error);
    if (status)
        return status;
    const struct attn_caches caches = machine_topology_caches_of(topology, placement.cpus, threads);
    peaks->holds_bytes[MACHINE_L1] = (double)caches.l1d_bytes;
    peaks->holds_bytes[MACHINE_L2] = (double)caches.l2_bytes;
    peaks->holds_bytes[MACHINE_L3] = (double)caches.l3_bytes;
    peaks->holds_bytes[MACHINE_DRAM] = INFINITY;
    status = measure(probes, roofs, peaks, error);
    machine_team_release(topology, threads);
    return status;
}

enum attn_status machine_peaks_judge(double best_fma_gflops, double best_sgemm_gflops, struct attn_error *error) {
    if (best_sgemm_gflops <= TOLERANCE * best_fma_gflops)
        return ATTN_OK;
    return attn_fail(error, ATTN_INTERNAL,
                     "SGEMM reached %.4g GFLOP/s, more than the %.4g of multiply-adds alone; the probe of these lost "
                     "time, or was disturbed",
                     best_sgemm_gflops, best_fma_gflops);
}

struct machine_roof machine_roof_over(const struct machine_peaks *peaks, double flops, double bytes, bool cold,
                                      bool bf16) {
    struct machine_roof roof = {.tiles = bf16 && peaks->tile_gflops > 0.0, .memory = cold ? MACHINE_DRAM : MACHINE_L1};
    while (roof.memory < MACHINE_DRAM &&
           !(peaks->read_gbs[roof.memory] > 0.0 && bytes <= peaks->holds_bytes[roof.memory]))
        ++roof.memory;
    roof.gflops = roof.tiles ? peaks->tile_gflops : peaks->fma_gflops;
    roof.gbs = peaks->read_gbs[roof.memory];
    roof.time_ns = fmax(flops / roof.gflops, bytes / roof.gbs);
    return roof;
}
