/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "campaign/rundir.h"
#include "cli/run_view.h"
#include "cli/verbs.h"
#include "contract/nearest.h"

/* One row being written: CSV, or an object a line. */
struct writer {
    bool json, header; /* header: names instead of values */
    int column;
};

static void print_quoted(const char *text, bool json) {
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; ++c) {
        if (json && *c < 0x20)
            printf("\\u%04x", *c);
        else if (json && (*c == '"' || *c == '\\'))
            printf("\\%c", *c);
        else if (!json && *c == '"')
            printf("\"\"");
        else
            putchar(*c);
    }
    putchar('"');
}

static bool begin(struct writer *writer, const char *name) {
    if (writer->column++)
        putchar(',');
    if (writer->header) {
        printf("%s", name);
        return false;
    }
    if (writer->json) {
        print_quoted(name, true);
        putchar(':');
    }
    return true;
}

static void put_text(struct writer *writer, const char *name, const char *text) {
    if (!begin(writer, name))
        return;
    if (writer->json || strpbrk(text, ",\"\n\r"))
        print_quoted(text, writer->json);
    else
        printf("%s", text);
}

static void put_integer(struct writer *writer, const char *name, int64_t value) {
    if (begin(writer, name))
        printf("%" PRId64, value);
}

/* JSON knows no other numbers than finite ones: the rest are texts, as in the journal. */
static void put_real(struct writer *writer, const char *name, double value) {
    if (!begin(writer, name))
        return;
    const char *const odd = value != value ? "nan" : value == INFINITY ? "inf" : value == -INFINITY ? "-inf" : NULL;
    if (odd)
        printf(writer->json ? "\"%s\"" : "%s", odd);
    else
        printf("%.17g", value);
}

static void put_factors(struct writer *writer, const struct campaign_point *point) {
    for (int factor = 0; factor < FACTOR_COUNT; ++factor) {
        const struct campaign_factor_info *const info = campaign_factor_info(factor);
        const struct campaign_value value = campaign_factor_get(point, factor);
        char text[512];
        if (info->home == HOME_MASK)
            continue;
        if (info->kind == FACTOR_INTEGER) {
            put_integer(writer, info->name, value.integer);
            continue;
        }
        if (factor == FACTOR_SCALE) {
            put_real(writer, info->name, campaign_point_scale(point));
            continue;
        }
        campaign_value_text(factor, &value, text, sizeof text);
        put_text(writer, info->name, text);
    }
}

static void put_point(struct writer *writer, const struct cli_run_view *view, size_t index) {
    const struct campaign_point *const point = &view->plan->points[index];
    const struct campaign_row *const row = &view->ledger.rows[index];
    const struct cli_result result = cli_run_view_result(view, index);
    const bool judged = row->measured > 0;
    char label[CAMPAIGN_LABEL_BYTES];
    campaign_point_label(point, view->registry, label);
    put_text(writer, "point", point->id);
    put_text(writer, "label", label);
    put_factors(writer, point);
    put_text(writer, "status", result.pending ? "PENDING" : record_status_name(result.status));
    put_text(writer, "reason", row->reason ? row->reason : "");
    put_integer(writer, "invocations", (int64_t)row->measured);
    put_real(writer, "median_ns", result.time_ns.median);
    put_real(writer, "low_ns", result.time_ns.low);
    put_real(writer, "high_ns", result.time_ns.high);
    put_real(writer, "coverage", result.time_ns.coverage);
    put_real(writer, "gflop_per_s", result.gflops);
    put_real(writer, "of_roof", result.of_roof);
    put_text(writer, "baseline", view->plan->baseline ? view->plan->baseline : "");
    put_real(writer, "baseline_ns", result.baseline_ns);
    put_real(writer, "speedup", result.speedup);
    put_real(writer, "bound_fraction", judged ? row->bound_fraction : NAN);
    put_real(writer, "max_abs", judged ? row->max_abs : NAN);
    put_integer(writer, "weak", row->weak);
    put_integer(writer, "timing_valid", judged && row->timing_valid);
    put_text(writer, "timing_reason", row->timing_reason);
}

static void begin_row(struct writer *writer) {
    writer->column = 0;
    if (writer->json)
        putchar('{');
}

static void end_row(const struct writer *writer) {
    puts(writer->json ? "}" : "");
}

static void put_sample(struct writer *writer, const struct record_line *line, size_t iteration) {
    begin_row(writer);
    put_text(writer, "point", line->point);
    put_integer(writer, "invocation", line->invocation);
    put_integer(writer, "position", line->position);
    put_integer(writer, "iteration", (int64_t)iteration);
    put_real(writer, "sample_ns", line->samples_ns ? line->samples_ns[iteration] : NAN);
    end_row(writer);
}

static enum attn_status put_samples(void *context, const struct record_line *line, struct attn_error *error) {
    (void)error;
    for (size_t i = 0; i < line->sample_count; ++i)
        put_sample(context, line, i);
    return ATTN_OK;
}

static int export_points(struct writer *writer, const struct cli_call *call) {
    struct cli_run_view view;
    struct attn_error error;
    if (cli_run_view_open(call->arguments.words[0], call->registry, &view, &error) != ATTN_OK)
        return cli_fail(&error);
    if (!writer->json) {
        writer->header = true;
        begin_row(writer);
        put_point(writer, &view, 0);
        end_row(writer);
        writer->header = false;
    }
    for (size_t i = 0; i < view.plan->point_count; ++i) {
        begin_row(writer);
        put_point(writer, &view, i);
        end_row(writer);
    }
    cli_run_view_close(&view);
    return CLI_OK;
}

static int export_samples(struct writer *writer, const struct cli_call *call) {
    char path[4096];
    struct attn_error error;
    campaign_rundir_path(call->arguments.words[0], CAMPAIGN_JOURNAL_FILE, path);
    if (!writer->json) {
        const struct record_line nothing = {.point = ""};
        writer->header = true;
        put_sample(writer, &nothing, 0);
        writer->header = false;
    }
    return record_journal_read(path, put_samples, writer, &error) == ATTN_OK ? CLI_OK : cli_fail(&error);
}

int cli_export(const struct cli_call *call) {
    static const char *const formats[] = {"csv", "jsonl"};
    const char *const format = call->arguments.format ? call->arguments.format : "csv";
    if (strcmp(format, "csv") != 0 && strcmp(format, "jsonl") != 0) {
        const char *const nearest = attn_nearest(format, formats, 2);
        fprintf(stderr, "attnbench export: unknown format '%s'; %s%s%s\n", format, nearest ? "did you mean '" : "",
                nearest ? nearest : "known are csv and jsonl", nearest ? "'?" : "");
        return CLI_USAGE;
    }
    struct writer writer = {.json = !strcmp(format, "jsonl")};
    return call->arguments.samples ? export_samples(&writer, call) : export_points(&writer, call);
}
