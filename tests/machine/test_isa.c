/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/isa.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A CPU with everything, under a Linux that saves and permits everything. */
static struct machine_isa_evidence everything(void) {
    return (struct machine_isa_evidence){
        .architecture = MACHINE_ISA_X86_64,
        .registers = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
        .saved_state = 0x602e7,
        .tile_data_permitted = true,
    };
}

static const char *reason(const char *level, const struct machine_isa_evidence *evidence) {
    static char text[192];
    return machine_isa_judge(level, evidence, text, sizeof text) ? "none" : text;
}

Test(isa, levels_are_known_and_nothing_else_is) {
    const char *const expected[] = {"baseline", "avx2", "avx512", "amx_bf16", "neon"};
    for (size_t i = 0; i < 5; i++) {
        cr_assert_str_eq(machine_isa_levels[i], expected[i]);
        cr_assert(machine_isa_known(expected[i]));
    }
    cr_assert_null(machine_isa_levels[5]);
    cr_assert_not(machine_isa_known("avx"));
    cr_assert_not(machine_isa_known(""));
    cr_assert_not(machine_isa_known("AVX2"));
    cr_assert_not_null(machine_isa_objection("avx1024"));
}

Test(isa, baseline_always_runs) {
    const struct machine_isa_evidence nothing = {.architecture = MACHINE_ISA_OTHER};
    cr_assert_null(machine_isa_objection("baseline"));
    cr_assert_str_eq(reason("baseline", &nothing), "none");
}

Test(isa, a_cpu_with_everything_runs_every_level_of_its_kind) {
    const struct machine_isa_evidence all = everything(), arm = {.architecture = MACHINE_ISA_AARCH64};
    cr_assert_str_eq(reason("avx2", &all), "none");
    cr_assert_str_eq(reason("avx512", &all), "none");
    cr_assert_str_eq(reason("amx_bf16", &all), "none");
    cr_assert_str_eq(reason("neon", &all), "this is not an ARM CPU");
    cr_assert_str_eq(reason("neon", &arm), "none");
    cr_assert_str_eq(reason("avx2", &arm), "this is not an x86-64 CPU");
}

/* Each bit alone, with the first level that must miss it; below that level nothing may change. */
static const struct lack {
    const char *name;
    enum machine_isa_register where;
    int bit;
    int level;
} lacks[] = {
    {"avx", MACHINE_ISA_LEAF_1_ECX, 28, 1},          {"fma", MACHINE_ISA_LEAF_1_ECX, 12, 1},
    {"f16c", MACHINE_ISA_LEAF_1_ECX, 29, 1},         {"avx2", MACHINE_ISA_LEAF_7_EBX, 5, 1},
    {"bmi2", MACHINE_ISA_LEAF_7_EBX, 8, 1},          {"avx512f", MACHINE_ISA_LEAF_7_EBX, 16, 2},
    {"avx512dq", MACHINE_ISA_LEAF_7_EBX, 17, 2},     {"avx512bw", MACHINE_ISA_LEAF_7_EBX, 30, 2},
    {"avx512vl", MACHINE_ISA_LEAF_7_EBX, 31, 2},     {"amx_tile", MACHINE_ISA_LEAF_7_EDX, 24, 3},
    {"avx512_bf16", MACHINE_ISA_LEAF_7_1_EAX, 5, 3}, {"amx_bf16", MACHINE_ISA_LEAF_7_EDX, 22, 3},
};

Test(isa, each_missing_feature_is_named_by_the_levels_that_need_it) {
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++) {
        struct machine_isa_evidence evidence = everything();
        char expected[64];
        evidence.registers[lacks[i].where] &= ~(1u << lacks[i].bit);
        snprintf(expected, sizeof expected, "the CPU lacks %s", lacks[i].name);
        for (int level = 1; level <= 3; level++)
            cr_assert_str_eq(reason(machine_isa_levels[level], &evidence), level < lacks[i].level ? "none" : expected);
    }
}

Test(isa, several_missing_features_are_all_named) {
    struct machine_isa_evidence evidence = everything();
    evidence.registers[MACHINE_ISA_LEAF_7_EBX] &= 0xffff;
    cr_assert_str_eq(reason("avx512", &evidence), "the CPU lacks avx512f, avx512bw, avx512dq, avx512vl");
}

Test(isa, the_operating_system_must_consent) {
    struct machine_isa_evidence evidence = everything();
    evidence.tile_data_permitted = false;
    cr_assert_str_eq(reason("amx_bf16", &evidence), "the operating system does not permit AMX tile data");
    evidence.saved_state = 0xe7;
    cr_assert_str_eq(reason("avx512", &evidence), "none");
    cr_assert_str_eq(reason("amx_bf16", &evidence), "the operating system does not save AMX tile state");
    evidence.saved_state = 0x7;
    cr_assert_str_eq(reason("avx2", &evidence), "none");
    cr_assert_str_eq(reason("avx512", &evidence), "the operating system does not save AVX-512 state");
    evidence.saved_state = 0;
    cr_assert_str_eq(reason("avx2", &evidence), "the operating system does not save AVX state");
}

/* The kernel's own list is an independent witness; it names a feature only if it lets programs use it. */
Test(isa, this_machine_is_judged_as_its_kernel_lists_it) {
#if defined(__x86_64__)
    static char text[65536];
    FILE *const file = fopen("/proc/cpuinfo", "r");
    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const bool avx2 =
        strstr(text, " avx2 ") && strstr(text, " fma ") && strstr(text, " f16c ") && strstr(text, " bmi2 ");
    const bool avx512 = avx2 && strstr(text, " avx512f ") && strstr(text, " avx512bw ") && strstr(text, " avx512dq ") &&
                        strstr(text, " avx512vl ");
    const bool amx =
        avx512 && strstr(text, " amx_tile ") && strstr(text, " amx_bf16 ") && strstr(text, " avx512_bf16 ");
    cr_assert_eq(machine_isa_objection("avx2") == NULL, avx2);
    cr_assert_eq(machine_isa_objection("avx512") == NULL, avx512);
    cr_assert(amx || machine_isa_objection("amx_bf16"));
    cr_assert_str_eq(machine_isa_objection("neon"), "this is not an ARM CPU");
#elif defined(__aarch64__)
    cr_assert_null(machine_isa_objection("neon"));
#endif
}
