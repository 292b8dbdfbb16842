/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/plan.h"

#include <stdlib.h>
#include <string.h>

#include "campaign/points.h"
#include "campaign/texts.h"
#include "check/random.h"
#include "machine/memory.h"

void campaign_plan_free(struct campaign_plan *plan) {
    if (!plan)
        return;
    free(plan->points);
    free(plan->order);
    campaign_texts_free(plan->texts);
    free(plan);
}

/* SplitMix64: a good stream from any seed, 0 included. */
static uint64_t next_bits(uint64_t *state) {
    return check_mix(*state += UINT64_C(0x9E3779B97F4A7C15));
}

/* Uniform in 0..limit-1: values that would favour small remainders are drawn again. */
static uint64_t next_below(uint64_t *state, uint64_t limit) {
    const uint64_t surplus = -limit % limit;
    uint64_t bits;
    do
        bits = next_bits(state);
    while (bits < surplus);
    return bits % limit;
}

static void shuffle(uint64_t *state, uint32_t *items, size_t count) {
    for (size_t left = count; left > 1; --left) {
        const size_t pick = (size_t)next_below(state, left);
        const uint32_t item = items[left - 1];
        items[left - 1] = items[pick];
        items[pick] = item;
    }
}

/* `starts[b]` is the first point of block b; points of a block stand together. */
static void shuffle_invocation(uint64_t state, const uint32_t *starts, uint32_t *blocks, size_t block_count,
                               uint32_t *order) {
    for (size_t b = 0; b < block_count; ++b)
        blocks[b] = (uint32_t)b;
    shuffle(&state, blocks, block_count);
    for (size_t b = 0, position = 0; b < block_count; ++b) {
        const uint32_t first = starts[blocks[b]], count = starts[blocks[b] + 1] - first;
        for (uint32_t n = 0; n < count; ++n)
            order[position + n] = first + n;
        shuffle(&state, order + position, count);
        position += count;
    }
}

enum attn_status campaign_plan_shuffle(struct campaign_plan *plan, struct attn_error *error) {
    const size_t points = plan->point_count, invocations = (size_t)plan->invocations;
    uint32_t *const order = malloc(invocations * points * sizeof *order);
    uint32_t *const starts = malloc((plan->block_count + 1) * sizeof *starts);
    uint32_t *const blocks = malloc((plan->block_count + 1) * sizeof *blocks);
    enum attn_status status = ATTN_OK;
    if (order && starts && blocks) {
        for (size_t n = points; n-- > 0;)
            starts[plan->points[n].block] = (uint32_t)n;
        starts[plan->block_count] = (uint32_t)points;
        for (size_t invocation = 0; invocation < invocations; ++invocation) {
            uint64_t state = plan->seed;
            state = next_bits(&state) + invocation;
            shuffle_invocation(state, starts, blocks, plan->block_count, order + invocation * points);
        }
        free(plan->order);
        plan->order = order;
    } else {
        free(order);
        status = attn_fail(error, ATTN_NO_MEMORY, "no memory for the order of %zu points in %zu invocations", points,
                           invocations);
    }
    free(starts);
    free(blocks);
    return status;
}

/* Whether no point before `n` has its ISA level, threads and placement: where a worker measures peaks. */
static bool first_at_its_place(const struct campaign_plan *plan, size_t n) {
    const struct campaign_point *const own = &plan->points[n];
    while (n-- > 0)
        if (plan->points[n].threads == own->threads && !strcmp(plan->points[n].isa, own->isa) &&
            !strcmp(plan->points[n].placement, own->placement))
            return false;
    return true;
}

struct campaign_estimate campaign_plan_estimate(const struct campaign_plan *plan) {
    const double plain_flops_per_ns = 1.0; /* what three scalar loops reach on a core of today */
    const double start_ns = 50e6;          /* exec, topology, first team */
    const double peaks_ns = 1e9;           /* machine/peaks.h, up to twice that */
    struct campaign_estimate estimate = {
        .points = plan->point_count,
        .blocks = plan->block_count,
        .available_bytes = (double)machine_memory_available_bytes(),
    };
    double least_ns = start_ns, most_ns = start_ns;
    for (size_t n = 0; n < plan->point_count; ++n) {
        const struct campaign_point *const point = &plan->points[n];
        const double call_ns = point->flops / plain_flops_per_ns;
        const double warm_ns = 0.1 * plan->measure.min_time_ns;
        const double limit_ns = plan->timeout_s * 1e9;
        const double least = warm_ns + plan->measure.min_time_ns;
        const double most = 2 * call_ns + warm_ns + plan->measure.max_time_ns;
        least_ns += least < limit_ns ? least : limit_ns;
        most_ns += most < limit_ns ? most : limit_ns;
        if (plan->peaks && first_at_its_place(plan, n)) {
            least_ns += peaks_ns;
            most_ns += 2 * peaks_ns;
        }
        if (point->memory_bytes > estimate.peak_bytes)
            estimate.peak_bytes = point->memory_bytes;
        if (plan->baseline && point->baseline < 0)
            ++estimate.without_baseline;
    }
    estimate.least_s = least_ns * plan->invocations / 1e9;
    estimate.most_s = most_ns * plan->invocations / 1e9;
    return estimate;
}
