/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a study and keeps what it measured in memory. */
#ifndef STUDY_RUNNER_H
#define STUDY_RUNNER_H

#include "study/study.h"

enum study_law { STUDY_HOLDS, STUDY_DEPARTS, STUDY_RECORDED };

const char *study_law_name(enum study_law law);             /* "HOLDS", ... */
const char *study_verdict_name(enum study_verdict verdict); /* "SUPPORTED", ... "OUT OF SCOPE" */

struct study_quantity {
    char claim[8], name[96], series[64], axis[48];
    double at, measured, low, high; /* at NaN: no axis; low and high NaN: not expected */
    bool inside;                    /* of what is expected; true otherwise */
};

struct study_claim {
    char claim[8], because[512];
    enum study_law law;
    enum study_verdict verdict;
    bool concluded;
};

struct study_report {
    const struct study *study;
    struct study_quantity *quantities; /* owned */
    int quantity_count, quantity_capacity;
    struct study_claim claims[8]; /* in the order of study->claims */
    int claim_count;
    double elapsed_ns;
};

/* What a study is run with. Zeroed: seed 0, the oracle, no variants. */
struct study_options {
    uint64_t seed;
    int threads;                          /* >= 1 */
    const struct attn_registry *variants; /* NULL: studies that ask for one fail */
    struct layer_attention attention;     /* run NULL: the oracle */
    const char *const *sets; /* "name=value", or several with commas between; names of other studies are refused */
    int set_count;
    void (*progress)(void *context, const struct study *study, double done, const char *note); /* NULL: none */
    void *progress_context;
    const volatile int *stop; /* not 0: somebody asked to stop; NULL: nobody does */
};

/* Runs it. `report` need not be initialised and is to be released whatever comes back. ATTN_INVALID: a setting or a
 * value that the study does not know (the message names the nearest); else what the study says. A study that forgets to
 * conclude a claim is ATTN_INTERNAL. */
enum attn_status study_execute(const struct study *study, const struct study_options *options,
                               struct study_report *report, struct attn_error *error);
/* Whether the settings are ones that the study knows, before anything is made for it. ATTN_INVALID as study_execute. */
enum attn_status study_settings_check(const struct study *study, const struct study_options *options,
                                      struct attn_error *error);
void study_report_release(struct study_report *report);

/* NULL: no study of this name. */
const struct study *study_find(const struct study_registry *registry, const char *name);

#endif
