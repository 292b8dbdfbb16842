/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "campaign/config.h"
#include "campaign/provenance.h"
#include "machine/clock.h"
#include "record/factfile.h"

#define PROVENANCE_FILE "provenance.json"
#define TOPOLOGY_FILE   "topology.xml"
#define CONFIG_FILE     "config.yaml"
#define RESOLVED_FILE   "config.resolved.yaml"

void campaign_rundir_path(const char *directory, const char *file, char path[4096]) {
    if (snprintf(path, 4096, "%s/%s", directory, file) >= 4096)
        path[0] = '\0'; /* no such file: whoever opens it says so */
}

static enum attn_status write_text(const char *directory, const char *file, const char *text, size_t bytes,
                                   struct attn_error *error) {
    char path[4096];
    campaign_rundir_path(directory, file, path);
    FILE *const stream = fopen(path, "wbe");
    if (!stream)
        return attn_fail(error, ATTN_IO, "cannot write %s: %s", path, strerror(errno));
    const bool written = fwrite(text, 1, bytes, stream) == bytes;
    const bool closed = fclose(stream) == 0;
    return written && closed ? ATTN_OK : attn_fail(error, ATTN_IO, "cannot write %s: %s", path, strerror(errno));
}

static enum attn_status write_owned(const char *directory, const char *file, char *text, struct attn_error *error) {
    const enum attn_status status = text ? write_text(directory, file, text, strlen(text), error)
                                         : attn_fail(error, ATTN_NO_MEMORY, "no memory for %s", file);
    free(text);
    return status;
}

static enum attn_status copy_config(const char *directory, const char *config, struct attn_error *error) {
    FILE *const source = fopen(config, "rbe");
    if (!source)
        return attn_fail(error, ATTN_IO, "cannot read %s: %s", config, strerror(errno));
    char *text = NULL;
    size_t bytes = 0;
    FILE *const memory = open_memstream(&text, &bytes);
    char piece[4096];
    size_t got;
    while (memory && (got = fread(piece, 1, sizeof piece, source)) > 0)
        fwrite(piece, 1, got, memory);
    fclose(source);
    const bool held = memory && fclose(memory) == 0;
    const enum attn_status status = held ? write_text(directory, CONFIG_FILE, text, bytes, error)
                                         : attn_fail(error, ATTN_NO_MEMORY, "no memory to copy %s", config);
    free(text);
    return status;
}

static enum attn_status write_provenance(const struct campaign_plan *plan, const char *directory,
                                         const struct campaign_launch *launch, struct attn_error *error) {
    struct machine_topology *topology;
    enum attn_status status = machine_topology_load(&topology, error);
    if (status != ATTN_OK)
        return status;
    struct record_fields fields = {0};
    char path[4096], id[RECORD_ID_CHARS + 1];
    status = write_owned(directory, TOPOLOGY_FILE, machine_topology_xml(topology), error);
    if (status == ATTN_OK)
        status = campaign_provenance(plan, launch, topology, &fields, error);
    machine_topology_free(topology);
    campaign_rundir_path(directory, CAMPAIGN_PLAN_FILE, path);
    if (status == ATTN_OK)
        status = campaign_file_id(path, id, error);
    if (status == ATTN_OK && record_add_text(&fields, "plan_id", id) != ATTN_OK)
        status = attn_fail(error, ATTN_NO_MEMORY, "no memory for the provenance");
    campaign_rundir_path(directory, PROVENANCE_FILE, path);
    if (status == ATTN_OK)
        status = record_provenance_write(path, &fields, error);
    record_fields_release(&fields);
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

static enum attn_status fill(const struct campaign_plan *plan, const char *directory,
                             const struct campaign_launch *launch, struct attn_error *error) {
    enum attn_status status = write_plan(plan, directory, launch, error);
    if (status == ATTN_OK && plan->config_path[0])
        status = copy_config(directory, plan->config_path, error);
    if (status == ATTN_OK)
        status = write_owned(directory, RESOLVED_FILE, campaign_config_resolved(plan), error);
    if (status == ATTN_OK)
        status = write_text(directory, CAMPAIGN_LOCK_FILE, "", 0, error);
    if (status == ATTN_OK)
        status = write_text(directory, CAMPAIGN_JOURNAL_FILE, "", 0, error);
    return status == ATTN_OK ? write_provenance(plan, directory, launch, error) : status;
}

void campaign_run_remove(const char *directory) {
    static const char *const files[] = {CAMPAIGN_PLAN_FILE,    CONFIG_FILE,   RESOLVED_FILE,   CAMPAIGN_LOCK_FILE,
                                        CAMPAIGN_JOURNAL_FILE, TOPOLOGY_FILE, PROVENANCE_FILE, CAMPAIGN_RESULT_FILE};
    for (size_t i = 0; i < sizeof files / sizeof *files; ++i) {
        char path[4096];
        campaign_rundir_path(directory, files[i], path);
        unlink(path);
    }
    rmdir(directory);
}

static enum attn_status make_parents(const char *directory, struct attn_error *error) {
    char path[4096];
    snprintf(path, sizeof path, "%s", directory);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) && errno != EEXIST)
            return attn_fail(error, ATTN_IO, "cannot make the directory %s: %s", path, strerror(errno));
        *slash = '/';
    }
    return ATTN_OK;
}

enum attn_status campaign_rundir_make(const struct campaign_plan *plan, const char *directory,
                                      const struct campaign_launch *launch, struct attn_error *error) {
    struct stat known;
    char trimmed[4000], partial[4096];
    if (snprintf(trimmed, sizeof trimmed, "%s", directory) >= (int)sizeof trimmed || !directory[0])
        return attn_fail(error, ATTN_INVALID, "the name of a run directory has 1 to %zu characters",
                         sizeof trimmed - 1);
    for (size_t end = strlen(trimmed); end > 1 && trimmed[end - 1] == '/'; --end)
        trimmed[end - 1] = '\0';
    if (lstat(trimmed, &known) == 0)
        return attn_fail(error, ATTN_INVALID, "%s exists; a run makes its own directory. To go on with it: resume %s",
                         trimmed, trimmed);
    enum attn_status status = make_parents(trimmed, error);
    if (status != ATTN_OK)
        return status;
    snprintf(partial, sizeof partial, "%s.partial-%ld", trimmed, (long)getpid());
    if (mkdir(partial, 0777))
        return attn_fail(error, ATTN_IO, "cannot make the directory %s: %s", partial, strerror(errno));
    status = fill(plan, partial, launch, error);
    if (status == ATTN_OK && renameat2(AT_FDCWD, partial, AT_FDCWD, trimmed, RENAME_NOREPLACE)) {
        /* some file systems know no such rename; an empty directory is all that a plain one would replace */
        if (errno == EEXIST)
            status = attn_fail(error, ATTN_INVALID, "%s exists", trimmed);
        else if (rename(partial, trimmed))
            status = attn_fail(error, ATTN_IO, "cannot make %s: %s", trimmed, strerror(errno));
    }
    if (status != ATTN_OK)
        campaign_run_remove(partial);
    return status;
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
    campaign_rundir_path(directory, PROVENANCE_FILE, path);
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
    char now[32], stamp[32], name[sizeof plan->name], host[64] = "unknown";
    machine_utc_now(now);
    size_t kept = 0;
    for (const char *c = now; *c && *c != '.'; ++c)
        if (*c != '-' && *c != ':')
            stamp[kept++] = *c;
    stamp[kept] = '\0';
    snprintf(name, sizeof name, "%s", plan->name);
    for (char *c = name; *c; ++c)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *c))
            *c = '_';
    gethostname(host, sizeof host - 1);
    char *const resolved = campaign_config_resolved(plan);
    char id[RECORD_ID_CHARS + 1];
    record_id(resolved ? resolved : name, id);
    free(resolved);
    snprintf(path, path_bytes, "results/raw/%sZ-%s-%s-%.8s", stamp, name, host, id);
}
