/* SPDX-License-Identifier: Apache-2.0 */
/* Which thread runs where: planned as a pure function of a topology, bound, and read back. */
#ifndef MACHINE_PLACEMENT_H
#define MACHINE_PLACEMENT_H

#include "machine/topology.h"

#define MACHINE_MAX_THREADS 1024

struct machine_placement {
    int threads;
    int cpus[MACHINE_MAX_THREADS]; /* operating system's CPU number of each thread */
    int oversubscribed;            /* 1: some CPU holds more than one thread */
};

/* Every policy name, NULL-terminated. */
extern const char *const machine_placement_policies[];

/* Policies: "compact" (fill neighbouring cores, one PU of each first, SMT siblings last), "spread"
 * (as far apart as possible: round-robin over packages, NUMA nodes, L3s), "one_per_l3", "one_per_numa",
 * "no_smt" (compact, never two threads on a core), "explicit:0,2,4-7" (CPU numbers), "none" (no binding: cpus
 * are -1). Pure, and a thread's CPU does not depend on how many threads follow it. ATTN_INVALID: unknown
 * policy (nearest name offered), a CPU that is not there or listed twice; ATTN_UNSUPPORTED: more threads
 * than the policy has places (one_per_*, no_smt, explicit). compact and spread wrap around and, like none
 * with more threads than PUs, set `oversubscribed`. */
enum attn_status machine_placement_plan(const struct machine_topology *topology, const char *policy, int threads,
                                        struct machine_placement *placement, struct attn_error *error);

/* What the threads of the OpenMP team were found to be doing after binding. */
struct machine_team {
    int delivered;                 /* team size OpenMP gave */
    int cpus[MACHINE_MAX_THREADS]; /* CPU each thread is bound to and was seen on; -1: not bound to one CPU */
    bool as_planned;
};

/* Binds every thread of a `placement->threads` OpenMP team and reads each back. Refuses (ATTN_INVALID) a
 * topology that is not this system. libgomp keeps the team, so later parallel regions of the same size
 * run on these bindings. */
enum attn_status machine_team_bind(const struct machine_topology *topology, const struct machine_placement *placement,
                                   struct machine_team *team, struct attn_error *error);

/* Gives the calling thread and the team back the mask the process had at its start. */
void machine_team_release(const struct machine_topology *topology, int threads);

/* A line for each way in which OMP_* variables or the cgroup's CPU quota contradict a request for
 * `threads` bound threads; empty text: none. */
void machine_placement_conflicts(int threads, char *text, size_t text_bytes);

#endif
