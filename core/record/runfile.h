/* SPDX-License-Identifier: Apache-2.0 */
/* What every file derived from a run directory has: how it is made, and the group /provenance. Private to record/. */
#ifndef RECORD_RUNFILE_H
#define RECORD_RUNFILE_H

#include "record/field.h"
#include "record/hdf5_call.h"

/* "directory/name", malloc'ed; NULL when memory is short. */
char *record_path_in(const char *directory, const char *name);

/* Appends the facts of provenance.json, when there is one: a journal that came from elsewhere may have none. */
enum attn_status record_run_facts(const char *run_directory, struct record_fields *facts, struct attn_error *error);

/* Attributes of an object, one a field. */
bool record_hdf5_set_fields(hid_t object, const struct record_fields *fields);

/* /provenance: the facts, and the texts plan.json, config.yaml, config.resolved.yaml and topology.xml as far as they
 * are there. */
bool record_hdf5_put_provenance(hid_t file, const char *run_directory, const struct record_fields *facts);

/* Makes a file under a temporary name, has `write` fill it, syncs and renames it to `path`; on failure whatever stood
 * there is untouched. `write` gets the session to fail with. */
struct record_run_build {
    const char *run_directory, *path;
    struct record_fields facts;
    struct record_hdf5_session session;
    hid_t file;
};
enum attn_status record_run_build_file(struct record_run_build *build,
                                       enum attn_status (*write)(struct record_run_build *build, void *context,
                                                                 struct attn_error *error),
                                       void *context, struct attn_error *error);
/* Fails with what HDF5 refused. */
enum attn_status record_run_refuse(const struct record_run_build *build, const char *what, struct attn_error *error);

#endif
