/* SPDX-License-Identifier: Apache-2.0 */
/* The position-wise feed-forward network (Vaswani et al. 2017, 3.3) with GELU: y = narrow(gelu(widen(x))). */
#ifndef LAYER_FEED_FORWARD_H
#define LAYER_FEED_FORWARD_H

#include "layer/linear.h"

#define layer_feed_forward_forward  LAYER_NAME(layer_feed_forward_forward)
#define layer_feed_forward_backward LAYER_NAME(layer_feed_forward_backward)

struct layer_feed_forward {
    struct layer_linear widen, narrow; /* model_dim -> hidden -> model_dim */
};

/* Writes y [rows][model_dim], and for the backward pass wide = widen(x) and active = gelu(wide), both [rows][hidden];
 * active may be wide when no backward pass follows. */
void layer_feed_forward_forward(const struct layer_feed_forward *network, const struct layer_compute *compute,
                                int64_t rows, const layer_real *x, layer_real *wide, layer_real *active, layer_real *y);

/* dx [rows][model_dim] overlaps no input; dwide [rows][hidden] is scratch; gradient NULL: weights are not trained. */
void layer_feed_forward_backward(const struct layer_feed_forward *network, const struct layer_compute *compute,
                                 int64_t rows, const layer_real *x, const layer_real *wide, const layer_real *active,
                                 const layer_real *dy, layer_real *dwide, layer_real *dx,
                                 const struct layer_feed_forward *gradient);

#endif
