/* SPDX-License-Identifier: Apache-2.0 */
/* The attention that a layer is given: any variant (variant_attention.h), the float64 oracle, or a caller's own. */
#ifndef LAYER_ATTENTION_H
#define LAYER_ATTENTION_H

#include "contract/problem.h"

struct layer_attention {
    void *context; /* the implementation's own; handed back to it */
    /* Answers a built problem: see contract/problem.h for the operands of each direction. Operands may be strided, and
     * are f64 in the float64 layer, whatever the problem's type. Status and message are passed on. */
    enum attn_status (*run)(void *context, const struct attn_problem *problem, const struct attn_operands *operands,
                            struct attn_error *error);
};

/* Three readings of "scaled": softmax(scale Q K^T). */
enum layer_scale {
    LAYER_SCALE_NONE,      /* 1 */
    LAYER_SCALE_ROOT,      /* 1 / sqrt(head_dim): Vaswani et al. 2017 */
    LAYER_SCALE_DIMENSION, /* 1 / head_dim */
    LAYER_SCALE_COUNT,
};

float layer_scale_value(enum layer_scale scale, int64_t head_dim);
/* "none", "root", "dimension". */
const char *layer_scale_name(enum layer_scale scale);

#endif
