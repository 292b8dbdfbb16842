/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/isa.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum level { BASELINE, AVX2, AVX512, AMX_BF16, NEON, LEVELS };

const char *const machine_isa_levels[] = {"baseline", "avx2", "avx512", "amx_bf16", "neon", NULL};

/* What an x86 level needs of the CPU: a CPUID bit and the level at which it joins. Names as in /proc/cpuinfo. */
static const struct feature {
    const char *name;
    enum machine_isa_register where;
    unsigned bit;
    enum level since;
} features[] = {
    {"avx", MACHINE_ISA_LEAF_1_ECX, 28, AVX2},          {"fma", MACHINE_ISA_LEAF_1_ECX, 12, AVX2},
    {"f16c", MACHINE_ISA_LEAF_1_ECX, 29, AVX2},         {"avx2", MACHINE_ISA_LEAF_7_EBX, 5, AVX2},
    {"bmi2", MACHINE_ISA_LEAF_7_EBX, 8, AVX2},          {"avx512f", MACHINE_ISA_LEAF_7_EBX, 16, AVX512},
    {"avx512bw", MACHINE_ISA_LEAF_7_EBX, 30, AVX512},   {"avx512dq", MACHINE_ISA_LEAF_7_EBX, 17, AVX512},
    {"avx512vl", MACHINE_ISA_LEAF_7_EBX, 31, AVX512},   {"avx512_bf16", MACHINE_ISA_LEAF_7_1_EAX, 5, AMX_BF16},
    {"amx_tile", MACHINE_ISA_LEAF_7_EDX, 24, AMX_BF16}, {"amx_bf16", MACHINE_ISA_LEAF_7_EDX, 22, AMX_BF16},
};

/* What the operating system must save when it switches threads: bits of the register XCR0. */
static const struct state {
    const char *name;
    uint64_t bits;
    enum level since;
} states[] = {
    {"AVX", 0x6, AVX2},
    {"AVX-512", 0xe6, AVX512},
    {"AMX tile", 0x600e6, AMX_BF16},
};

static enum level level_of(const char *name) {
    enum level level = BASELINE;
    while (level < LEVELS && strcmp(name, machine_isa_levels[level]) != 0)
        level++;
    return level;
}

/* Joins the names of the features that are missing; 0 when none is. */
static int missing_features(enum level level, const struct machine_isa_evidence *evidence, char *text, size_t bytes) {
    size_t used = 0;
    int missing = 0;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        const struct feature *const feature = &features[i];
        if (feature->since > level || (evidence->registers[feature->where] >> feature->bit & 1))
            continue;
        const int added = snprintf(text + used, bytes - used, "%s%s", missing ? ", " : "", feature->name);
        used = used + (size_t)added < bytes ? used + (size_t)added : bytes - 1;
        missing++;
    }
    return missing;
}

bool machine_isa_judge(const char *name, const struct machine_isa_evidence *evidence, char *reason, size_t bytes) {
    const enum level level = level_of(name);
    char missing[256];
    if (level == BASELINE)
        return true;
    if (level == LEVELS) {
        snprintf(reason, bytes, "'%s' is not an ISA level", name);
        return false;
    }
    if (level == NEON || evidence->architecture != MACHINE_ISA_X86_64) {
        const bool match = level == NEON && evidence->architecture == MACHINE_ISA_AARCH64;
        snprintf(reason, bytes, "this is not an %s CPU", level == NEON ? "ARM" : "x86-64");
        return match;
    }
    if (missing_features(level, evidence, missing, sizeof missing)) {
        snprintf(reason, bytes, "the CPU lacks %s", missing);
        return false;
    }
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (states[i].since <= level && (evidence->saved_state & states[i].bits) != states[i].bits) {
            snprintf(reason, bytes, "the operating system does not save %s state", states[i].name);
            return false;
        }
    if (level == AMX_BF16 && !evidence->tile_data_permitted) {
        snprintf(reason, bytes, "the operating system does not permit AMX tile data");
        return false;
    }
    return true;
}

#if defined(__x86_64__)

/* The instruction itself: the intrinsic would need an ISA flag. */
static uint64_t read_xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux grants tile data (extended state 18) per process, and only on request. */
static bool permit_tile_data(void) {
    enum { ARCH_REQUEST_EXTENDED_STATE = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQUEST_EXTENDED_STATE, TILE_DATA) == 0;
}

static struct machine_isa_evidence gather(void) {
    struct machine_isa_evidence evidence = {.architecture = MACHINE_ISA_X86_64};
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        evidence.registers[MACHINE_ISA_LEAF_1_ECX] = ecx;
        if (ecx & bit_OSXSAVE)
            evidence.saved_state = read_xcr0();
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        const uint32_t last_subleaf = eax;
        evidence.registers[MACHINE_ISA_LEAF_7_EBX] = ebx;
        evidence.registers[MACHINE_ISA_LEAF_7_EDX] = edx;
        if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
            evidence.registers[MACHINE_ISA_LEAF_7_1_EAX] = eax;
    }
    return evidence;
}

#else

static bool permit_tile_data(void) {
    return false;
}

static struct machine_isa_evidence gather(void) {
#if defined(__aarch64__)
    return (struct machine_isa_evidence){.architecture = MACHINE_ISA_AARCH64};
#else
    return (struct machine_isa_evidence){.architecture = MACHINE_ISA_OTHER};
#endif
}

#endif

static char reasons[LEVELS][192]; /* empty: no objection */

static void judge_all(void) {
    struct machine_isa_evidence evidence = gather();
    evidence.tile_data_permitted = true;
    for (enum level level = BASELINE; level < LEVELS; level++) {
        /* Permission is asked for only where tiles exist: elsewhere the missing feature is the better reason. */
        if (level == AMX_BF16 && machine_isa_judge(machine_isa_levels[level], &evidence, reasons[level], 192))
            evidence.tile_data_permitted = permit_tile_data();
        if (machine_isa_judge(machine_isa_levels[level], &evidence, reasons[level], 192))
            reasons[level][0] = '\0';
    }
}

bool machine_isa_known(const char *level) {
    return level_of(level) < LEVELS;
}

const char *machine_isa_objection(const char *level) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const enum level known = level_of(level);
    if (known == LEVELS)
        return "nobody knows this ISA level";
    pthread_once(&once, judge_all);
    return reasons[known][0] ? reasons[known] : NULL;
}
