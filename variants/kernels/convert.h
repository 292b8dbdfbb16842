/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of any element type to floats and back, a register at a time. */
#ifndef KERNELS_CONVERT_H
#define KERNELS_CONVERT_H

#include "contract/element.h"
#include "kernels/vector.h"

/* VEC_LANES elements from `index` on, as floats. */
VEC_INLINE vec convert_load(const void *from, enum attn_type type, int64_t index) {
    if (type == ATTN_F32)
        return vec_load((const float *)from + index);
    const uint16_t *const halves = (const uint16_t *)from + index;
#if defined(__AVX512F__)
    const __m256i raw = _mm256_loadu_si256((const __m256i *)(const void *)halves);
    return type == ATTN_BF16 ? (vec)_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16) : (vec)_mm512_cvtph_ps(raw);
#elif defined(__AVX2__)
    const __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)halves);
    return type == ATTN_BF16 ? (vec)_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16) : (vec)_mm256_cvtph_ps(raw);
#else
    vec value;
    for (int lane = 0; lane < VEC_LANES; ++lane)
        value[lane] = attn_load(halves, type, lane);
    return value;
#endif
}

/* The last, incomplete register of a row: `count` elements, zeros behind them. */
VEC_INLINE vec convert_load_part(const void *from, enum attn_type type, int64_t index, int64_t count) {
    if (type == ATTN_F32)
        return vec_load_part((const float *)from + index, count);
    vec value = vec_all(0.0f);
    for (int64_t lane = 0; lane < count; ++lane)
        value[lane] = attn_load(from, type, index + lane);
    return value;
}

/* Writes VEC_LANES elements from `index` on, each rounded once. */
VEC_INLINE void convert_store(void *to, enum attn_type type, int64_t index, vec value) {
    if (type == ATTN_F32) {
        vec_store((float *)to + index, value);
        return;
    }
    uint16_t *const halves = (uint16_t *)to + index;
    if (type == ATTN_BF16) {
        vec_store_bf16(halves, value);
        return;
    }
#if defined(__AVX512F__)
    _mm256_storeu_si256((__m256i *)(void *)halves, _mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT));
#elif defined(__AVX2__)
    _mm_storeu_si128((__m128i *)(void *)halves, _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT));
#else
    for (int lane = 0; lane < VEC_LANES; ++lane)
        attn_store(halves, type, lane, value[lane]);
#endif
}

/* The loops below stand once per type, so that none asks for it per element. */
VEC_INLINE void convert_from(float *to, const void *from, enum attn_type type, int64_t count, float factor) {
    int64_t c = 0;
    for (; c + VEC_LANES <= count; c += VEC_LANES)
        vec_store(to + c, vec_all(factor) * convert_load(from, type, c));
    for (; c < count; ++c)
        to[c] = factor * attn_load(from, type, c);
}

VEC_INLINE void convert_to(void *to, const float *from, enum attn_type type, int64_t count, float factor) {
    int64_t c = 0;
    for (; c + VEC_LANES <= count; c += VEC_LANES)
        convert_store(to, type, c, vec_all(factor) * vec_load(from + c));
    for (; c < count; ++c)
        attn_store(to, type, c, factor * from[c]);
}

/* to[c] = factor * from[c] as floats, `from` of any type. */
static inline void convert_row_from(float *to, const void *from, enum attn_type type, int64_t count, float factor) {
    switch (type) {
    case ATTN_F32: convert_from(to, from, ATTN_F32, count, factor); break;
    case ATTN_BF16: convert_from(to, from, ATTN_BF16, count, factor); break;
    default: convert_from(to, from, ATTN_F16, count, factor);
    }
}

/* to[c] = factor * from[c], rounded once to `type`. */
static inline void convert_row_to(void *to, const float *from, enum attn_type type, int64_t count, float factor) {
    switch (type) {
    case ATTN_F32: convert_to(to, from, ATTN_F32, count, factor); break;
    case ATTN_BF16: convert_to(to, from, ATTN_BF16, count, factor); break;
    default: convert_to(to, from, ATTN_F16, count, factor);
    }
}

#endif
