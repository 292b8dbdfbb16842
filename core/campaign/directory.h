/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of results: it appears whole, under a name that says when, what and where, with its provenance. */
#ifndef CAMPAIGN_DIRECTORY_H
#define CAMPAIGN_DIRECTORY_H

#include "campaign/run.h"

#define CAMPAIGN_PROVENANCE_FILE "provenance.json"
#define CAMPAIGN_TOPOLOGY_FILE   "topology.xml"
#define CAMPAIGN_CONFIG_FILE     "config.yaml"
#define CAMPAIGN_RESOLVED_FILE   "config.resolved.yaml"

/* "results/raw/<UTC>-<name>-<host>-<hash8>", the hash that of `identity`; of `name` other than letters, digits and _.-
 * become _. */
void campaign_directory_name(const char *name, const char *identity, char *path, size_t path_bytes);

/* Makes `directory` and those above it: `fill` puts files into it under a temporary name, then it is renamed.
 * ATTN_INVALID: it exists. ATTN_IO: it cannot be written; nothing of it stays. */
typedef enum attn_status campaign_fill(const char *directory, const void *context, struct attn_error *error);
enum attn_status campaign_directory_make(const char *directory, campaign_fill *fill, const void *context,
                                         struct attn_error *error);

/* "directory/file" in a buffer of 4096 bytes. */
void campaign_rundir_path(const char *directory, const char *file, char path[4096]);

/* Writes `text`, which it frees; NULL is ATTN_NO_MEMORY. */
enum attn_status campaign_directory_write(const char *directory, const char *file, char *text,
                                          struct attn_error *error);

/* Writes provenance.json and topology.xml; plan_id NULL: there is no plan. */
enum attn_status campaign_directory_provenance(const char *directory, int threads, const struct campaign_launch *launch,
                                               const char *plan_id, struct attn_error *error);

#endif
