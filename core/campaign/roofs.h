/* SPDX-License-Identifier: Apache-2.0 */
/* The peaks that a worker's points stand under: measured in the worker itself, so that a point and its roof share
 * clock, neighbours and placement; once for each ISA level, thread count and placement, when a point first asks. */
#ifndef CAMPAIGN_ROOFS_H
#define CAMPAIGN_ROOFS_H

#include "campaign/plan.h"
#include "machine/peaks.h"

/* Zeroed: none yet. */
struct campaign_roofs {
    struct campaign_roof *items;
    size_t count;
};

/* `*peaks`, valid until the next call; NULL when the point's threads cannot be placed. ATTN_INTERNAL: what
 * machine_peaks_measure says; ATTN_INVALID: the registry has no probes. The team is left unbound. */
enum attn_status campaign_roofs_find(struct campaign_roofs *roofs, const struct machine_topology *topology,
                                     const struct attn_registry *registry, const struct campaign_point *point,
                                     const struct machine_peaks **peaks, struct attn_error *error);
void campaign_roofs_release(struct campaign_roofs *roofs);

#endif
