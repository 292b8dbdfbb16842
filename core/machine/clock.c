/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SAMPLES = 101, READINGS = 64 };

int64_t machine_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

struct machine_clock_facts machine_clock_measure(void) {
    double overhead_ns[SAMPLES];
    int64_t step_ns = INT64_MAX;
    for (int i = 0; i < SAMPLES; i++) {
        const int64_t begin = machine_clock_ns();
        int64_t last = begin;
        for (int j = 0; j < READINGS; j++) {
            const int64_t now = machine_clock_ns();
            if (now > last && now - last < step_ns)
                step_ns = now - last;
            last = now;
        }
        overhead_ns[i] = (double)(last - begin) / READINGS;
    }
    qsort(overhead_ns, SAMPLES, sizeof *overhead_ns, ascending);
    return (struct machine_clock_facts){.overhead_ns = overhead_ns[SAMPLES / 2], .resolution_ns = (double)step_ns};
}

void machine_utc_now(char text[32]) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char seconds[24];
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, 32, "%s.%03dZ", seconds, (int)(now.tv_nsec / 1000000));
}
