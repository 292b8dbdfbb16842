/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/ledger.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Confidence asked of the interval over invocations; few of them give less, and the interval says so. */
#define LEDGER_CONFIDENCE 0.95

struct campaign_ledger_id {
    const char *id;
    size_t point;
};

static int by_id(const void *a, const void *b) {
    const struct campaign_ledger_id *const left = a, *const right = b;
    return strcmp(left->id, right->id);
}

static struct campaign_ledger_id *sorted_ids(const struct campaign_plan *plan) {
    struct campaign_ledger_id *const ids = malloc(plan->point_count * sizeof *ids);
    if (!ids)
        return NULL;
    for (size_t i = 0; i < plan->point_count; ++i)
        ids[i] = (struct campaign_ledger_id){.id = plan->points[i].id, .point = i};
    qsort(ids, plan->point_count, sizeof *ids, by_id);
    return ids;
}

/* Index of the point; point_count: there is none of this id. */
static size_t find_point(const struct campaign_ledger *ledger, const char *id) {
    size_t low = 0, high = ledger->point_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(ledger->ids[middle].id, id);
        if (order == 0)
            return ledger->ids[middle].point;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return ledger->point_count;
}

static double real_of(const struct record_fields *fields, const char *name) {
    const struct record_field *const field = record_find(fields, name);
    return !field ? NAN : field->kind == RECORD_REAL ? field->real : (double)field->integer;
}

/* The larger, with a NaN larger than all: an error that is no number is the worst error. */
static double worse(double a, double b) {
    return a != a || a > b ? a : b;
}

static void enter_measurement(struct campaign_row *row, const struct record_line *line) {
    row->of_roof[row->measured] = real_of(&line->roof, "fraction");
    row->medians_ns[row->measured] = measure_estimate_median(line->samples_ns, line->sample_count, 0.5).median;
    row->threads_least =
        row->measured && row->threads_least < line->threads_delivered ? row->threads_least : line->threads_delivered;
    ++row->measured;
    row->flops = real_of(&line->summary, "flops");
    row->bound_fraction = worse(real_of(&line->check, "bound_fraction"), row->bound_fraction);
    row->max_abs = worse(real_of(&line->check, "max_abs"), row->max_abs);
    row->weak = row->weak || real_of(&line->check, "weak") > 0;
    if (!line->timing_valid) {
        row->timing_valid = false;
        if (!row->timing_reason[0])
            memcpy(row->timing_reason, line->timing_reason, sizeof row->timing_reason);
    }
}

static enum attn_status enter(void *context, const struct record_line *line, struct attn_error *error) {
    struct campaign_ledger *const ledger = context;
    const size_t point = find_point(ledger, line->point);
    if (point == ledger->point_count || line->invocation < 0 || (size_t)line->invocation >= ledger->invocations)
        return attn_fail(error, ATTN_INVALID,
                         "the journal has a line of point %s, invocation %" PRId64
                         ", which the plan has not: they are of different runs",
                         line->point, line->invocation);
    if (ledger->held[(size_t)line->invocation * ledger->point_count + point])
        return attn_fail(error, ATTN_INVALID, "the journal has point %s, invocation %" PRId64 " twice", line->point,
                         line->invocation);
    struct campaign_row *const row = &ledger->rows[point];
    if (line->status > row->worst || (!row->seen && line->status != RECORD_MEASURED)) {
        free(row->reason);
        row->reason = strdup(line->reason);
    }
    campaign_ledger_mark(ledger, point, (size_t)line->invocation, line->status);
    if (line->sample_count)
        enter_measurement(row, line);
    return ATTN_OK;
}

enum attn_status campaign_ledger_read(const char *journal_path, const struct campaign_plan *plan,
                                      struct campaign_ledger *ledger, struct attn_error *error) {
    const size_t invocations = (size_t)plan->invocations, cells = invocations * plan->point_count;
    *ledger = (struct campaign_ledger){.point_count = plan->point_count, .invocations = invocations};
    ledger->rows = calloc(plan->point_count, sizeof *ledger->rows);
    ledger->held = calloc(cells, sizeof *ledger->held);
    ledger->medians_ns = calloc(cells, sizeof *ledger->medians_ns);
    ledger->of_roof = calloc(cells, sizeof *ledger->of_roof);
    ledger->ids = sorted_ids(plan);
    if (!ledger->rows || !ledger->held || !ledger->medians_ns || !ledger->of_roof || !ledger->ids) {
        campaign_ledger_release(ledger);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the table of %zu points", plan->point_count);
    }
    for (size_t i = 0; i < plan->point_count; ++i) {
        ledger->rows[i].medians_ns = ledger->medians_ns + i * invocations;
        ledger->rows[i].of_roof = ledger->of_roof + i * invocations;
        ledger->rows[i].timing_valid = true;
    }
    const enum attn_status status = record_journal_read(journal_path, enter, ledger, error);
    if (status != ATTN_OK)
        campaign_ledger_release(ledger);
    return status;
}

void campaign_ledger_release(struct campaign_ledger *ledger) {
    for (size_t i = 0; ledger->rows && i < ledger->point_count; ++i)
        free(ledger->rows[i].reason);
    free(ledger->rows);
    free(ledger->held);
    free(ledger->medians_ns);
    free(ledger->of_roof);
    free(ledger->ids);
    *ledger = (struct campaign_ledger){0};
}

bool campaign_ledger_final(const struct campaign_ledger *ledger, size_t point) {
    return ledger->rows[point].seen && ledger->rows[point].worst != RECORD_MEASURED;
}

void campaign_ledger_mark(struct campaign_ledger *ledger, size_t point, size_t invocation, enum record_status status) {
    struct campaign_row *const row = &ledger->rows[point];
    row->worst = row->seen && row->worst > status ? row->worst : status;
    row->seen = true;
    ledger->held[invocation * ledger->point_count + point] = true;
    ++ledger->lines;
}

bool campaign_ledger_estimate(const struct campaign_ledger *ledger, size_t point, struct measure_estimate *estimate) {
    const struct campaign_row *const row = &ledger->rows[point];
    if (!row->measured)
        return false;
    *estimate = measure_estimate_median(row->medians_ns, row->measured, LEDGER_CONFIDENCE);
    return true;
}

double campaign_ledger_of_roof(const struct campaign_ledger *ledger, size_t point) {
    const struct campaign_row *const row = &ledger->rows[point];
    for (size_t n = 0; n < row->measured; ++n)
        if (row->of_roof[n] != row->of_roof[n])
            return NAN;
    return row->measured ? measure_estimate_median(row->of_roof, row->measured, LEDGER_CONFIDENCE).median : NAN;
}

void campaign_ledger_summary(const struct campaign_ledger *ledger, struct campaign_summary *summary) {
    *summary = (struct campaign_summary){.points = ledger->point_count};
    for (size_t i = 0; i < ledger->point_count; ++i) {
        const struct campaign_row *const row = &ledger->rows[i];
        if (!row->seen)
            continue;
        summary->measured += row->worst == RECORD_MEASURED;
        summary->skipped += row->worst == RECORD_SKIPPED;
        summary->rejected += row->worst == RECORD_REJECTED;
        summary->failed += row->worst == RECORD_FAILED;
        summary->weak += row->worst == RECORD_MEASURED && row->weak;
        summary->timing_invalid += row->worst == RECORD_MEASURED && !row->timing_valid;
    }
}
