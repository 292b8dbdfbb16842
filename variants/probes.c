/* SPDX-License-Identifier: Apache-2.0 */
/* The peak probes of one ISA level: what kernels could reach at best. */
#include "contract/probe.h"
#include "contract/variant.h"
#include "kernels/vector.h"

/* Tells the compiler that a value may have changed, so that it neither deletes nor merges the work on it. */
#if defined(__aarch64__)
#define PROBE_KEEP(value) __asm__ volatile("" : "+w"(value))
#else
#define PROBE_KEEP(value) __asm__ volatile("" : "+x"(value))
#endif

static double cycles(int64_t rounds, double *sink) {
    uint64_t sum = 1;
    for (int64_t n = 0; n < rounds; ++n)
        VEC_UNROLL(64) for (int step = 0; step < 64; ++step) { /* the loop's own counting runs beside the chain */
            sum += 3;
            __asm__ volatile("" : "+r"(sum));
        }
    *sink = (double)sum;
    return 64.0 * (double)rounds;
}

enum { CHAINS = 12 }; /* latency 4..5 at two a cycle needs 8..10 in flight */

static double fma_f32(int64_t rounds, double *sink) {
    vec sums[CHAINS];
    for (int n = 0; n < CHAINS; ++n)
        sums[n] = vec_all(0.5f + (float)n);
    vec factor = vec_all(0.999f), addend = vec_all(1e-4f);
    for (int64_t round = 0; round < rounds; ++round) {
        PROBE_KEEP(factor); /* an operand that may change; an asm on the chains themselves would put them in memory */
        VEC_UNROLL(12) for (int n = 0; n < CHAINS; ++n) sums[n] = sums[n] * factor + addend;
    }
    vec total = sums[0];
    for (int n = 1; n < CHAINS; ++n)
        total += sums[n];
    *sink = vec_sum(total);
    return 2.0 * VEC_LANES * CHAINS * (double)rounds;
}

static double exp_f32(int64_t rounds, double *sink) {
    enum { VALUES = 1024 };
    static _Thread_local float values[VALUES];
    for (int n = 0; n < VALUES; ++n)
        values[n] = -0.01f * (float)n;
    vec sums[2] = {vec_all(0.0f), vec_all(0.0f)};
    for (int64_t round = 0; round < rounds; ++round)
        for (int n = 0; n < VALUES; n += 2 * VEC_LANES) {
            sums[0] += vec_exp2(vec_load(values + n));
            sums[1] += vec_exp2(vec_load(values + n + VEC_LANES));
            PROBE_KEEP(sums[0]);
        }
    *sink = vec_sum(sums[0] + sums[1]);
    return (double)VALUES * (double)rounds;
}

/* `ahead_bytes` (constant at each call): how far before its turn a line is fetched into L2; 0: left to the hardware. */
VEC_INLINE double read_lines(const void *data, size_t bytes, int64_t rounds, int64_t ahead_bytes, double *sink) {
    enum { STREAMS = 8, STEP_BYTES = STREAMS * sizeof(vec) };
    vec sums[STREAMS];
    for (int n = 0; n < STREAMS; ++n)
        sums[n] = vec_all(0.0f);
    for (int64_t round = 0; round < rounds; ++round) {
        __asm__ volatile("" ::: "memory"); /* what was read before may have changed */
        for (const float *at = data, *const end = at + bytes / sizeof(float); at < end; at += STREAMS * VEC_LANES) {
            VEC_UNROLL(8)
            for (int64_t line = 0; line < (int64_t)STEP_BYTES && ahead_bytes > 0; line += 64)
                vec_fetch(at, ahead_bytes + line);
            VEC_UNROLL(8) for (int n = 0; n < STREAMS; ++n) sums[n] += vec_load(at + n * VEC_LANES);
        }
    }
    vec total = sums[0];
    for (int n = 1; n < STREAMS; ++n)
        total += sums[n];
    *sink = vec_sum(total);
    return (double)bytes * (double)rounds;
}

static double read(const void *data, size_t bytes, int64_t rounds, double *sink) {
    return read_lines(data, bytes, rounds, 0, sink);
}

static double read_ahead(const void *data, size_t bytes, int64_t rounds, double *sink) {
    return read_lines(data, bytes, rounds, VEC_AHEAD_BYTES, sink);
}

#if defined(__AMX_BF16__) && defined(__AMX_TILE__)
/* Six tiles as the best kernels hold them: a 2 x 2 block of sums, two tiles of each factor. */
static double tiles_bf16(int64_t rounds, double *sink) {
    static _Thread_local uint16_t factor[16 * 32];
    static _Thread_local float sums[16 * 16];
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t column_bytes[16];
        uint8_t rows[16];
    } shape __attribute__((aligned(64))) = {.palette = 1};
    for (int tile = 0; tile < 8; ++tile) {
        shape.column_bytes[tile] = 64;
        shape.rows[tile] = 16;
    }
    for (int n = 0; n < 16 * 32; ++n)
        factor[n] = 0x3F80; /* 1 in bf16 */
    _tile_loadconfig(&shape);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, factor, 64);
    _tile_loadd(5, factor, 64);
    _tile_loadd(6, factor, 64);
    _tile_loadd(7, factor, 64);
    for (int64_t round = 0; round < rounds; ++round) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    double total = 0.0;
    _tile_stored(0, sums, 64);
    total += sums[0];
    _tile_stored(1, sums, 64);
    total += sums[0];
    _tile_stored(2, sums, 64);
    total += sums[0];
    _tile_stored(3, sums, 64);
    total += sums[0];
    _tile_release();
    *sink = total;
    return 4.0 * 2 * 16 * 16 * 32 * (double)rounds;
}
#define TILES_BF16 tiles_bf16
#else
#define TILES_BF16 NULL
#endif

const struct attn_probes ATTN_JOIN(attn_, probes, ATTN_LEVEL) = {
    .cycles = cycles,
    .fma_f32 = fma_f32,
    .exp_f32 = exp_f32,
    .read = read,
    .read_ahead = read_ahead,
    .tiles_bf16 = TILES_BF16,
    .fma_per_cycle_limit = 2 * 2 * VEC_LANES, /* two units */
    .tiles_per_cycle_limit = 1024,            /* a product of 16 x 32 by 32 x 16 takes 16 cycles */
    .read_per_cycle_limit = 3 * sizeof(vec),  /* three loads */
};
