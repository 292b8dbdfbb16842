/* SPDX-License-Identifier: Apache-2.0 */
/* results.h5, derived from plan and journal: columnar groups /plan, /trial, /sample and /provenance. Schema:
 * results/README.md. */
#ifndef RECORD_RESULTFILE_H
#define RECORD_RESULTFILE_H

#include "record/planfile.h"

/* Builds `path` from what `run_directory` holds: plan.json and journal.jsonl, and, when they are there, provenance.json
 * (facts), config.yaml (as given), config.resolved.yaml (as planned) and topology.xml. Equal files give equal bytes.
 * Rows stand in plan order, then by invocation; of lines with the same point and invocation the first counts. The file
 * is made under a temporary name, synced and renamed: on failure whatever stood at `path` is untouched. Memory grows
 * with the number of trials by tens of bytes each, not with samples. ATTN_INVALID: a plan or journal that is not one, a
 * line that fits no point; ATTN_IO: HDF5 or the system refused, with its reason. */
enum attn_status record_result_build(const char *run_directory, const char *path, struct attn_error *error);

#endif
