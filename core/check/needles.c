/* SPDX-License-Identifier: Apache-2.0 */
#include "check/needles.h"

#include <math.h>
#include <string.h>

#include "check/random.h"
#include "contract/row.h"

#define MAX_CANDIDATES 256

/* Two keys across an edge; `near` may be the last key before it or the first behind. */
struct edge {
    int64_t near, far;
};

struct edges {
    int count;
    struct edge at[MAX_CANDIDATES];
};

static void add_edge(struct edges *edges, int64_t key_len, int64_t near, int64_t far) {
    if (near < 0 || near >= key_len || edges->count == MAX_CANDIDATES)
        return;
    if (far < 0 || far >= key_len)
        far = -1;
    for (int n = 0; n < edges->count; ++n)
        if (edges->at[n].near == near && edges->at[n].far == far)
            return;
    edges->at[edges->count++] = (struct edge){near, far};
}

/* Both ends of what row i reads, with the neighbour outside. */
static void add_row_edges(struct edges *edges, const struct attn_problem *problem, int64_t b, int64_t h, int64_t i) {
    if (i < 0 || i >= problem->query_len)
        return;
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    if (row.key_begin == row.key_end)
        return;
    add_edge(edges, problem->key_len, row.key_end - 1, row.key_end);
    add_edge(edges, problem->key_len, row.key_begin, row.key_begin - 1);
}

static void add_tile_edges(struct edges *edges, int64_t key_len, int64_t edge) {
    add_edge(edges, key_len, edge - 1, edge);
    add_edge(edges, key_len, edge, edge - 1);
}

/* Keeps `kept` edges at the front and shuffles the rest. */
static void shuffle(struct edges *edges, int kept, uint64_t seed) {
    for (int n = edges->count - 1; n > kept; --n) {
        const int other = kept + (int)check_below(check_bits(seed, (uint64_t)n), n - kept + 1);
        const struct edge moved = edges->at[n];
        edges->at[n] = edges->at[other];
        edges->at[other] = moved;
    }
}

void check_needles_place(const struct attn_problem *problem, int64_t b, int64_t key_head, uint64_t seed,
                         struct check_needles *needles) {
    const int64_t h = key_head * (problem->query_heads / problem->key_heads); /* structure is alike for every head */
    const int64_t query_len = problem->query_len, key_len = problem->key_len;
    *needles = (struct check_needles){0};
    attn_tile_keys(problem, b, h, 0, query_len, &needles->live_begin, &needles->live_end);

    struct edges edges = {0};
    if (needles->live_begin < needles->live_end) {
        add_edge(&edges, key_len, needles->live_end - 1, needles->live_end);
        add_edge(&edges, key_len, needles->live_begin, needles->live_begin - 1);
    }
    add_row_edges(&edges, problem, b, h, query_len - 1);
    add_row_edges(&edges, problem, b, h, 0);
    const int outermost = edges.count;
    for (int64_t tile = 16; tile < key_len; tile *= 2) {
        add_tile_edges(&edges, key_len, tile);
        add_tile_edges(&edges, key_len, (key_len - 1) / tile * tile);
    }
    for (int64_t tile = 16; tile < query_len; tile *= 2) {
        add_row_edges(&edges, problem, b, h, tile - 1);
        add_row_edges(&edges, problem, b, h, tile);
    }
    add_row_edges(&edges, problem, b, h, query_len / 2);
    const int64_t shown_segments = problem->mask.segments < 8 ? problem->mask.segments : 8;
    for (int64_t s = 0; s < shown_segments; ++s)
        if (problem->mask.query_offsets[s] < problem->mask.query_offsets[s + 1])
            add_row_edges(&edges, problem, b, h, problem->mask.query_offsets[s]);
    shuffle(&edges, outermost, seed);

    int64_t most = problem->head_dim < CHECK_MAX_NEEDLES ? problem->head_dim : CHECK_MAX_NEEDLES;
    most = edges.count < most ? edges.count : most;
    needles->count = (int)most;
    for (int n = 0; n < needles->count; ++n) {
        needles->near[n] = edges.at[n].near;
        needles->far[n] = edges.at[n].far;
    }
}

double check_needle_score(const struct attn_problem *problem) {
    return log((double)problem->key_len) + 8.0;
}

/* Score of `key` in the row when its dot product with the query is `dot`; -inf: the row may not read it. */
static float score_at(const struct attn_row *row, int64_t key, float dot) {
    return key >= row->key_begin && key < row->key_end ? attn_score(row, key, dot) : -INFINITY;
}

int check_needle_choose(const struct attn_problem *problem, const struct check_needles *needles, int64_t b, int64_t h,
                        int64_t i, double near_score, uint64_t bits) {
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    const float near_dot = (float)(near_score / problem->scale);
    /* A needle stands out from `keys` scores near 0 when it exceeds their logarithm. */
    const float outstanding = logf((float)(row.key_end - row.key_begin + 1)) + 4.0f;
    int edges[CHECK_MAX_NEEDLES], others[CHECK_MAX_NEEDLES], edge_count = 0, other_count = 0, rightmost = 0;
    for (int n = 0; n < needles->count; ++n) {
        const int64_t key = needles->near[n];
        const float near = score_at(&row, key, near_dot);
        const float far =
            needles->far[n] < 0 ? -INFINITY : score_at(&row, needles->far[n], (float)CHECK_FAR_STRENGTH * near_dot);
        const bool at_end = key == row.key_begin || key == row.key_end - 1;
        if (near >= outstanding && far == -INFINITY && (at_end || needles->far[n] >= 0)) {
            edges[edge_count] = n;
            rightmost = key > needles->near[edges[rightmost]] ? edge_count : rightmost;
            ++edge_count;
        } else if (near >= outstanding || far >= outstanding) {
            others[other_count++] = n;
        }
    }
    /* However few rows there are, the first and the last stand at the right edge of what they read. Of the others half
     * of those that could guard an edge do; a tile may be lost elsewhere. */
    if (edge_count > 0 && (i == 0 || i == problem->query_len - 1))
        return edges[rightmost];
    if (edge_count > 0 && (other_count == 0 || bits & 1))
        return edges[check_below(bits, edge_count)];
    return other_count > 0 ? others[check_below(bits, other_count)] : -1;
}

/* Marks what one row reads; returns how many keys were not marked before. */
static int64_t mark_row(const struct attn_row *row, bool *live) {
    int64_t fresh = 0;
    for (int64_t j = row->key_begin; j < row->key_end; ++j)
        if (!live[j] && attn_score(row, j, 0.0f) != -INFINITY) {
            live[j] = true;
            ++fresh;
        }
    return fresh;
}

void check_live_keys(const struct attn_problem *problem, int64_t b, int64_t key_head, bool *live) {
    const int64_t group = problem->query_heads / problem->key_heads;
    memset(live, false, (size_t)problem->key_len * sizeof *live);
    int64_t marked = 0, begin = 0, end = 0; /* [begin, end): all marked; most rows read little else */
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h)
        for (int64_t i = 0; i < problem->query_len && marked < problem->key_len; ++i) {
            struct attn_row row = attn_row_begin(problem, b, h, i);
            if (row.allowed || row.bias) {
                marked += mark_row(&row, live);
            } else if (row.key_begin < begin || row.key_begin > end) {
                marked += mark_row(&row, live);
                begin = row.key_begin;
                end = row.key_end;
            } else if (row.key_end > end) {
                row.key_begin = end;
                marked += mark_row(&row, live);
                end = row.key_end;
            }
        }
}
