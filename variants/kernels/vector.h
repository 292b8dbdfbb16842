/* SPDX-License-Identifier: Apache-2.0 */
/* A small vector vocabulary over the compiler's vector types. It specialises on the ISA level a variant
 * file is compiled for: VEC_LANES floats in a register, VEC_REGISTERS of them. Everything is static. */
#ifndef KERNELS_VECTOR_H
#define KERNELS_VECTOR_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define VEC_LANES     16
#define VEC_REGISTERS 32
#elif defined(__AVX2__)
#include <immintrin.h>
#define VEC_LANES     8
#define VEC_REGISTERS 16
#else
#define VEC_LANES 4
#if defined(__aarch64__)
#include <arm_neon.h>
#define VEC_REGISTERS 32
#else
#include <emmintrin.h>
#define VEC_REGISTERS 16
#endif
#endif

#define VEC_INLINE static inline __attribute__((always_inline))

/* Unrolls the loop that follows. A sanitized build checks every copy and would compile for minutes: it has none. */
#define VEC_PRAGMA(text) _Pragma(#text)
#if defined(__SANITIZE_ADDRESS__)
#define VEC_UNROLL(count)
#else
#define VEC_UNROLL(count) VEC_PRAGMA(GCC unroll count)
#endif

typedef float vec __attribute__((vector_size(4 * VEC_LANES)));
typedef int32_t vec_bits __attribute__((vector_size(4 * VEC_LANES)));

VEC_INLINE vec vec_load(const float *from) {
    vec value;
    memcpy(&value, from, sizeof value);
    return value;
}

/* How far before its turn a stream is fetched. */
#define VEC_AHEAD_BYTES 8192

/* Fetches the line that lies so many bytes behind `from` into L2: what waits for L1 is few. Fetching what isn't there
 * does no harm. */
VEC_INLINE void vec_fetch(const void *from, int64_t bytes) {
    __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)bytes), 0, 2);
}

VEC_INLINE void vec_store(float *to, vec value) {
    memcpy(to, &value, sizeof value);
}

VEC_INLINE vec vec_all(float value) {
#if defined(__AVX512F__)
    return (vec)_mm512_set1_ps(value);
#elif defined(__AVX2__)
    return (vec)_mm256_set1_ps(value);
#else
    return (vec){value, value, value, value};
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
/* All ones in the first `count` lanes. */
VEC_INLINE __m256i vec_part_mask(int64_t count) {
    static const int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(const void *)(ones_then_zeros + 8 - count));
}
#endif

/* The first `count` (0..VEC_LANES) floats; zeros beyond, which are not read. */
VEC_INLINE vec vec_load_part(const float *from, int64_t count) {
#if defined(__AVX512F__)
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#elif defined(__AVX2__)
    return (vec)_mm256_maskload_ps(from, vec_part_mask(count));
#else
    vec value = vec_all(0.0f);
    for (int64_t lane = 0; lane < count; ++lane)
        value[lane] = from[lane];
    return value;
#endif
}

VEC_INLINE void vec_store_part(float *to, vec value, int64_t count) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(to, vec_part_mask(count), (__m256)value);
#else
    for (int64_t lane = 0; lane < count; ++lane)
        to[lane] = value[lane];
#endif
}

typedef uint32_t vec_words __attribute__((vector_size(4 * VEC_LANES)));
typedef uint16_t vec_halves __attribute__((vector_size(2 * VEC_LANES)));

/* Rounds to bf16, to nearest and ties to even, and writes VEC_LANES elements. A NaN stays one. */
VEC_INLINE void vec_store_bf16(uint16_t *to, vec value) {
#if defined(__AVX512BF16__)
    const __m256bh halves = _mm512_cvtneps_pbh((__m512)value);
#else
    const vec_words words = (vec_words)value, rounded = (words + 0x7FFF + (words >> 16 & 1)) >> 16;
    const vec_words none = (vec_words)(value != value);
    const vec_halves halves = __builtin_convertvector((rounded & ~none) | (none & 0x7FC0), vec_halves);
#endif
    memcpy(to, &halves, 2 * VEC_LANES);
}

/* Lane by lane `a` where `truth`, a comparison's result, is true, else `b`. */
VEC_INLINE vec vec_select(vec_bits truth, vec a, vec b) {
    return (vec)(((vec_bits)a & truth) | ((vec_bits)b & ~truth));
}

/* first, first + 1, ... */
VEC_INLINE vec_bits vec_count_from(int32_t first) {
#if VEC_LANES == 16
    const vec_bits lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif VEC_LANES == 8
    const vec_bits lanes = {0, 1, 2, 3, 4, 5, 6, 7};
#else
    const vec_bits lanes = {0, 1, 2, 3};
#endif
    return lanes + first;
}

/* The larger of both; `b` where either is NaN. */
VEC_INLINE vec vec_max(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__aarch64__)
    return (vec)vbslq_f32(vcgtq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b);
#else
    return (vec)_mm_max_ps((__m128)a, (__m128)b);
#endif
}

/* Whether some lane of a comparison's result is true. */
VEC_INLINE bool vec_any(vec_bits truth) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)truth, (__m512i)truth) != 0;
#elif defined(__AVX2__)
    return _mm256_movemask_ps((__m256)truth) != 0;
#elif defined(__aarch64__)
    return vmaxvq_u32((uint32x4_t)truth) != 0;
#else
    return _mm_movemask_ps((__m128)truth) != 0;
#endif
}

typedef float vec_four __attribute__((vector_size(16)));

/* Four partial sums of the lanes, halves added to halves: a fixed tree, the same bits on every call. */
VEC_INLINE vec_four vec_fold(vec value) {
#if VEC_LANES == 16
    typedef float half __attribute__((vector_size(32)));
    const half sums = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
    return __builtin_shufflevector(sums, sums, 0, 1, 2, 3) + __builtin_shufflevector(sums, sums, 4, 5, 6, 7);
#elif VEC_LANES == 8
    return __builtin_shufflevector(value, value, 0, 1, 2, 3) + __builtin_shufflevector(value, value, 4, 5, 6, 7);
#else
    return value;
#endif
}

VEC_INLINE float vec_sum(vec value) {
    const vec_four sums = vec_fold(value);
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/* The sums of four vectors, each the bits of vec_sum. */
VEC_INLINE vec_four vec_sums(vec a, vec b, vec c, vec d) {
    const vec_four fa = vec_fold(a), fb = vec_fold(b), fc = vec_fold(c), fd = vec_fold(d);
    const vec_four ab = __builtin_shufflevector(fa, fb, 0, 1, 4, 5) + __builtin_shufflevector(fa, fb, 2, 3, 6, 7);
    const vec_four cd = __builtin_shufflevector(fc, fd, 0, 1, 4, 5) + __builtin_shufflevector(fc, fd, 2, 3, 6, 7);
    return __builtin_shufflevector(ab, cd, 0, 2, 4, 6) + __builtin_shufflevector(ab, cd, 1, 3, 5, 7);
}

VEC_INLINE void vec_transpose(const vec_four row[4], vec_four column[4]) {
    const vec_four low = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5),
                   high = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7),
                   low_next = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5),
                   high_next = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    column[0] = __builtin_shufflevector(low, low_next, 0, 1, 4, 5);
    column[1] = __builtin_shufflevector(low, low_next, 2, 3, 6, 7);
    column[2] = __builtin_shufflevector(high, high_next, 0, 1, 4, 5);
    column[3] = __builtin_shufflevector(high, high_next, 2, 3, 6, 7);
}

/* The largest lane, if no lane is NaN; else whatever. */
VEC_INLINE float vec_top(vec value) {
#if VEC_LANES == 16
    return _mm512_reduce_max_ps((__m512)value);
#else
    float top = value[0];
    for (int lane = 1; lane < VEC_LANES; ++lane)
        top = top > value[lane] ? top : value[lane];
    return top;
#endif
}

/* Lane by lane the larger bit pattern, as unsigned numbers: a NaN of either sign is larger than any finite number. */
VEC_INLINE vec_bits vec_bits_max(vec_bits a, vec_bits b) {
#if defined(__AVX512F__)
    return (vec_bits)_mm512_max_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vec_bits)_mm256_max_epu32((__m256i)a, (__m256i)b);
#else
    const vec_bits flip = (vec_bits)vec_all(-0.0f), greater = (a ^ flip) > (b ^ flip);
    return (a & greater) | (b & ~greater);
#endif
}

/* Adding this to x rounds x to an integer n and leaves n + 127, the exponent field of 2^n, in the low bits. */
#define VEC_EXP2_MAGIC  12583039.0f /* 1.5 * 2^23 + 127 */
#define VEC_EXP2_LOWEST (-127.0f)   /* its exponent field is 0: from here down the result is 0 */

/* 2^f for f in [-0.5, 0.5]: degree 5, minimax in relative error (9.2e-8) with p(0) = 1. */
VEC_INLINE vec vec_exp2_fraction(vec f) {
    vec p = vec_all(1.326472731e-3f);
    p = p * f + vec_all(9.671512991e-3f);
    p = p * f + vec_all(5.550733581e-2f);
    p = p * f + vec_all(2.402224243e-1f);
    p = p * f + vec_all(6.931470037e-1f);
    return p * f + vec_all(1.0f);
}

/* 2^(x - origin), within 2.5 units in the last place, 0 below 2^-126.5, for an integer origin with |origin| < 2^21 and
 * x - origin <= 127; `shifted` is VEC_EXP2_MAGIC - origin, `lowest` origin + VEC_EXP2_LOWEST. Fills *rounded with the
 * bits of VEC_EXP2_MAGIC + (x - origin, rounded), by which a caller finds out, once for many, what went beyond its
 * limit. 2^n is multiplied: added to the exponent it would turn some NaNs into numbers. */
VEC_INLINE vec vec_exp2_from(vec x, vec shifted, vec lowest, vec_bits *rounded) {
    x = vec_max(lowest, x); /* operand order keeps a NaN */
    const vec n = x + shifted;
    *rounded = (vec_bits)n;
    return vec_exp2_fraction(x - (n - shifted)) * (vec)((vec_bits)n << 23);
}

/* Whether `highest`, the largest of what *rounded was filled with, lies at most `threshold` above its origin. */
VEC_INLINE bool vec_exp2_within(vec_bits highest, float threshold) {
    const vec_bits limit = (vec_bits)vec_all(VEC_EXP2_MAGIC + threshold);
    return !vec_any(vec_bits_max(highest, limit) != limit);
}

/* 2^x for x <= 127, within 2.5 units in the last place; 0 below 2^-126.5 and for -inf; a NaN stays one. */
VEC_INLINE vec vec_exp2(vec x) {
    vec_bits rounded;
    return vec_exp2_from(x, vec_all(VEC_EXP2_MAGIC), vec_all(VEC_EXP2_LOWEST), &rounded);
}

#endif
