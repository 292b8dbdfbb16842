/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/topology.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct machine_topology *synthetic(const char *description) {
    struct machine_topology *topology;
    struct attn_error error = {0};
    cr_assert_eq(machine_topology_synthetic(description, &topology, &error), ATTN_OK, "%s", error.message);
    return topology;
}

Test(topology, this_machine_is_read) {
    struct machine_topology *topology;
    struct attn_error error = {0};
    cr_assert_eq(machine_topology_load(&topology, &error), ATTN_OK, "%s", error.message);
    cr_assert(machine_topology_is_this_system(topology));
    cr_assert_leq(machine_topology_pus(topology), sysconf(_SC_NPROCESSORS_ONLN));
    cr_assert_geq(machine_topology_cores(topology), 1);
    cr_assert_leq(machine_topology_cores(topology), machine_topology_pus(topology));
    cr_assert_geq(machine_topology_packages(topology), 1);
    cr_assert_geq(machine_topology_numa_nodes(topology), 1);
    machine_topology_free(topology);
}

Test(topology, only_cpus_of_this_process_count) {
    struct machine_topology *topology;
    cpu_set_t before, one;
    int last = -1;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        last = CPU_ISSET(cpu, &before) ? cpu : last;
    CPU_ZERO(&one);
    CPU_SET(last, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(machine_topology_load(&topology, NULL), ATTN_OK);
    cr_assert_eq(machine_topology_pus(topology), 1);
    cr_assert_eq(machine_topology_cores(topology), 1);
    machine_topology_free(topology);
}

static int pus_counted_by_a_process(const char *environment) {
    char command[1024];
    int pus = 0;
    snprintf(command, sizeof command, "%s '%s'", environment, COUNT_PUS);
    FILE *const pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    cr_assert_eq(fscanf(pipe, "%d", &pus), 1);
    cr_assert_eq(pclose(pipe), 0);
    return pus;
}

/* Told to bind, an OpenMP runtime leaves the first thread on one place before main begins. */
Test(topology, a_binding_runtime_does_not_hide_cpus) {
    const int pus = pus_counted_by_a_process("env -u OMP_PLACES OMP_PROC_BIND=false");
    cr_assert_eq(pus_counted_by_a_process("env -u OMP_PLACES OMP_PROC_BIND=true"), pus);
    cr_assert_eq(pus_counted_by_a_process("OMP_PROC_BIND=true OMP_PLACES='threads(1)'"), 1,
                 "places that the user chose are a choice of CPUs");
}

Test(topology, a_synthetic_machine_has_what_was_asked_for) {
    struct machine_topology *const topology =
        synthetic("pack:2 [numa] l3:2(size=33554432) l2:4(size=524288) core:1 l1d:1(size=32768) pu:2");
    cr_assert_not(machine_topology_is_this_system(topology));
    cr_assert_eq(machine_topology_packages(topology), 2);
    cr_assert_eq(machine_topology_numa_nodes(topology), 2);
    cr_assert_eq(machine_topology_cores(topology), 16);
    cr_assert_eq(machine_topology_pus(topology), 32);
    const struct attn_caches caches = machine_topology_caches(topology);
    cr_assert_eq(caches.l1d_bytes, 32768);
    cr_assert_eq(caches.l2_bytes, 524288);
    cr_assert_eq(caches.l3_bytes, 33554432);
    machine_topology_free(topology);
}

Test(topology, what_a_topology_does_not_show_is_zero_or_one) {
    struct machine_topology *const topology = synthetic("pu:3");
    const struct attn_caches caches = machine_topology_caches(topology);
    cr_assert_eq(caches.l1d_bytes, 0);
    cr_assert_eq(caches.l2_bytes, 0);
    cr_assert_eq(caches.l3_bytes, 0);
    cr_assert_eq(caches.line_bytes, 0);
    cr_assert_eq(machine_topology_cores(topology), 3, "without cores every processing unit is one");
    cr_assert_eq(machine_topology_packages(topology), 1);
    machine_topology_free(topology);
}

Test(topology, xml_brings_a_machine_back) {
    struct machine_topology *const topology = synthetic("pack:2 [numa] l3:2 core:4 pu:2"), *copy;
    struct attn_error error = {0};
    char *const xml = machine_topology_xml(topology);
    cr_assert_not_null(xml);
    cr_assert_eq(machine_topology_from_xml(xml, strlen(xml), &copy, &error), ATTN_OK, "%s", error.message);
    cr_assert_not(machine_topology_is_this_system(copy));
    cr_assert_eq(machine_topology_pus(copy), 32);
    cr_assert_eq(machine_topology_cores(copy), 16);
    cr_assert_eq(machine_topology_numa_nodes(copy), 2);
    cr_assert_eq(machine_topology_packages(copy), 2);
    cr_assert_eq(machine_topology_caches(copy).l3_bytes, machine_topology_caches(topology).l3_bytes);
    free(xml);
    machine_topology_free(copy);
    machine_topology_free(topology);
}

Test(topology, a_saved_copy_of_this_machine_is_another_machine) {
    struct machine_topology *topology, *copy;
    cr_assert_eq(machine_topology_load(&topology, NULL), ATTN_OK);
    char *const xml = machine_topology_xml(topology);
    cr_assert_eq(machine_topology_from_xml(xml, strlen(xml), &copy, NULL), ATTN_OK);
    cr_assert_eq(machine_topology_pus(copy), machine_topology_pus(topology));
    cr_assert_not(machine_topology_is_this_system(copy));
    free(xml);
    machine_topology_free(copy);
    machine_topology_free(topology);
}

Test(topology, nonsense_is_refused) {
    static const char *const texts[] = {"", "<topology", "no xml at all", "<?xml version=\"1.0\"?><other/>"};
    struct machine_topology *topology;
    struct attn_error error;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_eq(machine_topology_from_xml(texts[i], strlen(texts[i]), &topology, &error), ATTN_INVALID, "%s",
                     texts[i]);
        cr_assert_null(topology);
    }
    cr_assert_eq(machine_topology_synthetic("pack:two", &topology, &error), ATTN_INVALID);
    cr_assert_not_null(strstr(error.message, "pack:two"));
    machine_topology_free(NULL);
}

Test(topology, caches_above_some_cpus_count_once) {
    struct machine_topology *const topology =
        synthetic("pack:2 [numa] l3:2(size=8388608) l2:2(size=1048576) l1d:1(size=32768) core:1 pu:2");
    /* 16 PUs: two on each core, two cores on each L3, two L3s in each package. */
    const struct {
        int cpus[4], count;
        int64_t l1d, l2, l3;
    } cases[] = {{{0}, 1, 1, 1, 1},          {{0, 1}, 2, 1, 1, 1}, {{0, 2}, 2, 2, 2, 1},
                 {{0, 2, 4, 6}, 4, 4, 4, 2}, {{0, 8}, 2, 2, 2, 2}, {{-1, -1, -1, -1}, 4, 2, 2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        const struct attn_caches caches = machine_topology_caches_of(topology, cases[i].cpus, cases[i].count);
        cr_expect_eq(caches.l1d_bytes, cases[i].l1d * 32768, "case %zu", i);
        cr_expect_eq(caches.l2_bytes, cases[i].l2 * 1048576, "case %zu", i);
        cr_expect_eq(caches.l3_bytes, cases[i].l3 * 8388608, "case %zu", i);
    }
    machine_topology_free(topology);
}
