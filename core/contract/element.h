/* SPDX-License-Identifier: Apache-2.0 */
/* Element types and their conversions. bf16 and f16 are stored as uint16_t, because not every
 * supported compiler has an arithmetic 16-bit type; arithmetic happens in float.
 * Everything here is static: variants are compiled once per ISA level, and one level's copy of a
 * function must never be linked into another. */
#ifndef CONTRACT_ELEMENT_H
#define CONTRACT_ELEMENT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum attn_type { ATTN_F32 = 0, ATTN_BF16, ATTN_F16, ATTN_F64, ATTN_TYPE_COUNT };

/* Every byte of an answer is set to this before a call. As f32, bf16 and f16 it reads as a NaN
 * that no arithmetic produces from finite inputs, so an element nobody wrote is recognised. */
#define ATTN_POISON_BYTE 0xFF

static inline size_t attn_type_bytes(enum attn_type type) {
    return type == ATTN_F64 ? 8 : type == ATTN_F32 ? 4 : 2;
}

/* Unit round-off u: half the distance from 1 to the next number. */
static inline double attn_type_roundoff(enum attn_type type) {
    static const double roundoff[ATTN_TYPE_COUNT] = {0x1p-24, 0x1p-8, 0x1p-11, 0x1p-53};
    return roundoff[type];
}

static inline const char *attn_type_name(enum attn_type type) {
    static const char *const names[ATTN_TYPE_COUNT] = {"f32", "bf16", "f16", "f64"};
    return names[type];
}

static inline uint32_t attn_bits_of_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float attn_f32_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float attn_f32_of_bf16(uint16_t half) {
    return attn_f32_of_bits((uint32_t)half << 16);
}

/* Rounds to nearest, ties to even; a NaN stays a NaN. */
static inline uint16_t attn_bf16_of_f32(float value) {
    const uint32_t bits = attn_bits_of_f32(value);
    if (value != value)
        return (uint16_t)((bits >> 16) | 0x0040);
    return (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

static inline float attn_f32_of_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t magnitude = half & 0x7FFF;
    if (magnitude >= 0x7C00) /* infinity or NaN: the exponent becomes all ones */
        return attn_f32_of_bits(sign | 0x7F800000 | (magnitude & 0x3FF) << 13);
    /* Moving the fields into place leaves the exponent 112 too small; the multiplication mends
     * that and normalises subnormal numbers on the way. */
    return attn_f32_of_bits(sign | attn_bits_of_f32(attn_f32_of_bits(magnitude << 13) * 0x1p112f));
}

/* Rounds to nearest, ties to even; overflow becomes infinity, a NaN stays a NaN. */
static inline uint16_t attn_f16_of_f32(float value) {
    const uint32_t bits = attn_bits_of_f32(value);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000)
        return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x477FF000) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00);
    if (magnitude < 0x38800000) /* below 2^-14: let the adder round at 2^-24 */
        return (uint16_t)(sign | (attn_bits_of_f32(attn_f32_of_bits(magnitude) + 0.5f) - 0x3F000000));
    return (uint16_t)(sign | (magnitude - 0x38000000 + 0xFFF + (magnitude >> 13 & 1)) >> 13);
}

/* Element `index` of an array of `type`, as float. */
static inline float attn_load(const void *array, enum attn_type type, int64_t index) {
    switch (type) {
    case ATTN_F32: return ((const float *)array)[index];
    case ATTN_BF16: return attn_f32_of_bf16(((const uint16_t *)array)[index]);
    case ATTN_F16: return attn_f32_of_f16(((const uint16_t *)array)[index]);
    default: return (float)((const double *)array)[index];
    }
}

/* Writes `value` to element `index` of an array of `type`, rounded once. */
static inline void attn_store(void *array, enum attn_type type, int64_t index, float value) {
    switch (type) {
    case ATTN_F32: ((float *)array)[index] = value; break;
    case ATTN_BF16: ((uint16_t *)array)[index] = attn_bf16_of_f32(value); break;
    case ATTN_F16: ((uint16_t *)array)[index] = attn_f16_of_f32(value); break;
    default: ((double *)array)[index] = value; break;
    }
}

#endif
