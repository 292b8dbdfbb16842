/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for another thread of the team without a barrier. Whoever is waited for must get there without the waiter. */
#ifndef KERNELS_TURN_H
#define KERNELS_TURN_H

#include <sched.h>
#include <stdint.h>

/* Returns when `counter` has reached `value`; what was written before it got there can be read then. */
static inline void turn_await(const int64_t *counter, int64_t value) {
    for (int64_t patience = 0; __atomic_load_n(counter, __ATOMIC_ACQUIRE) < value; ++patience)
        if (patience > 256) /* the other thread may need this core */
            sched_yield();
}

/* Brings the counter one further, and shows what was written before to whoever waits for that. */
static inline void turn_pass(int64_t *counter) {
    __atomic_fetch_add(counter, 1, __ATOMIC_RELEASE);
}

#endif
