/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about this host and build that a reader of results needs, as name/value texts. */
#ifndef MACHINE_HOST_H
#define MACHINE_HOST_H

#include <stddef.h>

struct machine_fact {
    char name[40];   /* "cpu_model", "microcode", "governor", "smt", "aslr", "transparent_huge_pages", "kernel",
                        "compiler", "compiler_flags", "openmp", "gemm", "git_commit", "git_dirty", "hostname", ... */
    char value[256]; /* "unknown" when the system does not say */
};

/* Fills up to `capacity` facts and returns how many there are. */
size_t machine_host_facts(struct machine_fact *facts, size_t capacity);

#endif
