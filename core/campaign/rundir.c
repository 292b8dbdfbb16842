/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "campaign/config.h"
#include "campaign/provenance.h"
#include "machine/clock.h"
#include "record/factfile.h"
#include "record/wholefile.h"

static enum attn_status copy_config(const char *directory, const char *config, struct attn_error *error) {
    char *text, path[4096];
    size_t bytes;
    enum attn_status status = record_file_read(config, &text, &bytes, error);
    if (status != ATTN_OK)
        return status;
    campaign_rundir_path(directory, CAMPAIGN_CONFIG_FILE, path);
    status = record_file_write(path, text, bytes, error);
    free(text);
    return status;
}

static enum attn_status write_plan(const struct campaign_plan *plan, const char *directory,
                                   const struct campaign_launch *launch, struct attn_error *error) {
    struct record_plan stored = {0};
    char path[4096];
    campaign_rundir_path(directory, CAMPAIGN_PLAN_FILE, path);
    enum attn_status status = campaign_plan_store(plan, launch->registry, &stored, error);
    if (status == ATTN_OK)
        status = record_plan_write(path, &stored, error);
    record_plan_release(&stored);
    return status;
}

static enum attn_status write_provenance(const struct campaign_plan *plan, const char *directory,
                                         const struct campaign_launch *launch, struct attn_error *error) {
    char path[4096], id[RECORD_ID_CHARS + 1];
    campaign_rundir_path(directory, CAMPAIGN_PLAN_FILE, path);
    const enum attn_status status = campaign_file_id(path, id, error);
    int threads = 1;
    for (size_t i = 0; i < plan->point_count; ++i)
        threads = plan->points[i].threads > threads ? plan->points[i].threads : threads;
    return status == ATTN_OK ? campaign_directory_provenance(directory, threads, launch, id, error) : status;
}

struct filling {
    const struct campaign_plan *plan;
    const struct campaign_launch *launch;
};

static enum attn_status fill(const char *directory, const void *context, struct attn_error *error) {
    const struct filling *const filling = context;
    const struct campaign_plan *const plan = filling->plan;
    enum attn_status status = write_plan(plan, directory, filling->launch, error);
    if (status == ATTN_OK && plan->config_path[0])
        status = copy_config(directory, plan->config_path, error);
    if (status == ATTN_OK)
        status = campaign_directory_write(directory, CAMPAIGN_RESOLVED_FILE, campaign_config_resolved(plan), error);
    if (status == ATTN_OK)
        status = campaign_directory_write(directory, CAMPAIGN_LOCK_FILE, strdup(""), error);
    if (status == ATTN_OK)
        status = campaign_directory_write(directory, CAMPAIGN_JOURNAL_FILE, strdup(""), error);
    return status == ATTN_OK ? write_provenance(plan, directory, filling->launch, error) : status;
}

enum attn_status campaign_rundir_make(const struct campaign_plan *plan, const char *directory,
                                      const struct campaign_launch *launch, struct attn_error *error) {
    const struct filling filling = {plan, launch};
    return campaign_directory_make(directory, fill, &filling, error);
}

enum attn_status campaign_rundir_lock(const char *directory, int *lock, struct attn_error *error) {
    char path[4096];
    campaign_rundir_path(directory, CAMPAIGN_LOCK_FILE, path);
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock < 0 && errno == ENOENT)
        return attn_fail(error, ATTN_INVALID, "%s is no run directory: it has no file '" CAMPAIGN_LOCK_FILE "'",
                         directory);
    if (*lock < 0)
        return attn_fail(error, ATTN_IO, "cannot open %s: %s", path, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0)
        return ATTN_OK;
    const int reason = errno;
    close(*lock);
    *lock = -1;
    return reason == EWOULDBLOCK
               ? attn_fail(error, ATTN_INVALID, "another process is working in %s; wait for it, or end it", directory)
               : attn_fail(error, ATTN_IO, "cannot lock %s: %s", path, strerror(reason));
}

/* Notes a build that goes on with another one's run. */
static enum attn_status note_build(const char *path, struct record_fields *fields, const char *build,
                                   struct attn_error *error) {
    char name[40], value[64], now[32];
    int number = 1;
    do
        snprintf(name, sizeof name, "resumed_by_build_%d", number++);
    while (record_find(fields, name));
    machine_utc_now(now);
    snprintf(value, sizeof value, "%s at %s", build, now);
    if (record_add_text(fields, name, value) != ATTN_OK)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the provenance");
    return record_provenance_write(path, fields, error);
}

enum attn_status campaign_rundir_unchanged(const char *directory, const struct campaign_launch *launch,
                                           struct attn_error *error) {
    char plan_path[4096], path[4096], plan_id[RECORD_ID_CHARS + 1], build[RECORD_ID_CHARS + 1];
    campaign_rundir_path(directory, CAMPAIGN_PLAN_FILE, plan_path);
    campaign_rundir_path(directory, CAMPAIGN_PROVENANCE_FILE, path);
    struct record_fields fields = {0};
    enum attn_status status = record_provenance_read(path, &fields, error);
    if (status == ATTN_OK)
        status = campaign_file_id(plan_path, plan_id, error);
    if (status == ATTN_OK)
        status = campaign_file_id(launch->program, build, error);
    if (status == ATTN_OK) {
        const struct record_field *const made_plan = record_find(&fields, "plan_id");
        const struct record_field *const made_build = record_find(&fields, "build_id");
        const bool same_plan = made_plan && !strcmp(made_plan->text, plan_id);
        const bool same_build = made_build && !strcmp(made_build->text, build);
        if ((!same_plan || !same_build) && !launch->accept_changes)
            status = attn_fail(error, ATTN_INVALID,
                               "%s changed since this run was made: its numbers would not belong together. Start a new "
                               "run, or resume with --accept-changes",
                               same_plan ? "the program" : plan_path);
        else if (!same_build)
            status = note_build(path, &fields, build, error);
    }
    record_fields_release(&fields);
    return status;
}

void campaign_run_directory_name(const struct campaign_plan *plan, char *path, size_t path_bytes) {
    char *const resolved = campaign_config_resolved(plan);
    campaign_directory_name(plan->name, resolved ? resolved : plan->name, path, path_bytes);
    free(resolved);
}
