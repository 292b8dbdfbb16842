/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of broken variants from this process, with the whole program as worker. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "campaign/config.h"
#include "campaign/ledger.h"
#include "campaign/rundir.h"
#include "record/factfile.h"
#include "saboteurs.h"

static char scratch[64], run_directory[128];
static struct supervise_stop stop;
static struct attn_error error;
static struct campaign_summary summary;

static void enter(void) {
    snprintf(scratch, sizeof scratch, "/tmp/attnbench-run-XXXXXX");
    cr_assert(mkdtemp(scratch) != NULL);
    snprintf(run_directory, sizeof run_directory, "%s/run", scratch);
}

static void leave(void) {
    campaign_run_remove(run_directory);
    rmdir(scratch);
}

TestSuite(run, .init = enter, .fini = leave);

static struct campaign_launch launch(void) {
    static char name[] = "test";
    static char *argv[] = {name, NULL};
    return (struct campaign_launch){
        .registry = &saboteur_registry, .program = SABOTEURS, .argc = 1, .argv = argv, .stop = &stop};
}

/* A plan of one small problem per length for the variants. */
static struct campaign_plan *plan_of(const char *variants, const char *lengths, const char *invocations) {
    char variant[160], length[64], invocation[64];
    snprintf(variant, sizeof variant, "variant=%s", variants);
    snprintf(length, sizeof length, "query_len=%s", lengths);
    snprintf(invocation, sizeof invocation, "measure.invocations=%s", invocations);
    const char *const words[] = {variant,
                                 length,
                                 invocation,
                                 "query_heads=2",
                                 "head_dim=8",
                                 "measure.min_time=1 ms",
                                 "measure.max_time=5 ms",
                                 "measure.timeout=2 s"};
    struct machine_topology *topology;
    struct campaign_plan *plan = NULL;
    const struct campaign_options options = {.sets = NULL};
    cr_assert_eq(machine_topology_load(&topology, &error), ATTN_OK, "%s", error.message);
    const enum attn_status status = campaign_words_plan("honest", words, sizeof words / sizeof *words, &options,
                                                        &saboteur_registry, topology, &plan, &error);
    machine_topology_free(topology);
    cr_assert_eq(status, ATTN_OK, "%s", error.message);
    return plan;
}

static const struct campaign_row *row_of(const struct campaign_plan *plan, const struct campaign_ledger *ledger,
                                         const char *variant) {
    for (size_t i = 0; i < plan->point_count; ++i)
        if (!strcmp(plan->points[i].variant, variant))
            return &ledger->rows[i];
    cr_assert_fail("no point of %s", variant);
    return NULL;
}

static void read_ledger(const struct campaign_plan *plan, struct campaign_ledger *ledger) {
    char path[4096];
    campaign_rundir_path(run_directory, CAMPAIGN_JOURNAL_FILE, path);
    cr_assert_eq(campaign_ledger_read(path, plan, ledger, &error), ATTN_OK, "%s", error.message);
}

Test(run, every_point_ends_in_its_status, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest, zeros, crashes, hangs, writes_past_workspace]", "16", "2");
    const struct campaign_launch by = launch();
    cr_assert_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(summary.points, 5);
    cr_assert_eq(summary.measured, 1);
    cr_assert_eq(summary.rejected, 2);
    cr_assert_eq(summary.failed, 2);
    struct campaign_ledger ledger;
    read_ledger(plan, &ledger);
    cr_expect_eq(row_of(plan, &ledger, "honest")->measured, 2);
    cr_expect_lt(row_of(plan, &ledger, "honest")->bound_fraction, 1.0);
    cr_expect_str_eq(row_of(plan, &ledger, "crashes")->reason, "signal 6 (Aborted)");
    cr_expect_str_eq(row_of(plan, &ledger, "hangs")->reason, "no result within 2 s");
    const char *const zeros = row_of(plan, &ledger, "zeros")->reason;
    cr_expect(strstr(zeros, "out[") && strstr(zeros, "the answer is") && strstr(zeros, "allowed"), "%s", zeros);
    cr_expect(strstr(zeros, "reproduce: attnbench time zeros "), "%s", zeros);
    cr_expect(strstr(row_of(plan, &ledger, "writes_past_workspace")->reason, "workspace"));
    cr_expect_eq(ledger.lines, 6, "what failed or was rejected is left out of the second invocation");
    campaign_ledger_release(&ledger);
    campaign_plan_free(plan);
}

Test(run, what_is_there_is_not_overwritten, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest]", "16", "1");
    const struct campaign_launch by = launch();
    cr_assert_eq(mkdir(run_directory, 0777), 0);
    cr_expect_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "exists"), "%s", error.message);
    cr_expect_eq(rmdir(run_directory), 0, "nothing was put there");
    campaign_plan_free(plan);
}

Test(run, where_nothing_can_be_made_is_told, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest]", "16", "1");
    const struct campaign_launch by = launch();
    cr_expect_eq(campaign_run(plan, "/proc/attnbench/run", &by, &summary, &error), ATTN_IO);
    cr_expect(strstr(error.message, "/proc/attnbench"), "%s", error.message);
    campaign_plan_free(plan);
}

Test(run, peaks_that_nothing_can_measure_end_the_run, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest]", "16", "1");
    const struct campaign_launch by = launch();
    plan->peaks = true;
    cr_expect_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "no probes"), "%s", error.message);
    campaign_plan_free(plan);
}

Test(run, a_second_process_is_refused, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest]", "16", "1");
    const struct campaign_launch by = launch();
    cr_assert_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    int lock;
    cr_assert_eq(campaign_rundir_lock(run_directory, &lock, &error), ATTN_OK);
    cr_expect_eq(campaign_resume(run_directory, &by, &summary, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "another process"), "%s", error.message);
    close(lock);
    cr_expect_eq(campaign_resume(run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(summary.measured, 1);
    campaign_plan_free(plan);
}

Test(run, a_stop_request_before_the_first_point_leaves_a_run_that_resumes, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest]", "[8, 16, 24]", "2");
    const struct campaign_launch by = launch();
    stop = (struct supervise_stop){.requests = 1, .signal = SIGINT};
    cr_assert_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_INTERRUPTED);
    cr_expect(strstr(error.message, "resume"), "%s", error.message);
    cr_expect_eq(summary.measured, 0);
    stop.requests = 0;
    cr_assert_eq(campaign_resume(run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(summary.measured, 3);
    campaign_plan_free(plan);
}

Test(run, changes_of_plan_or_program_are_refused_unless_accepted, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[honest]", "16", "1");
    struct campaign_launch by = launch();
    cr_assert_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    by.program = "/bin/true"; /* not the program that made the run */
    cr_expect_eq(campaign_resume(run_directory, &by, &summary, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "the program changed") && strstr(error.message, "--accept-changes"), "%s",
              error.message);
    by.accept_changes = true;
    cr_expect_eq(campaign_resume(run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    char path[4096];
    struct record_fields facts = {0};
    campaign_rundir_path(run_directory, "provenance.json", path);
    cr_assert_eq(record_provenance_read(path, &facts, &error), ATTN_OK);
    cr_expect(record_find(&facts, "resumed_by_build_1") != NULL, "the change is on record");
    record_fields_release(&facts);

    by = launch();
    campaign_rundir_path(run_directory, CAMPAIGN_PLAN_FILE, path);
    FILE *const file = fopen(path, "ae");
    fputs("\n", file);
    fclose(file);
    cr_expect_eq(campaign_resume(run_directory, &by, &summary, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, CAMPAIGN_PLAN_FILE), "%s", error.message);
    campaign_plan_free(plan);
}

Test(run, a_journal_that_holds_a_point_twice_is_refused, .timeout = 60) {
    struct campaign_plan *const plan = plan_of("[zeros]", "16", "1");
    const struct campaign_launch by = launch();
    cr_assert_eq(campaign_run(plan, run_directory, &by, &summary, &error), ATTN_OK, "%s", error.message);
    char path[4096], line[65536];
    campaign_rundir_path(run_directory, CAMPAIGN_JOURNAL_FILE, path);
    FILE *const journal = fopen(path, "r+e");
    cr_assert(journal && fgets(line, sizeof line, journal), "the journal has its one line");
    fseek(journal, 0, SEEK_END);
    fputs(line, journal);
    fclose(journal);
    struct campaign_ledger ledger;
    cr_expect_eq(campaign_ledger_read(path, plan, &ledger, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "twice"), "%s", error.message);
    campaign_plan_free(plan);
}
