/* SPDX-License-Identifier: Apache-2.0 */
/* What is done to the points once all of them are known: blocks together, baselines found. */
#include <stdlib.h>
#include <string.h>

#include "campaign/points.h"

/* Stable by block: combinations of one block may come apart when axes are tied. */
bool campaign_blocks_gather(struct campaign_plan *plan, size_t block_count) {
    struct campaign_point *const sorted = malloc((plan->point_count + 1) * sizeof *sorted);
    size_t *const next = calloc(block_count + 1, sizeof *next); /* where the next point of each block goes */
    const bool good = sorted && next;
    for (size_t n = 0; good && n < plan->point_count; ++n)
        ++next[plan->points[n].block + 1];
    for (size_t b = 0; good && b < block_count; ++b)
        next[b + 1] += next[b];
    for (size_t n = 0; good && n < plan->point_count; ++n)
        sorted[next[plan->points[n].block]++] = plan->points[n];
    free(next);
    if (good) {
        free(plan->points);
        plan->points = sorted;
        plan->block_count = block_count;
    } else {
        free(sorted);
    }
    return good;
}

/* How much `other` is like the baseline that `point` asks for: one thread, same inputs and ISA level are musts. 0: it
 * is none. */
static int likeness(const struct campaign_point *other, const struct campaign_point *point, const char *baseline) {
    if (other->threads != 1 || strcmp(other->variant, baseline) != 0 || strcmp(other->isa, point->isa) != 0)
        return 0;
    bool automatic = true;
    for (int n = 0; n < ATTN_MAX_PARAMETERS; ++n)
        automatic &= other->overrides[n] == 0;
    return 1 + 4 * (other->cold == point->cold) + 2 * automatic + (strcmp(other->placement, point->placement) == 0);
}

void campaign_baselines_find(struct campaign_plan *plan, const char *baseline) {
    plan->baseline = baseline;
    for (size_t first = 0, last; baseline && first < plan->point_count; first = last) {
        for (last = first; last < plan->point_count && plan->points[last].block == plan->points[first].block;)
            ++last;
        for (size_t n = first; n < last; ++n)
            for (size_t m = first, best = 0; m < last; ++m) {
                const size_t like = (size_t)likeness(&plan->points[m], &plan->points[n], baseline);
                if (like <= best)
                    continue;
                best = like;
                plan->points[n].baseline = (int)m;
            }
    }
}
