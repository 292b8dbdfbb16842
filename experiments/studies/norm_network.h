/* SPDX-License-Identifier: Apache-2.0 */
/* A residual network of feed-forward blocks over feature vectors, one row an item, with any normalisation or none:
 *   post-norm  z' = norm(z + f(z)),           logits = read-out of the last z
 *   pre-norm   z' = z + f(norm(z)),           logits = read-out of norm(the last z) */
#ifndef STUDIES_NORM_NETWORK_H
#define STUDIES_NORM_NETWORK_H

#include "layer/block.h"
#include "study/study.h"

#define norm_network_create   LAYER_NAME(norm_network_create)
#define norm_network_begin    LAYER_NAME(norm_network_begin)
#define norm_network_forward  LAYER_NAME(norm_network_forward)
#define norm_network_backward LAYER_NAME(norm_network_backward)

enum network_norm { NETWORK_NO_NORM, NETWORK_LAYER_NORM, NETWORK_BATCH_NORM, NETWORK_NORM_COUNT };

enum { NETWORK_BLOCKS = 4 };

struct network_sizes {
    int64_t features, hidden, classes, rows; /* rows: the most of a batch */
};

struct network_parts {
    struct layer_feed_forward bodies[NETWORK_BLOCKS];
    struct layer_norm norms[NETWORK_BLOCKS + 1]; /* the last: pre-norm's last */
    struct layer_linear readout;
};

struct norm_network {
    struct network_sizes sizes;
    enum network_norm norm;
    enum layer_norm_place place;
    struct layer_compute compute;
    layer_real *parameters, *gradient; /* of every part, one after the other */
    int64_t parameter_count;
    struct network_parts parts, slopes;
    layer_real *states, *inner;      /* [NETWORK_BLOCKS + 1][rows][features]: z; between body and norm */
    layer_real *wide, *active;       /* [NETWORK_BLOCKS][rows][hidden] */
    layer_real *logits;              /* [rows][classes] */
    layer_real *dz, *inside, *dwide; /* dz [rows][features]: after a backward pass the gradient of x */
};

/* Memory of the run. ATTN_NO_MEMORY. */
enum attn_status norm_network_create(struct study_run *run, const struct network_sizes *sizes,
                                     struct norm_network *network, struct attn_error *error);

/* Begins anew: weights N(0, 2 / inputs) (He et al. 2015) of a stream of the seed, biases 0, gains 1. `drawn` is scratch
 * [features x hidden]. */
void norm_network_begin(struct norm_network *network, enum network_norm norm, enum layer_norm_place place,
                        uint64_t seed, uint64_t stream, double *drawn);

/* Fills logits from x [rows][features]. */
void norm_network_forward(struct norm_network *network, int64_t rows, const layer_real *x);
/* After it: adds to the gradient, and fills dz, from dlogits [rows][classes]. */
void norm_network_backward(struct norm_network *network, int64_t rows, const layer_real *dlogits);

#endif
