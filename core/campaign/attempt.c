/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/attempt.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/attempt_fields.h"
#include "campaign/factors.h"
#include "campaign/reproduce.h"
#include "check/exam.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "machine/placement.h"

/* Everything one attempt works with. */
struct attempt {
    struct campaign_station *station;
    const struct campaign_point *point;
    const struct attn_variant *variant;
    const struct attn_pass *pass;
    struct attn_execution execution;
    struct machine_placement placement;
    struct machine_team team;
    int set_count;
    bool cold_enough;
    struct record_line *line;
};

static void __attribute__((format(printf, 3, 4)))
conclude(struct record_line *line, enum record_status status, const char *format, ...) {
    line->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line->reason, sizeof line->reason, format, arguments);
    va_end(arguments);
}

bool campaign_attempt_skip(const struct campaign_station *station, const struct campaign_point *point,
                           struct record_line *line) {
    const char *const objection = machine_isa_objection(point->isa);
    if (campaign_variant_is_foreign(point->variant))
        conclude(line, RECORD_SKIPPED, "a variant of another library: attnlab peers measures it");
    else if (objection)
        conclude(line, RECORD_SKIPPED, "isa %s: %s", point->isa, objection);
    else if (!attn_registry_find(station->registry, point->variant, point->isa))
        conclude(line, RECORD_SKIPPED, "this build has no %s for %s", point->variant, point->isa);
    else
        return false;
    return true;
}

/* False: the line is concluded. A want of memory or places skips the point; anything else is a failure of it. */
static bool proceed(struct attempt *attempt, enum attn_status status, const struct attn_error *error) {
    if (status == ATTN_OK)
        return true;
    const bool lacking = status == ATTN_UNSUPPORTED || status == ATTN_NO_MEMORY;
    conclude(attempt->line, lacking ? RECORD_SKIPPED : RECORD_FAILED, "%s", error->message);
    return false;
}

static bool prepare(struct attempt *attempt) {
    struct campaign_station *const station = attempt->station;
    const struct campaign_point *const point = attempt->point;
    struct record_line *const line = attempt->line;
    struct attn_error error = {.message = ""};
    if (!proceed(attempt, station->status, &station->trouble))
        return false;
    const struct attn_problem *const problem = &station->problems[0];
    attempt->pass = attn_variant_pass(attempt->variant, problem->direction);
    if (!attempt->pass->run) {
        conclude(line, RECORD_SKIPPED, "%s offers no %s pass", attempt->variant->name,
                 problem->direction == ATTN_BACKWARD ? "backward" : "forward");
        return false;
    }
    attempt->execution = (struct attn_execution){
        .threads = point->threads, .caches = station->caches, .sgemm = machine_gemm(), .profile = station->profile};
    if (!proceed(attempt, check_resolve(attempt->variant, problem, point->overrides, &attempt->execution, &error),
                 &error))
        return false;
    const char *const objection =
        attempt->pass->objection ? attempt->pass->objection(problem, &attempt->execution) : NULL;
    if (objection) {
        conclude(line, RECORD_SKIPPED, "%s", objection);
        return false;
    }
    return proceed(
        attempt,
        machine_placement_plan(station->topology, point->placement, point->threads, &attempt->placement, &error),
        &error);
}

/* Binds the team again whenever a team of another size may have run: OpenMP ends the threads that a smaller team does
 * not need, and those it makes anew inherit the one CPU of the thread that makes them. */
static enum attn_status seat(struct attempt *attempt, struct attn_error *error) {
    return machine_team_bind(attempt->station->topology, &attempt->placement, &attempt->team, error);
}

static bool furnish(struct attempt *attempt) {
    struct campaign_station *const station = attempt->station;
    const struct campaign_point *const point = attempt->point;
    struct attn_error error = {.message = ""};
    attempt->set_count = 1;
    attempt->cold_enough = true;
    if (point->cold) {
        attempt->set_count = campaign_station_cold_sets(station, &attempt->cold_enough);
        if (!proceed(attempt, campaign_station_sets(station, attempt->set_count, &error), &error))
            return false;
    }
    const size_t bytes =
        attempt->pass->workspace_bytes ? attempt->pass->workspace_bytes(&station->problems[0], &attempt->execution) : 0;
    if (!proceed(attempt, seat(attempt, &error), &error) ||
        !proceed(attempt, campaign_station_workspace(station, bytes, point->threads, point->placement, &error), &error))
        return false;
    attempt->execution.workspace = bytes ? station->workspace.data : NULL;
    attempt->line->workspace_bytes = (int64_t)bytes;
    return true;
}

static void warm_values(void *context) {
    struct attempt *const attempt = context;
    for (int i = 0; i < attempt->set_count; ++i)
        check_instance_fill(attempt->station->sets[i], CHECK_OTHER_SEED(attempt->station->form.seed));
    seat(attempt, NULL);
}

static void real_values(void *context) {
    struct attempt *const attempt = context;
    for (int i = 0; i < attempt->set_count; ++i) {
        check_instance_fill(attempt->station->sets[i], attempt->station->form.seed);
        check_instance_poison(attempt->station->sets[i]);
    }
    seat(attempt, NULL);
    const struct attn_profile *const profile = attempt->station->profile;
    if (profile) /* the timed calls alone */
        memset(profile->spent_ns, 0, (size_t)attempt->point->threads * sizeof *profile->spent_ns);
}

/* A cold set is poisoned half a rotation ahead of its use: writing its outputs right before the call would leave them
 * in the cache. */
static void poison(void *context, int set) {
    const struct attempt *const attempt = context;
    check_instance_poison(attempt->station->sets[(set + attempt->set_count / 2) % attempt->set_count]);
}

static void judge_timing(const struct attempt *attempt) {
    struct record_line *const line = attempt->line;
    const struct machine_team *const team = &attempt->team;
    char *const reason = line->timing_reason;
    const size_t room = sizeof line->timing_reason;
    if (attempt->placement.oversubscribed)
        snprintf(reason, room, "oversubscribed");
    else if (team->delivered < attempt->point->threads)
        snprintf(reason, room, "%d of %d threads delivered", team->delivered, attempt->point->threads);
    else if (!team->as_planned)
        snprintf(reason, room, "threads not where they were placed");
    else if (!attempt->cold_enough)
        snprintf(reason, room, "operands too small to be rotated out of the cache");
    else if (attempt->station->trial.unstable)
        snprintf(reason, room, "unstable");
    line->timing_valid = reason[0] == '\0';
}

/* What the last timed call left: damage first, because a damaged input makes any answer meaningless. */
static void judge_answer(const struct attempt *attempt, struct check_verdict *verdict) {
    struct campaign_station *const station = attempt->station;
    struct record_line *const line = attempt->line;
    const char *damage = NULL;
    for (int i = 0; i < attempt->set_count && !damage; ++i)
        damage = check_instance_damage(station->sets[i]);
    if (!damage && attempt->execution.workspace && !campaign_station_workspace_intact(station))
        damage = "writes past the end of its workspace";
    check_oracle_judge(station->oracle, &station->operands[station->trial.last_set], attempt->variant->traits,
                       station->form.pattern == CHECK_DENORMALS && !station->form.capture, verdict);
    line->status = RECORD_MEASURED;
    if (!damage && verdict->accepted)
        return;
    /* The command must stay whole; what was found wrong gets the room that it leaves. */
    char command[sizeof line->reason - 128];
    campaign_reproduce(attempt->point, attempt->variant, command, sizeof command);
    const int room = (int)(sizeof line->reason - strlen(command) - sizeof "; reproduce: ");
    snprintf(line->reason, sizeof line->reason, "%.*s; reproduce: %s", room, damage ? damage : verdict->reason,
             command);
    line->status = RECORD_REJECTED;
}

static enum attn_status take_down(const struct attempt *attempt, const struct check_verdict *verdict,
                                  struct attn_error *error) {
    const struct measure_trial *const trial = &attempt->station->trial;
    struct record_line *const line = attempt->line;
    const size_t samples = (size_t)trial->count, threads = (size_t)attempt->team.delivered;
    line->samples_ns = malloc(samples * sizeof *line->samples_ns);
    line->cpus = malloc((threads ? threads : 1) * sizeof *line->cpus);
    if (!line->samples_ns || !line->cpus)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a result line");
    memcpy(line->samples_ns, trial->samples_ns, samples * sizeof *line->samples_ns);
    line->sample_count = samples;
    for (size_t i = 0; i < threads; ++i)
        line->cpus[i] = attempt->team.cpus[i];
    line->cpu_count = threads;
    line->threads_delivered = attempt->team.delivered;
    snprintf(line->ended_by, sizeof line->ended_by, "%s", measure_end_name(trial->ended_by));
    enum attn_status status = campaign_fields_parameters(attempt->variant, &attempt->execution, &line->parameters);
    if (status == ATTN_OK)
        status = campaign_fields_summary(trial, &attempt->station->problems[0], &line->summary);
    if (status == ATTN_OK && attempt->station->peaks)
        status = campaign_fields_roof(attempt->station->peaks, &attempt->station->problems[0], attempt->point->cold,
                                      trial->within_process.median, &line->roof);
    if (status == ATTN_OK)
        status = campaign_fields_check(verdict, &line->check);
    return status == ATTN_OK ? status : attn_fail(error, status, "no memory for a result line");
}

enum attn_status campaign_attempt(struct campaign_station *station, const struct campaign_point *point,
                                  struct record_line *line, struct attn_error *error) {
    struct attempt attempt = {.station = station,
                              .point = point,
                              .variant = attn_registry_find(station->registry, point->variant, point->isa),
                              .line = line};
    if (!prepare(&attempt) || !furnish(&attempt))
        return ATTN_OK;
    const struct measure_subject subject = {.pass = attempt.pass,
                                            .problem = station->problems,
                                            .operands = station->operands,
                                            .set_count = attempt.set_count,
                                            .execution = &attempt.execution,
                                            .warm_values = warm_values,
                                            .real_values = real_values,
                                            .before_each = poison,
                                            .context = &attempt};
    measure_trial_run(&subject, &station->plan->measure, &station->trial);
    struct check_verdict verdict;
    judge_answer(&attempt, &verdict);
    judge_timing(&attempt);
    const enum attn_status status = take_down(&attempt, &verdict, error);
    if (line->status == RECORD_REJECTED)
        campaign_station_leave(station); /* whatever it damaged must not meet the next variant */
    return status;
}
