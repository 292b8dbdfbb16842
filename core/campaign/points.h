/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the campaign layer: what identifies a point, and a set of such ids. */
#ifndef CAMPAIGN_POINTS_H
#define CAMPAIGN_POINTS_H

#include "campaign/factors.h"

/* Fills sizes left at 0 from their partners and gives equal problems equal forms. */
void campaign_point_complete(struct campaign_point *point);

/* The parameters given to the point, "block_keys=64,block_queries=32"; "auto" when there are none. */
#define CAMPAIGN_PARAMETERS_BYTES 1024
void campaign_parameters_text(const struct campaign_point *point, const struct attn_variant *variant, char *text);

/* Sets point->id from every factor that is not at its default: it depends on nothing but the point itself. `block`
 * is the same for what the points of a block share. */
void campaign_point_identify(struct campaign_point *point, const struct attn_registry *registry,
                             char block[RECORD_ID_CHARS + 1]);

/* Ids and a number each. */
struct campaign_ids {
    struct campaign_id_slot *slots;
    size_t count, capacity;
};
/* The number under `id`, which becomes `number` when the id is new (*added tells); -1: out of memory. */
int64_t campaign_ids_add(struct campaign_ids *ids, const char *id, int64_t number, bool *added);
void campaign_ids_release(struct campaign_ids *ids);

/* Brings the points of each block together, blocks in the order of their numbers. False: out of memory. */
bool campaign_blocks_gather(struct campaign_plan *plan, size_t block_count);
/* Sets every point's baseline: the point of variant `baseline` (NULL: none) at one thread with the same inputs and ISA
 * level; of several the one with the same cache state, automatic parameters, the same placement, in this order. */
void campaign_baselines_find(struct campaign_plan *plan, const char *baseline);

/* Fills plan->order: in every invocation blocks are shuffled, and points inside their block. */
enum attn_status campaign_plan_shuffle(struct campaign_plan *plan, struct attn_error *error);

#endif
