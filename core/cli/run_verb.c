/* SPDX-License-Identifier: Apache-2.0 */
/* run, time, resume, rebuild and worker: the verbs around a run directory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign/config.h"
#include "cli/verbs.h"
#include "machine/placement.h"

static struct campaign_options options_of(const struct cli_arguments *arguments) {
    return (struct campaign_options){
        .sets = arguments->sets, .set_count = arguments->set_count, .only = arguments->only, .quick = arguments->quick};
}

static void warn_conflicts(const struct campaign_plan *plan) {
    int threads = 1;
    for (size_t i = 0; i < plan->point_count; ++i)
        threads = plan->points[i].threads > threads ? plan->points[i].threads : threads;
    char conflicts[2048];
    machine_placement_conflicts(threads, conflicts, sizeof conflicts);
    for (char *line = strtok(conflicts, "\n"); line; line = strtok(NULL, "\n"))
        fprintf(stderr, "attnbench: warning: %s\n", line);
}

/* A plan from a config file, or from words when `variant` is given. */
static enum attn_status make_plan(const struct cli_call *call, const char *variant, struct campaign_plan **plan,
                                  struct attn_error *error) {
    const struct cli_arguments *const arguments = &call->arguments;
    const struct campaign_options options = options_of(arguments);
    struct machine_topology *topology;
    enum attn_status status = machine_topology_load(&topology, error);
    if (status != ATTN_OK)
        return status;
    status = variant ? campaign_words_plan(variant, (const char *const *)arguments->words + 1,
                                           (size_t)arguments->word_count - 1, &options, call->registry, topology, plan,
                                           error)
                     : campaign_config_plan(arguments->words[0], &options, call->registry, topology, plan, error);
    machine_topology_free(topology);
    return status;
}

static void print_plan(const struct campaign_plan *plan, const struct attn_registry *registry) {
    char label[CAMPAIGN_LABEL_BYTES];
    for (size_t i = 0; i < plan->point_count; ++i) {
        campaign_point_label(&plan->points[i], registry, label);
        printf("%s  %s\n", plan->points[i].id, label);
    }
    const struct campaign_estimate estimate = campaign_plan_estimate(plan);
    printf("\n%zu points in %zu blocks of shared inputs, %d invocations: %zu trials\n", estimate.points,
           estimate.blocks, plan->invocations, estimate.points * (size_t)plan->invocations);
    printf("time            %.3g s to %.3g s expected\n", estimate.least_s, estimate.most_s);
    printf("memory          %.3g MB at most, %.3g MB available\n", estimate.peak_bytes / 1e6,
           estimate.available_bytes / 1e6);
    if (plan->left_out_threads)
        printf("left out        %zu points with several threads of variants that are not parallel\n",
               plan->left_out_threads);
    if (plan->left_out_excluded)
        printf("left out        %zu points by exclude or --only\n", plan->left_out_excluded);
    if (estimate.without_baseline)
        printf("no baseline     %zu points\n", estimate.without_baseline);
}

int cli_plan(const struct cli_call *call) {
    struct campaign_plan *plan;
    struct attn_error error;
    if (make_plan(call, NULL, &plan, &error) != ATTN_OK)
        return cli_fail(&error);
    print_plan(plan, call->registry);
    enum attn_status status = ATTN_OK;
    if (call->arguments.output) {
        const struct campaign_launch launch = cli_launch(call, NULL);
        status = campaign_prepare(plan, call->arguments.output, &launch, &error);
    }
    campaign_plan_free(plan);
    return status == ATTN_OK ? CLI_OK : cli_fail(&error);
}

static int run_plan(const struct cli_call *call, const struct campaign_plan *plan, const char *directory, bool kept) {
    struct attn_error error = {.message = ""};
    struct campaign_summary summary;
    const struct supervise_stop *const stop = cli_watch_signals();
    const struct campaign_launch launch = cli_launch(call, stop);
    warn_conflicts(plan);
    fprintf(stderr, "attnbench: %zu points, %d invocations, into %s\n", plan->point_count, plan->invocations,
            kept ? directory : "a temporary directory; -o DIR keeps it");
    const enum attn_status status = campaign_run(plan, directory, &launch, &summary, &error);
    if (status == ATTN_INTERRUPTED && !kept)
        attn_fail(&error, ATTN_INTERRUPTED, "interrupted");
    return cli_conclude(call, directory, status, &summary, stop, &error);
}

int cli_run(const struct cli_call *call) {
    struct campaign_plan *plan;
    struct attn_error error;
    if (make_plan(call, NULL, &plan, &error) != ATTN_OK)
        return cli_fail(&error);
    char directory[4096];
    if (call->arguments.output)
        snprintf(directory, sizeof directory, "%s", call->arguments.output);
    else
        campaign_run_directory_name(plan, directory, sizeof directory);
    const int code = run_plan(call, plan, directory, true);
    campaign_plan_free(plan);
    return code;
}

/* A look at one variant: without -o its run directory is a temporary one, gone when the table is printed. */
int cli_time(const struct cli_call *call) {
    struct campaign_plan *plan;
    struct attn_error error;
    if (make_plan(call, call->arguments.words[0], &plan, &error) != ATTN_OK)
        return cli_fail(&error);
    int code;
    if (call->arguments.loop_s > 0 || call->arguments.profile) {
        code = cli_loop(call, plan);
    } else if (call->arguments.output) {
        code = run_plan(call, plan, call->arguments.output, true);
    } else {
        const char *const temporary = getenv("TMPDIR");
        char parent[4000], directory[4096];
        snprintf(parent, sizeof parent, "%s/attnbench-XXXXXX", temporary && *temporary ? temporary : "/tmp");
        if (!mkdtemp(parent)) {
            attn_fail(&error, ATTN_IO, "cannot make a directory like %s", parent);
            code = cli_fail(&error);
        } else {
            snprintf(directory, sizeof directory, "%s/run", parent);
            code = run_plan(call, plan, directory, false);
            campaign_run_remove(directory);
            rmdir(parent);
        }
    }
    campaign_plan_free(plan);
    return code;
}

int cli_resume(const struct cli_call *call) {
    struct attn_error error = {.message = ""};
    struct campaign_summary summary;
    const struct supervise_stop *const stop = cli_watch_signals();
    const struct campaign_launch launch = cli_launch(call, stop);
    const char *const directory = call->arguments.words[0];
    const enum attn_status status = campaign_resume(directory, &launch, &summary, &error);
    return cli_conclude(call, directory, status, &summary, stop, &error);
}

int cli_rebuild(const struct cli_call *call) {
    struct attn_error error;
    signal(SIGXFSZ, SIG_IGN);
    return campaign_rebuild(call->arguments.words[0], &error) == ATTN_OK ? CLI_OK : cli_fail(&error);
}

int cli_worker(const struct cli_call *call) {
    return campaign_worker(call->arguments.words[0], atoi(call->arguments.words[1]), call->registry);
}
