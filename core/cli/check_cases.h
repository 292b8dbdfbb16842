/* SPDX-License-Identifier: Apache-2.0 */
/* What `check` examines: a list of cases that depends on the registry and the options alone, so that a case's number
 * means the same to the parent and to every worker. */
#ifndef CLI_CHECK_CASES_H
#define CLI_CHECK_CASES_H

#include "check/form.h"
#include "contract/variant.h"

struct cli_case {
    uint8_t size, mask, type, pattern, threads;
    bool backward;    /* the pass */
    bool small_tiles; /* parameters at a small value, so that small problems have many tiles; else all auto */
    uint8_t level;
    uint16_t variant;
};

struct cli_case_list {
    const struct attn_registry *registry;
    struct cli_case *cases;
    size_t count;
};

/* Cases of one bench stand together. `only`: an extended regular expression on labels, or NULL. `quick`: a sample in
 * which, on every ISA level and type and in every pass it offers, each variant meets every size, mask, pattern, thread
 * count and tile size, and some variant meets each pair of them that the whole list has. ATTN_INVALID: `only` is no
 * regular expression, or matches nothing. */
enum attn_status cli_cases_list(const struct attn_registry *registry, const char *only, bool quick,
                                struct cli_case_list *list, struct attn_error *error);
void cli_cases_release(struct cli_case_list *list);

#define CLI_CASE_LABEL_BYTES 256
/* "naive/avx2/threads=1/f32/b1h2g1q13k31d17v11/causal=top_left/needles/auto", "/backward" behind it for that pass */
void cli_case_label(const struct cli_case_list *list, size_t index, char label[CLI_CASE_LABEL_BYTES]);

int cli_case_threads(const struct cli_case *item);
struct check_form cli_case_form(const struct cli_case *item);
/* Both cases can share a bench. */
bool cli_case_same_form(const struct cli_case *a, const struct cli_case *b);
/* NULL: the variant has no object for this level. */
const struct attn_variant *cli_case_variant(const struct cli_case_list *list, const struct cli_case *item);
/* The parameters, in the variant's order: 0 is auto. */
void cli_case_overrides(const struct cli_case *item, const struct attn_variant *variant,
                        int64_t overrides[ATTN_MAX_PARAMETERS]);

#endif
