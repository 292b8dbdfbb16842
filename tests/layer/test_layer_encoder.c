/* SPDX-License-Identifier: Apache-2.0 */
/* The BERT encoder on small drawn weights: packing, and every refusal. The real model is tested from Python. */
#include <string.h>

#include "check/oracle_attention.h"
#include "layer/encoder.h"
#include "layer/plain_gemm.h"
#include "layer_draw.h"

enum { FEATURES = 8, VOCABULARY = 11, POSITIONS = 4, TOKENS = 7, BLOCKS = 2 };

static const struct layer_compute one_thread = {layer_plain_gemm, 1};
static const struct layer_attention oracle = {NULL, check_oracle_attention};
static const struct layer_encoder_sizes small = {BLOCKS, 2, FEATURES, 12, VOCABULARY, POSITIONS, 2, 1e-12};
static const int64_t ids[TOKENS] = {1, 2, 3, 10, 0, 5, 5}, offsets[] = {0, 4, 5, TOKENS};

static struct layer_encoder drawn_encoder(void) {
    struct layer_encoder encoder;
    struct attn_error error;
    cr_assert(layer_encoder_init(&encoder, &small, &error) == ATTN_OK, "%s", error.message);
    for (int n = 0; n < layer_encoder_array_count(&encoder); ++n) {
        struct layer_encoder_array array;
        layer_encoder_array(&encoder, n, &array);
        cr_assert(*array.slot == NULL, "%s has a place of its own", array.name);
        *array.slot = draw((uint64_t)n, array.shape[0] * array.shape[1], .5);
    }
    return encoder;
}

static enum attn_status encode(const struct layer_encoder *encoder, int64_t segments, const int64_t *starts,
                               const int64_t *tokens, layer_real *states, bool all, struct attn_error *error) {
    layer_real *const scratch = zeros(layer_encoder_scratch_count(encoder, starts[segments]));
    const enum attn_status status =
        layer_encoder_forward(encoder, &oracle, &one_thread, segments, starts, tokens, scratch, states, all, error);
    free(scratch);
    return status;
}

Test(encoder, arrays_have_the_names_of_checkpoints) {
    struct layer_encoder encoder = drawn_encoder();
    struct layer_encoder_array array;
    cr_expect_eq(layer_encoder_array_count(&encoder), 5 + 16 * BLOCKS);
    layer_encoder_array(&encoder, 0, &array);
    cr_expect_str_eq(array.name, "embeddings.word_embeddings.weight");
    cr_expect(array.rank == 2 && array.shape[0] == VOCABULARY && array.shape[1] == FEATURES);
    layer_encoder_array(&encoder, 5 + 16 + 8, &array);
    cr_expect_str_eq(array.name, "encoder.layer.1.intermediate.dense.weight");
    cr_expect(array.rank == 2 && array.shape[0] == 12 && array.shape[1] == FEATURES);
    layer_encoder_array(&encoder, 5 + 16 + 15, &array);
    cr_expect_str_eq(array.name, "encoder.layer.1.output.LayerNorm.bias");
    cr_expect(array.rank == 1 && array.shape[0] == FEATURES);
}

/* The oracle and the plain product go row by row: the very same bits, alone or packed. */
Test(encoder, a_sequence_does_not_see_its_batch_mates) {
    const struct layer_encoder encoder = drawn_encoder();
    layer_real together[TOKENS * FEATURES], alone[TOKENS * FEATURES], all[(BLOCKS + 1) * TOKENS * FEATURES];
    struct attn_error error;
    cr_assert(encode(&encoder, 3, offsets, ids, together, false, &error) == ATTN_OK, "%s", error.message);
    for (int n = 0; n < 3; ++n) {
        const int64_t count = offsets[n + 1] - offsets[n];
        cr_assert(encode(&encoder, 1, (const int64_t[]){0, count}, ids + offsets[n], alone, false, &error) == ATTN_OK);
        cr_expect(memcmp(alone, together + offsets[n] * FEATURES, (size_t)(count * FEATURES) * sizeof *alone) == 0,
                  "sequence %d", n);
    }
    cr_assert(encode(&encoder, 3, offsets, ids, all, true, &error) == ATTN_OK);
    cr_expect(memcmp(all + BLOCKS * TOKENS * FEATURES, together, sizeof together) == 0, "the last state of all");
}

Test(encoder, pooled_vectors_are_means_of_unit_norm) {
    const layer_real states[] = {1, 5, 5, 3, 0, -2};
    layer_real vectors[4];
    layer_encoder_pool(2, (const int64_t[]){0, 2, 3}, 2, states, vectors);
    const double root = 0.6; /* mean (3, 4), norm 5 */
    cr_expect(fabs((double)vectors[0] - root) < 1e-7 && fabs((double)vectors[1] - 0.8) < 1e-7);
    cr_expect(vectors[2] == 0 && vectors[3] == -1);
}

static void expect_refused(const struct layer_encoder *encoder, int64_t segments, const int64_t *starts,
                           const int64_t *tokens, const char *what) {
    layer_real states[TOKENS * FEATURES];
    struct attn_error error = {.status = ATTN_OK};
    cr_expect(encode(encoder, segments, starts, tokens, states, false, &error) == ATTN_INVALID);
    cr_expect(strstr(error.message, what) != NULL, "said '%s', not '%s'", error.message, what);
}

Test(encoder, refusals) {
    struct layer_encoder encoder = drawn_encoder();
    expect_refused(&encoder, 1, (const int64_t[]){0, 5}, ids, "longer than the 4 positions");
    expect_refused(&encoder, 2, (const int64_t[]){0, 2, 2}, ids, "sequence 1 is empty");
    expect_refused(&encoder, 1, (const int64_t[]){0, 2}, (const int64_t[]){1, VOCABULARY}, "token 1 has id 11");
    encoder.blocks[1].network.narrow.bias = NULL;
    expect_refused(&encoder, 3, offsets, ids, "no array 'encoder.layer.1.output.dense.bias'");
}

Test(encoder, impossible_sizes) {
    struct layer_encoder encoder;
    struct attn_error error;
    struct layer_encoder_sizes sizes = small;
    sizes.heads = 3;
    cr_expect(layer_encoder_init(&encoder, &sizes, &error) == ATTN_INVALID);
    cr_expect_str_eq(error.message, "8 features are not divided by 3 heads");
    sizes = small;
    sizes.blocks = LAYER_MAX_BLOCKS + 1;
    cr_expect(layer_encoder_init(&encoder, &sizes, &error) == ATTN_INVALID);
    sizes = small;
    sizes.positions = 0;
    cr_expect(layer_encoder_init(&encoder, &sizes, &error) == ATTN_INVALID);
    sizes = small;
    sizes.epsilon = 0;
    cr_expect(layer_encoder_init(&encoder, &sizes, &error) == ATTN_INVALID);
}
