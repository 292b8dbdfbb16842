/* SPDX-License-Identifier: Apache-2.0 */
/* Criterion gives every test a process of its own, so masks and OpenMP teams do not leak between tests. */
#include "machine/placement.h"

#include <criterion/criterion.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct machine_topology *this_system(void) {
    struct machine_topology *topology;
    struct attn_error error = {0};
    cr_assert_eq(machine_topology_load(&topology, &error), ATTN_OK, "%s", error.message);
    return topology;
}

/* The kernel's word, not hwloc's: the CPU of each thread of a later region, -1 when several are allowed. */
static void masks_of_team(int threads, int *cpus) {
#pragma omp parallel num_threads(threads)
    {
        cpu_set_t mask;
        int cpu = -1;
        if (sched_getaffinity(0, sizeof mask, &mask) == 0 && CPU_COUNT(&mask) == 1)
            while (!CPU_ISSET(++cpu, &mask)) {
            }
        cpus[omp_get_thread_num()] = cpu;
    }
}

static void bind_and_restore(int threads) {
    struct machine_topology *const topology = this_system();
    struct machine_placement placement;
    struct machine_team team;
    struct attn_error error = {0};
    cpu_set_t before, after;
    int cpus[2] = {-2, -2};
    if (machine_topology_pus(topology) < threads)
        cr_skip_test("fewer CPUs than threads");
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_eq(machine_placement_plan(topology, "compact", threads, &placement, &error), ATTN_OK);
    cr_assert_eq(machine_team_bind(topology, &placement, &team, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(team.delivered, threads);
    cr_assert(team.as_planned);
    cr_assert_arr_eq(team.cpus, placement.cpus, (size_t)threads * sizeof *team.cpus);
    masks_of_team(threads, cpus);
    cr_assert_arr_eq(cpus, placement.cpus, (size_t)threads * sizeof *cpus, "a later region runs where it was bound");

    machine_team_release(topology, threads);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after), "the caller has its mask back");
    masks_of_team(threads, cpus);
    for (int i = 0; i < threads && CPU_COUNT(&before) > 1; i++)
        cr_assert_eq(cpus[i], -1, "thread %d is free again", i);
    machine_topology_free(topology);
}

Test(team, one_thread_is_bound_and_released) {
    bind_and_restore(1);
}

Test(team, two_threads_are_bound_and_released) {
    bind_and_restore(2);
}

/* The last CPU first: an accidental binding in the order of the CPUs would not do. */
Test(team, an_explicit_list_is_followed) {
    struct machine_topology *const topology = this_system();
    struct machine_placement placement;
    struct machine_team team;
    if (machine_topology_pus(topology) < 2)
        cr_skip_test("one CPU");
    cr_assert_eq(machine_placement_plan(topology, "compact", 2, &placement, NULL), ATTN_OK);
    const int first = placement.cpus[0];
    placement.cpus[0] = placement.cpus[1];
    placement.cpus[1] = first;
    cr_assert_eq(machine_team_bind(topology, &placement, &team, NULL), ATTN_OK);
    cr_assert(team.as_planned);
    cr_assert_arr_eq(team.cpus, placement.cpus, 2 * sizeof *team.cpus);
    machine_topology_free(topology);
}

Test(team, without_a_placement_threads_stay_free) {
    struct machine_topology *const topology = this_system();
    struct machine_placement placement;
    struct machine_team team;
    cr_assert_eq(machine_placement_plan(topology, "none", 2, &placement, NULL), ATTN_OK);
    cr_assert_eq(machine_team_bind(topology, &placement, &team, NULL), ATTN_OK);
    cr_assert_eq(team.delivered, 2);
    cr_assert(team.as_planned);
    if (machine_topology_pus(topology) > 1)
        cr_assert_eq(team.cpus[0], -1);
    machine_topology_free(topology);
}

Test(team, a_cpu_that_is_not_there_is_seen_in_the_read_back) {
    struct machine_topology *const topology = this_system();
    struct machine_placement placement = {.threads = 1, .cpus = {1000}};
    struct machine_team team;
    cr_assert_eq(machine_team_bind(topology, &placement, &team, NULL), ATTN_OK);
    cr_assert_not(team.as_planned);
    machine_topology_free(topology);
}

Test(team, fewer_threads_than_planned_are_seen) {
    struct machine_topology *const topology = this_system();
    struct machine_placement placement;
    struct machine_team team;
    cr_assert_eq(machine_placement_plan(topology, "none", 2, &placement, NULL), ATTN_OK);
    omp_set_max_active_levels(0);
    cr_assert_eq(machine_team_bind(topology, &placement, &team, NULL), ATTN_OK);
    cr_assert_eq(team.delivered, 1);
    cr_assert_not(team.as_planned);
    machine_topology_free(topology);
}

Test(team, another_systems_topology_is_refused) {
    struct machine_topology *topology;
    struct machine_placement placement;
    struct machine_team team;
    struct attn_error error;
    cpu_set_t before, after;
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_eq(machine_topology_synthetic("pack:1 core:2 pu:1", &topology, NULL), ATTN_OK);
    cr_assert_eq(machine_placement_plan(topology, "compact", 1, &placement, NULL), ATTN_OK);
    cr_assert_eq(machine_team_bind(topology, &placement, &team, &error), ATTN_INVALID);
    cr_assert_not_null(strstr(error.message, "this system"));
    machine_team_release(topology, 1);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after));
    machine_topology_free(topology);
}

static const char *const variables[] = {"OMP_PROC_BIND",   "OMP_PLACES",  "GOMP_CPU_AFFINITY", "KMP_AFFINITY",
                                        "OMP_NUM_THREADS", "OMP_DYNAMIC", "OMP_THREAD_LIMIT"};

static void conflicts(int threads, char *text, size_t bytes, const char *variable, const char *value) {
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    if (variable)
        setenv(variable, value, 1);
    machine_placement_conflicts(threads, text, bytes);
}

Test(conflicts, a_clean_environment_has_none) {
    char text[512];
    conflicts(1, text, sizeof text, NULL, NULL);
    cr_assert(text[0] == '\0' || strstr(text, "control group"), "%s", text);
    conflicts(1, text, sizeof text, "OMP_PROC_BIND", "false");
    cr_assert_null(strstr(text, "OMP_PROC_BIND"));
    conflicts(2, text, sizeof text, "OMP_NUM_THREADS", "2");
    cr_assert_null(strstr(text, "OMP_NUM_THREADS"));
}

Test(conflicts, each_variable_is_named_with_its_value) {
    static const struct {
        const char *variable, *value;
    } cases[] = {{"OMP_PROC_BIND", "close"},  {"OMP_PLACES", "cores"},  {"GOMP_CPU_AFFINITY", "0-3"},
                 {"KMP_AFFINITY", "compact"}, {"OMP_NUM_THREADS", "3"}, {"OMP_DYNAMIC", "TRUE"},
                 {"OMP_THREAD_LIMIT", "2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512], expected[64];
        snprintf(expected, sizeof expected, "%s=%s ", cases[i].variable, cases[i].value);
        conflicts(4, text, sizeof text, cases[i].variable, cases[i].value);
        cr_assert_not_null(strstr(text, expected), "%s", text);
    }
}

Test(conflicts, several_have_a_line_each_and_never_overrun) {
    char text[512], little[24];
    memset(little, 'x', sizeof little);
    conflicts(4, text, sizeof text, "OMP_PROC_BIND", "spread");
    setenv("OMP_DYNAMIC", "true", 1);
    machine_placement_conflicts(4, text, sizeof text);
    cr_assert_not_null(strstr(text, "unset it\nOMP_DYNAMIC"), "%s", text);
    machine_placement_conflicts(4, little, 16);
    cr_assert_eq(little[15], '\0');
    cr_assert_eq(little[16], 'x');
}
