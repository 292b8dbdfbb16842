/* SPDX-License-Identifier: Apache-2.0 */
/* A session and the setters that describe a problem to it. */
#include "api/handle.h"

#include <stdlib.h>
#include <string.h>

#include "contract/nearest.h"
#include "machine/gemm.h"
#include "machine/topology.h"

/* Cache sizes of this machine; all 0, which every variant understands, where the topology can't be read. */
static struct attn_caches read_caches(void) {
    struct machine_topology *topology = NULL;
    struct attn_caches caches = {0};
    if (machine_topology_load(&topology, NULL) == ATTN_OK)
        caches = machine_topology_caches(topology);
    machine_topology_free(topology);
    return caches;
}

struct attnbench *attnbench_create(void) {
    struct attnbench *const session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    machine_gemm_single_thread();
    session->execution.caches = read_caches();
    session->execution.sgemm = machine_gemm();
    attnbench_begin(session);
    return session;
}

void attnbench_destroy(struct attnbench *session) {
    if (!session)
        return;
    machine_buffer_release(&session->workspace);
    free(session);
}

const char *attnbench_error(const struct attnbench *session) {
    return session->error.message;
}

int64_t attnbench_workspace_bytes(const struct attnbench *session) {
    return (int64_t)session->workspace.bytes;
}

void attnbench_begin(struct attnbench *session) {
    session->problem = (struct attn_problem){.type = ATTN_F32};
    session->operands = (struct attn_operands){.lse = {.data = NULL}};
    session->variant = NULL;
    memset(session->overrides, 0, sizeof session->overrides);
    session->execution.threads = 1;
    session->error = (struct attn_error){.status = ATTN_OK};
}

/* The index of `text` among `count` choices; -1 after recording what `what` was given and might have meant. */
static int choose(struct attnbench *session, const char *what, const char *text, const char *const *choices,
                  int count) {
    for (int n = 0; n < count; ++n)
        if (strcmp(choices[n], text) == 0)
            return n;
    const char *const nearest = attn_nearest(text, choices, (size_t)count);
    attn_fail(&session->error, ATTN_INVALID, "unknown %s '%s'; did you mean '%s'?", what, text,
              nearest ? nearest : choices[0]);
    return -1;
}

int attnbench_operand(struct attnbench *session, const char *name, const char *type, void *data, const int64_t *shape,
                      const int64_t *stride) {
    static const char *const names[] = {"q", "k", "v", "out", "lse"};
    static const char *const types[] = {"f32", "bf16", "f16"}; /* in the order of enum attn_type */
    struct attn_operands *const operands = &session->operands;
    struct attn_tensor *const tensors[] = {&operands->q, &operands->k, &operands->v, &operands->out, &operands->lse};
    const int which = choose(session, "operand", name, names, 5);
    const int type_index = choose(session, "element type", type, types, 3);
    if (which < 0 || type_index < 0)
        return ATTN_INVALID;
    struct attn_tensor *const tensor = tensors[which];
    *tensor = (struct attn_tensor){.data = data, .type = (enum attn_type)type_index};
    memcpy(tensor->shape, shape, sizeof tensor->shape);
    memcpy(tensor->stride, stride, sizeof tensor->stride);
    return ATTN_OK;
}

void attnbench_scale(struct attnbench *session, float scale) {
    session->problem.scale = scale;
}

void attnbench_softcap(struct attnbench *session, float softcap) {
    session->problem.mask.softcap = softcap;
}

int attnbench_causal(struct attnbench *session, const char *mode) {
    static const char *const modes[] = {"none", "top_left", "bottom_right"};
    const int which = choose(session, "causal mode", mode, modes, 3);
    if (which < 0)
        return ATTN_INVALID;
    session->problem.mask.causal = which > 0;
    session->problem.mask.alignment = which == 2 ? ATTN_BOTTOM_RIGHT : ATTN_TOP_LEFT;
    return ATTN_OK;
}

int attnbench_alignment(struct attnbench *session, const char *alignment) {
    static const char *const alignments[] = {"top_left", "bottom_right"}; /* in the order of enum attn_alignment */
    const int which = choose(session, "alignment", alignment, alignments, 2);
    if (which < 0)
        return ATTN_INVALID;
    session->problem.mask.alignment = (enum attn_alignment)which;
    return ATTN_OK;
}

void attnbench_positions(struct attnbench *session, const int64_t *query_start, int64_t count, int64_t key_start) {
    session->problem.mask.query_start = query_start;
    session->query_start_count = count;
    session->problem.mask.key_start = key_start;
}

void attnbench_window(struct attnbench *session, int64_t left, int64_t right) {
    session->problem.mask.windowed = true;
    session->problem.mask.window_left = left;
    session->problem.mask.window_right = right;
}

void attnbench_key_lengths(struct attnbench *session, const int64_t *lengths, int64_t count) {
    session->problem.mask.key_lengths = lengths;
    session->key_lengths_count = count;
}

void attnbench_packed(struct attnbench *session, const int64_t *query_offsets, int64_t query_count,
                      const int64_t *key_offsets, int64_t key_count) {
    session->problem.mask.query_offsets = query_offsets;
    session->problem.mask.key_offsets = key_offsets;
    session->query_offsets_count = query_count;
    session->key_offsets_count = key_count;
}

void attnbench_mask(struct attnbench *session, const bool *allowed, const int64_t *shape, const int64_t *stride) {
    session->problem.mask.allowed = allowed;
    memcpy(session->allowed_shape, shape, sizeof session->allowed_shape);
    memcpy(session->problem.mask.allowed_stride, stride, sizeof session->problem.mask.allowed_stride);
}

void attnbench_bias(struct attnbench *session, const float *bias, const int64_t *shape, const int64_t *stride) {
    session->problem.mask.bias = bias;
    memcpy(session->bias_shape, shape, sizeof session->bias_shape);
    memcpy(session->problem.mask.bias_stride, stride, sizeof session->problem.mask.bias_stride);
}

void attnbench_alibi(struct attnbench *session, const float *slopes, int64_t count) {
    session->problem.mask.alibi_slopes = slopes;
    session->slope_count = count;
}

void attnbench_sinks(struct attnbench *session, const float *sinks, int64_t count) {
    session->problem.mask.sinks = sinks;
    session->sink_count = count;
}

void attnbench_threads(struct attnbench *session, int threads) {
    session->execution.threads = threads;
}
