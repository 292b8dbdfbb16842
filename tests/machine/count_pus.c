/* SPDX-License-Identifier: Apache-2.0 */
/* Prints how many processing units this process may use, for test_topology: OpenMP runtimes read their
 * variables before main begins, so a test cannot set them for itself. */
#include <stdio.h>

#include "machine/topology.h"

int main(void) {
    struct machine_topology *topology;
    if (machine_topology_load(&topology, NULL) != ATTN_OK)
        return 1;
    printf("%d\n", machine_topology_pus(topology));
    machine_topology_free(topology);
    return 0;
}
