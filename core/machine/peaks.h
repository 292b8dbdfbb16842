/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at best, measured: the roofs that kernels are held against. */
#ifndef MACHINE_PEAKS_H
#define MACHINE_PEAKS_H

#include "contract/probe.h"
#include "contract/status.h"
#include "machine/topology.h"

enum machine_memory { MACHINE_L1, MACHINE_L2, MACHINE_L3, MACHINE_DRAM, MACHINE_MEMORIES };
extern const char *const machine_memory_names[MACHINE_MEMORIES]; /* "L1", ... */

/* Rates of `threads` threads together, each the best of several repetitions. 0: there is no such thing here. */
struct machine_peaks {
    int threads;
    double clock_ghz;                     /* of one thread, from a chain of one-cycle operations */
    double fma_gflops;                    /* f32, independent fused multiply-adds */
    double tile_gflops;                   /* bf16 tile products */
    double read_gbs[MACHINE_MEMORIES];    /* GB/s (10^9 bytes) */
    double holds_bytes[MACHINE_MEMORIES]; /* what the caches above the threads' CPUs hold together; DRAM: infinite */
    double exp_per_ns;                    /* f32 exponentials from and to cache */
    double sgemm_gflops;                  /* 2048 x 2048 x 2048 of the CBLAS library, one product per thread */
};

/* Measures with threads bound by `policy` (machine/placement.h), in one to two seconds; `roofs`: without exp_per_ns and
 * sgemm_gflops, which are no roof. ATTN_INTERNAL when a figure is above what the clock allows, which means that a loop
 * was deleted or the clock is wrong; the figure is named. ATTN_UNSUPPORTED when the threads can't be placed. */
enum attn_status machine_peaks_measure(const struct machine_topology *topology, const struct attn_probes *probes,
                                       const char *policy, int threads, bool roofs, struct machine_peaks *peaks,
                                       struct attn_error *error);

/* ATTN_INTERNAL when the library's SGEMM, which picks its own ISA level, beats the multiply-adds of every level that
 * runs here by more than a tenth, the threads being as many: the probe then lost time, say to chains kept in memory. */
enum attn_status machine_peaks_judge(double best_fma_gflops, double best_sgemm_gflops, struct attn_error *error);

/* The roof over a piece of work (S. Williams, A. Waterman, D. Patterson, "Roofline", CACM 52(4), 2009): no less time
 * than its operations take at the peak rate, nor than its bytes take to be read once from where they lie. */
struct machine_roof {
    bool tiles; /* the peak is that of tile products */
    double gflops;
    enum machine_memory memory;
    double gbs;
    double time_ns;
};

/* `bytes` lie in the smallest cache that holds them, `cold` ones in DRAM; `bf16` work may use tiles where there are
 * any. Pure. */
struct machine_roof machine_roof_over(const struct machine_peaks *peaks, double flops, double bytes, bool cold,
                                      bool bf16);

#endif
