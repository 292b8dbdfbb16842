/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "campaign/provenance.h"
#include "machine/clock.h"
#include "record/factfile.h"

void campaign_rundir_path(const char *directory, const char *file, char path[4096]) {
    if (snprintf(path, 4096, "%s/%s", directory, file) >= 4096)
        path[0] = '\0'; /* no such file: whoever opens it says so */
}

enum attn_status campaign_directory_write(const char *directory, const char *file, char *text,
                                          struct attn_error *error) {
    if (!text)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for %s", file);
    char path[4096];
    campaign_rundir_path(directory, file, path);
    FILE *const stream = fopen(path, "wbe");
    const bool written = stream && fputs(text, stream) >= 0;
    const bool closed = stream && fclose(stream) == 0;
    free(text);
    return written && closed ? ATTN_OK : attn_fail(error, ATTN_IO, "cannot write %s: %s", path, strerror(errno));
}

enum attn_status campaign_directory_provenance(const char *directory, int threads, const struct campaign_launch *launch,
                                               const char *plan_id, struct attn_error *error) {
    struct machine_topology *topology;
    enum attn_status status = machine_topology_load(&topology, error);
    if (status != ATTN_OK)
        return status;
    struct record_fields fields = {0};
    char path[4096];
    status = campaign_directory_write(directory, CAMPAIGN_TOPOLOGY_FILE, machine_topology_xml(topology), error);
    if (status == ATTN_OK)
        status = campaign_provenance(threads, launch, topology, &fields, error);
    machine_topology_free(topology);
    if (status == ATTN_OK && plan_id && record_add_text(&fields, "plan_id", plan_id) != ATTN_OK)
        status = attn_fail(error, ATTN_NO_MEMORY, "no memory for the provenance");
    campaign_rundir_path(directory, CAMPAIGN_PROVENANCE_FILE, path);
    if (status == ATTN_OK)
        status = record_provenance_write(path, &fields, error);
    record_fields_release(&fields);
    return status;
}

void campaign_run_remove(const char *directory) {
    static const char *const files[] = {CAMPAIGN_PLAN_FILE,       CAMPAIGN_CONFIG_FILE,  CAMPAIGN_RESOLVED_FILE,
                                        CAMPAIGN_LOCK_FILE,       CAMPAIGN_JOURNAL_FILE, CAMPAIGN_TOPOLOGY_FILE,
                                        CAMPAIGN_PROVENANCE_FILE, CAMPAIGN_RESULT_FILE};
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

enum attn_status campaign_directory_make(const char *directory, campaign_fill *fill, const void *context,
                                         struct attn_error *error) {
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
    status = fill(partial, context, error);
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

void campaign_directory_name(const char *name, const char *identity, char *path, size_t path_bytes) {
    char now[32], stamp[32], plain[128], host[64] = "unknown";
    machine_utc_now(now);
    size_t kept = 0;
    for (const char *c = now; *c && *c != '.'; ++c)
        if (*c != '-' && *c != ':')
            stamp[kept++] = *c;
    stamp[kept] = '\0';
    snprintf(plain, sizeof plain, "%s", name);
    for (char *c = plain; *c; ++c)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *c))
            *c = '_';
    gethostname(host, sizeof host - 1);
    char id[RECORD_ID_CHARS + 1];
    record_id(identity, id);
    snprintf(path, path_bytes, "results/raw/%sZ-%s-%s-%.8s", stamp, plain, host, id);
}
