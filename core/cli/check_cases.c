/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/check_cases.h"

#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/factors.h"
#include "check/instance.h"

/* Odd sizes: 1, primes, one less and one more than the widths that kernels like, odd head_dim, value_dim of its own,
 * shared KV heads, more keys than queries and fewer. */
static const struct {
    int64_t batch, query_heads, key_heads, query_len, key_len, head_dim, value_dim;
} sizes[] = {
    {1, 1, 1, 1, 1, 1, 1},      {1, 2, 1, 1, 17, 5, 3},      {2, 2, 2, 7, 7, 3, 3},       {1, 3, 1, 13, 31, 17, 11},
    {2, 4, 2, 15, 15, 16, 16},  {1, 2, 2, 16, 16, 33, 33},   {1, 1, 1, 17, 17, 64, 65},   {1, 2, 1, 31, 33, 63, 63},
    {1, 1, 1, 32, 64, 80, 32},  {1, 2, 2, 63, 63, 64, 64},   {1, 1, 1, 64, 65, 31, 64},   {1, 2, 1, 65, 63, 64, 64},
    {1, 1, 1, 97, 127, 65, 63}, {1, 1, 1, 128, 128, 64, 64}, {1, 1, 1, 129, 257, 40, 40}, {1, 1, 1, 5, 1031, 64, 64},
};

static const char *const masks[] = {
    "none",
    "causal=top_left",
    "causal=bottom_right",
    "window=3:5",
    "window=inf:2",
    "causal=top_left,window=16:0",
    "lengths=ragged",
    "causal=bottom_right,lengths=ragged",
    "packed=3",
    "causal=bottom_right,packed=3",
    "causal=top_left,query_start=5,starts=ragged",
    "window=9:4,packed=3,starts=ragged",
    "causal=top_left,key_start=2",
    "alibi",
    "bias",
    "boolean",
    "sinks",
    "softcap=20",
    "dead_rows",
    "dead_block",
    "causal=top_left,alibi,bias,sinks,softcap=15",
};

static const int thread_counts[] = {1, 2, 4};

enum {
    SIZE_COUNT = sizeof sizes / sizeof *sizes,
    MASK_COUNT = sizeof masks / sizeof *masks,
    THREADS_COUNT = sizeof thread_counts / sizeof *thread_counts,
    TYPE_COUNT = ATTN_F16 + 1,
    SMALL_TILE = 16,
};

struct check_form cli_case_form(const struct cli_case *item) {
    struct check_form form = {
        .batch = sizes[item->size].batch,
        .query_heads = sizes[item->size].query_heads,
        .key_heads = sizes[item->size].key_heads,
        .query_len = sizes[item->size].query_len,
        .key_len = sizes[item->size].key_len,
        .head_dim = sizes[item->size].head_dim,
        .value_dim = sizes[item->size].value_dim,
        .type = (enum attn_type)item->type,
        .direction = item->backward ? ATTN_BACKWARD : ATTN_FORWARD,
        .lse = true,
        .pattern = (enum check_pattern)item->pattern,
        .seed = 1u + item->size * (unsigned)MASK_COUNT + item->mask,
    };
    check_mask_parse(masks[item->mask], &form.mask, NULL);
    if (form.mask.packed)
        form.batch = 1; /* packed sequences are one batch by definition */
    return form;
}

int cli_case_threads(const struct cli_case *item) {
    return thread_counts[item->threads];
}

bool cli_case_same_form(const struct cli_case *a, const struct cli_case *b) {
    return a->size == b->size && a->mask == b->mask && a->type == b->type && a->pattern == b->pattern &&
           a->backward == b->backward;
}

const struct attn_variant *cli_case_variant(const struct cli_case_list *list, const struct cli_case *item) {
    return list->registry->variants[item->variant * list->registry->level_count + item->level];
}

void cli_case_overrides(const struct cli_case *item, const struct attn_variant *variant,
                        int64_t overrides[ATTN_MAX_PARAMETERS]) {
    for (int i = 0; i < ATTN_MAX_PARAMETERS; ++i) {
        overrides[i] = 0;
        if (!item->small_tiles || i >= variant->parameter_count)
            continue;
        const struct attn_parameter *const parameter = &variant->parameters[i];
        overrides[i] = SMALL_TILE < parameter->min   ? parameter->min
                       : SMALL_TILE > parameter->max ? parameter->max
                                                     : SMALL_TILE;
    }
}

void cli_case_label(const struct cli_case_list *list, size_t index, char label[CLI_CASE_LABEL_BYTES]) {
    const struct cli_case *const item = &list->cases[index];
    const struct check_form form = cli_case_form(item);
    snprintf(label, CLI_CASE_LABEL_BYTES,
             "%s/%s/threads=%d/%s/b%" PRId64 "h%" PRId64 "g%" PRId64 "q%" PRId64 "k%" PRId64 "d%" PRId64 "v%" PRId64
             "/%s/%s/%s%s",
             campaign_variant_at(list->registry, item->variant)->name, list->registry->levels[item->level],
             thread_counts[item->threads], attn_type_name(form.type), form.batch, form.query_heads, form.key_heads,
             form.query_len, form.key_len, form.head_dim, form.value_dim, masks[item->mask],
             check_pattern_name(form.pattern), item->small_tiles ? "small" : "auto", item->backward ? "/backward" : "");
}

static bool append(struct cli_case_list *list, size_t *capacity, struct cli_case item) {
    if (list->count == *capacity) {
        *capacity = *capacity * 2 + 1024;
        struct cli_case *const grown = realloc(list->cases, *capacity * sizeof *grown);
        if (!grown)
            return false;
        list->cases = grown;
    }
    list->cases[list->count++] = item;
    return true;
}

/* All that share one form: variants that offer the pass x levels x threads. Tiles are small in every second form, and
 * the other way round for the other pattern of the same size and mask. */
static bool append_form(struct cli_case_list *list, size_t *capacity, struct cli_case item, bool second) {
    for (int variant = 0; variant < list->registry->variant_count; ++variant) {
        const struct attn_variant *const any = campaign_variant_at(list->registry, variant);
        const bool parallel = any->traits & ATTN_PARALLEL;
        if (item.backward && !any->backward.run)
            continue;
        for (int level = 0; level < list->registry->level_count; ++level)
            for (int threads = 0; threads < (parallel ? THREADS_COUNT : 1); ++threads) {
                item.variant = (uint16_t)variant;
                item.level = (uint8_t)level;
                item.threads = (uint8_t)threads;
                item.small_tiles = ((item.size + item.mask + threads) & 1) != second;
                if (!append(list, capacity, item))
                    return false;
            }
    }
    return true;
}

/* Needles at every size and mask, and beside them a pattern that rotates through all others. */
static bool append_all(struct cli_case_list *list) {
    size_t capacity = 0;
    for (int size = 0; size < SIZE_COUNT; ++size)
        for (int mask = 0; mask < MASK_COUNT; ++mask) {
            struct cli_case item = {.size = (uint8_t)size, .mask = (uint8_t)mask};
            const struct check_form form = cli_case_form(&item);
            double bytes;
            if (check_instance_estimate(&form, &bytes, NULL) != ATTN_OK)
                continue; /* this mask does not go with this size */
            for (int type = 0; type < TYPE_COUNT; ++type)
                for (int n = 0; n < 4; ++n) { /* either pattern, either pass */
                    const bool second = n & 1;
                    const int turn = (size * MASK_COUNT + mask * TYPE_COUNT + type) % (CHECK_PATTERN_COUNT - 1);
                    const int other = turn < CHECK_NEEDLES ? turn : turn + 1;
                    item.type = (uint8_t)type;
                    item.pattern = (uint8_t)(second ? other : CHECK_NEEDLES);
                    item.backward = n >= 2;
                    if (!append_form(list, &capacity, item, second))
                        return false;
                }
        }
    return true;
}

/* Which values, and which pairs of values of two factors, the kept cases have. */
enum { FACTORS = 5, VALUES = 32 };
struct pairs {
    uint8_t seen[FACTORS][FACTORS][VALUES][VALUES]; /* two factors: of a level, type and pass, by whatever variant */
};
struct singles {
    uint8_t seen[FACTORS][VALUES]; /* of a variant, level, type and pass */
};
_Static_assert((int)SIZE_COUNT <= VALUES && (int)MASK_COUNT <= VALUES && (int)CHECK_PATTERN_COUNT <= VALUES,
               "a factor has more values than a set of pairs holds");

/* Whether the case has a value or pair that no kept case had; notes all of them. */
static bool adds_something(struct pairs *pairs, struct singles *singles, const struct cli_case *item) {
    const int values[FACTORS] = {item->size, item->mask, item->pattern, item->threads, item->small_tiles};
    bool added = false;
    for (int a = 0; a < FACTORS; ++a) {
        added |= !singles->seen[a][values[a]];
        for (int b = a + 1; b < FACTORS; ++b)
            added |= !pairs->seen[a][b][values[a]][values[b]];
    }
    for (int a = 0; added && a < FACTORS; ++a) {
        singles->seen[a][values[a]] = 1;
        for (int b = a + 1; b < FACTORS; ++b)
            pairs->seen[a][b][values[a]][values[b]] = 1;
    }
    return added;
}

/* The cases of one form are offered in an order that begins elsewhere in every form: else the first variant would meet
 * all the pairs. */
static bool keep_sample(struct cli_case_list *list) {
    const size_t levels = (size_t)list->registry->level_count;
    const size_t places = levels * TYPE_COUNT * 2;
    struct pairs *const pairs = calloc(places, sizeof *pairs);
    struct singles *const singles = calloc((size_t)list->registry->variant_count * places, sizeof *singles);
    bool *const kept = calloc(list->count + 1, sizeof *kept);
    const bool ready = pairs && singles && kept;
    for (size_t first = 0, form = 0, next; ready && first < list->count; first = next, ++form) {
        for (next = first + 1; next < list->count && cli_case_same_form(&list->cases[first], &list->cases[next]);)
            ++next;
        const size_t count = next - first;
        for (size_t n = 0; n < count; ++n) {
            const size_t index = first + (form * 7 + n) % count;
            const struct cli_case *const item = &list->cases[index];
            const size_t place = ((size_t)item->level * TYPE_COUNT + item->type) * 2 + item->backward;
            kept[index] = adds_something(&pairs[place], &singles[item->variant * places + place], item);
        }
    }
    size_t count = 0;
    for (size_t i = 0; ready && i < list->count; ++i)
        if (kept[i])
            list->cases[count++] = list->cases[i];
    list->count = count;
    free(pairs);
    free(singles);
    free(kept);
    return ready;
}

static enum attn_status keep_matching(struct cli_case_list *list, const char *only, struct attn_error *error) {
    regex_t regex;
    const int fault = regcomp(&regex, only, REG_EXTENDED | REG_NOSUB);
    if (fault) {
        char why[128];
        regerror(fault, &regex, why, sizeof why);
        return attn_fail(error, ATTN_INVALID, "--only %s: no extended regular expression: %s", only, why);
    }
    size_t kept = 0;
    for (size_t i = 0; i < list->count; ++i) {
        char label[CLI_CASE_LABEL_BYTES];
        cli_case_label(list, i, label);
        if (regexec(&regex, label, 0, NULL, 0) == 0)
            list->cases[kept++] = list->cases[i];
    }
    regfree(&regex);
    list->count = kept;
    return kept ? ATTN_OK
                : attn_fail(error, ATTN_INVALID,
                            "--only %s matches none of the cases; a label looks like "
                            "naive/avx2/threads=1/f32/b1h2g1q13k31d17v11/causal=top_left/needles/auto",
                            only);
}

enum attn_status cli_cases_list(const struct attn_registry *registry, const char *only, bool quick,
                                struct cli_case_list *list, struct attn_error *error) {
    *list = (struct cli_case_list){.registry = registry};
    enum attn_status status = ATTN_OK;
    if (!append_all(list) || (quick && !keep_sample(list)))
        status = attn_fail(error, ATTN_NO_MEMORY, "no memory for the list of cases");
    if (status == ATTN_OK && only)
        status = keep_matching(list, only, error);
    if (status != ATTN_OK)
        cli_cases_release(list);
    return status;
}

void cli_cases_release(struct cli_case_list *list) {
    free(list->cases);
    *list = (struct cli_case_list){0};
}
