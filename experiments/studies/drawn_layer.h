/* SPDX-License-Identifier: Apache-2.0 */
/* A self-attention layer with drawn weights, and its memory: what a law that holds for any weights is tried on. */
#ifndef STUDIES_DRAWN_LAYER_H
#define STUDIES_DRAWN_LAYER_H

#include "layer/self_attention.h"
#include "study/study.h"

#define drawn_normals       LAYER_NAME(drawn_normals)
#define drawn_difference    LAYER_NAME(drawn_difference)
#define drawn_layer_create  LAYER_NAME(drawn_layer_create)
#define drawn_layer_forward LAYER_NAME(drawn_layer_forward)
#define drawn_attention     LAYER_NAME(drawn_attention)

/* study_normals and study_largest_difference in the layer's number type. */
void drawn_normals(uint64_t seed, uint64_t stream, int64_t count, double deviation, layer_real *values);
double drawn_difference(int64_t count, const layer_real *a, const layer_real *b);

struct drawn_layer {
    struct layer_self_attention layer;
    struct layer_attention_saved saved; /* of the last call */
    struct layer_compute compute;       /* a plain GEMM on one thread; set it to differ */
};

/* Maps of model_dim features to heads x head_dim and back, N(0, 1 / inputs), without biases, scale 1/sqrt(head_dim),
 * memory for `tokens` tokens, which lasts as long as the run. Uses streams stream..stream + 3. ATTN_NO_MEMORY. */
enum attn_status drawn_layer_create(struct study_run *run, uint64_t stream, int64_t tokens, int64_t model_dim,
                                    int64_t heads, int64_t head_dim, struct drawn_layer *drawn,
                                    struct attn_error *error);

/* layer_self_attention_forward. */
enum attn_status drawn_layer_forward(const struct drawn_layer *drawn, const struct layer_attention *attention,
                                     const struct layer_sequences *sequences, const layer_real *x, layer_real *y,
                                     struct attn_error *error);

/* One call without maps: out [tokens][heads x value_dim] from q, k [tokens][heads x head_dim] and v as out. The
 * problem's heads, lengths (key_len 0: query_len), dimensions and mask are read; its other fields are filled in. */
enum attn_status drawn_attention(const struct layer_attention *attention, struct attn_problem problem,
                                 const layer_real *q, const layer_real *k, const layer_real *v, layer_real *out,
                                 struct attn_error *error);

#endif
