/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/placement.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "contract/nearest.h"
#include "machine/hwloc_view.h"

const char *const machine_placement_policies[] = {"compact", "spread", "one_per_l3", "one_per_numa",
                                                  "no_smt",  "none",   "explicit",   NULL};
enum policy { COMPACT, SPREAD, ONE_PER_L3, ONE_PER_NUMA, NO_SMT, NONE, EXPLICIT, POLICIES };

/* One processing unit: where it is, outermost first, then its place in the order being made. Numbers are
 * hwloc's logical indices, in which neighbours are near; -1 where the topology has no such object. */
enum depth { PACKAGE, NUMA, L3, CORE, DEPTHS };
struct pu {
    int cpu; /* the operating system's number */
    int in[DEPTHS];
    int sibling;  /* 0 for the first PU of its core */
    int64_t rank; /* where the next sorting puts it */
};

static int ancestor_index(hwloc_topology_t hwloc, hwloc_obj_t pu, hwloc_obj_type_t type) {
    const hwloc_obj_t ancestor = hwloc_get_ancestor_obj_by_type(hwloc, type, pu);
    return ancestor ? (int)ancestor->logical_index : -1;
}

/* The nearest memory: of several nodes that serve the PU (HBM beside DRAM, or a remote expander) the first
 * of those that serve the fewest PUs. */
static int nearest_numa(hwloc_topology_t hwloc, hwloc_obj_t pu) {
    int nearest = -1, fewest = 0;
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, node))) {
        if (!hwloc_bitmap_isset(pu->nodeset, node->os_index))
            continue;
        const int served = hwloc_bitmap_weight(node->cpuset);
        if (nearest < 0 || served < fewest) {
            nearest = (int)node->logical_index;
            fewest = served;
        }
    }
    return nearest;
}

/* Every PU in logical order. A PU that the topology puts in no core is a core of its own. */
static struct pu *list_pus(const struct machine_topology *topology, int *count) {
    hwloc_topology_t hwloc = topology->hwloc;
    *count = hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_PU);
    struct pu *const pus = *count > 0 ? calloc((size_t)*count, sizeof *pus) : NULL;
    const int cores = hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_CORE);
    for (int i = 0; pus && i < *count; i++) {
        const hwloc_obj_t object = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_PU, (unsigned)i);
        struct pu *const pu = &pus[i];
        pu->cpu = (int)object->os_index;
        pu->in[PACKAGE] = ancestor_index(hwloc, object, HWLOC_OBJ_PACKAGE);
        pu->in[NUMA] = nearest_numa(hwloc, object);
        pu->in[L3] = ancestor_index(hwloc, object, HWLOC_OBJ_L3CACHE);
        pu->in[CORE] = ancestor_index(hwloc, object, HWLOC_OBJ_CORE);
        if (pu->in[CORE] < 0)
            pu->in[CORE] = cores + i;
        pu->sibling = i > 0 && pus[i - 1].in[CORE] == pu->in[CORE] ? pus[i - 1].sibling + 1 : 0;
        pu->rank = i;
    }
    return pus;
}

static int by_rank(const void *a, const void *b) {
    const struct pu *const left = a, *const right = b;
    return (left->rank > right->rank) - (left->rank < right->rank);
}

/* Whether two PUs are in the same object of every depth above `depth`. */
static bool same_parent(const struct pu *a, const struct pu *b, enum depth depth) {
    for (int outer = 0; outer < (int)depth; outer++)
        if (a->in[outer] != b->in[outer])
            return false;
    return true;
}

static void sort_by_rank(struct pu *pus, int count) {
    qsort(pus, (size_t)count, sizeof *pus, by_rank);
    for (int i = 0; i < count; i++)
        pus[i].rank = i;
}

/* First PU of each core before second ones; otherwise as before. */
static void siblings_last(struct pu *pus, int count) {
    for (int i = 0; i < count; i++)
        pus[i].rank += (int64_t)pus[i].sibling * count;
    sort_by_rank(pus, count);
}

/* Inside each parent, deals from its objects at `depth` in turn, like cards from several hands: the first PU
 * of every object, then the second of every object, each object's own order kept. */
static void deal(struct pu *pus, int count, enum depth depth) {
    for (int i = 0; i < count; i++) {
        int64_t earlier = 0;
        for (int j = 0; j < i; j++)
            earlier += same_parent(&pus[i], &pus[j], depth) && pus[i].in[depth] == pus[j].in[depth];
        pus[i].rank = (earlier * (count + 1) + pus[i].in[depth] + 1) * count + i;
    }
    sort_by_rank(pus, count);
}

static int distinct(const struct pu *pus, int count, enum depth depth) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        bool first = true;
        for (int j = 0; j < i && first; j++)
            first = pus[j].in[depth] != pus[i].in[depth];
        found += first;
    }
    return found;
}

/* Deals at every depth, innermost first. Boards of several packages that share a NUMA node exist: there the
 * node is the outer object. */
static void spread_out(struct pu *pus, int count) {
    if (distinct(pus, count, NUMA) < distinct(pus, count, PACKAGE))
        for (int i = 0; i < count; i++) {
            const int package = pus[i].in[PACKAGE];
            pus[i].in[PACKAGE] = pus[i].in[NUMA];
            pus[i].in[NUMA] = package;
        }
    for (int depth = L3; depth >= PACKAGE; depth--)
        deal(pus, count, (enum depth)depth);
}

/* Keeps, in their order, the first PU of each object at `depth`; returns how many. */
static int one_per_object(struct pu *pus, int count, enum depth depth) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        bool seen = pus[i].in[depth] < 0;
        for (int j = 0; j < kept && !seen; j++)
            seen = pus[j].in[depth] == pus[i].in[depth];
        if (!seen)
            pus[kept++] = pus[i];
    }
    return kept;
}

static int first_siblings(struct pu *pus, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (pus[i].sibling == 0)
            pus[kept++] = pus[i];
    return kept;
}

/* Puts the PUs in the policy's order and returns how many of them are its places. */
static int arrange(enum policy policy, struct pu *pus, int count) {
    switch (policy) {
    case ONE_PER_L3: return one_per_object(pus, count, L3);
    case ONE_PER_NUMA: return one_per_object(pus, count, NUMA);
    case NO_SMT: return first_siblings(pus, count);
    case SPREAD: spread_out(pus, count); break;
    default: break;
    }
    siblings_last(pus, count);
    return count;
}

static bool parse_cpu(const char **at, long *cpu) {
    char *end;
    errno = 0;
    if (**at < '0' || **at > '9')
        return false;
    *cpu = strtol(*at, &end, 10);
    *at = end;
    return errno == 0 && *cpu <= INT32_MAX;
}

/* Moves the PU of this number behind the `kept` ones chosen before. */
static enum attn_status choose(struct pu *pus, int count, int *kept, long cpu, struct attn_error *error) {
    for (int i = 0; i < count; i++) {
        if (pus[i].cpu != cpu)
            continue;
        if (i < *kept)
            return attn_fail(error, ATTN_INVALID, "CPU %ld is listed twice", cpu);
        const struct pu chosen = pus[i];
        pus[i] = pus[*kept];
        pus[(*kept)++] = chosen;
        return ATTN_OK;
    }
    return attn_fail(error, ATTN_INVALID, "CPU %ld is not among the %d that this process may use", cpu, count);
}

/* Reads "0,2,4-7" and puts those PUs first, in the order of the list. */
static enum attn_status arrange_list(const char *list, struct pu *pus, int count, int *places,
                                     struct attn_error *error) {
    const char *at = list;
    *places = 0;
    for (;;) {
        long first, last;
        bool read = parse_cpu(&at, &first);
        last = first;
        if (read && *at == '-') {
            at++;
            read = parse_cpu(&at, &last) && first <= last;
        }
        if (!read || (*at != ',' && *at != '\0'))
            return attn_fail(error, ATTN_INVALID, "'%s' is not a list of CPUs; an example is explicit:0,2,4-7", list);
        for (long cpu = first; cpu <= last; cpu++) {
            const enum attn_status status = choose(pus, count, places, cpu, error);
            if (status != ATTN_OK)
                return status;
        }
        if (*at++ == '\0')
            return ATTN_OK;
    }
}

static enum attn_status parse_policy(const char *text, enum policy *policy, struct attn_error *error) {
    const size_t length = strcspn(text, ":");
    const bool has_list = text[length] == ':';
    char name[32] = "";
    if (length < sizeof name)
        memcpy(name, text, length);
    for (*policy = COMPACT; *policy < POLICIES; (*policy)++)
        if (strcmp(name, machine_placement_policies[*policy]) == 0)
            break;
    if (*policy == POLICIES) {
        const char *const near = attn_nearest(name, machine_placement_policies, POLICIES);
        return attn_fail(
            error, ATTN_INVALID, "unknown placement '%s'; %s%s%s", text, near ? "did you mean '" : "known are ",
            near ? near : "compact, spread, one_per_l3, one_per_numa, no_smt, none, explicit:LIST", near ? "'?" : "");
    }
    if (has_list != (*policy == EXPLICIT))
        return attn_fail(error, ATTN_INVALID,
                         has_list ? "the placement '%s' takes no list; only explicit does"
                                  : "the placement '%s' needs a list of CPUs, as in explicit:0,2,4-7",
                         name);
    return ATTN_OK;
}

static void unbound(const struct machine_topology *topology, int threads, struct machine_placement *placement) {
    placement->threads = threads;
    placement->oversubscribed = threads > machine_topology_pus(topology);
    for (int i = 0; i < threads; i++)
        placement->cpus[i] = -1;
}

static enum attn_status assign(const struct pu *pus, int places, bool wraps, const char *policy, int threads,
                               struct machine_placement *placement, struct attn_error *error) {
    if (places == 0 || (threads > places && !wraps))
        return attn_fail(error, ATTN_UNSUPPORTED,
                         "the placement '%s' has %d place%s on this machine; %d thread%s asked for", policy, places,
                         places == 1 ? "" : "s", threads, threads == 1 ? " was" : "s were");
    placement->threads = threads;
    placement->oversubscribed = threads > places;
    for (int i = 0; i < threads; i++)
        placement->cpus[i] = pus[i % places].cpu;
    return ATTN_OK;
}

enum attn_status machine_placement_plan(const struct machine_topology *topology, const char *policy, int threads,
                                        struct machine_placement *placement, struct attn_error *error) {
    *placement = (struct machine_placement){0};
    if (threads < 1 || threads > MACHINE_MAX_THREADS)
        return attn_fail(error, ATTN_INVALID, "%d threads cannot be placed; 1 to %d can", threads, MACHINE_MAX_THREADS);
    enum policy kind;
    enum attn_status status = parse_policy(policy, &kind, error);
    if (status != ATTN_OK)
        return status;
    if (kind == NONE) {
        unbound(topology, threads, placement);
        return ATTN_OK;
    }
    int count, places = 0;
    struct pu *const pus = list_pus(topology, &count);
    if (!pus)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the placement of %d threads", threads);
    if (kind == EXPLICIT)
        status = arrange_list(strchr(policy, ':') + 1, pus, count, &places, error);
    else
        places = arrange(kind, pus, count);
    if (status == ATTN_OK)
        status = assign(pus, places, kind == COMPACT || kind == SPREAD, policy, threads, placement, error);
    free(pus);
    return status;
}
