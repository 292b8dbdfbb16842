/* SPDX-License-Identifier: Apache-2.0 */
/* Where a run's numbers come from: host, build, clock, caches, command line. */
#ifndef CAMPAIGN_PROVENANCE_H
#define CAMPAIGN_PROVENANCE_H

#include "campaign/run.h"
#include "record/field.h"

/* The fields of provenance.json but for "plan_id"; `threads`: the most that will run at once. */
enum attn_status campaign_provenance(int threads, const struct campaign_launch *launch,
                                     const struct machine_topology *topology, struct record_fields *fields,
                                     struct attn_error *error);

/* 16 hexadecimal digits (FNV-1a) of a file's bytes. */
enum attn_status campaign_file_id(const char *path, char id[RECORD_ID_CHARS + 1], struct attn_error *error);

#endif
