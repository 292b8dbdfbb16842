/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/encoder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum attn_status layer_encoder_init(struct layer_encoder *encoder, const struct layer_encoder_sizes *sizes,
                                    struct attn_error *error) {
    const int64_t all[] = {sizes->blocks,     sizes->heads,     sizes->features, sizes->hidden,
                           sizes->vocabulary, sizes->positions, sizes->kinds};
    for (size_t n = 0; n < sizeof all / sizeof *all; ++n)
        if (all[n] < 1 || all[n] > INT32_MAX)
            return attn_fail(error, ATTN_INVALID, "an encoder's sizes are 1 to 2^31-1; one is %" PRId64, all[n]);
    if (sizes->blocks > LAYER_MAX_BLOCKS)
        return attn_fail(error, ATTN_INVALID, "%" PRId64 " blocks; at most %d are supported", sizes->blocks,
                         LAYER_MAX_BLOCKS);
    if (sizes->features % sizes->heads != 0)
        return attn_fail(error, ATTN_INVALID, "%" PRId64 " features are not divided by %" PRId64 " heads",
                         sizes->features, sizes->heads);
    if (!(sizes->epsilon > 0))
        return attn_fail(error, ATTN_INVALID, "the layer norms' epsilon is %g; it must be positive", sizes->epsilon);
    const int64_t features = sizes->features;
    *encoder = (struct layer_encoder){
        .sizes = *sizes,
        .words = {sizes->vocabulary, features, NULL},
        .places = {sizes->positions, features, NULL},
        .kinds = {sizes->kinds, features, NULL},
        .norm = {LAYER_NORM_BIASED_VARIANCE, features, sizes->epsilon, NULL, NULL},
    };
    for (int64_t n = 0; n < sizes->blocks; ++n) {
        struct layer_block *const block = &encoder->blocks[n];
        layer_block_place(block, LAYER_POST_NORM, features, sizes->heads, features / sizes->heads, sizes->hidden, NULL);
        block->attention_norm.epsilon = block->network_norm.epsilon = sizes->epsilon;
    }
    return ATTN_OK;
}

/* ---- the arrays by name ---- */

enum { EMBEDDING_ARRAYS = 5, BLOCK_ARRAYS = 16 };

int layer_encoder_array_count(const struct layer_encoder *encoder) {
    return EMBEDDING_ARRAYS + BLOCK_ARRAYS * (int)encoder->sizes.blocks;
}

static void embedding_array(struct layer_encoder *encoder, int index, struct layer_encoder_array *array) {
    struct layer_embedding *const tables[] = {&encoder->words, &encoder->places, &encoder->kinds};
    static const char *const names[EMBEDDING_ARRAYS] = {"word_embeddings.weight", "position_embeddings.weight",
                                                        "token_type_embeddings.weight", "LayerNorm.weight",
                                                        "LayerNorm.bias"};
    snprintf(array->name, sizeof array->name, "embeddings.%s", names[index]);
    array->rank = index < 3 ? 2 : 1;
    array->shape[0] = index < 3 ? tables[index]->entries : encoder->sizes.features;
    array->shape[1] = index < 3 ? encoder->sizes.features : 1;
    array->slot = index < 3 ? &tables[index]->table : index == 3 ? &encoder->norm.gain : &encoder->norm.bias;
}

/* Six affine maps, then two norms; of each the weight first. */
static void block_array(struct layer_encoder *encoder, int64_t n, int index, struct layer_encoder_array *array) {
    struct layer_block *const block = &encoder->blocks[n];
    struct layer_linear *const maps[] = {&block->attention.query,  &block->attention.key, &block->attention.value,
                                         &block->attention.output, &block->network.widen, &block->network.narrow};
    struct layer_norm *const norms[] = {&block->attention_norm, &block->network_norm};
    static const char *const names[] = {"attention.self.query",       "attention.self.key", "attention.self.value",
                                        "attention.output.dense",     "intermediate.dense", "output.dense",
                                        "attention.output.LayerNorm", "output.LayerNorm"};
    const int part = index / 2;
    const bool weight = index % 2 == 0;
    snprintf(array->name, sizeof array->name, "encoder.layer.%" PRId64 ".%s.%s", n, names[part],
             weight ? "weight" : "bias");
    array->rank = part < 6 && weight ? 2 : 1;
    array->shape[0] = part < 6 ? maps[part]->out_features : encoder->sizes.features;
    array->shape[1] = array->rank == 2 ? maps[part]->in_features : 1;
    if (part < 6)
        array->slot = weight ? &maps[part]->weight : &maps[part]->bias;
    else
        array->slot = weight ? &norms[part - 6]->gain : &norms[part - 6]->bias;
}

void layer_encoder_array(struct layer_encoder *encoder, int index, struct layer_encoder_array *array) {
    if (index < EMBEDDING_ARRAYS)
        embedding_array(encoder, index, array);
    else
        block_array(encoder, (index - EMBEDDING_ARRAYS) / BLOCK_ARRAYS, (index - EMBEDDING_ARRAYS) % BLOCK_ARRAYS,
                    array);
}

static enum attn_status check_arrays(const struct layer_encoder *encoder, struct attn_error *error) {
    struct layer_encoder copy = *encoder; /* slots are for writing */
    for (int n = 0; n < layer_encoder_array_count(encoder); ++n) {
        struct layer_encoder_array array;
        layer_encoder_array(&copy, n, &array);
        if (!*array.slot)
            return attn_fail(error, ATTN_INVALID, "the encoder has no array '%s'; give it before encoding", array.name);
    }
    return ATTN_OK;
}

/* ---- encoding ---- */

int64_t layer_encoder_scratch_count(const struct layer_encoder *encoder, int64_t tokens) {
    return layer_block_saved_count(&encoder->blocks[0], tokens);
}

static enum attn_status embed(const struct layer_encoder *encoder, const struct layer_compute *compute,
                              const struct layer_sequences *sequences, const int64_t *ids, layer_real *x,
                              struct attn_error *error) {
    const int64_t tokens = sequences->positions, features = encoder->sizes.features;
    enum attn_status status = layer_embedding_forward(&encoder->words, tokens, ids, x, error);
    if (!status)
        status = layer_positions_forward(&encoder->places, sequences, x, error);
    for (int64_t token = 0; !status && token < tokens; ++token)
        for (int64_t c = 0; c < features; ++c)
            x[token * features + c] += encoder->kinds.table[c];
    if (!status)
        layer_norm_forward(&encoder->norm, compute, tokens, x, x);
    return status;
}

enum attn_status layer_encoder_forward(const struct layer_encoder *encoder, const struct layer_attention *attention,
                                       const struct layer_compute *compute, int64_t segments, const int64_t *offsets,
                                       const int64_t *ids, layer_real *scratch, layer_real *states, bool all_states,
                                       struct attn_error *error) {
    enum attn_status status = check_arrays(encoder, error);
    for (int64_t n = 0; !status && n < segments; ++n)
        if (offsets[n + 1] <= offsets[n])
            status = attn_fail(error, ATTN_INVALID, "sequence %" PRId64 " is empty; it needs at least one token", n);
    if (status)
        return status;
    const struct layer_sequences sequences = {
        .batch = 1,
        .positions = offsets[segments],
        .mask = {.segments = segments, .query_offsets = offsets, .key_offsets = offsets},
    };
    const int64_t step = all_states ? sequences.positions * encoder->sizes.features : 0;
    status = embed(encoder, compute, &sequences, ids, states, error);
    for (int64_t n = 0; !status && n < encoder->sizes.blocks; ++n)
        status = layer_block_forward(&encoder->blocks[n], attention, compute, &sequences, states + n * step, scratch,
                                     states + (n + 1) * step, error);
    return status;
}

void layer_encoder_pool(int64_t segments, const int64_t *offsets, int64_t features, const layer_real *states,
                        layer_real *vectors) {
    for (int64_t n = 0; n < segments; ++n) {
        layer_real *const vector = vectors + n * features;
        double squares = 0;
        for (int64_t c = 0; c < features; ++c) {
            double sum = 0;
            for (int64_t token = offsets[n]; token < offsets[n + 1]; ++token)
                sum += (double)states[token * features + c];
            vector[c] = (layer_real)(sum / (double)(offsets[n + 1] - offsets[n]));
            squares += (double)vector[c] * (double)vector[c];
        }
        for (int64_t c = 0; c < features; ++c)
            vector[c] = (layer_real)((double)vector[c] / sqrt(squares));
    }
}
