/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "layer/attention.h"

float layer_scale_value(enum layer_scale scale, int64_t head_dim) {
    switch (scale) {
    case LAYER_SCALE_NONE: return 1.0f;
    case LAYER_SCALE_DIMENSION: return (float)(1.0 / (double)head_dim);
    default: return (float)(1.0 / sqrt((double)head_dim));
    }
}

const char *layer_scale_name(enum layer_scale scale) {
    static const char *const names[LAYER_SCALE_COUNT] = {"none", "root", "dimension"};
    return names[scale];
}
