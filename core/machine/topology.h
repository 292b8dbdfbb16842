/* SPDX-License-Identifier: Apache-2.0 */
/* Cores, processing units and caches of a machine: this one, or a synthetic or saved one for tests. */
#ifndef MACHINE_TOPOLOGY_H
#define MACHINE_TOPOLOGY_H

#include <stdbool.h>

#include "contract/execution.h"
#include "contract/status.h"

struct machine_topology; /* opaque: wraps hwloc's */

/* This system's topology, restricted to the CPUs this process may use: call it before any thread is bound.
 * Where OMP_PROC_BIND or OMP_PLACES made the OpenMP runtime bind, these are the CPUs of all its places. */
enum attn_status machine_topology_load(struct machine_topology **topology, struct attn_error *error);
/* hwloc synthetic description such as "pack:2 [numa] l3:2 core:4 pu:2". */
enum attn_status machine_topology_synthetic(const char *description, struct machine_topology **topology,
                                            struct attn_error *error);
/* hwloc XML text (as stored in every run's provenance). */
enum attn_status machine_topology_from_xml(const char *xml, size_t xml_bytes, struct machine_topology **topology,
                                           struct attn_error *error);
void machine_topology_free(struct machine_topology *topology);

bool machine_topology_is_this_system(const struct machine_topology *topology);
int machine_topology_cores(const struct machine_topology *topology); /* allowed physical cores */
int machine_topology_pus(const struct machine_topology *topology);   /* allowed processing units */
int machine_topology_numa_nodes(const struct machine_topology *topology);
int machine_topology_packages(const struct machine_topology *topology);
/* Data cache sizes above the first core; 0 where unknown. */
struct attn_caches machine_topology_caches(const struct machine_topology *topology);
/* What the caches above these CPUs hold together: of each level the sum over the distinct ones. A CPU below 0, of a
 * thread bound to none, stands for the PU of its place in the list. */
struct attn_caches machine_topology_caches_of(const struct machine_topology *topology, const int *cpus, int count);
/* The topology as XML; the caller frees it with free(). NULL when out of memory. */
char *machine_topology_xml(const struct machine_topology *topology);

#endif
