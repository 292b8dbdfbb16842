/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/provenance.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/clock.h"
#include "machine/host.h"
#include "machine/memory.h"
#include "machine/placement.h"

enum attn_status campaign_file_id(const char *path, char id[RECORD_ID_CHARS + 1], struct attn_error *error) {
    FILE *const file = fopen(path, "rbe");
    if (!file)
        return attn_fail(error, ATTN_IO, "cannot read %s: %s", path, strerror(errno));
    uint64_t hash = 0xcbf29ce484222325u;
    unsigned char bytes[1 << 14];
    size_t got;
    while ((got = fread(bytes, 1, sizeof bytes, file)) > 0)
        for (size_t i = 0; i < got; ++i)
            hash = (hash ^ bytes[i]) * 0x100000001b3u;
    const bool whole = !ferror(file);
    fclose(file);
    snprintf(id, RECORD_ID_CHARS + 1, "%016" PRIx64, hash);
    return whole ? ATTN_OK : attn_fail(error, ATTN_IO, "cannot read %s: %s", path, strerror(errno));
}

static enum attn_status add_command_line(const struct campaign_launch *launch, struct record_fields *fields) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *const memory = open_memstream(&text, &bytes);
    for (int i = 0; memory && i < launch->argc; ++i)
        fprintf(memory, "%s%s", i ? " " : "", launch->argv[i]);
    const bool held = memory && fclose(memory) == 0;
    const enum attn_status status = held ? record_add_text(fields, "command_line", text) : ATTN_NO_MEMORY;
    free(text);
    return status;
}

/* Facts under their own names; the result file looks for the version under another. */
static enum attn_status add_facts(struct record_fields *fields) {
    struct machine_fact facts[128];
    const size_t count = machine_host_facts(facts, sizeof facts / sizeof *facts);
    enum attn_status status = ATTN_OK;
    for (size_t i = 0; i < count && status == ATTN_OK; ++i) {
        const char *const name = strcmp(facts[i].name, "version") ? facts[i].name : "software_version";
        if (strlen(name) <= RECORD_NAME_BYTES && !record_find(fields, name))
            status = record_add_text(fields, name, facts[i].value);
    }
    return status;
}

static enum attn_status add_machine(const struct machine_topology *topology, struct record_fields *fields) {
    const struct attn_caches caches = machine_topology_caches(topology);
    const struct machine_clock_facts clock = machine_clock_measure();
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {
        {"cores", machine_topology_cores(topology)},
        {"processing_units", machine_topology_pus(topology)},
        {"numa_nodes", machine_topology_numa_nodes(topology)},
        {"packages", machine_topology_packages(topology)},
        {"l1d_bytes", caches.l1d_bytes},
        {"l2_bytes", caches.l2_bytes},
        {"l3_bytes", caches.l3_bytes},
        {"cache_line_bytes", caches.line_bytes},
        {"memory_available_bytes", (int64_t)machine_memory_available_bytes()},
    };
    enum attn_status status = record_add_real(fields, "clock_overhead_ns", clock.overhead_ns);
    if (status == ATTN_OK)
        status = record_add_real(fields, "clock_resolution_ns", clock.resolution_ns);
    for (size_t i = 0; i < sizeof integers / sizeof *integers && status == ATTN_OK; ++i)
        status = record_add_integer(fields, integers[i].name, integers[i].value);
    return status;
}

static enum attn_status add_conflicts(int threads, struct record_fields *fields) {
    char conflicts[1024];
    machine_placement_conflicts(threads, conflicts, sizeof conflicts);
    return record_add_text(fields, "placement_conflicts", conflicts);
}

enum attn_status campaign_provenance(int threads, const struct campaign_launch *launch,
                                     const struct machine_topology *topology, struct record_fields *fields,
                                     struct attn_error *error) {
    char build[RECORD_ID_CHARS + 1], now[32];
    enum attn_status status = campaign_file_id(launch->program, build, error);
    if (status != ATTN_OK)
        return status;
    machine_utc_now(now);
    status = record_add_text(fields, "created_utc", now);
    if (status == ATTN_OK)
        status = record_add_text(fields, "build_id", build);
    if (status == ATTN_OK)
        status = add_command_line(launch, fields);
    if (status == ATTN_OK)
        status = add_facts(fields);
    if (status == ATTN_OK)
        status = add_machine(topology, fields);
    if (status == ATTN_OK)
        status = add_conflicts(threads, fields);
    return status == ATTN_OK
               ? status
               : attn_fail(error, status, "the provenance cannot be put together: %s", attn_status_name(status));
}
