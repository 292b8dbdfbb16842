/* SPDX-License-Identifier: Apache-2.0 */
/* A tensor is a view: [batch][head][position][feature], strides in elements, feature stride 1,
 * alignment no more than the element's. It owns nothing. */
#ifndef CONTRACT_TENSOR_H
#define CONTRACT_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "contract/element.h"

struct attn_tensor {
    void *data; /* NULL: absent */
    enum attn_type type;
    int64_t shape[4];  /* batch, head, position, feature */
    int64_t stride[4]; /* elements */
};

/* A dense view of `data`: strides follow from the shape. */
static inline struct attn_tensor attn_tensor_dense(void *data, enum attn_type type, int64_t batch, int64_t heads,
                                                   int64_t positions, int64_t features) {
    return (struct attn_tensor){
        .data = data,
        .type = type,
        .shape = {batch, heads, positions, features},
        .stride = {heads * positions * features, positions * features, features, 1},
    };
}

static inline int64_t attn_tensor_count(const struct attn_tensor *tensor) {
    return tensor->shape[0] * tensor->shape[1] * tensor->shape[2] * tensor->shape[3];
}

/* Element offset of the feature vector at (batch b, head h, position i). */
static inline int64_t attn_tensor_offset(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i) {
    return b * tensor->stride[0] + h * tensor->stride[1] + i * tensor->stride[2];
}

/* Address of the feature vector at (b, h, i). */
static inline void *attn_tensor_row(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i) {
    return (char *)tensor->data + attn_tensor_offset(tensor, b, h, i) * (int64_t)attn_type_bytes(tensor->type);
}

/* The feature vector at (b, h, i) as floats: in place when the tensor is f32, else widened into
 * `scratch` (shape[3] floats). */
static inline const float *attn_tensor_row_f32(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i,
                                               float *scratch) {
    const void *const row = attn_tensor_row(tensor, b, h, i);
    if (tensor->type == ATTN_F32)
        return row;
    for (int64_t c = 0; c < tensor->shape[3]; ++c)
        scratch[c] = attn_load(row, tensor->type, c);
    return scratch;
}

#endif
