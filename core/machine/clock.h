/* SPDX-License-Identifier: Apache-2.0 */
/* The monotonic clock and what it costs. */
#ifndef MACHINE_CLOCK_H
#define MACHINE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC_RAW, nanoseconds. */
int64_t machine_clock_ns(void);

struct machine_clock_facts {
    double overhead_ns;   /* median cost of one reading */
    double resolution_ns; /* smallest non-zero step seen */
};
struct machine_clock_facts machine_clock_measure(void);

/* Now, as "2026-01-31T12:34:56.789Z". `text` has room for 32 bytes. */
void machine_utc_now(char text[32]);

#endif
