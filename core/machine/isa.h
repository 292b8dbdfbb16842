/* SPDX-License-Identifier: Apache-2.0 */
/* ISA levels: which this CPU and its operating system will run. Compiled without ISA flags. */
#ifndef MACHINE_ISA_H
#define MACHINE_ISA_H

#include <stdbool.h>

/* Every level name the project knows, ascending, NULL-terminated: baseline, avx2, avx512, amx_bf16, neon. */
extern const char *const machine_isa_levels[];

/* Whether anybody knows this level. */
bool machine_isa_known(const char *level);

/* NULL: this machine runs the level. Else the reason, e.g. "the CPU lacks avx512bw". For amx_bf16 the
 * first call also asks Linux for permission to use tile data (arch_prctl). */
const char *machine_isa_objection(const char *level);

#endif
