/* SPDX-License-Identifier: Apache-2.0 */
/* variant_exam NAME [bf16]: the exams of one variant, at every ISA level that this machine runs. Each variant of the
 * ladder has a test of its own that runs this, so a broken one fails alone and by name. Exits with 0 when every exam
 * was passed, 1 at the first that was not (the line says which and why), 77 when the variant took none. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check/exam.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "machine/topology.h"

enum { PASSED = 0, FAILED = 1, NOTHING_TO_DO = 77 };

/* 1, primes, one less and one more than widths that kernels like; odd head_dim, value_dim of its own; shared KV heads;
 * more keys than queries, and fewer; and enough
 * keys that blocks follow blocks. */
static const struct {
    int64_t batch, query_heads, key_heads, query_len, key_len, head_dim, value_dim;
} sizes[] = {
    {1, 1, 1, 1, 1, 1, 1},      {2, 2, 1, 1, 127, 13, 7},   {1, 4, 2, 7, 31, 17, 19},
    {2, 3, 3, 17, 15, 5, 64},   {1, 2, 1, 33, 64, 64, 3},   {1, 1, 1, 63, 65, 31, 33},
    {1, 2, 2, 65, 129, 64, 64}, {1, 1, 1, 131, 97, 40, 80}, {1, 2, 1, 37, 331, 24, 40},
};

static const char *const masks[] = {
    "none",
    "causal=top_left",
    "causal=bottom_right",
    "window=3:5",
    "window=inf:2",
    "causal=top_left,window=16:0",
    "align=bottom_right,window=4:2,alibi",
    "lengths=ragged",
    "causal=bottom_right,lengths=ragged",
    "packed=4",
    "causal=bottom_right,packed=3",
    "packed=5,window=3:1,sinks,starts=ragged",
    "causal=top_left,query_start=5,starts=ragged",
    "causal=top_left,query_start=-9,key_start=3",
    "alibi",
    "bias",
    "boolean",
    "sinks",
    "softcap=5",
    "dead_rows",
    "dead_rows,sinks",
    "dead_block",
    "causal=top_left,alibi,bias,boolean,sinks,softcap=20",
};

static const int64_t tiles[] = {0, 1, 7, 64}; /* overrides of every parameter, as far as its range allows; 0: auto */
static const int teams[] = {1, 2, 3};

enum {
    SIZES = sizeof sizes / sizeof *sizes,
    MASKS = sizeof masks / sizeof *masks,
    TILES = sizeof tiles / sizeof *tiles,
    TEAMS = sizeof teams / sizeof *teams,
};

struct examiner {
    const char *name;
    struct attn_caches caches;
    int turn; /* counts exams, so that tile sizes rotate through them */
    int passed, skipped;
    char skip_reason[384];
};

static void choose_tiles(const struct attn_variant *variant, int64_t tile, int64_t overrides[ATTN_MAX_PARAMETERS]) {
    for (int n = 0; n < variant->parameter_count; ++n) {
        const struct attn_parameter *const parameter = &variant->parameters[n];
        overrides[n] = tile == 0               ? 0
                       : tile < parameter->min ? parameter->min
                       : tile > parameter->max ? parameter->max
                                               : tile;
    }
}

/* One exam. False: failed, and said so. */
static bool examine(struct examiner *examiner, struct check_bench *bench, const struct check_form *form,
                    const char *level, int threads) {
    const struct attn_variant *const variant = attn_registry_find(&attn_registry, examiner->name, level);
    const int64_t tile = tiles[examiner->turn++ % TILES];
    int64_t overrides[ATTN_MAX_PARAMETERS] = {0};
    choose_tiles(variant, tile, overrides);
    const struct attn_execution execution = {.threads = threads, .caches = examiner->caches, .sgemm = machine_gemm()};
    struct check_result result = {0};
    struct attn_error error = {0};
    const enum attn_status status = check_exam_on(bench, variant, &execution, overrides, &result, &error);
    if (status == ATTN_OK && result.status == CHECK_ACCEPTED) {
        ++examiner->passed;
        return true;
    }
    if (status == ATTN_OK && result.status == CHECK_SKIPPED) {
        ++examiner->skipped;
        memcpy(examiner->skip_reason, result.reason, sizeof result.reason);
        return true;
    }
    char mask[256];
    check_mask_format(&form->mask, mask, sizeof mask);
    printf("%s, %s, at %s, %d threads, tiles %" PRId64 ", %s, mask %s, pattern %s, batch %" PRId64 ", heads %" PRId64
           "/%" PRId64 ", lengths %" PRId64 "/%" PRId64 ", dims %" PRId64 "/%" PRId64 ", seed %" PRIu64 ": %s\n",
           variant->name, form->direction == ATTN_BACKWARD ? "backward" : "forward", level, threads, tile,
           attn_type_name(form->type), mask, check_pattern_name(form->pattern), form->batch, form->query_heads,
           form->key_heads, form->query_len, form->key_len, form->head_dim, form->value_dim, form->seed,
           status == ATTN_OK ? result.reason : error.message);
    return false;
}

/* The variant at every ISA level and with every team, on one form. */
static bool examine_form(struct examiner *examiner, const struct check_form *form) {
    struct check_bench *bench;
    struct attn_error error = {0};
    if (check_bench_create(form, 1, &bench, &error) != ATTN_OK) {
        printf("%s: no bench: %s\n", examiner->name, error.message);
        return false;
    }
    bool passed = true;
    for (int level = 0; passed && level < attn_registry.level_count; ++level) {
        const char *const name = attn_registry.levels[level];
        if (machine_isa_objection(name))
            continue;
        const struct attn_variant *const variant = attn_registry_find(&attn_registry, examiner->name, name);
        for (int team = 0; passed && team < (variant->traits & ATTN_PARALLEL ? TEAMS : 1); ++team)
            passed = examine(examiner, bench, form, name, teams[team]);
    }
    check_bench_destroy(bench);
    return passed;
}

static bool build_form(int size, int mask, enum attn_type type, enum check_pattern pattern, struct check_form *form) {
    *form = (struct check_form){
        .batch = sizes[size].batch,
        .query_heads = sizes[size].query_heads,
        .key_heads = sizes[size].key_heads,
        .query_len = sizes[size].query_len,
        .key_len = sizes[size].key_len,
        .head_dim = sizes[size].head_dim,
        .value_dim = sizes[size].value_dim,
        .type = type,
        .lse = true,
        .pattern = pattern,
        .seed = (uint64_t)(1 + size * MASKS + mask),
    };
    struct attn_error error = {0};
    if (check_mask_parse(masks[mask], &form->mask, &error) != ATTN_OK) {
        printf("mask %s: %s\n", masks[mask], error.message);
        return false;
    }
    if (form->mask.packed > 0)
        form->batch = 1; /* packed sequences are one batch by definition */
    return true;
}

/* Every pass that the variant offers. */
static bool examine_passes(struct examiner *examiner, struct check_form *form) {
    const struct attn_variant *const variant =
        attn_registry_find(&attn_registry, examiner->name, attn_registry.levels[0]);
    form->direction = ATTN_FORWARD;
    if (!examine_form(examiner, form))
        return false;
    form->direction = ATTN_BACKWARD;
    return !variant->backward.run || examine_form(examiner, form);
}

/* A form of every size and mask in `whole`, and one of every mask in each other type: with needles, and with one of the
 * other patterns in turn. */
static bool examine_all(struct examiner *examiner, enum attn_type whole) {
    for (int mask = 0; mask < MASKS; ++mask)
        for (int size = 0; size < SIZES; ++size)
            for (int type = ATTN_F32; type <= ATTN_F16; ++type) {
                if (type != (int)whole && size != (mask + type) % SIZES)
                    continue;
                const int other = (mask * SIZES + size + type) % CHECK_PATTERN_COUNT;
                struct check_form form;
                if (!build_form(size, mask, (enum attn_type)type, CHECK_NEEDLES, &form) ||
                    !examine_passes(examiner, &form))
                    return false;
                form.pattern = (enum check_pattern)other;
                if (!examine_passes(examiner, &form))
                    return false;
            }
    return true;
}

int main(int argc, char **argv) {
    const bool bf16 = argc == 3 && strcmp(argv[2], "bf16") == 0;
    if (argc < 2 || (argc > 2 && !bf16) || !attn_registry_find(&attn_registry, argv[1], attn_registry.levels[0])) {
        printf("usage: variant_exam NAME [bf16], a variant of the ladder, with all sizes in f32 or in bf16\n");
        return FAILED;
    }
    machine_gemm_single_thread();
    struct examiner examiner = {.name = argv[1]};
    struct machine_topology *topology;
    if (machine_topology_load(&topology, NULL) == ATTN_OK) {
        examiner.caches = machine_topology_caches(topology);
        machine_topology_free(topology);
    }
    const bool passed = examine_all(&examiner, bf16 ? ATTN_BF16 : ATTN_F32);
    printf("%s: %d exams passed, %d skipped%s%s\n", examiner.name, examiner.passed, examiner.skipped,
           examiner.skipped > 0 ? ", the last because: " : "", examiner.skip_reason);
    return !passed ? FAILED : examiner.passed > 0 ? PASSED : NOTHING_TO_DO;
}
