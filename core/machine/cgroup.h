/* SPDX-License-Identifier: Apache-2.0 */
/* Limits that Linux control groups, version 1 or 2, put on this process: the tightest of its own group
 * and of every group above. `root` goes before every path that is read; "" but in tests. */
#ifndef MACHINE_CGROUP_H
#define MACHINE_CGROUP_H

#include <stdint.h>

/* Bytes still free below the memory limit, file cache that can be dropped counted as free; INT64_MAX:
 * no limit. */
int64_t machine_cgroup_memory_left_bytes(const char *root);

/* CPU seconds per second that the quota grants; 0: no quota. */
double machine_cgroup_cpu_quota(const char *root);

#endif
