/* SPDX-License-Identifier: Apache-2.0 */
/* Register-tiled products for attention: scores of a few query rows against panels of packed keys, and weights times
 * values. A tile of PANEL_ROWS x PANEL_KEYS accumulators stays in registers; keys are packed so that the tile reads
 * them in order, values are used where they stand.
 *
 * A panel holds PANEL_KEYS consecutive keys, feature by feature: panel[feature][key]. */
#ifndef KERNELS_KEYPANEL_H
#define KERNELS_KEYPANEL_H

#include "contract/tensor.h"
#include "kernels/convert.h"
#include "kernels/edge.h"

/* Accumulators + one row of the panel + one broadcast must fit the register file. */
#define PANEL_ROWS 6
#define PANEL_VECS (VEC_REGISTERS == 32 ? 4 : 2)
#define PANEL_KEYS (PANEL_VECS * VEC_LANES)

#define PANEL_UNROLL_ROWS VEC_UNROLL(6)
#define PANEL_UNROLL_VECS VEC_UNROLL(4)
/* A trip count of head_dim / 8 is one that the branch predictor learns. */
#define PANEL_UNROLL_LOOP VEC_UNROLL(8)

/* `features` features of four keys as rows of a panel: four by four, because a store of one float to a line is a store
 * wasted. */
static inline void panel_pack_four(const float *const key[4], int64_t features, float *panel) {
    int64_t c = 0;
    for (; c + 4 <= features; c += 4) {
        vec_four row[4], column[4];
        for (int m = 0; m < 4; ++m)
            memcpy(&row[m], key[m] + c, sizeof row[m]);
        vec_transpose(row, column);
        for (int m = 0; m < 4; ++m)
            memcpy(panel + (c + m) * PANEL_KEYS, &column[m], sizeof column[m]);
    }
    for (; c < features; ++c)
        for (int m = 0; m < 4; ++m)
            panel[c * PANEL_KEYS + m] = key[m][c];
}

/* Packs keys [first, first + PANEL_KEYS) of one KV head; places beyond key_len become zero keys. `panel` has
 * head_dim * PANEL_KEYS floats. */
static inline void panel_pack(const struct attn_tensor *keys, int64_t b, int64_t h, int64_t first, float *panel) {
    enum { CHUNK = 128 }; /* features converted at a time */
    const int64_t head_dim = keys->shape[3], left = keys->shape[2] - first;
    const int64_t live = left < PANEL_KEYS ? left : PANEL_KEYS, element = (int64_t)attn_type_bytes(keys->type);
    float converted[4][CHUNK];
    for (int64_t n = 0; n < live; n += 4)
        for (int64_t c = 0; c < head_dim; c += CHUNK) {
            const int64_t features = head_dim - c < CHUNK ? head_dim - c : CHUNK;
            const float *key[4];
            for (int64_t m = 0; m < 4; ++m) { /* beyond the last key the first one again, to be overwritten */
                const char *const row = attn_tensor_row(keys, b, h, first + n + (n + m < live ? m : 0));
                key[m] = keys->type == ATTN_F32 ? (const float *)(const void *)row + c : converted[m];
                if (keys->type != ATTN_F32)
                    convert_row_from(converted[m], row + c * element, keys->type, features, 1.0f);
            }
            panel_pack_four(key, features, panel + c * PANEL_KEYS + n);
        }
    for (int64_t c = 0; c < head_dim && live < PANEL_KEYS; ++c)
        memset(panel + c * PANEL_KEYS + live, 0, (size_t)(PANEL_KEYS - live) * sizeof(float));
}

/* acc[r][.] = queries[r] . panel, for PANEL_ROWS rows of `queries` with row stride query_stride. */
VEC_INLINE void panel_dots(int64_t head_dim, const float *queries, int64_t query_stride, const float *panel,
                           vec acc[PANEL_ROWS][PANEL_VECS]) {
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r)
        PANEL_UNROLL_VECS
    for (int x = 0; x < PANEL_VECS; ++x)
        acc[r][x] = vec_all(0.0f);
    PANEL_UNROLL_LOOP
    for (int64_t c = 0; c < head_dim; ++c) {
        vec keys[PANEL_VECS];
        PANEL_UNROLL_VECS
        for (int x = 0; x < PANEL_VECS; ++x)
            keys[x] = vec_load(panel + c * PANEL_KEYS + x * VEC_LANES);
        PANEL_UNROLL_ROWS
        for (int r = 0; r < PANEL_ROWS; ++r) {
            const vec query = vec_all(queries[r * query_stride + c]);
            PANEL_UNROLL_VECS
            for (int x = 0; x < PANEL_VECS; ++x)
                acc[r][x] += query * keys[x];
        }
    }
}

/* scores[r][key] = queries[r] . key for panels [0, panels), stored with row stride `stride`. */
static __attribute__((noinline)) void panel_scores(int64_t head_dim, const float *queries, int64_t query_stride,
                                                   const float *panel, int64_t panels, float *scores, int64_t stride) {
    for (int64_t n = 0; n < panels; ++n, panel += head_dim * PANEL_KEYS) {
        vec acc[PANEL_ROWS][PANEL_VECS];
        panel_dots(head_dim, queries, query_stride, panel, acc);
        PANEL_UNROLL_ROWS
        for (int r = 0; r < PANEL_ROWS; ++r)
            PANEL_UNROLL_VECS
        for (int x = 0; x < PANEL_VECS; ++x)
            vec_store(scores + r * stride + n * PANEL_KEYS + x * VEC_LANES, acc[r][x]);
    }
}

/* How PANEL_ROWS rows turn dots into weights 2^(dot - reference[r]). Queries carry scale * log2(e); where weights are
 * taken, references are integers below 2^21 in magnitude. Row r sees keys [begin[r], end[r]) of a block. */
struct panel_rows {
    const float *queries; /* [PANEL_ROWS][head_dim] */
    int64_t head_dim;
    float reference[PANEL_ROWS];
    int32_t begin[PANEL_ROWS], end[PANEL_ROWS];
    float threshold;        /* how far a dot may lie above its reference */
    float sums[PANEL_ROWS]; /* of weights; they are added here */
};

/* Weights of the dots of one panel that every row sees; `highest` is what vec_exp2_within asks for. */
VEC_INLINE void panel_weigh(const struct panel_rows *rows, vec acc[PANEL_ROWS][PANEL_VECS], vec sum[PANEL_ROWS],
                            vec_bits *highest, float *weights, int64_t stride) {
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r) {
        const vec shifted = vec_all(VEC_EXP2_MAGIC - rows->reference[r]),
                  lowest = vec_all(rows->reference[r] + VEC_EXP2_LOWEST);
        PANEL_UNROLL_VECS
        for (int x = 0; x < PANEL_VECS; ++x) {
            vec_bits rounded;
            const vec weight = vec_exp2_from(acc[r][x], shifted, lowest, &rounded);
            *highest = vec_bits_max(rounded, *highest);
            sum[r] += weight;
            vec_store(weights + r * stride + x * VEC_LANES, weight);
        }
    }
}

/* Adds the sums of weights to the rows'. False when some dot lay beyond the threshold. */
VEC_INLINE bool panel_weighed(struct panel_rows *rows, const vec sum[PANEL_ROWS], vec_bits highest) {
    for (int r = 0; r < PANEL_ROWS; ++r)
        rows->sums[r] += vec_sum(sum[r]);
    return vec_exp2_within(highest, rows->threshold);
}

/* The fused step for whole panels that every row sees: weights leave the registers only once, while the next tile's
 * products are already under way. False, with weights and sums worthless, when some dot lies beyond the threshold. */
static __attribute__((noinline)) bool panel_weights(struct panel_rows *rows, const float *panel, int64_t panels,
                                                    float *weights, int64_t stride) {
    const int64_t head_dim = rows->head_dim;
    vec sum[PANEL_ROWS];
    vec_bits highest = {0};
    for (int r = 0; r < PANEL_ROWS; ++r)
        sum[r] = vec_all(0.0f);
    for (int64_t n = 0; n < panels; ++n, panel += head_dim * PANEL_KEYS) {
        vec acc[PANEL_ROWS][PANEL_VECS];
        __asm__ volatile("" : "+m"(sum), "+m"(highest)); /* during the products every register is theirs */
        panel_dots(head_dim, rows->queries, head_dim, panel, acc);
        panel_weigh(rows, acc, sum, &highest, weights + n * PANEL_KEYS, stride);
    }
    return panel_weighed(rows, sum, highest);
}

/* panel_weights for one panel, the first that these rows see: a row without a reference takes it from its highest dot,
 * while the dots are still in registers. False also when a reference lies out of reach. */
static __attribute__((noinline)) bool panel_first_weights(struct panel_rows *rows, const float *panel, float *weights,
                                                          int64_t stride) {
    vec acc[PANEL_ROWS][PANEL_VECS], sum[PANEL_ROWS];
    vec_bits highest = {0};
    panel_dots(rows->head_dim, rows->queries, rows->head_dim, panel, acc);
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r) {
        vec tops = acc[r][0];
        PANEL_UNROLL_VECS
        for (int x = 1; x < PANEL_VECS; ++x)
            tops = vec_max(acc[r][x], tops);
        if (rows->reference[r] == -INFINITY)
            rows->reference[r] = edge_reference(vec_top(tops));
        if (!(fabsf(rows->reference[r]) < EDGE_INTEGER_LIMIT))
            return false;
        sum[r] = vec_all(0.0f);
    }
    panel_weigh(rows, acc, sum, &highest, weights, stride);
    return panel_weighed(rows, sum, highest);
}

/* acc[r] = queries[r] . the VEC_LANES keys from `first` on, a multiple of VEC_LANES. `panel` is that of key 0. */
VEC_INLINE void panel_column_dots(const struct panel_rows *rows, const float *panel, int64_t first,
                                  vec acc[PANEL_ROWS]) {
    const int64_t head_dim = rows->head_dim;
    const float *const column = panel + first / PANEL_KEYS * PANEL_KEYS * head_dim + first % PANEL_KEYS;
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r)
        acc[r] = vec_all(0.0f);
    PANEL_UNROLL_LOOP
    for (int64_t c = 0; c < head_dim; ++c) {
        const vec keys = vec_load(column + c * PANEL_KEYS);
        PANEL_UNROLL_ROWS
        for (int r = 0; r < PANEL_ROWS; ++r)
            acc[r] += vec_all(rows->queries[r * head_dim + c]) * keys;
    }
}

/* Which of VEC_LANES keys from `first` on row r sees. */
VEC_INLINE vec_bits panel_seen(const struct panel_rows *rows, int r, int64_t first) {
    const vec_bits keys = vec_count_from((int32_t)first);
    return (keys >= rows->begin[r]) & (keys < rows->end[r]);
}

/* panel_weights for keys [first, last) of which some rows see only a part, a register of keys at a time; `first` is a
 * multiple of VEC_LANES, and whole registers of weights are written. */
static __attribute__((noinline)) bool panel_edge_weights(struct panel_rows *rows, const float *panel, int64_t first,
                                                         int64_t last, float *weights, int64_t stride) {
    vec sum[PANEL_ROWS];
    vec_bits highest = {0};
    for (int r = 0; r < PANEL_ROWS; ++r)
        sum[r] = vec_all(0.0f);
    for (int64_t n = first; n < last; n += VEC_LANES) {
        vec acc[PANEL_ROWS];
        panel_column_dots(rows, panel, n, acc);
        PANEL_UNROLL_ROWS
        for (int r = 0; r < PANEL_ROWS; ++r) {
            const vec shifted = vec_all(VEC_EXP2_MAGIC - rows->reference[r]),
                      lowest = vec_all(rows->reference[r] + VEC_EXP2_LOWEST);
            const vec_bits seen = panel_seen(rows, r, n);
            vec_bits rounded;
            vec weight = vec_exp2_from(vec_select(seen, acc[r], lowest), shifted, lowest, &rounded);
            weight = vec_select(seen, weight, vec_all(EDGE_MASKED));
            highest = vec_bits_max(rounded, highest);
            sum[r] += weight;
            vec_store(weights + r * stride + n, weight);
        }
    }
    return panel_weighed(rows, sum, highest);
}

/* Gives rows without a reference their first one, from their dots with those of VEC_LANES keys from `first` on that
 * they see; where they see none it stays -inf. */
static __attribute__((noinline)) void panel_first_references(struct panel_rows *rows, const float *panel,
                                                             int64_t first) {
    vec acc[PANEL_ROWS];
    panel_column_dots(rows, panel, first, acc);
    for (int r = 0; r < PANEL_ROWS; ++r) {
        const vec none = vec_all(-INFINITY);
        const float top = vec_top(vec_max(vec_select(panel_seen(rows, r, first), acc[r], none), none));
        if (rows->reference[r] == -INFINITY)
            rows->reference[r] = edge_reference(top);
    }
}

/* One strip of `vecs` registers (constant at each call), the last of which holds `last_lanes` values. */
VEC_INLINE void panel_strip(int vecs, int64_t last_lanes, int64_t keys, const float *weights, int64_t weight_stride,
                            const float *values, int64_t value_stride, float *out, int64_t out_stride) {
    vec acc[PANEL_ROWS][PANEL_VECS];
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r)
        PANEL_UNROLL_VECS
    for (int x = 0; x < vecs; ++x)
        acc[r][x] = vec_all(0.0f);
    PANEL_UNROLL_LOOP
    for (int64_t j = 0; j < keys; ++j) {
        vec value[PANEL_VECS];
        PANEL_UNROLL_VECS
        for (int x = 0; x < vecs; ++x) {
            const float *const from = values + j * value_stride + x * VEC_LANES;
            value[x] = x + 1 == vecs && last_lanes < VEC_LANES ? vec_load_part(from, last_lanes) : vec_load(from);
        }
        PANEL_UNROLL_ROWS
        for (int r = 0; r < PANEL_ROWS; ++r) {
            const vec weight = vec_all(weights[r * weight_stride + j]);
            PANEL_UNROLL_VECS
            for (int x = 0; x < vecs; ++x)
                acc[r][x] += weight * value[x];
        }
    }
    PANEL_UNROLL_ROWS
    for (int r = 0; r < PANEL_ROWS; ++r)
        PANEL_UNROLL_VECS
    for (int x = 0; x < vecs; ++x)
        vec_store(out + r * out_stride + x * VEC_LANES, vec_load(out + r * out_stride + x * VEC_LANES) + acc[r][x]);
}

/* out[r] += weights[r] . values over `keys` keys, for PANEL_ROWS rows; the keys are summed by themselves first, so that
 * the error of a sum grows with keys of a block and blocks, not with their product. Rows of `out` are padded to whole
 * registers; rows of `values` are read up to value_dim only. */
static __attribute__((noinline)) void panel_values(int64_t keys, int64_t value_dim, const float *weights,
                                                   int64_t weight_stride, const float *values, int64_t value_stride,
                                                   float *out, int64_t out_stride) {
    int64_t c = 0;
    for (; c + PANEL_KEYS <= value_dim; c += PANEL_KEYS)
        panel_strip(PANEL_VECS, VEC_LANES, keys, weights, weight_stride, values + c, value_stride, out + c, out_stride);
    for (; c + 2 * VEC_LANES <= value_dim; c += 2 * VEC_LANES) /* where a panel is four registers wide */
        panel_strip(2, VEC_LANES, keys, weights, weight_stride, values + c, value_stride, out + c, out_stride);
    for (; c + VEC_LANES <= value_dim; c += VEC_LANES)
        panel_strip(1, VEC_LANES, keys, weights, weight_stride, values + c, value_stride, out + c, out_stride);
    if (c < value_dim)
        panel_strip(1, value_dim - c, keys, weights, weight_stride, values + c, value_stride, out + c, out_stride);
}

#endif
