/* SPDX-License-Identifier: Apache-2.0 */
/* Plans on machines that are not here. Expected lists were worked out by hand from the machines' shapes. */
#include "machine/placement.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two packages, a NUMA node and two L3 caches each, 4 cores on a cache; siblings numbered side by side. */
static const char smt_pairs[] = "pack:2 [numa] l3:2 core:4 pu:2";
/* The same shape numbered as Linux does: sibling of CPU c is c + 16. */
static const char smt_halves[] = "pack:2 [numa] l3:2 core:4 pu:2(indexes=2*16:1*2)";
/* A server of two packages, 4 NUMA nodes each, two L3 on a node, 8 cores on a cache: 256 processing units. */
static const char server[] = "pack:2 group:4 [numa] l3:2 core:8 pu:2(indexes=2*128:1*2)";
static const char no_l3[] = "pack:2 core:2 pu:1";
static const char bare[] = "pu:4";
/* Boards of two packages that share one NUMA node. */
static const char boards[] = "group:2 [numa] pack:2 core:2 pu:1";

/* Each package has its own memory; an expander, listed first, serves both. */
static const char expander[] = "[numa] pack:2 [numa] core:2 pu:1";

static const struct expectation {
    const char *machine, *policy;
    int threads;
    const char *cpus; /* as text; "!" for oversubscription behind it */
} expectations[] = {
    {smt_pairs, "compact", 1, "0"},
    {smt_pairs, "compact", 18, "0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 1 3"},
    {smt_halves, "compact", 18, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"},
    {smt_pairs, "spread", 10, "0 16 8 24 2 18 10 26 4 20"},
    {smt_pairs, "spread", 18, "0 16 8 24 2 18 10 26 4 20 12 28 6 22 14 30 1 17"},
    {smt_halves, "spread", 6, "0 8 4 12 1 9"},
    {smt_pairs, "one_per_l3", 4, "0 8 16 24"},
    {smt_halves, "one_per_l3", 3, "0 4 8"},
    {smt_pairs, "one_per_numa", 2, "0 16"},
    {smt_pairs, "no_smt", 5, "0 2 4 6 8"},
    {smt_pairs, "none", 3, "-1 -1 -1"},
    {smt_pairs, "none", 33,
     "-1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1!"},
    {smt_pairs, "explicit:31,0,4-7", 6, "31 0 4 5 6 7"},
    {smt_pairs, "explicit:31,0,4-7", 2, "31 0"},
    {server, "spread", 18, "0 64 16 80 32 96 48 112 8 72 24 88 40 104 56 120 1 65"},
    {server, "one_per_numa", 8, "0 16 32 48 64 80 96 112"},
    {server, "one_per_l3", 16, "0 8 16 24 32 40 48 56 64 72 80 88 96 104 112 120"},
    {no_l3, "compact", 5, "0 1 2 3 0!"},
    {no_l3, "spread", 4, "0 2 1 3"},
    {bare, "compact", 4, "0 1 2 3"},
    {bare, "spread", 6, "0 1 2 3 0 1!"},
    {bare, "no_smt", 4, "0 1 2 3"},
    {expander, "one_per_numa", 2, "0 2"},
    {boards, "spread", 8, "0 4 2 6 1 5 3 7"},
};

static struct machine_topology *synthetic(const char *description) {
    struct machine_topology *topology;
    struct attn_error error = {0};
    cr_assert_eq(machine_topology_synthetic(description, &topology, &error), ATTN_OK, "%s", error.message);
    return topology;
}

static void assert_plan(const struct machine_topology *topology, const char *policy, int threads, const char *cpus) {
    struct machine_placement placement;
    struct attn_error error = {0};
    char text[2048] = "";
    size_t used = 0;
    cr_assert_eq(machine_placement_plan(topology, policy, threads, &placement, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(placement.threads, threads);
    for (int i = 0; i < threads; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", i ? " " : "", placement.cpus[i]);
    snprintf(text + used, sizeof text - used, "%s", placement.oversubscribed ? "!" : "");
    cr_assert_str_eq(text, cpus, "%s, %d threads: %s, not %s", policy, threads, text, cpus);
}

static enum attn_status refusal(const char *machine, const char *policy, int threads, struct attn_error *error) {
    struct machine_topology *const topology = synthetic(machine);
    struct machine_placement placement;
    const enum attn_status status = machine_placement_plan(topology, policy, threads, &placement, error);
    machine_topology_free(topology);
    return status;
}

Test(placement, every_policy_gives_the_cpus_worked_out_by_hand) {
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        struct machine_topology *const topology = synthetic(expectations[i].machine);
        assert_plan(topology, expectations[i].policy, expectations[i].threads, expectations[i].cpus);
        machine_topology_free(topology);
    }
}

Test(placement, a_machine_read_from_xml_gives_the_same_cpus) {
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        struct machine_topology *const topology = synthetic(expectations[i].machine), *copy;
        char *const xml = machine_topology_xml(topology);
        cr_assert_eq(machine_topology_from_xml(xml, strlen(xml), &copy, NULL), ATTN_OK);
        assert_plan(copy, expectations[i].policy, expectations[i].threads, expectations[i].cpus);
        free(xml);
        machine_topology_free(copy);
        machine_topology_free(topology);
    }
}

/* Two cores of two threads and two of one thread on the L3, two more of one thread beside it. */
Test(placement, a_hybrid_cpu_fills_every_core_before_a_sibling) {
    static char xml[65536];
    struct machine_topology *topology;
    struct attn_error error = {0};
    FILE *const file = fopen(HYBRID_XML, "r");
    cr_assert_not_null(file);
    const size_t bytes = fread(xml, 1, sizeof xml, file);
    fclose(file);
    cr_assert_eq(machine_topology_from_xml(xml, bytes, &topology, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(machine_topology_cores(topology), 6);
    cr_assert_eq(machine_topology_caches(topology).l3_bytes, 12582912);
    assert_plan(topology, "compact", 9, "0 2 4 5 6 7 1 3 0!");
    assert_plan(topology, "no_smt", 6, "0 2 4 5 6 7");
    assert_plan(topology, "spread", 8, "6 0 7 2 4 5 1 3");
    assert_plan(topology, "one_per_l3", 1, "0");
    machine_topology_free(topology);
}

Test(placement, a_threads_cpu_does_not_depend_on_how_many_follow) {
    static const char *const policies[] = {"compact", "spread"};
    struct machine_topology *const topology = synthetic(server);
    for (int p = 0; p < 2; p++) {
        struct machine_placement all, some;
        bool taken[256] = {false};
        cr_assert_eq(machine_placement_plan(topology, policies[p], 256, &all, NULL), ATTN_OK);
        for (int i = 0; i < 256; i++) {
            cr_assert(all.cpus[i] >= 0 && all.cpus[i] < 256 && !taken[all.cpus[i]]);
            taken[all.cpus[i]] = true;
        }
        cr_assert_not(all.oversubscribed);
        for (int threads = 1; threads < 256; threads += 17) {
            cr_assert_eq(machine_placement_plan(topology, policies[p], threads, &some, NULL), ATTN_OK);
            cr_assert_arr_eq(some.cpus, all.cpus, (size_t)threads * sizeof *some.cpus);
        }
        cr_assert_eq(machine_placement_plan(topology, policies[p], MACHINE_MAX_THREADS, &some, NULL), ATTN_OK);
        cr_assert(some.oversubscribed);
    }
    machine_topology_free(topology);
}

Test(placement, more_threads_than_places_are_refused) {
    static const struct {
        const char *policy;
        int places;
    } cases[] = {{"one_per_l3", 4}, {"one_per_numa", 2}, {"no_smt", 16}, {"explicit:3,5", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attn_error error = {0};
        char expected[64];
        snprintf(expected, sizeof expected, "has %d places", cases[i].places);
        cr_assert_eq(refusal(smt_pairs, cases[i].policy, cases[i].places, &error), ATTN_OK);
        cr_assert_eq(refusal(smt_pairs, cases[i].policy, cases[i].places + 1, &error), ATTN_UNSUPPORTED);
        cr_assert_not_null(strstr(error.message, expected), "%s", error.message);
    }
    cr_assert_eq(refusal(no_l3, "one_per_l3", 1, NULL), ATTN_UNSUPPORTED);
}

Test(placement, what_cannot_be_meant_is_refused_with_the_remedy) {
    static const struct {
        const char *policy;
        int threads;
        const char *remedy;
    } cases[] = {
        {"compat", 1, "did you mean 'compact'?"},
        {"sprea", 1, "did you mean 'spread'?"},
        {"one_per_numma", 1, "did you mean 'one_per_numa'?"},
        {"explict:1", 1, "did you mean 'explicit'?"},
        {"anywhere", 1, "known are compact, spread"},
        {"", 1, "known are compact, spread"},
        {"explicit", 1, "explicit:0,2,4-7"},
        {"explicit:", 1, "explicit:0,2,4-7"},
        {"explicit:1,", 1, "explicit:0,2,4-7"},
        {"explicit:3-1", 1, "explicit:0,2,4-7"},
        {"explicit:1 2", 1, "explicit:0,2,4-7"},
        {"explicit:-1", 1, "explicit:0,2,4-7"},
        {"explicit:99999999999999999999", 1, "explicit:0,2,4-7"},
        {"explicit:0,32", 1, "CPU 32 is not among the 32"},
        {"explicit:0-3,2", 1, "CPU 2 is listed twice"},
        {"compact:1", 1, "takes no list"},
        {"compact", 0, "1 to 1024"},
        {"compact", -1, "1 to 1024"},
        {"compact", MACHINE_MAX_THREADS + 1, "1 to 1024"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attn_error error = {0};
        cr_assert_eq(refusal(smt_pairs, cases[i].policy, cases[i].threads, &error), ATTN_INVALID, "%s",
                     cases[i].policy);
        cr_assert_not_null(strstr(error.message, cases[i].remedy), "%s: %s", cases[i].policy, error.message);
    }
}
