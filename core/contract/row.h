/* SPDX-License-Identifier: Apache-2.0 */
/* Row helpers: which keys a query sees and what a score is. With them a plain variant supports
 * the whole contract in a few lines:
 *
 *   struct attn_row row = attn_row_begin(problem, b, h, i);
 *   for (int64_t j = row.key_begin; j < row.key_end; ++j) {
 *       const float score = attn_score(&row, j, dot(q_i, k_j));
 *       if (score == -INFINITY) continue;         // masked: key and value are not touched
 *       ...
 *
 * Keys outside [key_begin, key_end) are never read. The softmax starts from row.max and row.sum,
 * which hold the sink. */
#ifndef CONTRACT_ROW_H
#define CONTRACT_ROW_H

#include <math.h>

#include "contract/problem.h"

struct attn_row {
    int64_t key_begin, key_end; /* the live key range; empty: the row is fully masked */
    float max, sum;             /* the softmax before any key: (-inf, 0), or (sink, 1) */
    bool plain;                 /* every pair in the range is live and its score is scale * dot */
    float scale, softcap, slope;
    int64_t distance;  /* pos(query) - pos(key 0): key j stands at |distance - j| */
    const float *bias; /* bias of key j at bias[j * bias_stride]; NULL: none */
    int64_t bias_stride;
    const bool *allowed; /* likewise */
    int64_t allowed_stride;
};

/* The segment that query i belongs to (packed sequences): the last whose offset is <= i and which
 * has queries. */
static inline int64_t attn_segment_of(const struct attn_mask *mask, int64_t i) {
    int64_t low = 0, high = mask->segments; /* query_offsets[low] <= i < query_offsets[high] */
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (mask->query_offsets[middle] <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static inline struct attn_row attn_row_begin(const struct attn_problem *problem, int64_t b, int64_t h, int64_t i) {
    const struct attn_mask *const mask = &problem->mask;
    int64_t group = b, first_query = 0, first_key = 0; /* group: the sequence, as query_start counts them */
    int64_t query_count = problem->query_len, key_count = problem->key_len;
    if (mask->segments > 0) {
        group = attn_segment_of(mask, i);
        first_query = mask->query_offsets[group];
        first_key = mask->key_offsets[group];
        query_count = mask->query_offsets[group + 1] - first_query;
        key_count = mask->key_offsets[group + 1] - first_key;
    }
    const int64_t start = mask->query_start                      ? mask->query_start[group]
                          : mask->alignment == ATTN_BOTTOM_RIGHT ? key_count - query_count
                                                                 : 0;
    /* Key j of the sequence stands at the query's position when j == here. */
    const int64_t here = start + (i - first_query) - mask->key_start;
    int64_t begin = 0, end = mask->key_lengths ? mask->key_lengths[b] : key_count;
    if (mask->causal && end > here + 1)
        end = here + 1;
    if (mask->windowed) {
        if (mask->window_right != ATTN_UNBOUNDED && end > here + mask->window_right + 1)
            end = here + mask->window_right + 1;
        if (mask->window_left != ATTN_UNBOUNDED && begin < here - mask->window_left)
            begin = here - mask->window_left;
    }
    if (end < begin)
        end = begin = 0;

    struct attn_row row = {
        .key_begin = first_key + begin,
        .key_end = first_key + end,
        .max = -INFINITY,
        .scale = problem->scale,
        .softcap = mask->softcap,
        .slope = mask->alibi_slopes ? mask->alibi_slopes[h] : 0.0f,
        .distance = here + first_key,
        .bias_stride = mask->bias_stride[3],
        .allowed_stride = mask->allowed_stride[3],
    };
    if (mask->sinks) {
        row.max = mask->sinks[h];
        row.sum = row.max == -INFINITY ? 0.0f : 1.0f; /* a head without a sink among others */
    }
    if (mask->bias)
        row.bias = mask->bias + b * mask->bias_stride[0] + h * mask->bias_stride[1] + i * mask->bias_stride[2];
    if (mask->allowed)
        row.allowed =
            mask->allowed + b * mask->allowed_stride[0] + h * mask->allowed_stride[1] + i * mask->allowed_stride[2];
    row.plain = !row.bias && !row.allowed && row.slope == 0.0f && row.softcap == 0.0f;
    return row;
}

/* The score of key j in the row's range, given dot = q_i . k_j. -INFINITY: masked, whatever dot is. */
static inline float attn_score(const struct attn_row *row, int64_t j, float dot) {
    if (row->allowed && !row->allowed[j * row->allowed_stride])
        return -INFINITY;
    const float bias = row->bias ? row->bias[j * row->bias_stride] : 0.0f;
    if (bias == -INFINITY)
        return -INFINITY;
    float score = row->scale * dot;
    if (row->softcap > 0.0f)
        score = row->softcap * tanhf(score / row->softcap);
    score += bias;
    if (row->slope != 0.0f) {
        const int64_t distance = row->distance - j;
        score -= row->slope * (float)(distance < 0 ? -distance : distance);
    }
    return score;
}

/* d score / d dot of a live pair. */
static inline float attn_score_slope(const struct attn_row *row, float dot) {
    if (row->softcap == 0.0f)
        return row->scale;
    const float bent = tanhf(row->scale * dot / row->softcap);
    return row->scale * (1.0f - bent) * (1.0f + bent);
}

/* The smallest key range that holds every live key of queries [first, last): what a tile of
 * queries has to visit. Empty (begin == end) when all its rows are fully masked. */
static inline void attn_tile_keys(const struct attn_problem *problem, int64_t b, int64_t h, int64_t first, int64_t last,
                                  int64_t *key_begin, int64_t *key_end) {
    *key_begin = *key_end = 0;
    for (int64_t i = first; i < last; ++i) {
        const struct attn_row row = attn_row_begin(problem, b, h, i);
        if (row.key_begin == row.key_end)
            continue;
        if (*key_begin == *key_end) {
            *key_begin = row.key_begin;
            *key_end = row.key_end;
        }
        *key_begin = row.key_begin < *key_begin ? row.key_begin : *key_begin;
        *key_end = row.key_end > *key_end ? row.key_end : *key_end;
    }
}

#endif
