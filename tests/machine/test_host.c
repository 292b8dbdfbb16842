/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/host.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "machine/build_identity.h"

enum { CAPACITY = 128 };
static struct machine_fact facts[CAPACITY];

static const char *fact(const char *name) {
    const size_t count = machine_host_facts(facts, CAPACITY);
    for (size_t i = 0; i < count; i++)
        if (strcmp(facts[i].name, name) == 0)
            return facts[i].value;
    return NULL;
}

Test(host, every_fact_a_reader_needs_is_there_and_says_something) {
    static const char *const names[] = {
        "cpu_model",  "microcode",    "governor",  "boost",          "smt",          "virtual_machine",
        "isa_levels", "hostname",     "kernel",    "page_bytes",     "memory_bytes", "aslr",
        "version",    "load_average", "cpu_quota", "git_commit",     "git_dirty",    "compiler",
        "libc",       "gemm",         "openmp",    "compiler_flags", "hwloc",        "transparent_huge_pages"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *const value = fact(names[i]);
        cr_assert_not_null(value, "%s is missing", names[i]);
        cr_assert_gt(strlen(value), 0, "%s is empty", names[i]);
    }
}

Test(host, facts_that_this_process_can_check_are_right) {
    char name[256];
    cr_assert_eq(gethostname(name, sizeof name), 0);
    cr_assert_str_eq(fact("hostname"), name);
    cr_assert_eq(atol(fact("page_bytes")), sysconf(_SC_PAGESIZE));
    cr_assert_not_null(strstr(fact("isa_levels"), "baseline"));
    cr_assert_not_null(strstr(fact("openmp"), "lib"), "%s", fact("openmp"));
    cr_assert_not_null(strstr(fact("compiler_flags"), "optimization="));
}

Test(host, the_commit_is_known_whole_or_not_at_all) {
    const char *const commit = fact("git_commit"), *const dirty = fact("git_dirty");
    cr_assert_not_null(commit);
    cr_assert_not_null(dirty);
    if (strcmp(commit, "unknown") == 0) {
        cr_assert_str_eq(dirty, "unknown");
    } else {
        cr_assert_eq(strspn(commit, "0123456789abcdef"), 40, "%s", commit);
        cr_assert_eq(strlen(commit), 40);
        cr_assert_eq(strcmp(dirty, "yes") == 0, strstr(machine_build_commit, "-dirty") != NULL);
    }
}

Test(host, the_environment_of_the_runtimes_is_told) {
    setenv("OMP_SCHEDULE", "dynamic,3", 1);
    setenv("OPENBLAS_CORETYPE", "", 1);
    cr_assert_str_eq(fact("OMP_SCHEDULE"), "dynamic,3");
    cr_assert_str_eq(fact("OPENBLAS_CORETYPE"), "(empty)");
    cr_assert_null(fact("PATH"));
}

Test(host, no_more_facts_than_there_is_room) {
    memset(facts, 0, sizeof facts);
    cr_assert_eq(machine_host_facts(facts, 3), 3);
    cr_assert_eq(facts[3].name[0], '\0');
}
