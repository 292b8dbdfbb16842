/* SPDX-License-Identifier: Apache-2.0 */
#include "check/live.h"

#include <math.h>

static int64_t min_int(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t max_int(int64_t a, int64_t b) {
    return a > b ? a : b;
}

struct live_row check_live_row(const struct attn_problem *problem, int64_t batch, int64_t head, int64_t query) {
    const struct attn_mask *const mask = &problem->mask;
    int64_t sequence = batch, first_query = 0, first_key = 0;
    int64_t queries = problem->query_len, keys = problem->key_len;
    if (mask->segments > 0) {
        sequence = 0;
        while (query >= mask->query_offsets[sequence + 1])
            ++sequence;
        first_query = mask->query_offsets[sequence];
        first_key = mask->key_offsets[sequence];
        queries = mask->query_offsets[sequence + 1] - first_query;
        keys = mask->key_offsets[sequence + 1] - first_key;
    }
    int64_t start = 0;
    if (mask->query_start)
        start = mask->query_start[sequence];
    else if (mask->alignment == ATTN_BOTTOM_RIGHT)
        start = keys - queries;

    struct live_row row = {.batch = batch, .head = head, .query = query};
    row.query_position = start + query - first_query;
    row.key_origin = mask->key_start - first_key;
    row.first = first_key;
    row.last = first_key + (mask->key_lengths ? mask->key_lengths[batch] : keys);

    /* The positions that causality and the window leave, both ends included. */
    int64_t lowest = INT64_MIN, highest = INT64_MAX;
    if (mask->causal)
        highest = row.query_position;
    if (mask->windowed && mask->window_left != ATTN_UNBOUNDED)
        lowest = row.query_position - mask->window_left;
    if (mask->windowed && mask->window_right != ATTN_UNBOUNDED)
        highest = min_int(highest, row.query_position + mask->window_right);
    if (lowest != INT64_MIN)
        row.first = max_int(row.first, lowest - row.key_origin);
    if (highest != INT64_MAX)
        row.last = min_int(row.last, highest - row.key_origin + 1);
    if (row.last <= row.first)
        row.first = row.last = first_key;
    return row;
}

static int64_t pair_offset(const int64_t stride[4], const struct live_row *row, int64_t key) {
    return row->batch * stride[0] + row->head * stride[1] + row->query * stride[2] + key * stride[3];
}

bool check_pair_lives(const struct attn_problem *problem, const struct live_row *row, int64_t key) {
    const struct attn_mask *const mask = &problem->mask;
    if (mask->allowed && !mask->allowed[pair_offset(mask->allowed_stride, row, key)])
        return false;
    return !mask->bias || mask->bias[pair_offset(mask->bias_stride, row, key)] != -INFINITY;
}

void check_pair_terms(const struct attn_problem *problem, const struct live_row *row, int64_t key, double *bias,
                      double *alibi) {
    const struct attn_mask *const mask = &problem->mask;
    *bias = mask->bias ? (double)mask->bias[pair_offset(mask->bias_stride, row, key)] : 0.0;
    *alibi = 0.0;
    if (mask->alibi_slopes) {
        const double distance = fabs((double)(row->query_position - (row->key_origin + key)));
        *alibi = -(double)mask->alibi_slopes[row->head] * distance;
    }
}

static double double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double widen_f16(uint16_t half) {
    const uint64_t sign = (uint64_t)(half >> 15) << 63, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) {
        const double magnitude = (double)fraction * 0x1p-24;
        return sign ? -magnitude : magnitude;
    }
    const uint64_t wide = exponent == 31 ? 2047 : exponent + (1023 - 15);
    return double_of_bits(sign | wide << 52 | fraction << 42);
}

/* bf16 is the upper half of an f32. */
static double widen_bf16(uint16_t half) {
    const uint32_t bits = (uint32_t)half * 65536u;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double check_element(const void *array, enum attn_type type, int64_t index) {
    switch (type) {
    case ATTN_BF16: return widen_bf16(((const uint16_t *)array)[index]);
    case ATTN_F16: return widen_f16(((const uint16_t *)array)[index]);
    case ATTN_F64: return ((const double *)array)[index];
    default: return ((const float *)array)[index];
    }
}

void check_read_row(const struct attn_tensor *tensor, int64_t batch, int64_t head, int64_t position, double *values,
                    int64_t step) {
    const void *const row = attn_tensor_row(tensor, batch, head, position);
    if (tensor->type == ATTN_F32) { /* the common case, without a decision per element */
        for (int64_t c = 0; c < tensor->shape[3]; ++c)
            values[c * step] = ((const float *)row)[c];
        return;
    }
    for (int64_t c = 0; c < tensor->shape[3]; ++c)
        values[c * step] = check_element(row, tensor->type, c);
}

bool check_is_unwritten(const void *array, enum attn_type type, int64_t index) {
    const size_t bytes = attn_type_bytes(type);
    const unsigned char *const element = (const unsigned char *)array + (size_t)index * bytes;
    for (size_t n = 0; n < bytes; ++n)
        if (element[n] != ATTN_POISON_BYTE)
            return false;
    return true;
}

double check_subnormal_roundoff(enum attn_type type) {
    static const double roundoff[ATTN_TYPE_COUNT] = {0x1p-150, 0x1p-134, 0x1p-25, 0x1p-1074};
    return roundoff[type];
}
