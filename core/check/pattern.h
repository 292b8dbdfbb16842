/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the layer: the values of q, k, v and dout, row by row, each a pure function of seed and place. */
#ifndef CHECK_PATTERN_H
#define CHECK_PATTERN_H

#include "check/arrays.h"
#include "check/needles.h"

/* Where the values of one filling come from. */
struct check_source {
    const struct check_form *form; /* complete */
    const struct attn_problem *problem;
    uint64_t seed;
    const struct check_needles *needles; /* [batch][key_heads]; NULL unless the pattern is needles */
    const bool *live;                    /* [batch][key_heads][key_len]; NULL unless the pattern asks */
    int64_t *dominant;                   /* [batch][key_heads]: the dominant key; NULL unless the pattern asks */
    const float *capture_rms;            /* [3]: root mean square of the captured q, k, v; NULL: no capture */
};

/* True when the pattern needs to know which keys nobody reads. */
bool check_pattern_needs_live(enum check_pattern pattern);

/* Draws the dominant key of every KV head among its live keys; -1 where there is none. */
void check_pattern_draw_dominant(const struct check_source *source);

/* The feature vector of `tensor` (CHECK_Q, CHECK_K, CHECK_V or CHECK_DOUT) at (b, h, i), before rounding to the
 * form's type. */
void check_pattern_row(const struct check_source *source, enum check_array tensor, int64_t b, int64_t h, int64_t i,
                       float *row);

#endif
