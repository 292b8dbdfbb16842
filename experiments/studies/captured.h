/* SPDX-License-Identifier: Apache-2.0 */
/* What experiments/inputs/minilm_words.h5 holds of a real model, for studies that look into it. Its README lists the
 * sentences and the groups. */
#ifndef STUDIES_CAPTURED_H
#define STUDIES_CAPTURED_H

#include "study/study.h"

#define CAPTURED_POSITIONS 16 /* the most that a text has */

struct captured {
    int64_t texts, heads, positions, features;
    double *q;        /* [texts][heads][positions][features]; lasts as long as the run */
    int64_t *lengths; /* [texts], tokens with [CLS] and [SEP]; lasts as long as the run */
};

/* Reads the queries of a group, "roles/scores0", and the lengths above it. ATTN_INVALID unless it holds so many texts
 * and heads, as a study's labels belong to its sentences. Otherwise fails as record_capture_read does. */
enum attn_status captured_read(struct study_run *run, const char *group, int64_t texts, int64_t heads,
                               struct captured *captured, struct attn_error *error);

/* The vector of a token of a capture with one head. */
const double *captured_vector(const struct captured *captured, int64_t text, int64_t position);

#endif
