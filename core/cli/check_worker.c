/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of `check`: exams from case --from on, a line each. */
#include <stdio.h>
#include <string.h>

#include "campaign/worker_pipe.h"
#include "check/exam.h"
#include "cli/check_cases.h"
#include "cli/check_line.h"
#include "cli/verbs.h"
#include "machine/gemm.h"
#include "machine/isa.h"

struct examiner {
    struct cli_case_list list;
    struct attn_caches caches;
    int bench_threads;
    struct check_bench *bench;
    const struct cli_case *bench_case; /* whose form the bench has; NULL: none */
    struct attn_error trouble;         /* why there is no bench */
};

/* False: no bench; trouble says why. */
static bool set_up(struct examiner *examiner, const struct cli_case *item) {
    if (examiner->bench_case && cli_case_same_form(examiner->bench_case, item))
        return examiner->bench != NULL;
    check_bench_destroy(examiner->bench);
    examiner->bench = NULL;
    examiner->bench_case = item;
    const struct check_form form = cli_case_form(item);
    return check_bench_create(&form, examiner->bench_threads, &examiner->bench, &examiner->trouble) == ATTN_OK;
}

static bool say(size_t index, enum cli_case_code code, const char *text) {
    char line[sizeof((struct check_result *)0)->reason];
    snprintf(line, sizeof line, "%.*s", (int)sizeof line - 1, text);
    for (char *c = line; *c; ++c)
        *c = *c == '\n' ? ' ' : *c;
    return worker_pipe_line((long)index, code, line);
}

/* False: nobody listens. */
static bool examine(struct examiner *examiner, size_t index) {
    const struct cli_case *const item = &examiner->list.cases[index];
    const struct attn_variant *const variant = cli_case_variant(&examiner->list, item);
    const char *const level = examiner->list.registry->levels[item->level];
    const char *const objection = machine_isa_objection(level);
    char reason[256];
    if (objection || !variant) {
        snprintf(reason, sizeof reason, "isa %s: %s", level, objection ? objection : "not in this build");
        return say(index, CLI_CASE_SKIPPED, reason);
    }
    const bool ready = set_up(examiner, item);
    if (!worker_pipe_begin((long)index))
        return false;
    if (!ready)
        return say(index, CLI_CASE_FAILED, examiner->trouble.message);
    int64_t overrides[ATTN_MAX_PARAMETERS];
    cli_case_overrides(item, variant, overrides);
    const struct attn_execution execution = {
        .threads = cli_case_threads(item), .caches = examiner->caches, .sgemm = machine_gemm()};
    struct check_result result;
    struct attn_error error;
    if (check_exam_on(examiner->bench, variant, &execution, overrides, &result, &error) != ATTN_OK)
        return say(index, CLI_CASE_FAILED, error.message);
    if (result.status == CHECK_REJECTED) {
        examiner->bench_case = NULL; /* what it damaged must not meet the next variant */
        return say(index, CLI_CASE_REJECTED, result.reason);
    }
    if (result.status == CHECK_SKIPPED)
        return say(index, CLI_CASE_SKIPPED, result.reason);
    return say(index, result.verdict.weak ? CLI_CASE_WEAK : CLI_CASE_ACCEPTED, "");
}

int cli_check_worker(const struct cli_call *call) {
    struct examiner examiner = {.bench = NULL};
    struct machine_topology *topology;
    struct attn_error error;
    enum attn_status status = machine_topology_load(&topology, &error);
    if (status == ATTN_OK) {
        examiner.caches = machine_topology_caches(topology);
        examiner.bench_threads = machine_topology_cores(topology);
        machine_topology_free(topology);
        status = cli_cases_list(call->registry, call->arguments.only, call->arguments.quick, &examiner.list, &error);
    }
    if (status != ATTN_OK) {
        worker_pipe_line(-1, status, error.message);
        return CLI_INTERNAL;
    }
    for (size_t index = (size_t)call->arguments.from; index < examiner.list.count; ++index)
        if (!worker_pipe_may_go_on() || !examine(&examiner, index))
            break;
    check_bench_destroy(examiner.bench);
    cli_cases_release(&examiner.list);
    return CLI_OK;
}
