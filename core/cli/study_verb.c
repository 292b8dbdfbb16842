/* SPDX-License-Identifier: Apache-2.0 */
/* study: runs claims of the sources as experiments, prints and records what came of them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/study_record.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "contract/nearest.h"
#include "machine/topology.h"
#include "study/runner.h"

static void place_text(const struct study_quantity *quantity, char *text, size_t bytes) {
    char at[64] = "";
    if (quantity->axis[0])
        snprintf(at, sizeof at, "%s=%g", quantity->axis, quantity->at);
    snprintf(text, bytes, "%s%s%s", quantity->series, quantity->series[0] && at[0] ? ", " : "", at);
}

static void expected_text(const struct study_quantity *quantity, char *text, size_t bytes) {
    if (isnan(quantity->low))
        snprintf(text, bytes, "-");
    else if (quantity->low == quantity->high)
        snprintf(text, bytes, "%.6g", quantity->low);
    else if (isinf(quantity->low) && isinf(quantity->high))
        snprintf(text, bytes, "a number");
    else if (isinf(quantity->low))
        snprintf(text, bytes, "<= %.6g", quantity->high);
    else if (isinf(quantity->high))
        snprintf(text, bytes, ">= %.6g", quantity->low);
    else
        snprintf(text, bytes, "%.6g to %.6g", quantity->low, quantity->high);
}

static void print_quantities(const struct study_report *report) {
    struct cli_table table = {0};
    cli_table_column(&table, "claim", false);
    cli_table_column(&table, "quantity", false);
    cli_table_column(&table, "of", false);
    cli_table_column(&table, "expected", false);
    cli_table_column(&table, "measured", true);
    cli_table_column(&table, "law", false);
    for (int i = 0; i < report->quantity_count; ++i) {
        const struct study_quantity *const quantity = &report->quantities[i];
        char place[160], expected[64];
        place_text(quantity, place, sizeof place);
        expected_text(quantity, expected, sizeof expected);
        cli_table_cell(&table, "%s", quantity->claim);
        cli_table_cell(&table, "%s", quantity->name);
        cli_table_cell(&table, "%s", place);
        cli_table_cell(&table, "%s", expected);
        cli_table_cell(&table, "%.6g", quantity->measured);
        cli_table_cell(&table, "%s", isnan(quantity->low) ? "-" : quantity->inside ? "holds" : "DEPARTS");
    }
    cli_table_print(&table);
}

static void print_claims(const struct study_report *report) {
    for (int i = 0; i < report->claim_count; ++i) {
        const struct study_claim *const claim = &report->claims[i];
        printf("%-4s %-20s law %-8s claim %-12s %s\n", claim->claim, report->study->name, study_law_name(claim->law),
               study_verdict_name(claim->verdict), claim->because);
    }
}

static void show_progress(void *context, const struct study *study, double done, const char *note) {
    (void)context;
    char text[192];
    snprintf(text, sizeof text, " %% of %s%s%s", study->name, note[0] ? ": " : "", note);
    cli_progress((size_t)(100 * fmin(fmax(done, 0), 1)), 100, -1, text);
}

static const struct study *named(const struct study_registry *registry, const char *name) {
    const struct study *const found = study_find(registry, name);
    if (found)
        return found;
    enum { MOST = 128 };
    const char *names[MOST];
    size_t count = 0;
    for (int i = 0; i < registry->count && count < MOST; ++i)
        names[count++] = registry->studies[i]->name;
    const char *const nearest = attn_nearest(name, names, count);
    fprintf(stderr, "attnbench study: unknown study '%s'; %s%s%s\n", name, nearest ? "did you mean '" : "",
            nearest ? nearest : "attnbench list studies names them", nearest ? "'?" : "");
    return NULL;
}

struct tally {
    int holds, departs, recorded, failed;
};

/* Runs one, records and prints it; the quantities too when it was asked for by name. */
static enum attn_status run_one(const struct study *study, const struct study_options *options, bool long_form,
                                struct cli_study_record *record, struct tally *tally, struct attn_error *error) {
    struct study_report report;
    enum attn_status status = study_execute(study, options, &report, error);
    if (!status)
        status = cli_study_record_add(record, &report, options, error);
    if (!status) {
        if (long_form)
            print_quantities(&report);
        print_claims(&report);
        fflush(stdout);
        for (int i = 0; i < report.claim_count; ++i) {
            tally->holds += report.claims[i].law == STUDY_HOLDS;
            tally->departs += report.claims[i].law == STUDY_DEPARTS;
            tally->recorded += report.claims[i].law == STUDY_RECORDED;
        }
    }
    study_report_release(&report);
    return status;
}

static int run_studies(const struct cli_call *call, const struct study *one, const struct study_options *options,
                       struct cli_study_record *record, const struct supervise_stop *stop) {
    struct tally tally = {0};
    const bool long_form = one || call->arguments.long_form;
    struct attn_error error = {0};
    enum attn_status status = ATTN_OK;
    for (int i = 0; i < (one ? 1 : call->studies->count) && status != ATTN_INTERRUPTED; ++i) {
        status = run_one(one ? one : call->studies->studies[i], options, long_form, record, &tally, &error);
        if (!status || status == ATTN_INTERRUPTED)
            continue;
        const int code = cli_fail(&error);
        if (one || status == ATTN_IO)
            return code;
        ++tally.failed;
    }
    struct attn_error trouble = {0};
    if (cli_study_record_close(record, &trouble))
        return cli_fail(&trouble);
    printf("\n%d laws hold, %d depart, %d claims are recorded", tally.holds, tally.departs, tally.recorded);
    printf(tally.failed ? ", %d studies failed\n" : "\n", tally.failed);
    fprintf(stderr, "attnbench: recorded in %s\n", record->directory);
    if (status == ATTN_INTERRUPTED)
        return cli_stop_exit(stop);
    return tally.failed ? CLI_POINTS_FAILED : tally.departs ? CLI_CHECK_FAILED : CLI_OK;
}

int cli_study(const struct cli_call *call) {
    const struct cli_arguments *const arguments = &call->arguments;
    const char *const name = arguments->words[0];
    const bool all = !strcmp(name, "all");
    const struct study *const one = all ? NULL : named(call->studies, name);
    if (!all && !one)
        return CLI_USAGE;
    if (all && arguments->set_count) {
        fprintf(stderr, "attnbench study: --set belongs to one study; name it\n");
        return CLI_USAGE;
    }
    struct machine_topology *topology;
    struct attn_error error = {0};
    if (machine_topology_load(&topology, &error))
        return cli_fail(&error);
    const int cores = machine_topology_cores(topology);
    machine_topology_free(topology);
    const struct supervise_stop *const stop = cli_watch_signals();
    const struct study_options options = {
        .seed = (uint64_t)arguments->seed,
        .threads = arguments->threads ? (int)arguments->threads : cores,
        .variants = call->registry,
        .sets = arguments->sets,
        .set_count = (int)arguments->set_count,
        .progress = show_progress,
        .stop = &stop->requests,
    };
    if (one && study_settings_check(one, &options, &error))
        return cli_fail(&error);
    const struct campaign_launch launch = cli_launch(call, stop);
    struct cli_study_record record = {.journal = NULL};
    char label[96];
    snprintf(label, sizeof label, "study-%s", name);
    if (cli_study_record_open(&record, arguments->output, label, options.threads, &launch, &error))
        return cli_fail(&error);
    return run_studies(call, one, &options, &record, stop);
}
