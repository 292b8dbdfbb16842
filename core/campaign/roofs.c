/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/roofs.h"

#include <stdlib.h>
#include <string.h>

struct campaign_roof {
    const char *isa, *placement; /* owned by the plan */
    struct machine_peaks peaks;
};

/* The probes of a level; NULL: none. */
static const struct attn_probes *probes_of(const struct attn_registry *registry, const char *isa) {
    for (int level = 0; registry->probes && level < registry->level_count; ++level)
        if (!strcmp(registry->levels[level], isa))
            return registry->probes[level];
    return NULL;
}

enum attn_status campaign_roofs_find(struct campaign_roofs *roofs, const struct machine_topology *topology,
                                     const struct attn_registry *registry, const struct campaign_point *point,
                                     const struct machine_peaks **peaks, struct attn_error *error) {
    *peaks = NULL;
    for (size_t i = 0; i < roofs->count && !*peaks; ++i)
        if (roofs->items[i].peaks.threads == point->threads && !strcmp(roofs->items[i].isa, point->isa) &&
            !strcmp(roofs->items[i].placement, point->placement))
            *peaks = &roofs->items[i].peaks;
    if (*peaks)
        return ATTN_OK;
    const struct attn_probes *const probes = probes_of(registry, point->isa);
    if (!probes)
        return attn_fail(error, ATTN_INVALID, "peaks are asked for, but this build has no probes for %s", point->isa);
    struct campaign_roof *const items = realloc(roofs->items, (roofs->count + 1) * sizeof *items);
    if (!items)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for peaks");
    roofs->items = items;
    struct campaign_roof *const fresh = &items[roofs->count];
    *fresh = (struct campaign_roof){.isa = point->isa, .placement = point->placement};
    const enum attn_status status =
        machine_peaks_measure(topology, probes, point->placement, point->threads, true, &fresh->peaks, error);
    if (status == ATTN_UNSUPPORTED) /* the point itself will say so */
        return ATTN_OK;
    if (status == ATTN_OK)
        *peaks = &items[roofs->count++].peaks;
    return status;
}

void campaign_roofs_release(struct campaign_roofs *roofs) {
    free(roofs->items);
    *roofs = (struct campaign_roofs){0};
}
