/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/station.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "machine/memory.h"
#include "machine/placement.h"

enum {
    CANARY_BYTES = 64,
    CANARY_BYTE = 0xA7,
    MAX_SETS = 4096,
};

enum attn_status campaign_station_open(struct campaign_station *station, const struct campaign_plan *plan,
                                       const struct attn_registry *registry, struct attn_error *error) {
    *station = (struct campaign_station){.plan = plan, .registry = registry, .block = -1};
    const enum attn_status status = machine_topology_load(&station->topology, error);
    if (status == ATTN_OK)
        station->caches = machine_topology_caches(station->topology);
    return status;
}

void campaign_station_leave(struct campaign_station *station) {
    check_oracle_destroy(station->oracle);
    for (int i = 0; i < station->set_count; ++i)
        check_instance_destroy(station->sets[i]);
    free(station->sets);
    free(station->problems);
    free(station->operands);
    record_capture_release(&station->capture);
    station->oracle = NULL;
    station->sets = NULL;
    station->problems = NULL;
    station->operands = NULL;
    station->set_count = 0;
    station->capture = (struct record_capture){0};
    station->block = -1;
}

void campaign_station_close(struct campaign_station *station) {
    campaign_station_leave(station);
    machine_buffer_release(&station->workspace);
    campaign_roofs_release(&station->roofs);
    machine_topology_free(station->topology);
}

/* ATTN_UNSUPPORTED when `bytes` more cannot be had: said before anything is allocated. */
static enum attn_status afford(double bytes, const char *what, struct attn_error *error) {
    const double available = (double)machine_memory_available_bytes();
    if (bytes <= available)
        return ATTN_OK;
    return attn_fail(error, ATTN_UNSUPPORTED, "%s takes %.3g GB of memory, %.3g GB are available", what, bytes / 1e9,
                     available / 1e9);
}

enum attn_status campaign_station_sets(struct campaign_station *station, int count, struct attn_error *error) {
    if (count <= station->set_count)
        return ATTN_OK;
    enum attn_status status = afford((count - station->set_count) * station->set_bytes, "the set of operands", error);
    if (status != ATTN_OK)
        return status;
    const size_t room = (size_t)count;
    struct check_instance **const sets = realloc(station->sets, room * sizeof *sets);
    station->sets = sets ? sets : station->sets;
    struct attn_problem *const problems = realloc(station->problems, room * sizeof *problems);
    station->problems = problems ? problems : station->problems;
    struct attn_operands *const operands = realloc(station->operands, room * sizeof *operands);
    station->operands = operands ? operands : station->operands;
    if (!sets || !problems || !operands)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for %d sets of operands", count);
    while (station->set_count < count) {
        struct check_instance *instance;
        status = check_instance_create(&station->form, MACHINE_CANARY, station->touch_threads, &instance, error);
        if (status != ATTN_OK)
            return status;
        if (station->oracle) /* the first set is there before the oracle, which reads it */
            check_instance_supply(instance, station->oracle);
        sets[station->set_count] = instance;
        problems[station->set_count] = instance->problem;
        operands[station->set_count] = instance->operands;
        ++station->set_count;
    }
    return ATTN_OK;
}

int campaign_station_cold_sets(const struct campaign_station *station, bool *enough) {
    const struct attn_caches *const caches = &station->caches;
    const int64_t last_level = caches->l3_bytes ? caches->l3_bytes : caches->l2_bytes;
    const double sets = floor(2.0 * (double)last_level / station->set_bytes) + 2; /* the current one not counted */
    *enough = last_level > 0 && sets <= MAX_SETS;
    return sets <= MAX_SETS ? (int)sets : MAX_SETS;
}

/* The block's operands are first touched by the largest team that will read them, bound as it will be. */
static void bind_for_touch(struct campaign_station *station, const struct campaign_point *point) {
    const struct campaign_plan *const plan = station->plan;
    const struct campaign_point *largest = point;
    for (size_t i = 0; i < plan->point_count; ++i)
        if (plan->points[i].block == point->block && plan->points[i].threads > largest->threads)
            largest = &plan->points[i];
    struct machine_placement placement;
    struct machine_team team;
    station->touch_threads = 1;
    if (machine_placement_plan(station->topology, largest->placement, largest->threads, &placement, NULL) == ATTN_OK &&
        machine_team_bind(station->topology, &placement, &team, NULL) == ATTN_OK)
        station->touch_threads = largest->threads;
}

static enum attn_status make_block(struct campaign_station *station, const struct campaign_point *point,
                                   struct attn_error *error) {
    station->form = point->form;
    if (point->capture_path) {
        const enum attn_status status =
            record_capture_read(point->capture_path, point->capture_tensor, &station->capture, error);
        if (status != ATTN_OK)
            return status;
        station->view = (struct check_capture){.q = station->capture.q,
                                               .k = station->capture.k,
                                               .v = station->capture.v,
                                               .key_lengths = station->capture.key_lengths};
        station->form.capture = &station->view;
    }
    enum attn_status status = check_instance_estimate(&station->form, &station->set_bytes, error);
    if (status == ATTN_OK)
        status = afford(station->set_bytes, "the problem", error);
    if (status != ATTN_OK)
        return status;
    bind_for_touch(station, point);
    status = campaign_station_sets(station, 1, error);
    machine_team_release(station->topology, station->touch_threads);
    if (status != ATTN_OK)
        return status;
    const struct check_instance *const first = station->sets[0];
    status = check_oracle_create(&first->problem, &first->operands, station->plan->seed, 0,
                                 machine_topology_pus(station->topology), &station->oracle, error);
    if (status == ATTN_OK)
        check_instance_supply(station->sets[0], station->oracle);
    return status;
}

void campaign_station_enter(struct campaign_station *station, const struct campaign_point *point) {
    if (station->block == point->block)
        return;
    campaign_station_leave(station);
    station->trouble.message[0] = '\0';
    station->status = make_block(station, point, &station->trouble);
    station->block = point->block;
}

enum attn_status campaign_station_peaks(struct campaign_station *station, const struct campaign_point *point,
                                        struct attn_error *error) {
    station->peaks = NULL;
    return station->plan->peaks ? campaign_roofs_find(&station->roofs, station->topology, station->registry, point,
                                                      &station->peaks, error)
                                : ATTN_OK;
}

enum attn_status campaign_station_workspace(struct campaign_station *station, size_t bytes, int threads,
                                            const char *policy, struct attn_error *error) {
    struct machine_buffer *const buffer = &station->workspace;
    const size_t needed = bytes + CANARY_BYTES;
    const bool placed_alike = station->workspace_policy && threads == station->workspace_threads &&
                              !strcmp(policy, station->workspace_policy);
    if (!buffer->data || buffer->bytes < needed || !placed_alike) {
        machine_buffer_release(buffer);
        station->workspace_policy = NULL;
        enum attn_status status = afford((double)needed, "the workspace", error);
        if (status == ATTN_OK)
            status = machine_buffer_create(needed, MACHINE_CANARY, threads, buffer, error);
        if (status != ATTN_OK)
            return status;
        station->workspace_threads = threads;
        station->workspace_policy = policy;
    }
    station->workspace_bytes = bytes;
    memset(buffer->data, ATTN_POISON_BYTE, bytes);
    memset((char *)buffer->data + bytes, CANARY_BYTE, CANARY_BYTES);
    return ATTN_OK;
}

bool campaign_station_workspace_intact(const struct campaign_station *station) {
    const unsigned char *const behind = (const unsigned char *)station->workspace.data + station->workspace_bytes;
    for (int i = 0; i < CANARY_BYTES; ++i)
        if (behind[i] != CANARY_BYTE)
            return false;
    return machine_buffer_intact(&station->workspace);
}
