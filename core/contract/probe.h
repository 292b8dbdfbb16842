/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: small loops that find out what one core can do at an ISA level. They are compiled beside the variants, once
 * per level, and handed to the harness with the registry, because the harness itself is compiled without ISA flags. */
#ifndef CONTRACT_PROBE_H
#define CONTRACT_PROBE_H

#include <stddef.h>
#include <stdint.h>

/* Every probe does `rounds` rounds of its work and returns how much it did in all; what it computed goes to *sink,
 * which depends on every operation, so that none can be deleted. */
struct attn_probes {
    /* A chain of dependent additions of integers, one cycle each: how many cycles. */
    double (*cycles)(int64_t rounds, double *sink);
    /* Independent fused multiply-adds (where the level has none, multiplications and additions): how many operations.
     */
    double (*fma_f32)(int64_t rounds, double *sink);
    /* The kernels' exponential over values in cache: how many exponentials. */
    double (*exp_f32)(int64_t rounds, double *sink);
    /* Sums `bytes` bytes (a multiple of 4096) at `data`, `rounds` times: how many bytes. */
    double (*read)(const void *data, size_t bytes, int64_t rounds, double *sink);
    /* The same, every line fetched before its turn comes: from memory the faster way, from near caches the slower. */
    double (*read_ahead)(const void *data, size_t bytes, int64_t rounds, double *sink);
    /* bf16 products of tile registers: how many operations. NULL where the level has no tiles. */
    double (*tiles_bf16)(int64_t rounds, double *sink);
    /* What no known core of this level exceeds in a cycle, for sanity checks. */
    int fma_per_cycle_limit, tiles_per_cycle_limit; /* operations */
    int read_per_cycle_limit;                       /* bytes */
};

#endif
