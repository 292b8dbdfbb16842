/* SPDX-License-Identifier: Apache-2.0 */
/* A BERT encoder (Devlin et al. 2018): words, learned positions and a layer norm, then post-norm blocks. MiniLM-L6 is
 * one (6 blocks, 12 heads, 384 features, 1,536 hidden). Sequences are packed, so that none pays for another's length.
 */
#ifndef LAYER_ENCODER_H
#define LAYER_ENCODER_H

#include "layer/block.h"
#include "layer/embedding.h"

#define layer_encoder_init          LAYER_NAME(layer_encoder_init)
#define layer_encoder_array_count   LAYER_NAME(layer_encoder_array_count)
#define layer_encoder_array         LAYER_NAME(layer_encoder_array)
#define layer_encoder_scratch_count LAYER_NAME(layer_encoder_scratch_count)
#define layer_encoder_forward       LAYER_NAME(layer_encoder_forward)
#define layer_encoder_pool          LAYER_NAME(layer_encoder_pool)

#define LAYER_MAX_BLOCKS 48

struct layer_encoder_sizes {
    int64_t blocks, heads, features, hidden;
    int64_t vocabulary, positions; /* entries of the tables: words known, longest sequence */
    int64_t kinds;                 /* token types; 0 is used */
    double epsilon;                /* of the layer norms; BERT 1e-12 */
};

struct layer_encoder {
    struct layer_encoder_sizes sizes;
    struct layer_embedding words, places, kinds;
    struct layer_norm norm;
    struct layer_block blocks[LAYER_MAX_BLOCKS];
};

/* Fills in sizes; every array is missing (NULL). ATTN_INVALID: a size below 1, features that heads do not divide, more
 * than LAYER_MAX_BLOCKS blocks, an epsilon that is not positive. */
enum attn_status layer_encoder_init(struct layer_encoder *encoder, const struct layer_encoder_sizes *sizes,
                                    struct attn_error *error);

/* One of its arrays: the name that BERT checkpoints give it, its shape, and where its address belongs. The encoder
 * reads arrays and owns none. */
struct layer_encoder_array {
    char name[96];
    int rank;
    int64_t shape[2];
    layer_real **slot;
};

int layer_encoder_array_count(const struct layer_encoder *encoder);
void layer_encoder_array(struct layer_encoder *encoder, int index, struct layer_encoder_array *array);

int64_t layer_encoder_scratch_count(const struct layer_encoder *encoder, int64_t tokens); /* reals */

/* Encodes `segments` sequences packed one after the other: sequence n has the ids [offsets[n], offsets[n + 1]),
 * offsets[0] is 0, none is empty. states [blocks + 1][tokens][features]: the embeddings, then every block's output,
 * when `all_states`; else [tokens][features], the last alone. ATTN_INVALID: an array is missing, an unknown id, a
 * sequence that is empty or longer than the positions; else the attention's own. */
enum attn_status layer_encoder_forward(const struct layer_encoder *encoder, const struct layer_attention *attention,
                                       const struct layer_compute *compute, int64_t segments, const int64_t *offsets,
                                       const int64_t *ids, layer_real *scratch, layer_real *states, bool all_states,
                                       struct attn_error *error);

/* A vector per sequence [segments][features]: the mean of its tokens' rows of states [tokens][features], at unit
 * Euclidean norm (Reimers, Gurevych 2019). */
void layer_encoder_pool(int64_t segments, const int64_t *offsets, int64_t features, const layer_real *states,
                        layer_real *vectors);

#endif
