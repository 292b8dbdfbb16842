/* SPDX-License-Identifier: Apache-2.0 */
/* Counter-based random numbers: element n of a stream is a pure function of (seed, stream, n), so the order of
 * filling and the number of threads can't change a bit. The mixer is SplitMix64's (Steele, Lea, Flood 2014). */
#ifndef CHECK_RANDOM_H
#define CHECK_RANDOM_H

#include <math.h>
#include <stdint.h>

static inline uint64_t check_mix(uint64_t bits) {
    bits = (bits ^ bits >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94D049BB133111EB);
    return bits ^ bits >> 31;
}

/* 64 random bits: element `counter` of the stream `key`. */
static inline uint64_t check_bits(uint64_t key, uint64_t counter) {
    return check_mix(key + (counter + 1) * UINT64_C(0x9E3779B97F4A7C15));
}

/* The key of one stream of a seed. Mixed twice, so that neighbouring seeds share no counters. */
static inline uint64_t check_stream(uint64_t seed, uint64_t stream) {
    return check_bits(check_mix(seed ^ UINT64_C(0xA0761D6478BD642F)), stream);
}

/* Uniform in [0, 1). */
static inline double check_unit(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

/* Uniform in 0..count-1, 1 <= count < 2^32. */
static inline int64_t check_below(uint64_t bits, int64_t count) {
    return (int64_t)((bits >> 32) * (uint64_t)count >> 32);
}

/* Standard normal: the inverse distribution function, algorithm AS 241 (Wichura 1988), PPND7: relative error
 * about 1e-7, the resolution of a float. */
static inline double check_normal(uint64_t bits) {
    const double q = ((double)(int64_t)(bits >> 11) + 0.5) * 0x1p-53 - 0.5;
    if (fabs(q) <= 0.425) {
        const double r = 0.180625 - q * q;
        return q * (((59.109374720 * r + 159.29113202) * r + 50.434271938) * r + 3.3871327179) /
               (((67.187563600 * r + 78.757757664) * r + 17.895169469) * r + 1.0);
    }
    double r = sqrt(-log(q < 0 ? 0.5 + q : 0.5 - q)), tail;
    if (r <= 5.0) {
        r -= 1.6;
        tail = (((0.17023821103 * r + 1.3067284816) * r + 2.7568153900) * r + 1.4234372777) /
               ((0.12021132975 * r + 0.73700164250) * r + 1.0);
    } else {
        r -= 5.0;
        tail = (((0.017337203997 * r + 0.42868294337) * r + 3.0812263860) * r + 6.6579051150) /
               ((0.012258202635 * r + 0.24197894225) * r + 1.0);
    }
    return q < 0 ? -tail : tail;
}

#endif
