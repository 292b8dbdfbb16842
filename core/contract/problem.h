/* SPDX-License-Identifier: Apache-2.0 */
/* One attention problem: sizes, scale, type, mask, pass. Constant once built.
 *
 *   s(i,j) = scale * (q_i . k_j);  softcap c: s = c * tanh(s / c);  + bias(i,j);  ALiBi; masks
 *   p_i    = softmax over the live keys (and the sink, which has no value);  o_i = sum_j p_ij v_j
 *
 * Positions decide every order-dependent thing: pos(i) = query_start + i, pos(j) = key_start + j,
 * inside a packed segment counted from the segment's first query and key.
 *   causal keeps pos(j) <= pos(i);  a window keeps pos(i) - left <= pos(j) <= pos(i) + right;
 *   ALiBi adds -slope[h] * |pos(i) - pos(j)|;  key_lengths[b] keeps j < key_lengths[b].
 * A boolean false or an additive -inf masks the pair: nothing of that key is used, a NaN included.
 * Fully masked row: out 0, lse -inf, gradients 0 (with a sink: out 0, lse = sink).
 * |s| beyond 2^126 is outside the contract. */
#ifndef CONTRACT_PROBLEM_H
#define CONTRACT_PROBLEM_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/element.h"
#include "contract/status.h"
#include "contract/tensor.h"

enum attn_direction { ATTN_FORWARD = 0, ATTN_BACKWARD };

/* Where query 0 stands when query_start is NULL. */
enum attn_alignment {
    ATTN_TOP_LEFT = 0, /* at position 0 */
    ATTN_BOTTOM_RIGHT, /* the last query stands at the last key: key_len - query_len, per segment when packed */
};

#define ATTN_UNBOUNDED INT64_MAX /* a window side without limit */

/* Every pointer is borrowed from the caller and must outlive the problem. */
struct attn_mask {
    bool causal;
    bool windowed;
    int64_t window_left, window_right; /* >= 0, or ATTN_UNBOUNDED; read only when `windowed` */
    enum attn_alignment alignment;
    const int64_t *query_start; /* [batch], packed: [segments]; overrides `alignment`; NULL: not given */
    int64_t key_start;
    const int64_t *key_lengths;   /* [batch], 0..key_len; NULL: all keys. Not with packed sequences */
    int64_t segments;             /* packed sequences: > 0, batch is 1, query_len and key_len are totals */
    const int64_t *query_offsets; /* [segments + 1], ascending from 0 to query_len */
    const int64_t *key_offsets;   /* [segments + 1], ascending from 0 to key_len */
    const float *bias;            /* [batch][query_heads][query_len][key_len] by bias_stride; NULL: none */
    int64_t bias_stride[4];       /* elements; 0 broadcasts */
    const bool *allowed;          /* same shape by allowed_stride; false masks; NULL: all allowed */
    int64_t allowed_stride[4];
    const float *alibi_slopes; /* [query_heads]; NULL: none */
    const float *sinks;        /* [query_heads], a logit each, -inf: that head has none; NULL: none has */
    float softcap;             /* > 0; 0: none */
};

struct attn_problem {
    int64_t batch, query_heads, key_heads; /* query head h reads KV head h / (query_heads / key_heads) */
    int64_t query_len, key_len;            /* positions */
    int64_t head_dim, value_dim;           /* features */
    float scale;
    enum attn_type type; /* of q, k, v, out and their gradients: f32, bf16, f16 */
    enum attn_direction direction;
    struct attn_mask mask;
    int64_t live_pairs; /* filled by attn_problem_build: (query head, query, key) triples that the
                           structural masks (causal, window, lengths, segments) leave, all batches */
    int64_t live_keys;  /* filled likewise: keys that some query may read, summed over batches, per KV head */
};

/* Completes and checks a problem in place. Zero means default for key_heads (query_heads), key_len
 * (query_len), value_dim (head_dim) and scale (1/sqrt(head_dim)). ATTN_INVALID names every size that is
 * not in 1..2^31-1, heads that do not divide, tensors beyond 2^48 bytes, contradicting masks, offsets
 * that do not ascend, and says what would be right. */
enum attn_status attn_problem_build(struct attn_problem *problem, struct attn_error *error);

/* The tensors of one call. Strides are free but for feature stride 1; outputs overlap nothing. */
struct attn_operands {
    struct attn_tensor q;          /* [batch][query_heads][query_len][head_dim] */
    struct attn_tensor k;          /* [batch][key_heads][key_len][head_dim] */
    struct attn_tensor v;          /* [batch][key_heads][key_len][value_dim] */
    struct attn_tensor out;        /* [batch][query_heads][query_len][value_dim]; an input of the backward pass */
    struct attn_tensor lse;        /* f32 [batch][query_heads][query_len][1]: natural log of the sum of exp(score),
                                      the sink included; forward: optional output; backward: input */
    struct attn_tensor dout;       /* backward: input, as out */
    struct attn_tensor dq, dk, dv; /* backward: outputs, as q, k, v */
};

/* ATTN_INVALID, with both shapes, when the operand `name` has another one. */
enum attn_status attn_operand_check_shape(const char *name, const struct attn_tensor *tensor, const int64_t shape[4],
                                          struct attn_error *error);

/* ATTN_INVALID when an operand's shape, type or stride disagrees with the problem; the message names
 * the operand, what it has and what it must have. */
enum attn_status attn_operands_check(const struct attn_problem *problem, const struct attn_operands *operands,
                                     struct attn_error *error);

/* Floating-point operations that the mathematics asks for: live pairs x (2 head_dim + 2 value_dim);
 * backward: 5 matrix products, live pairs x (6 head_dim + 4 value_dim). Additive bias and boolean masks
 * count as live. The only place where operations are counted. */
double attn_problem_flops(const struct attn_problem *problem);

/* Bytes that must move at least once: live keys and values, queries, outputs, mask arrays; backward
 * also gradients. The only place where bytes are counted. */
double attn_problem_min_bytes(const struct attn_problem *problem);

#endif
