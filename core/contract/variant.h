/* SPDX-License-Identifier: Apache-2.0 */
/* A variant is a const object: what it is called, the one idea it adds, what it claims, and
 * functions that answer a problem. See variants/README.md for the ladder. */
#ifndef CONTRACT_VARIANT_H
#define CONTRACT_VARIANT_H

#include "contract/execution.h"
#include "contract/probe.h"
#include "contract/problem.h"

/* Claims, each of which the checker tests. */
enum attn_trait {
    ATTN_PARALLEL = 1 << 0,         /* uses execution.threads; without it threads = 1 only */
    ATTN_REPEATABLE = 1 << 1,       /* the same call gives the same bits */
    ATTN_THREAD_INVARIANT = 1 << 2, /* the same bits for any number of threads */
    ATTN_ROUNDS_WEIGHTS = 1 << 3,   /* rounds softmax weights to the 16-bit type before weighting values */
};

struct attn_parameter {
    const char *name;
    int64_t initial; /* 0: chosen by resolve() */
    int64_t min, max;
    const char *meaning;
};

/* One direction. All three take the built problem and the execution with resolved parameters. */
struct attn_pass {
    /* NULL: will do it. Else one line that says what it does not support. */
    const char *(*objection)(const struct attn_problem *problem, const struct attn_execution *execution);
    /* Exactly what run() uses; NULL means none. */
    size_t (*workspace_bytes)(const struct attn_problem *problem, const struct attn_execution *execution);
    /* Writes every element of its outputs, reads inputs only, allocates nothing, asks for no more than
     * execution->threads threads. Can't fail: whatever could was asked before. */
    void (*run)(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution);
};

struct attn_variant {
    const char *name;
    const char *idea;        /* one sentence; the ladder's story is printed from these */
    const char *improves_on; /* name of the rung below; NULL: the first */
    unsigned traits;
    const struct attn_parameter *parameters;
    int parameter_count;
    /* Turns every parameter that is 0 (auto) into a value from problem and caches; total, runs first.
     * NULL when there are no parameters. */
    void (*resolve)(const struct attn_problem *problem, struct attn_execution *execution);
    struct attn_pass forward, backward; /* run == NULL: not offered */
};

/* Every variant file is compiled once per ISA level with -DATTN_LEVEL=<level>; this names its object. */
#define ATTN_JOIN_(a, b, c) a##b##_##c
#define ATTN_JOIN(a, b, c)  ATTN_JOIN_(a, b, c)
#define ATTN_VARIANT(name)  const struct attn_variant ATTN_JOIN(attn_variant_, name, ATTN_LEVEL)

struct attn_registry {
    int variant_count, level_count;
    const char *const *levels;                  /* ISA levels compiled in, ascending: "baseline", "avx2", ... */
    const struct attn_variant *const *variants; /* [variant_count][level_count], in ladder order */
    const struct attn_probes *const *probes;    /* [level_count]; NULL: none */
};

/* The variant `name` compiled for `level`; NULL when there is none. */
const struct attn_variant *attn_registry_find(const struct attn_registry *registry, const char *name,
                                              const char *level);

/* The shipped ladder; the table is written by the build from variants/meson.build. Named by main.c and
 * api/ only: everything else is handed a registry, so that tests can hand over broken variants. */
extern const struct attn_registry attn_registry;

/* The pass of the problem's direction. */
static inline const struct attn_pass *attn_variant_pass(const struct attn_variant *variant,
                                                        enum attn_direction direction) {
    return direction == ATTN_BACKWARD ? &variant->backward : &variant->forward;
}

#endif
