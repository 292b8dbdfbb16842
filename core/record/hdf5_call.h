/* SPDX-License-Identifier: Apache-2.0 */
/* HDF5 without its own printing, and its reasons as text. Private to record/. */
#ifndef RECORD_HDF5_CALL_H
#define RECORD_HDF5_CALL_H

#include <hdf5.h>
#include <stdbool.h>

#include "contract/status.h"

/* HDF5 prints its error stack by default. Between begin and end it keeps the innermost reason of the first failure
 * instead; the caller's own error handling is given back at the end. */
struct record_hdf5_session {
    H5E_auto2_t print;
    void *print_context;
    char reason[512]; /* empty: nothing has failed */
};
void record_hdf5_begin(struct record_hdf5_session *session);
void record_hdf5_end(struct record_hdf5_session *session);

/* Fails with "path: what: reason". */
enum attn_status record_hdf5_fail(const struct record_hdf5_session *session, struct attn_error *error,
                                  enum attn_status status, const char *path, const char *what);

/* Scalar attributes; texts have variable length and UTF-8, which every reader gives back as a string. */
bool record_hdf5_set_text(hid_t object, const char *name, const char *value);
bool record_hdf5_set_integer(hid_t object, const char *name, int64_t value);
bool record_hdf5_set_real(hid_t object, const char *name, double value);

/* A scalar dataset that holds one text. */
bool record_hdf5_put_text(hid_t group, const char *name, const char *value);

/* A group that keeps the order in which its members and attributes were made and no times, so that equal content gives
 * equal bytes. Negative on failure. */
hid_t record_hdf5_create_group(hid_t parent, const char *name);
bool record_hdf5_keep_order(hid_t creation_properties);

#endif
