/* SPDX-License-Identifier: Apache-2.0 */
/* Refusing a name that a capture does not have, with the nearest one that it has. Private to record/. */
#ifndef RECORD_CAPTURE_NAMES_H
#define RECORD_CAPTURE_NAMES_H

#include "record/hdf5_call.h"

/* ATTN_INVALID: `file` has no group `tensor`; offers those that hold a dataset q. */
enum attn_status record_refuse_tensor(const char *path, hid_t file, const char *tensor, struct attn_error *error);

/* ATTN_INVALID: `group`, which is called `tensor`, has no dataset `name`; offers its members. */
enum attn_status record_refuse_dataset(const char *path, hid_t group, const char *tensor, const char *name,
                                       struct attn_error *error);

#endif
