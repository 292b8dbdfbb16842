/* SPDX-License-Identifier: Apache-2.0 */
/* A BERT encoder with the session's variant inside. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "layer/encoder.h"
#include "layer/plain_gemm.h"
#include "layer/variant_attention.h"

#pragma GCC visibility push(default)
#include "api/encoder_api.h"
#pragma GCC visibility pop

struct attnbench_encoder {
    struct layer_encoder layers;
    struct layer_encoder_array asked; /* the last one whose name was asked for */
    struct layer_variant inner;       /* keeps its workspace between calls */
};

int attnbench_encoder_create(struct attnbench *session, int64_t blocks, int64_t heads, int64_t features, int64_t hidden,
                             int64_t vocabulary, int64_t positions, int64_t kinds, double epsilon,
                             struct attnbench_encoder **encoder) {
    const struct layer_encoder_sizes sizes = {blocks, heads, features, hidden, vocabulary, positions, kinds, epsilon};
    struct attnbench_encoder *const made = calloc(1, sizeof *made);
    *encoder = NULL;
    if (!made)
        return attn_fail(&session->error, ATTN_NO_MEMORY, "no memory for an encoder");
    const enum attn_status status = layer_encoder_init(&made->layers, &sizes, &session->error);
    if (status)
        free(made);
    else
        *encoder = made;
    return status;
}

void attnbench_encoder_destroy(struct attnbench_encoder *encoder) {
    if (!encoder)
        return;
    layer_variant_release(&encoder->inner);
    free(encoder);
}

int attnbench_encoder_array_count(const struct attnbench_encoder *encoder) {
    return layer_encoder_array_count(&encoder->layers);
}

const char *attnbench_encoder_array_name(struct attnbench_encoder *encoder, int array) {
    if (array < 0 || array >= layer_encoder_array_count(&encoder->layers))
        return NULL;
    layer_encoder_array(&encoder->layers, array, &encoder->asked);
    return encoder->asked.name;
}

int attnbench_encoder_array(struct attnbench *session, struct attnbench_encoder *encoder, int array, float *data,
                            int rank, const int64_t *shape) {
    if (!attnbench_encoder_array_name(encoder, array))
        return attn_fail(&session->error, ATTN_INVALID, "the encoder has no array %d; its last is %d", array,
                         layer_encoder_array_count(&encoder->layers) - 1);
    const struct layer_encoder_array *const asked = &encoder->asked;
    if (rank != asked->rank || shape[0] != asked->shape[0] || (rank == 2 && shape[1] != asked->shape[1]))
        return attn_fail(&session->error, ATTN_INVALID,
                         "'%s' has %d dimensions, the first %" PRId64 "; it must have %d: %" PRId64 " x %" PRId64,
                         asked->name, rank, rank > 0 ? shape[0] : 0, asked->rank, asked->shape[0], asked->shape[1]);
    *asked->slot = data;
    return ATTN_OK;
}

/* What the encoder computes with: the session's choice, everything automatic. */
static enum attn_status prepare(struct attnbench *session, struct attnbench_encoder *encoder, int64_t sequences,
                                const int64_t *offsets) {
    if (!session->variant)
        return attn_fail(&session->error, ATTN_INVALID, "no variant was chosen");
    if (session->execution.threads < 1)
        return attn_fail(&session->error, ATTN_INVALID, "threads is %d; it must be at least 1",
                         session->execution.threads);
    if (sequences < 1 || offsets[0] != 0)
        return attn_fail(&session->error, ATTN_INVALID, "there must be a sequence, and the first begin at 0");
    encoder->inner.variant = session->variant;
    encoder->inner.execution = session->execution;
    memset(encoder->inner.execution.parameters, 0, sizeof encoder->inner.execution.parameters);
    return ATTN_OK;
}

int attnbench_encode(struct attnbench *session, struct attnbench_encoder *encoder, int64_t sequences,
                     const int64_t *offsets, const int64_t *ids, float *vectors, float *states) {
    enum attn_status status = prepare(session, encoder, sequences, offsets);
    if (status)
        return status;
    const int64_t tokens = offsets[sequences], features = encoder->layers.sizes.features;
    const int64_t last = states ? encoder->layers.sizes.blocks * tokens * features : 0;
    if (tokens < 1 || tokens > INT32_MAX)
        return attn_fail(&session->error, ATTN_INVALID, "%" PRId64 " tokens; there must be 1 to 2^31-1", tokens);
    const size_t scratch_bytes = (size_t)layer_encoder_scratch_count(&encoder->layers, tokens) * sizeof(float);
    float *const scratch = malloc(scratch_bytes);
    float *const own = states ? NULL : malloc((size_t)(tokens * features) * sizeof *own);
    float *const all = states ? states : own;
    if (!scratch || !all)
        status =
            attn_fail(&session->error, ATTN_NO_MEMORY, "no memory to encode %" PRId64 " tokens; pack fewer", tokens);
    const struct layer_compute compute = {session->execution.sgemm ? session->execution.sgemm : layer_plain_gemm,
                                          session->execution.threads};
    const struct layer_attention attention = {&encoder->inner, layer_variant_attention};
    if (!status)
        status = layer_encoder_forward(&encoder->layers, &attention, &compute, sequences, offsets, ids, scratch, all,
                                       states != NULL, &session->error);
    if (!status)
        layer_encoder_pool(sequences, offsets, features, all + last, vectors);
    free(scratch);
    free(own);
    return status;
}
