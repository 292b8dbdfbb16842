/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the layer: 64 bits that change when any byte of an array does (but for a chance of 2^-64). */
#ifndef CHECK_FINGERPRINT_H
#define CHECK_FINGERPRINT_H

#include <stddef.h>
#include <string.h>

#include "check/random.h"

#define CHECK_FINGERPRINT_BLOCK ((size_t)1 << 20)

/* One block, `number` its place; each step is a bijection of the state, so one changed word always shows. */
static inline uint64_t check_fingerprint_block(const unsigned char *bytes, size_t count, uint64_t number) {
    uint64_t state = check_mix(number ^ count), word;
    for (; count >= sizeof word; bytes += sizeof word, count -= sizeof word) {
        memcpy(&word, bytes, sizeof word);
        state = (state ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        state ^= state >> 29;
    }
    word = 0;
    memcpy(&word, bytes, count);
    return check_mix(state ^ word);
}

static inline uint64_t check_fingerprint(const void *data, size_t bytes, int threads) {
    const int64_t blocks = (int64_t)((bytes + CHECK_FINGERPRINT_BLOCK - 1) / CHECK_FINGERPRINT_BLOCK);
    uint64_t sum = 0;
    (void)threads;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(+ : sum) if (threads > 1 && blocks > 1)
    for (int64_t n = 0; n < blocks; ++n) {
        const size_t begin = (size_t)n * CHECK_FINGERPRINT_BLOCK;
        const size_t count = bytes - begin < CHECK_FINGERPRINT_BLOCK ? bytes - begin : CHECK_FINGERPRINT_BLOCK;
        sum += check_fingerprint_block((const unsigned char *)data + begin, count, (uint64_t)n);
    }
    return sum;
}

#endif
