/* SPDX-License-Identifier: Apache-2.0 */
/* ISA levels: which this CPU and its operating system will run. Compiled without ISA flags. */
#ifndef MACHINE_ISA_H
#define MACHINE_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every level name the project knows, ascending, NULL-terminated: baseline, avx2, avx512, amx_bf16, neon. */
extern const char *const machine_isa_levels[];

/* Whether anybody knows this level. */
bool machine_isa_known(const char *level);

/* NULL: this machine runs the level. Else the reason, e.g. "the CPU lacks avx512bw". The first call, if
 * the CPU has tiles, also asks Linux for this process's permission to use them (arch_prctl). */
const char *machine_isa_objection(const char *level);

/* What a CPU and an operating system say of themselves, and the judgement on it as a pure function, so
 * that it is tested on machines that are not here. */
enum machine_isa_architecture { MACHINE_ISA_OTHER, MACHINE_ISA_X86_64, MACHINE_ISA_AARCH64 };
enum machine_isa_register {
    MACHINE_ISA_LEAF_1_ECX,
    MACHINE_ISA_LEAF_7_EBX,
    MACHINE_ISA_LEAF_7_EDX,
    MACHINE_ISA_LEAF_7_1_EAX,
    MACHINE_ISA_REGISTERS
};
struct machine_isa_evidence {
    enum machine_isa_architecture architecture;
    uint32_t registers[MACHINE_ISA_REGISTERS]; /* answers of CPUID */
    uint64_t saved_state;                      /* XCR0: state the operating system saves; 0: it saves none */
    bool tile_data_permitted;
};

/* Whether such a machine runs the level; if not, `reason` says why, and else is left undefined. */
bool machine_isa_judge(const char *level, const struct machine_isa_evidence *evidence, char *reason, size_t bytes);

#endif
