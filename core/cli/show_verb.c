/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run_view.h"
#include "cli/table.h"
#include "cli/verbs.h"

/* Nanoseconds in the unit that leaves one to three digits before the point. */
static void time_text(double ns, char text[32]) {
    if (!(ns >= 0))
        snprintf(text, 32, "-");
    else if (ns < 1e3)
        snprintf(text, 32, "%.4g ns", ns);
    else if (ns < 1e6)
        snprintf(text, 32, "%.4g us", ns / 1e3);
    else if (ns < 1e9)
        snprintf(text, 32, "%.4g ms", ns / 1e6);
    else
        snprintf(text, 32, "%.4g s", ns / 1e9);
}

static void number_cell(struct cli_table *table, double value) {
    if (value == value)
        cli_table_cell(table, "%.3g", value);
    else
        cli_table_cell(table, "-");
}

static void name_columns(struct cli_table *table, const struct cli_run_view *view) {
    cli_table_column(table, "variant", false);
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        if (view->varies[factor] && factor != FACTOR_VARIANT)
            cli_table_column(table, campaign_factor_info(factor)->name,
                             campaign_factor_info(factor)->kind == FACTOR_INTEGER);
    if (view->parameters_vary)
        cli_table_column(table, "parameters", false);
    cli_table_column(table, "status", false);
    cli_table_column(table, "median", true);
    cli_table_column(table, "[low, high]", true);
    cli_table_column(table, "coverage", true);
    cli_table_column(table, "invocations", true);
    cli_table_column(table, "GFLOP/s", true);
    if (view->plan->peaks)
        cli_table_column(table, "of roof", true);
    if (view->plan->baseline) {
        char name[128];
        snprintf(name, sizeof name, "speed-up on %s", view->plan->baseline);
        cli_table_column(table, name, true);
        snprintf(name, sizeof name, "%s takes", view->plan->baseline);
        cli_table_column(table, name, true);
    }
    cli_table_column(table, "error/bound", true);
    cli_table_column(table, "timing", false);
}

static void parameters_cell(struct cli_table *table, const struct cli_run_view *view,
                            const struct campaign_point *point) {
    const struct attn_variant *const variant = campaign_variant_any(view->registry, point->variant);
    char text[512] = "auto";
    size_t used = 0;
    for (int i = 0; variant && i < variant->parameter_count && used < sizeof text; ++i)
        if (point->overrides[i])
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s=%lld", used ? "," : "",
                                     variant->parameters[i].name, (long long)point->overrides[i]);
    cli_table_cell(table, "%s", text);
}

static void add_point(struct cli_table *table, const struct cli_run_view *view, size_t index) {
    const struct campaign_point *const point = &view->plan->points[index];
    const struct campaign_row *const row = &view->ledger.rows[index];
    const struct cli_result result = cli_run_view_result(view, index);
    const bool measured = !result.pending && result.status == RECORD_MEASURED;
    cli_table_cell(table, "%s", point->variant);
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        if (view->varies[factor] && factor != FACTOR_VARIANT) {
            char text[512];
            cli_factor_text(point, factor, text, sizeof text);
            const bool unused =
                factor == FACTOR_PATTERN && point->capture_path; /* captured tensors follow no pattern */
            cli_table_cell(table, "%s", text[0] && !unused ? text : "-");
        }
    if (view->parameters_vary)
        parameters_cell(table, view, point);
    char median[32], low[32], high[32], base[32];
    time_text(result.time_ns.median, median);
    time_text(result.time_ns.low, low);
    time_text(result.time_ns.high, high);
    time_text(result.baseline_ns, base);
    cli_table_cell(table, "%s", result.pending ? "pending" : record_status_name(result.status));
    cli_table_cell(table, "%s", median);
    if (measured && result.time_ns.coverage > 0) { /* one invocation has no interval */
        cli_table_cell(table, "[%s, %s]", low, high);
        cli_table_cell(table, "%.4g %%", 100 * result.time_ns.coverage);
    } else {
        cli_table_cell(table, "-");
        cli_table_cell(table, "-");
    }
    cli_table_cell(table, "%zu", measured ? row->measured : 0);
    number_cell(table, result.gflops);
    if (view->plan->peaks)
        number_cell(table, result.of_roof);
    if (view->plan->baseline) {
        number_cell(table, result.speedup);
        cli_table_cell(table, "%s", base);
    }
    number_cell(table, row->measured ? row->bound_fraction : NAN);
    cli_table_cell(table, "%s%s",
                   !measured           ? "-"
                   : row->timing_valid ? "valid"
                                       : row->timing_reason,
                   measured && row->weak ? ", weak check" : "");
}

/* A reason is told once, with the number of points that share it. */
static void print_reasons(const struct cli_run_view *view, enum record_status status) {
    const struct campaign_row *const rows = view->ledger.rows;
    const size_t points = view->plan->point_count;
    bool *const told = calloc(points, sizeof *told);
    for (size_t i = 0; told && i < points; ++i) {
        if (!rows[i].seen || rows[i].worst != status || told[i])
            continue;
        const char *const reason = rows[i].reason ? rows[i].reason : "";
        size_t sharing = 0;
        for (size_t j = i; j < points; ++j)
            if (rows[j].seen && rows[j].worst == status && !strcmp(reason, rows[j].reason ? rows[j].reason : "")) {
                told[j] = true;
                ++sharing;
            }
        char label[CAMPAIGN_LABEL_BYTES];
        campaign_point_label(&view->plan->points[i], view->registry, label);
        if (sharing == 1)
            printf("%s  %s: %s\n", record_status_name(status), label, reason);
        else
            printf("%s  %zu points, %s first: %s\n", record_status_name(status), sharing, label, reason);
    }
    free(told);
}

static void print_counts(const struct cli_run_view *view) {
    struct campaign_summary summary;
    campaign_ledger_summary(&view->ledger, &summary);
    const size_t seen = summary.measured + summary.skipped + summary.rejected + summary.failed;
    printf("\n%zu points: %zu measured (%zu with a weak check, %zu with an invalid timing), %zu skipped, %zu rejected, "
           "%zu failed",
           summary.points, summary.measured, summary.weak, summary.timing_invalid, summary.skipped, summary.rejected,
           summary.failed);
    if (seen < summary.points)
        printf(", %zu pending", summary.points - seen);
    printf("\nmedian: of the medians of invocations, with its rank interval and that interval's coverage\n");
    if (view->plan->peaks)
        printf("of roof: the least time that the machine's peaks, measured in the same process, allow, by the time "
               "taken\n");
    print_reasons(view, RECORD_SKIPPED);
    print_reasons(view, RECORD_REJECTED);
    print_reasons(view, RECORD_FAILED);
}

int cli_print_run(const struct attn_registry *registry, const char *run_directory) {
    struct cli_run_view view;
    struct attn_error error;
    if (cli_run_view_open(run_directory, registry, &view, &error) != ATTN_OK)
        return cli_fail(&error);
    struct cli_table table = {0};
    name_columns(&table, &view);
    for (size_t i = 0; i < view.plan->point_count; ++i)
        add_point(&table, &view, i);
    printf("%s%s%s\n\n", view.plan->name, view.plan->question[0] ? ": " : "", view.plan->question);
    cli_table_print(&table);
    print_counts(&view);
    cli_run_view_close(&view);
    return CLI_OK;
}

int cli_show(const struct cli_call *call) {
    return cli_print_run(call->registry, call->arguments.words[0]);
}
