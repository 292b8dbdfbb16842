/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/feed_forward.h"

#include <stddef.h>

#include "layer/gelu.h"

void layer_feed_forward_forward(const struct layer_feed_forward *network, const struct layer_compute *compute,
                                int64_t rows, const layer_real *x, layer_real *wide, layer_real *active,
                                layer_real *y) {
    layer_linear_forward(&network->widen, compute, rows, x, wide);
    layer_gelu_forward(compute, rows * network->widen.out_features, wide, active);
    layer_linear_forward(&network->narrow, compute, rows, active, y);
}

void layer_feed_forward_backward(const struct layer_feed_forward *network, const struct layer_compute *compute,
                                 int64_t rows, const layer_real *x, const layer_real *wide, const layer_real *active,
                                 const layer_real *dy, layer_real *dwide, layer_real *dx,
                                 const struct layer_feed_forward *gradient) {
    layer_linear_backward(&network->narrow, compute, rows, active, dy, dwide, false,
                          gradient ? &gradient->narrow : NULL);
    layer_gelu_backward(compute, rows * network->widen.out_features, wide, dwide, dwide);
    layer_linear_backward(&network->widen, compute, rows, x, dwide, dx, false, gradient ? &gradient->widen : NULL);
}
