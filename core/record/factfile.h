/* SPDX-License-Identifier: Apache-2.0 */
/* provenance.json: a flat object of facts about host, build and command, written with the run. The result file copies
 * every fact; it reads "hostname", "software_version" for its root. */
#ifndef RECORD_FACTFILE_H
#define RECORD_FACTFILE_H

#include "record/field.h"

enum attn_status record_provenance_write(const char *path, const struct record_fields *facts, struct attn_error *error);
/* Appends to `facts`. */
enum attn_status record_provenance_read(const char *path, struct record_fields *facts, struct attn_error *error);

#endif
