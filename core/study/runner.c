/* SPDX-License-Identifier: Apache-2.0 */
#include "study/runner.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/oracle_attention.h"
#include "machine/clock.h"
#include "study/running.h"

const char *study_law_name(enum study_law law) {
    static const char *const names[] = {"HOLDS", "DEPARTS", "RECORDED"};
    return names[law];
}

const char *study_verdict_name(enum study_verdict verdict) {
    static const char *const names[] = {"SUPPORTED", "REFUTED", "DEPENDS", "OUT OF SCOPE"};
    return names[verdict];
}

const struct study *study_find(const struct study_registry *registry, const char *name) {
    for (int i = 0; i < registry->count; ++i)
        if (!strcmp(registry->studies[i]->name, name))
            return registry->studies[i];
    return NULL;
}

/* ---- the report ---- */

static struct study_claim *claim_of(const struct study_run *run, const char *claim) {
    for (int i = 0; i < run->report->claim_count; ++i)
        if (!strcmp(run->report->claims[i].claim, claim))
            return &run->report->claims[i];
    return NULL;
}

/* What a study does against its own word is kept and told once it has ended. */
static void blame(struct study_run *run, const char *what, const char *claim) {
    if (!run->blame[0])
        snprintf(run->blame, sizeof run->blame, "%s: %s %s", run->report->study->name, what, claim);
}

static void add_quantity(struct study_run *run, const struct study_quantity *quantity) {
    struct study_report *const report = run->report;
    struct study_claim *const claim = claim_of(run, quantity->claim);
    if (!claim) {
        blame(run, "measures for a claim that is not its own:", quantity->claim);
        return;
    }
    if (report->quantity_count == report->quantity_capacity) {
        const int capacity = report->quantity_capacity ? 2 * report->quantity_capacity : 64;
        struct study_quantity *const grown = realloc(report->quantities, (size_t)capacity * sizeof *grown);
        if (!grown) {
            run->short_of_memory = true;
            return;
        }
        report->quantities = grown;
        report->quantity_capacity = capacity;
    }
    report->quantities[report->quantity_count++] = *quantity;
    if (!isnan(quantity->low) && claim->law != STUDY_DEPARTS)
        claim->law = quantity->inside ? STUDY_HOLDS : STUDY_DEPARTS;
}

static struct study_quantity quantity_of(const char *claim, const char *name, struct study_place place,
                                         double measured) {
    struct study_quantity quantity = {
        .at = place.axis ? place.at : NAN, .measured = measured, .low = NAN, .high = NAN, .inside = true};
    snprintf(quantity.claim, sizeof quantity.claim, "%s", claim);
    snprintf(quantity.name, sizeof quantity.name, "%s", name);
    snprintf(quantity.series, sizeof quantity.series, "%s", place.series ? place.series : "");
    snprintf(quantity.axis, sizeof quantity.axis, "%s", place.axis ? place.axis : "");
    return quantity;
}

void study_expect(struct study_run *run, const char *claim, const char *name, struct study_place place, double measured,
                  double low, double high) {
    struct study_quantity quantity = quantity_of(claim, name, place, measured);
    quantity.low = low;
    quantity.high = high;
    quantity.inside = measured >= low && measured <= high; /* false for NaN */
    if (isnan(low) || isnan(high) || low > high)
        blame(run, "expects what is no interval, for", claim);
    add_quantity(run, &quantity);
}

void study_record(struct study_run *run, const char *claim, const char *name, struct study_place place,
                  double measured) {
    const struct study_quantity quantity = quantity_of(claim, name, place, measured);
    add_quantity(run, &quantity);
}

bool study_holds(const struct study_run *run, const char *claim) {
    const struct study_claim *const found = claim_of(run, claim);
    return found && found->law != STUDY_DEPARTS;
}

void study_conclude(struct study_run *run, const char *claim, enum study_verdict verdict, const char *because, ...) {
    struct study_claim *const concluded = claim_of(run, claim);
    if (!concluded || concluded->concluded) {
        blame(run, concluded ? "concludes a second time on" : "concludes on a claim that is not its own:", claim);
        return;
    }
    concluded->verdict = verdict;
    concluded->concluded = true;
    va_list values;
    va_start(values, because);
    vsnprintf(concluded->because, sizeof concluded->because, because, values);
    va_end(values);
}

static enum attn_status name_claims(struct study_report *report, struct attn_error *error) {
    char text[128];
    snprintf(text, sizeof text, "%s", report->study->claims);
    const int room = sizeof report->claims / sizeof *report->claims;
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (report->claim_count == room)
            return attn_fail(error, ATTN_INTERNAL, "%s: more than %d claims", report->study->name, room);
        struct study_claim *const claim = &report->claims[report->claim_count++];
        *claim = (struct study_claim){.law = STUDY_RECORDED};
        snprintf(claim->claim, sizeof claim->claim, "%s", word);
    }
    return ATTN_OK;
}

static enum attn_status hold_to_its_word(const struct study_run *run, struct attn_error *error) {
    if (run->short_of_memory)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for what was measured", run->report->study->name);
    if (run->blame[0])
        return attn_fail(error, ATTN_INTERNAL, "%s", run->blame);
    for (int i = 0; i < run->report->claim_count; ++i)
        if (!run->report->claims[i].concluded)
            return attn_fail(error, ATTN_INTERNAL, "%s: no conclusion on %s", run->report->study->name,
                             run->report->claims[i].claim);
    return ATTN_OK;
}

/* ---- what a study asks of its run ---- */

uint64_t study_seed(const struct study_run *run) {
    return run->options->seed;
}

int study_threads(const struct study_run *run) {
    return run->options->threads;
}

const struct attn_registry *study_variants(const struct study_run *run) {
    return run->options->variants;
}

struct layer_attention study_attention(const struct study_run *run) {
    if (run->options->attention.run)
        return run->options->attention;
    return (struct layer_attention){.context = (void *)(uintptr_t)&run->options->threads,
                                    .run = check_oracle_attention};
}

void *study_memory(struct study_run *run, int64_t count, int64_t element_bytes, struct attn_error *error) {
    struct study_block *const block = count >= 0 && count < INT64_MAX / 64 / element_bytes
                                          ? calloc(1, sizeof *block + (size_t)(count * element_bytes))
                                          : NULL;
    if (!block) {
        attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for %" PRId64 " x %" PRId64 " bytes", run->report->study->name,
                  count, element_bytes);
        return NULL;
    }
    block->next = run->blocks;
    run->blocks = block;
    return block->bytes;
}

void study_progress(struct study_run *run, double done, const char *note, ...) {
    if (!run->options->progress)
        return;
    char text[128];
    va_list values;
    va_start(values, note);
    vsnprintf(text, sizeof text, note, values);
    va_end(values);
    run->options->progress(run->options->progress_context, run->report->study, done, text);
}

bool study_stopping(const struct study_run *run) {
    return run->options->stop && *run->options->stop;
}

/* ---- running ---- */

enum attn_status study_execute(const struct study *study, const struct study_options *options,
                               struct study_report *report, struct attn_error *error) {
    *report = (struct study_report){.study = study};
    struct study_run run = {.options = options, .report = report};
    enum attn_status status = name_claims(report, error);
    if (!status)
        status = study_settings_read(&run, error);
    const int64_t begun_ns = machine_clock_ns();
    if (!status)
        status = study->run(&run, error);
    report->elapsed_ns = (double)(machine_clock_ns() - begun_ns);
    if (!status)
        status = hold_to_its_word(&run, error);
    while (run.blocks) {
        struct study_block *const next = run.blocks->next;
        free(run.blocks);
        run.blocks = next;
    }
    study_variants_release(&run);
    return status;
}

void study_report_release(struct study_report *report) {
    free(report->quantities);
    *report = (struct study_report){0};
}
