/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the campaign layer: whether a point can be at all, and what it takes. */
#ifndef CAMPAIGN_FEASIBLE_H
#define CAMPAIGN_FEASIBLE_H

#include "campaign/reading.h"
#include "check/outline.h"

/* What one combination says of one axis. */
struct campaign_choice {
    const struct campaign_axis *axis;
    const struct campaign_value *value;
};

struct campaign_feasibility {
    struct campaign_config *config;
    struct attn_caches caches;
    double available_bytes;
    int block;    /* whose problem is built; -1: none */
    bool refused; /* the block's problem cannot be */
    struct check_outline outline;
};

void campaign_feasibility_open(struct campaign_feasibility *feasibility, struct campaign_config *config);
void campaign_feasibility_close(struct campaign_feasibility *feasibility);

/* Fills the point's counts and memory. False after a complaint at the choice that is to blame: a problem that
 * cannot be, parameters that do not go together, more memory than the machine has. */
bool campaign_feasible(struct campaign_feasibility *feasibility, const struct campaign_choice *choices,
                       size_t choice_count, struct campaign_place otherwise, const struct campaign_capture *capture,
                       struct campaign_point *point);

#endif
