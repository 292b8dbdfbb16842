/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/peaks.h"

#include <omp.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/gemm.h"
#include "machine/memory.h"
#include "machine/placement.h"

enum {
    REPETITIONS = 40,
    WIDEST_FMA = 64
}; /* f32 operations a cycle of the widest known core: the library picks its own level */
static const double REPETITION_NS = 3e6; /* long beside the clock's reading, shorter than a time slice: some escape */

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
    double best = 0.0;
    for (int repetition = 0; repetition < REPETITIONS; ++repetition) {
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

/* Read bandwidth over `bytes` bytes per thread, GB/s. */
static enum attn_status read_rate(const struct attn_probes *probes, int threads, int64_t bytes, double *rate,
                                  struct attn_error *error) {
    const size_t part = (size_t)(bytes - bytes % 4096);
    struct machine_buffer buffer = {0};
    *rate = 0.0;
    if (part == 0)
        return ATTN_OK;
    const enum attn_status status =
        machine_buffer_create(part * (size_t)threads, MACHINE_CANARY, threads, &buffer, error);
    if (status)
        return status;
    memset(buffer.data, 0, part * (size_t)threads);
    const struct probe probe = {.read = probes->read, .data = buffer.data, .bytes = part};
    *rate = probe_rate(&probe, threads);
    machine_buffer_release(&buffer);
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

/* A rate above the theoretical limit is no peak but a mistake. The clock may drift while probes run: 10 % is allowed.
 */
static enum attn_status check_limit(const char *name, double per_thread, double limit, struct attn_error *error) {
    if (per_thread <= 1.1 * limit)
        return ATTN_OK;
    return attn_fail(
        error, ATTN_INTERNAL,
        "the %s probe found %.4g per nanosecond and thread, more than the %.4g that the clock allows; a loop "
        "was deleted, or the clock is wrong",
        name, per_thread, limit);
}

static enum attn_status measure(const struct machine_topology *topology, const struct attn_probes *probes,
                                struct machine_peaks *peaks, struct attn_error *error) {
    const int threads = peaks->threads;
    const struct attn_caches caches = machine_topology_caches(topology);
    const int64_t l3 = caches.l3_bytes ? caches.l3_bytes : caches.l2_bytes;
    peaks->clock_ghz = plain_rate(probes->cycles, 1);
    peaks->fma_gflops = plain_rate(probes->fma_f32, threads);
    peaks->tile_gflops = plain_rate(probes->tiles_bf16, threads);
    peaks->exp_per_ns = plain_rate(probes->exp_f32, threads);
    enum attn_status status = read_rate(probes, threads, caches.l1d_bytes / 2, &peaks->l1_gbs, error);
    if (!status)
        status = read_rate(probes, threads, caches.l2_bytes / 2, &peaks->l2_gbs, error);
    if (!status)
        status = read_rate(probes, threads, caches.l3_bytes / 2 / threads, &peaks->l3_gbs, error);
    if (!status) /* four times the last level, in all */
        status = read_rate(probes, threads, 4 * (l3 > (32 << 20) ? l3 : 32 << 20) / threads, &peaks->dram_gbs, error);
    if (!status)
        status = sgemm_rate(threads, &peaks->sgemm_gflops, error);
    const double clock_again = plain_rate(probes->cycles, 1); /* it may have been slow, or disturbed, the first time */
    peaks->clock_ghz = clock_again > peaks->clock_ghz ? clock_again : peaks->clock_ghz;
    const double limit = probes->fma_per_cycle_limit * peaks->clock_ghz;
    if (!status)
        status = check_limit("multiply-add", peaks->fma_gflops / threads, limit, error);
    if (!status)
        status = check_limit("exponential", peaks->exp_per_ns / threads, limit / 8, error);
    if (!status)
        status = check_limit("SGEMM", peaks->sgemm_gflops / threads, WIDEST_FMA * peaks->clock_ghz, error);
    return status;
}

enum attn_status machine_peaks_measure(const struct machine_topology *topology, const struct attn_probes *probes,
                                       int threads, struct machine_peaks *peaks, struct attn_error *error) {
    static struct machine_placement placement;
    static struct machine_team team;
    *peaks = (struct machine_peaks){.threads = threads};
    enum attn_status status = machine_placement_plan(topology, "compact", threads, &placement, error);
    if (!status)
        status = machine_team_bind(topology, &placement, &team, error);
    if (status)
        return status;
    status = measure(topology, probes, peaks, error);
    machine_team_release(topology, threads);
    return status;
}
