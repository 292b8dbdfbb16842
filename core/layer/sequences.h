/* SPDX-License-Identifier: Apache-2.0 */
/* How the rows of a [tokens][features] array are cut into sequences, and which pairs of them may attend. */
#ifndef LAYER_SEQUENCES_H
#define LAYER_SEQUENCES_H

#include "contract/problem.h"
#include "contract/row.h"

struct layer_sequences {
    int64_t batch, positions; /* batch x positions tokens, sequence after sequence; packed: batch 1, all tokens */
    struct attn_mask mask;    /* as a problem's, key_offsets equal to query_offsets when packed */
};

static inline int64_t layer_token_count(const struct layer_sequences *sequences) {
    return sequences->batch * sequences->positions;
}

/* The place of a token in its sequence, from 0. */
static inline int64_t layer_place_of(const struct layer_sequences *sequences, int64_t token) {
    if (sequences->mask.segments == 0)
        return token % sequences->positions;
    return token - sequences->mask.query_offsets[attn_segment_of(&sequences->mask, token)];
}

#endif
