/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary of AMX tiles: eight registers of 16 rows by 64 bytes, and one product of bf16 pairs summed in f32. Where
 * the compiler has no AMX, or ATTN_TILE_MODEL asks for it, the same words are a model in plain C, so that packing and
 * indexing are tested on any CPU. Tile numbers are literals: the instructions encode them. */
#ifndef KERNELS_AMX_H
#define KERNELS_AMX_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "contract/element.h"

enum {
    AMX_ROWS = 16,      /* rows of a tile; f32 sums in a row */
    AMX_DEPTH = 32,     /* bf16 terms that one product adds to each sum */
    AMX_ELEMENTS = 512, /* bf16 elements of a tile */
    AMX_BLOCK = 32,     /* rows, and columns, of the 2 x 2 block of sums that kernels hold */
};

#if defined(__AMX_BF16__) && defined(__AMX_TILE__) && !defined(ATTN_TILE_MODEL)
#include <immintrin.h>

#define AMX_OFFERED true

/* All eight tiles at full size. To be called by each thread before it uses tiles. */
static inline void amx_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape __attribute__((aligned(64))) = {.palette = 1};
    for (int tile = 0; tile < 8; ++tile) {
        shape.row_bytes[tile] = 64;
        shape.rows[tile] = AMX_ROWS;
    }
    _tile_loadconfig(&shape);
}

static inline void amx_end(void) {
    _tile_release();
}

#define amx_zero(tile) _tile_zero(tile)
/* GCC does not know that a tile load reads memory: without the barrier it may sink the stores before it. */
#define amx_load(tile, from, stride_bytes)                                                                             \
    do {                                                                                                               \
        __asm__ volatile("" ::: "memory");                                                                             \
        _tile_loadd(tile, from, stride_bytes);                                                                         \
    } while (0)
#define amx_store(tile, to, stride_bytes) _tile_stored(tile, to, stride_bytes)
#define amx_dot(sums, left, right)        _tile_dpbf16ps(sums, left, right)

#else

#if defined(ATTN_TILE_MODEL)
#define AMX_OFFERED true
#else
#define AMX_OFFERED false
#endif

union amx_model_tile {
    float f32[AMX_ROWS][16];
    uint16_t bf16[AMX_ROWS][AMX_DEPTH];
};

static _Thread_local union amx_model_tile amx_model[8];

static inline void amx_begin(void) {
    memset(amx_model, ATTN_POISON_BYTE, sizeof amx_model);
}

static inline void amx_end(void) {
    memset(amx_model, ATTN_POISON_BYTE, sizeof amx_model);
}

static inline void amx_zero(int tile) {
    memset(&amx_model[tile], 0, sizeof *amx_model);
}

static inline void amx_load(int tile, const void *from, int64_t stride_bytes) {
    for (int row = 0; row < AMX_ROWS; ++row)
        memcpy(amx_model[tile].bf16[row], (const char *)from + row * stride_bytes, 64);
}

static inline void amx_store(int tile, void *to, int64_t stride_bytes) {
    for (int row = 0; row < AMX_ROWS; ++row)
        memcpy((char *)to + row * stride_bytes, amx_model[tile].bf16[row], 64);
}

/* sums[m][n] += sum over pairs k of left[m][2k] right[k][2n] + left[m][2k+1] right[k][2n+1]. The hardware rounds in
 * another order and takes subnormal numbers for zero. Memory is reached by loads and stores alone: sanitizers would
 * only make these loops slow. */
__attribute__((no_sanitize("address", "undefined"))) static inline void amx_dot(int sums, int left, int right) {
    float terms[AMX_DEPTH][16]; /* the right tile, a term in each row */
    for (int k = 0; k < AMX_DEPTH; ++k)
        for (int n = 0; n < 16; ++n)
            terms[k][n] = attn_f32_of_bf16(amx_model[right].bf16[k / 2][2 * n + k % 2]);
    for (int m = 0; m < AMX_ROWS; ++m)
        for (int k = 0; k < AMX_DEPTH; ++k) {
            const float factor = attn_f32_of_bf16(amx_model[left].bf16[m][k]);
            for (int n = 0; n < 16; ++n)
                amx_model[sums].f32[m][n] += factor * terms[k][n];
        }
}

#endif

/* Tiles that `count` elements of `unit` each need. */
static inline int64_t amx_tiles(int64_t count, int64_t unit) {
    return (count + unit - 1) / unit;
}

/* Products of a 2 x 2 block over `steps` tiles in depth, added to tiles 0..3 (row tile 0 or 1, column tile 0 or 1).
 * `left` has AMX_BLOCK rows of left_stride elements; right tile (step, column) stands at right + step * right_step +
 * column * AMX_ELEMENTS, packed in pairs. */
static inline void amx_block(int64_t steps, const uint16_t *left, int64_t left_stride, const uint16_t *right,
                             int64_t right_step) {
    for (int64_t step = 0; step < steps; ++step, left += AMX_DEPTH, right += right_step) {
        amx_load(4, left, 2 * left_stride);
        amx_load(6, right, 64);
        amx_dot(0, 4, 6);
        amx_load(7, right + AMX_ELEMENTS, 64);
        amx_dot(1, 4, 7);
        amx_load(5, left + AMX_ROWS * left_stride, 2 * left_stride);
        amx_dot(2, 5, 6);
        amx_dot(3, 5, 7);
    }
}

static inline void amx_block_zero(void) {
    amx_zero(0);
    amx_zero(1);
    amx_zero(2);
    amx_zero(3);
}

/* Reads or writes the 2 x 2 block as AMX_BLOCK rows of `stride` floats. */
static inline void amx_block_load(const float *sums, int64_t stride) {
    amx_load(0, sums, 4 * stride);
    amx_load(1, sums + 16, 4 * stride);
    amx_load(2, sums + AMX_ROWS * stride, 4 * stride);
    amx_load(3, sums + AMX_ROWS * stride + 16, 4 * stride);
}

static inline void amx_block_store(float *sums, int64_t stride) {
    amx_store(0, sums, 4 * stride);
    amx_store(1, sums + 16, 4 * stride);
    amx_store(2, sums + AMX_ROWS * stride, 4 * stride);
    amx_store(3, sums + AMX_ROWS * stride + 16, 4 * stride);
}

#endif
