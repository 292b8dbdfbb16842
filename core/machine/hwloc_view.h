/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine_topology holds, for this layer alone. */
#ifndef MACHINE_HWLOC_VIEW_H
#define MACHINE_HWLOC_VIEW_H

#include <hwloc.h>

struct machine_topology {
    hwloc_topology_t hwloc;
    hwloc_bitmap_t start_mask; /* CPUs the process was given, before anybody bound a thread */
};

#endif
