/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/topology.h"

#include <hwloc.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "machine/hwloc_view.h"

void machine_topology_free(struct machine_topology *topology) {
    if (!topology)
        return;
    if (topology->hwloc)
        hwloc_topology_destroy(topology->hwloc);
    hwloc_bitmap_free(topology->start_mask);
    free(topology);
}

static struct machine_topology *unloaded(void) {
    struct machine_topology *const topology = calloc(1, sizeof *topology);
    if (!topology)
        return NULL;
    topology->start_mask = hwloc_bitmap_alloc();
    if (!topology->start_mask || hwloc_topology_init(&topology->hwloc) != 0) {
        topology->hwloc = NULL;
        machine_topology_free(topology);
        return NULL;
    }
    return topology;
}

static enum attn_status refuse(struct machine_topology *topology, enum attn_status status, const char *what,
                               struct attn_error *error) {
    machine_topology_free(topology);
    return attn_fail(error, status, "%s", what);
}

/* An OpenMP runtime told to bind (OMP_PROC_BIND, OMP_PLACES) has bound the first thread before main began:
 * the union of its places tells what the process was given. */
static void add_openmp_places(hwloc_bitmap_t mask) {
    for (int place = 0; place < omp_get_num_places(); place++) {
        const int count = omp_get_place_num_procs(place);
        int *const cpus = count > 0 ? malloc((size_t)count * sizeof *cpus) : NULL;
        if (!cpus)
            continue;
        omp_get_place_proc_ids(place, cpus);
        for (int i = 0; i < count; i++)
            hwloc_bitmap_set(mask, (unsigned)cpus[i]);
        free(cpus);
    }
}

enum attn_status machine_topology_load(struct machine_topology **result, struct attn_error *error) {
    *result = NULL;
    struct machine_topology *const topology = unloaded();
    if (!topology)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the machine's topology");
    if (hwloc_topology_load(topology->hwloc) != 0)
        return refuse(topology, ATTN_IO, "hwloc cannot read the topology of this machine", error);
    const hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_cpuset(topology->hwloc);
    if (hwloc_get_cpubind(topology->hwloc, topology->start_mask, HWLOC_CPUBIND_THREAD) != 0)
        hwloc_bitmap_copy(topology->start_mask, allowed);
    if (omp_get_proc_bind() != omp_proc_bind_false)
        add_openmp_places(topology->start_mask);
    hwloc_bitmap_and(topology->start_mask, topology->start_mask, allowed);
    if (hwloc_topology_restrict(topology->hwloc, topology->start_mask, 0) != 0)
        return refuse(topology, ATTN_IO, "hwloc cannot restrict the topology to the CPUs of this process", error);
    *result = topology;
    return ATTN_OK;
}

enum attn_status machine_topology_synthetic(const char *description, struct machine_topology **result,
                                            struct attn_error *error) {
    *result = NULL;
    struct machine_topology *const topology = unloaded();
    if (!topology)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a synthetic topology");
    if (hwloc_topology_set_synthetic(topology->hwloc, description) != 0 || hwloc_topology_load(topology->hwloc) != 0) {
        machine_topology_free(topology);
        return attn_fail(error, ATTN_INVALID,
                         "'%s' is not a synthetic topology; hwloc's form is \"pack:2 [numa] l3:2 core:4 pu:2\"",
                         description);
    }
    *result = topology;
    return ATTN_OK;
}

enum attn_status machine_topology_from_xml(const char *xml, size_t xml_bytes, struct machine_topology **result,
                                           struct attn_error *error) {
    *result = NULL;
    struct machine_topology *const topology = unloaded();
    char *const text = malloc(xml_bytes + 1);
    if (!topology || !text) {
        free(text);
        return refuse(topology, ATTN_NO_MEMORY, "no memory for a topology read from XML", error);
    }
    memcpy(text, xml, xml_bytes);
    text[xml_bytes] = '\0';
    /* hwloc counts the terminator of the text. */
    const size_t length = strlen(text) + 1;
    const bool loaded = length <= INT32_MAX && hwloc_topology_set_xmlbuffer(topology->hwloc, text, (int)length) == 0 &&
                        hwloc_topology_load(topology->hwloc) == 0;
    free(text);
    if (!loaded)
        return refuse(topology, ATTN_INVALID,
                      "the text is not the XML of a topology in a version that this hwloc reads", error);
    *result = topology;
    return ATTN_OK;
}

bool machine_topology_is_this_system(const struct machine_topology *topology) {
    return hwloc_topology_is_thissystem(topology->hwloc) != 0;
}

/* The number of objects of a type; where the topology does not show the type, `otherwise`. */
static int count(const struct machine_topology *topology, hwloc_obj_type_t type, int otherwise) {
    const int objects = hwloc_get_nbobjs_by_type(topology->hwloc, type);
    return objects > 0 ? objects : otherwise;
}

int machine_topology_pus(const struct machine_topology *topology) {
    return count(topology, HWLOC_OBJ_PU, 1);
}

int machine_topology_cores(const struct machine_topology *topology) {
    return count(topology, HWLOC_OBJ_CORE, machine_topology_pus(topology));
}

int machine_topology_numa_nodes(const struct machine_topology *topology) {
    return count(topology, HWLOC_OBJ_NUMANODE, 1);
}

int machine_topology_packages(const struct machine_topology *topology) {
    return count(topology, HWLOC_OBJ_PACKAGE, 1);
}

static int64_t cache_bytes(const struct machine_topology *topology, hwloc_obj_t below, hwloc_obj_type_t type) {
    const hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(topology->hwloc, type, below);
    return cache ? (int64_t)cache->attr->cache.size : 0;
}

struct attn_caches machine_topology_caches(const struct machine_topology *topology) {
    const hwloc_obj_t first = hwloc_get_obj_by_type(topology->hwloc, HWLOC_OBJ_PU, 0);
    if (!first)
        return (struct attn_caches){0};
    const hwloc_obj_t l1d = hwloc_get_ancestor_obj_by_type(topology->hwloc, HWLOC_OBJ_L1CACHE, first);
    return (struct attn_caches){
        .l1d_bytes = cache_bytes(topology, first, HWLOC_OBJ_L1CACHE),
        .l2_bytes = cache_bytes(topology, first, HWLOC_OBJ_L2CACHE),
        .l3_bytes = cache_bytes(topology, first, HWLOC_OBJ_L3CACHE),
        .line_bytes = l1d ? (int64_t)l1d->attr->cache.linesize : 0,
    };
}

/* The caches of `type` above the PUs in `cpus`, each counted once. */
static int64_t distinct_bytes(const struct machine_topology *topology, hwloc_const_bitmap_t cpus,
                              hwloc_obj_type_t type) {
    int64_t bytes = 0;
    for (hwloc_obj_t cache = NULL; (cache = hwloc_get_next_obj_by_type(topology->hwloc, type, cache));)
        if (hwloc_bitmap_intersects(cache->cpuset, cpus))
            bytes += (int64_t)cache->attr->cache.size;
    return bytes;
}

struct attn_caches machine_topology_caches_of(const struct machine_topology *topology, const int *cpus, int count) {
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (int i = 0; set && i < count; ++i) {
        const hwloc_obj_t stand_in = hwloc_get_obj_by_type(topology->hwloc, HWLOC_OBJ_PU, (unsigned)i);
        if (cpus[i] >= 0)
            hwloc_bitmap_set(set, (unsigned)cpus[i]);
        else if (stand_in)
            hwloc_bitmap_set(set, stand_in->os_index);
    }
    const struct attn_caches caches = {
        .l1d_bytes = set ? distinct_bytes(topology, set, HWLOC_OBJ_L1CACHE) : 0,
        .l2_bytes = set ? distinct_bytes(topology, set, HWLOC_OBJ_L2CACHE) : 0,
        .l3_bytes = set ? distinct_bytes(topology, set, HWLOC_OBJ_L3CACHE) : 0,
        .line_bytes = machine_topology_caches(topology).line_bytes,
    };
    hwloc_bitmap_free(set);
    return caches;
}

char *machine_topology_xml(const struct machine_topology *topology) {
    char *exported = NULL;
    int bytes = 0;
    if (hwloc_topology_export_xmlbuffer(topology->hwloc, &exported, &bytes, 0) != 0)
        return NULL;
    char *const xml = strdup(exported);
    hwloc_free_xmlbuffer(topology->hwloc, exported);
    return xml;
}
