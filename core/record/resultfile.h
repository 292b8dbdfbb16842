/* SPDX-License-Identifier: Apache-2.0 */
/* results.h5, derived from plan.json and the journal: columnar groups /plan, /trial, /sample, /provenance. */
#ifndef RECORD_RESULTFILE_H
#define RECORD_RESULTFILE_H

#include "record/planfile.h"

/* Builds `path` from the plan and the journal, sorted by point (plan order) and invocation, under a temporary name
 * and renamed into place. `provenance` texts become attributes and datasets of /provenance; long texts (topology_xml,
 * config) are given as files beside the journal: see resultfile.c. */
enum attn_status record_result_build(const char *run_directory, const char *path, struct attn_error *error);

#endif
