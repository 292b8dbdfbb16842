/* SPDX-License-Identifier: Apache-2.0 */
#include "record/hdf5_call.h"

#include <stdio.h>
#include <string.h>

/* HDF5 wraps the system's message: "file write failed: time = ..., errno = 28, error message = 'No space left ...". */
static void unwrap_system_message(char *text) {
    static const char opening[] = "error message = '";
    char *const begin = strstr(text, opening);
    if (!begin)
        return;
    char *const message = begin + strlen(opening);
    char *const end = strchr(message, '\'');
    const size_t bytes = end ? (size_t)(end - message) : strlen(message);
    memmove(text, message, bytes);
    text[bytes] = '\0';
}

static herr_t keep_innermost(unsigned depth, const H5E_error2_t *entry, void *context) {
    struct record_hdf5_session *const session = context;
    if (depth == 0 && entry->desc) {
        snprintf(session->reason, sizeof session->reason, "%s", entry->desc);
        unwrap_system_message(session->reason);
    }
    return 0;
}

/* Called by HDF5 whenever a function of its interface fails. */
static herr_t keep_first(hid_t stack, void *context) {
    const struct record_hdf5_session *const session = context;
    return session->reason[0] ? 0 : H5Ewalk2(stack, H5E_WALK_UPWARD, keep_innermost, context);
}

void record_hdf5_begin(struct record_hdf5_session *session) {
    /* After a full disk HDF5 1.10 keeps a file that it could not close, and crashes when it tries again at exit. Every
     * file here is closed by its user, so there is nothing to do at exit. Has effect before HDF5's first use only. */
    H5dont_atexit();
    *session = (struct record_hdf5_session){0};
    H5Eget_auto2(H5E_DEFAULT, &session->print, &session->print_context);
    H5Eset_auto2(H5E_DEFAULT, keep_first, session);
}

void record_hdf5_end(struct record_hdf5_session *session) {
    H5Eset_auto2(H5E_DEFAULT, session->print, session->print_context);
}

enum attn_status record_hdf5_fail(const struct record_hdf5_session *session, struct attn_error *error,
                                  enum attn_status status, const char *path, const char *what) {
    return attn_fail(error, status, "%s: %s: %s", path, what,
                     session->reason[0] ? session->reason : "HDF5 gives no reason");
}

static bool set_attribute(hid_t object, const char *name, hid_t type, const void *value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool written = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return written;
}

static hid_t text_type(void) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

bool record_hdf5_set_text(hid_t object, const char *name, const char *value) {
    const hid_t type = text_type();
    const bool written = set_attribute(object, name, type, &value);
    H5Tclose(type);
    return written;
}

bool record_hdf5_set_integer(hid_t object, const char *name, int64_t value) {
    return set_attribute(object, name, H5T_NATIVE_INT64, &value);
}

bool record_hdf5_set_real(hid_t object, const char *name, double value) {
    return set_attribute(object, name, H5T_NATIVE_DOUBLE, &value);
}

bool record_hdf5_put_text(hid_t group, const char *name, const char *value) {
    const hid_t type = text_type();
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(properties, false);
    const hid_t dataset = H5Dcreate2(group, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    const bool written = dataset >= 0 && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &value) >= 0;
    if (dataset >= 0)
        H5Dclose(dataset);
    H5Pclose(properties);
    H5Sclose(space);
    H5Tclose(type);
    return written;
}

bool record_hdf5_keep_order(hid_t properties) {
    const unsigned order = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    return H5Pset_link_creation_order(properties, order) >= 0 && H5Pset_attr_creation_order(properties, order) >= 0 &&
           H5Pset_obj_track_times(properties, false) >= 0;
}

hid_t record_hdf5_create_group(hid_t parent, const char *name) {
    const hid_t properties = H5Pcreate(H5P_GROUP_CREATE);
    const hid_t group =
        record_hdf5_keep_order(properties) ? H5Gcreate2(parent, name, H5P_DEFAULT, properties, H5P_DEFAULT) : -1;
    H5Pclose(properties);
    return group;
}
