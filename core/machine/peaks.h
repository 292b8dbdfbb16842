/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at best, measured: the roofs that kernels are held against. */
#ifndef MACHINE_PEAKS_H
#define MACHINE_PEAKS_H

#include "contract/probe.h"
#include "contract/status.h"
#include "machine/topology.h"

/* Rates of `threads` threads together, each the best of several repetitions. 0: there is no such thing here. */
struct machine_peaks {
    int threads;
    double clock_ghz;                        /* of one thread, from a chain of one-cycle operations */
    double fma_gflops;                       /* f32, independent fused multiply-adds */
    double tile_gflops;                      /* bf16 tile products */
    double exp_per_ns;                       /* f32 exponentials from and to cache */
    double l1_gbs, l2_gbs, l3_gbs, dram_gbs; /* reads, GB/s (10^9 bytes) */
    double sgemm_gflops;                     /* 2048 x 2048 x 2048 of the CBLAS library, one product per thread */
};

/* Measures with bound threads in about two seconds. ATTN_INTERNAL when a figure is above what the clock allows, which
 * means that a loop was deleted or the clock is wrong; the figure is named. ATTN_UNSUPPORTED when the threads can't
 * be placed. */
enum attn_status machine_peaks_measure(const struct machine_topology *topology, const struct attn_probes *probes,
                                       int threads, struct machine_peaks *peaks, struct attn_error *error);

#endif
