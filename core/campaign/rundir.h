/* SPDX-License-Identifier: Apache-2.0 */
/* The run directory: made whole under a temporary name, locked while a process works in it. */
#ifndef CAMPAIGN_RUNDIR_H
#define CAMPAIGN_RUNDIR_H

#include "campaign/directory.h"

/* ATTN_INVALID: it exists. ATTN_IO: it cannot be written; nothing of it stays. */
enum attn_status campaign_rundir_make(const struct campaign_plan *plan, const char *directory,
                                      const struct campaign_launch *launch, struct attn_error *error);

/* Takes the directory's lock, close-on-exec: it is gone when this process is. ATTN_INVALID: no run directory, or
 * another process holds it. */
enum attn_status campaign_rundir_lock(const char *directory, int *lock, struct attn_error *error);

/* ATTN_INVALID when plan.json or the program are not those the run was made with. With launch->accept_changes
 * the change of program is noted in the provenance instead. */
enum attn_status campaign_rundir_unchanged(const char *directory, const struct campaign_launch *launch,
                                           struct attn_error *error);

#endif
