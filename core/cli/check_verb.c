/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's side of `check`: workers examine, this counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/factors.h"
#include "cli/check_cases.h"
#include "cli/check_line.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "machine/clock.h"

#define DEFAULT_TIMEOUT_S 20.0

/* A reason that cases were skipped for, or one finding. */
struct remark {
    char *text;
    size_t count;
    bool *of; /* [variant_count]: variants it is about; NULL for findings */
};

struct check {
    const struct cli_call *call;
    struct cli_case_list list;
    size_t (*counts)[CLI_CASE_CODE_COUNT]; /* [variant_count] */
    size_t totals[CLI_CASE_CODE_COUNT];
    size_t done;
    struct remark *skips;
    size_t skip_count;
    struct remark *findings; /* the first MAX_FINDINGS rejections and failures of each variant */
    size_t finding_count;
    int64_t started_ns;
};

enum { MAX_FINDINGS = 10 };

/* Keeps `text`, which becomes the list's own. NULL: no memory, and the remark is lost. */
static struct remark *remember(struct remark **remarks, size_t *count, char *text) {
    struct remark *const grown = text ? realloc(*remarks, (*count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(text);
        return NULL;
    }
    *remarks = grown;
    grown[*count] = (struct remark){.text = text};
    return &grown[(*count)++];
}

static void remember_skip(struct check *check, int variant, const char *reason) {
    struct remark *found = NULL;
    for (size_t i = 0; i < check->skip_count && !found; ++i)
        if (!strcmp(check->skips[i].text, reason))
            found = &check->skips[i];
    if (!found) {
        found = remember(&check->skips, &check->skip_count, strdup(reason));
        if (!found)
            return;
        found->of = calloc((size_t)check->list.registry->variant_count, sizeof *found->of);
    }
    ++found->count;
    if (found->of)
        found->of[variant] = true;
}

static void remember_finding(struct check *check, size_t index, const char *kind, const char *reason) {
    const struct cli_case *const item = &check->list.cases[index];
    const size_t *const counts = check->counts[item->variant];
    if (counts[CLI_CASE_REJECTED] + counts[CLI_CASE_FAILED] > MAX_FINDINGS)
        return;
    char label[CLI_CASE_LABEL_BYTES], *text = NULL;
    cli_case_label(&check->list, index, label);
    if (asprintf(&text, "%s %s: %s\n    reproduce: attnbench check --only '^%s$'", kind, label, reason, label) >= 0)
        remember(&check->findings, &check->finding_count, text);
}

static void count_case(struct check *check, size_t index, enum cli_case_code code, const char *reason) {
    const int variant = check->list.cases[index].variant;
    ++check->counts[variant][code];
    ++check->totals[code];
    check->done = index + 1;
    if (code == CLI_CASE_SKIPPED)
        remember_skip(check, variant, reason);
    else if (code == CLI_CASE_REJECTED || code == CLI_CASE_FAILED)
        remember_finding(check, index, code == CLI_CASE_REJECTED ? "REJECTED" : "FAILED", reason);
    const double elapsed_s = (double)(machine_clock_ns() - check->started_ns) / 1e9;
    cli_progress(check->done, check->list.count,
                 elapsed_s / (double)check->done * (double)(check->list.count - check->done), "");
}

static enum attn_status start_worker(const struct check *check, struct supervise_worker **worker,
                                     struct attn_error *error) {
    const struct cli_arguments *const arguments = &check->call->arguments;
    char from[32];
    snprintf(from, sizeof from, "--from=%zu", check->done);
    char *only = NULL;
    if (arguments->only && asprintf(&only, "--only=%s", arguments->only) < 0)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory to start a worker");
    char program[] = "attnbench", verb[] = "check-worker", quick[] = "--quick";
    char *argv[6] = {program, verb, from};
    int count = 3;
    if (arguments->quick)
        argv[count++] = quick;
    argv[count] = only;
    const enum attn_status status = supervise_start("/proc/self/exe", argv, -1, worker, error);
    free(only);
    return status;
}

/* Listens to one worker until it is gone. `reason`: why it went while no case was its own doing; "" when all is well.
 */
static enum attn_status attend(struct check *check, struct supervise_worker *worker, const struct supervise_stop *stop,
                               char reason[128], struct attn_error *error) {
    const double timeout_s =
        check->call->arguments.timeout_s > 0 ? check->call->arguments.timeout_s : DEFAULT_TIMEOUT_S;
    reason[0] = '\0';
    for (;;) {
        const struct supervise_report report = supervise_next(worker, timeout_s, stop);
        const bool known = report.item >= 0 && (size_t)report.item < check->list.count;
        switch (report.event) {
        case SUPERVISE_BEGIN: continue;
        case SUPERVISE_LINE:
            if (report.item < 0)
                return attn_fail(error, (enum attn_status)report.code, "a worker gave up: %s", report.text);
            if (!known || report.code < 0 || report.code >= CLI_CASE_CODE_COUNT)
                return attn_fail(error, ATTN_INTERNAL, "a worker's line is of no case: %ld", report.item);
            count_case(check, (size_t)report.item, (enum cli_case_code)report.code, report.text);
            continue;
        case SUPERVISE_STOPPED: return ATTN_OK;
        case SUPERVISE_DONE:
            if (check->done < check->list.count)
                snprintf(reason, 128, "the worker left early");
            return ATTN_OK;
        case SUPERVISE_DIED:
        case SUPERVISE_TIMEOUT:
            if (known)
                count_case(check, (size_t)report.item, CLI_CASE_FAILED, report.reason);
            else
                snprintf(reason, 128, "%s", report.reason);
            return ATTN_OK;
        }
    }
}

static enum attn_status examine_all(struct check *check, const struct supervise_stop *stop, struct attn_error *error) {
    int orphans = 0; /* workers in a row that died between cases */
    check->started_ns = machine_clock_ns();
    while (check->done < check->list.count) {
        struct supervise_worker *worker;
        char reason[128];
        const size_t before = check->done;
        enum attn_status status = start_worker(check, &worker, error);
        if (status != ATTN_OK)
            return status;
        status = attend(check, worker, stop, reason, error);
        supervise_finish(worker);
        if (status != ATTN_OK)
            return status;
        if (stop->requests)
            return attn_fail(error, ATTN_INTERRUPTED, "interrupted after %zu of %zu cases", check->done,
                             check->list.count);
        orphans = !reason[0] ? 0 : check->done > before ? 1 : orphans + 1;
        if (orphans >= 2) {
            count_case(check, check->done, CLI_CASE_FAILED, reason);
            orphans = 0;
        }
    }
    return ATTN_OK;
}

/* The variants are named where they are few. */
static void print_skip(const struct check *check, const struct remark *skip) {
    enum { NAMED = 6 };
    const struct attn_registry *const registry = check->list.registry;
    int variants = 0;
    for (int i = 0; skip->of && i < registry->variant_count; ++i)
        variants += skip->of[i];
    printf("SKIPPED  %zu cases: %s (", skip->count, skip->text);
    if (variants > NAMED)
        printf("%d variants", variants);
    const char *separator = "";
    for (int i = 0; skip->of && variants <= NAMED && i < registry->variant_count; ++i)
        if (skip->of[i]) {
            printf("%s%s", separator, campaign_variant_at(registry, i)->name);
            separator = ", ";
        }
    printf(")\n");
}

static void print_result(const struct check *check) {
    static const char *const names[CLI_CASE_CODE_COUNT] = {"accepted", "weak", "skipped", "rejected", "failed"};
    struct cli_table table = {0};
    cli_table_column(&table, "variant", false);
    for (int code = 0; code < CLI_CASE_CODE_COUNT; ++code)
        cli_table_column(&table, names[code], true);
    const int variants = check->list.registry->variant_count;
    for (int variant = 0; variant <= variants; ++variant) {
        const size_t *const counts = variant < variants ? check->counts[variant] : check->totals;
        size_t cases = 0;
        for (int code = 0; code < CLI_CASE_CODE_COUNT; ++code)
            cases += counts[code];
        if (!cases)
            continue;
        cli_table_cell(&table, "%s",
                       variant < variants ? campaign_variant_at(check->list.registry, variant)->name : "all");
        for (int code = 0; code < CLI_CASE_CODE_COUNT; ++code)
            cli_table_cell(&table, "%zu", counts[code]);
    }
    cli_table_print(&table);
    printf("\nweak: accepted, but no checked row would have noticed its heaviest key missing\n");
    for (size_t i = 0; i < check->skip_count; ++i)
        print_skip(check, &check->skips[i]);
    for (size_t i = 0; i < check->finding_count; ++i)
        printf("%s\n", check->findings[i].text);
    for (int variant = 0; variant < variants; ++variant) {
        const size_t found = check->counts[variant][CLI_CASE_REJECTED] + check->counts[variant][CLI_CASE_FAILED];
        if (found > MAX_FINDINGS)
            printf("%s: %zu more rejected or failed\n", campaign_variant_at(check->list.registry, variant)->name,
                   found - MAX_FINDINGS);
    }
}

static void release(struct check *check) {
    for (size_t i = 0; i < check->skip_count; ++i) {
        free(check->skips[i].text);
        free(check->skips[i].of);
    }
    for (size_t i = 0; i < check->finding_count; ++i)
        free(check->findings[i].text);
    free(check->skips);
    free(check->findings);
    free(check->counts);
    cli_cases_release(&check->list);
}

static int verdict(const struct check *check) {
    if (check->totals[CLI_CASE_REJECTED] || check->totals[CLI_CASE_FAILED])
        return CLI_CHECK_FAILED;
    if (check->totals[CLI_CASE_ACCEPTED] || check->totals[CLI_CASE_WEAK])
        return CLI_OK;
    fprintf(stderr, "attnbench check: nothing could be checked\n");
    return CLI_USAGE;
}

int cli_check(const struct cli_call *call) {
    struct check check = {.call = call};
    struct attn_error error = {.message = ""};
    const struct supervise_stop *const stop = cli_watch_signals();
    setenv("OMP_WAIT_POLICY", "passive", 0); /* nothing is timed: threads that wait must not take CPUs from others */
    enum attn_status status =
        cli_cases_list(call->registry, call->arguments.only, call->arguments.quick, &check.list, &error);
    if (status != ATTN_OK)
        return cli_fail(&error);
    check.counts = calloc((size_t)call->registry->variant_count, sizeof *check.counts);
    status = check.counts ? examine_all(&check, stop, &error)
                          : attn_fail(&error, ATTN_NO_MEMORY, "no memory to count cases");
    if (check.done)
        print_result(&check);
    const int code = status == ATTN_OK            ? verdict(&check)
                     : status == ATTN_INTERRUPTED ? cli_stop_exit(stop)
                                                  : CLI_INTERNAL;
    if (status != ATTN_OK)
        cli_fail(&error);
    release(&check);
    return code;
}
