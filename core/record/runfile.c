/* SPDX-License-Identifier: Apache-2.0 */
#include "record/runfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "record/factfile.h"
#include "record/utf8.h"
#include "record/wholefile.h"

char *record_path_in(const char *directory, const char *name) {
    char *path;
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

enum attn_status record_run_facts(const char *run_directory, struct record_fields *facts, struct attn_error *error) {
    char *const path = record_path_in(run_directory, "provenance.json");
    enum attn_status status = path ? ATTN_OK : attn_fail(error, ATTN_NO_MEMORY, "no memory for a path");
    if (path && access(path, F_OK) == 0)
        status = record_provenance_read(path, facts, error);
    free(path);
    return status;
}

static bool set_field(hid_t object, const struct record_field *field) {
    switch (field->kind) {
    case RECORD_INTEGER: return record_hdf5_set_integer(object, field->name, field->integer);
    case RECORD_REAL: return record_hdf5_set_real(object, field->name, field->real);
    case RECORD_TEXT: return record_hdf5_set_text(object, field->name, field->text);
    }
    return false;
}

bool record_hdf5_set_fields(hid_t object, const struct record_fields *fields) {
    for (size_t i = 0; i < fields->count; ++i)
        if (!set_field(object, &fields->items[i]))
            return false;
    return true;
}

/* Puts the text of a file of the run into `group`; a file that is not there is left out. */
static bool put_file(const char *run_directory, hid_t group, const char *file, const char *dataset) {
    char *text = NULL, *valid = NULL;
    size_t bytes;
    char *const path = record_path_in(run_directory, file);
    bool put = path != NULL;
    if (put && record_file_read(path, &text, &bytes, NULL) == ATTN_OK) {
        valid = malloc(3 * bytes + 1);
        if (valid)
            record_utf8_copy(valid, 3 * bytes + 1, text);
        put = valid && record_hdf5_put_text(group, dataset, valid);
    }
    free(valid);
    free(text);
    free(path);
    return put;
}

bool record_hdf5_put_provenance(hid_t file, const char *run_directory, const struct record_fields *facts) {
    const hid_t group = record_hdf5_create_group(file, "provenance");
    if (group < 0)
        return false;
    const bool written = record_hdf5_set_fields(group, facts) && put_file(run_directory, group, "plan.json", "plan") &&
                         put_file(run_directory, group, "config.yaml", "config") &&
                         put_file(run_directory, group, "config.resolved.yaml", "resolved_config") &&
                         put_file(run_directory, group, "topology.xml", "topology_xml");
    H5Gclose(group);
    return written;
}

enum attn_status record_run_refuse(const struct record_run_build *build, const char *what, struct attn_error *error) {
    return record_hdf5_fail(&build->session, error, ATTN_IO, build->path, what);
}

static hid_t create_file(const char *path) {
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE), access = H5Pcreate(H5P_FILE_ACCESS);
    record_hdf5_keep_order(creation);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
    H5Pclose(creation);
    H5Pclose(access);
    return file;
}

enum attn_status record_run_build_file(struct record_run_build *build,
                                       enum attn_status (*write)(struct record_run_build *build, void *context,
                                                                 struct attn_error *error),
                                       void *context, struct attn_error *error) {
    char *const temporary = record_file_temporary(build->path);
    if (!temporary)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for its name", build->path);
    record_hdf5_begin(&build->session);
    build->file = create_file(temporary);
    enum attn_status status =
        build->file < 0 ? record_run_refuse(build, "cannot create", error) : write(build, context, error);
    if (build->file >= 0 && H5Fclose(build->file) < 0 && status == ATTN_OK)
        status = record_run_refuse(build, "cannot write", error);
    record_hdf5_end(&build->session);
    if (status == ATTN_OK)
        status = record_file_replace(temporary, build->path, error);
    else
        unlink(temporary);
    free(temporary);
    return status;
}
