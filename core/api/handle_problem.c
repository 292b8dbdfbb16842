/* SPDX-License-Identifier: Apache-2.0 */
/* From what the setters were told to a built problem: nothing a mask array holds is read before its
 * length was compared with the problem. */
#include <inttypes.h>
#include <math.h>

#include "api/handle.h"

static enum attn_status check_count(struct attnbench *session, const char *name, const void *array, int64_t count,
                                    int64_t needed, const char *why) {
    if (!array || count == needed)
        return ATTN_OK;
    return attn_fail(&session->error, ATTN_INVALID, "%s has %" PRId64 " entries; it must have %" PRId64 ", %s", name,
                     count, needed, why);
}

/* Sets the stride of every axis that broadcasts to 0. */
static enum attn_status broadcast(struct attnbench *session, const char *name, const int64_t shape[4],
                                  int64_t stride[4]) {
    const struct attn_problem *const problem = &session->problem;
    const int64_t full[4] = {problem->batch, problem->query_heads, problem->query_len, problem->key_len};
    for (int axis = 0; axis < 4; ++axis) {
        if (shape[axis] != full[axis] && shape[axis] != 1)
            return attn_fail(&session->error, ATTN_INVALID,
                             "%s has shape [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                             "]; the problem needs [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                             "], where 1 broadcasts",
                             name, shape[0], shape[1], shape[2], shape[3], full[0], full[1], full[2], full[3]);
        if (shape[axis] == 1)
            stride[axis] = 0;
    }
    return ATTN_OK;
}

static enum attn_status check_packed(struct attnbench *session) {
    struct attn_mask *const mask = &session->problem.mask;
    mask->segments = 0;
    if (!mask->query_offsets && !mask->key_offsets)
        return ATTN_OK;
    if (!mask->query_offsets || !mask->key_offsets)
        return attn_fail(&session->error, ATTN_INVALID, "%s is missing; packed sequences need query and key offsets",
                         mask->query_offsets ? "key_offsets" : "query_offsets");
    if (session->query_offsets_count < 2)
        return attn_fail(&session->error, ATTN_INVALID,
                         "query_offsets has %" PRId64 " entries; n packed sequences need n + 1, at least 2",
                         session->query_offsets_count);
    mask->segments = session->query_offsets_count - 1;
    return check_count(session, "key_offsets", mask->key_offsets, session->key_offsets_count,
                       session->query_offsets_count, "as many as query_offsets");
}

static enum attn_status check_arrays(struct attnbench *session) {
    struct attn_problem *const problem = &session->problem;
    struct attn_mask *const mask = &problem->mask;
    enum attn_status status = check_packed(session);
    if (!status)
        status = check_count(session, "query_start", mask->query_start, session->query_start_count,
                             mask->segments > 0 ? mask->segments : problem->batch, "one per sequence");
    if (!status)
        status = check_count(session, "key_lengths", mask->key_lengths, session->key_lengths_count, problem->batch,
                             "one per batch element");
    if (!status)
        status = check_count(session, "alibi_slopes", mask->alibi_slopes, session->slope_count, problem->query_heads,
                             "one per query head");
    if (!status)
        status =
            check_count(session, "sinks", mask->sinks, session->sink_count, problem->query_heads, "one per query head");
    for (int64_t h = 0; !status && mask->sinks && h < problem->query_heads; ++h)
        if (mask->sinks[h] == INFINITY)
            status = attn_fail(&session->error, ATTN_INVALID,
                               "sinks[%" PRId64 "] is inf; a sink is a logit, or -inf for a head that has none", h);
    if (!status && mask->bias)
        status = broadcast(session, "bias", session->bias_shape, mask->bias_stride);
    if (!status && mask->allowed)
        status = broadcast(session, "mask", session->allowed_shape, mask->allowed_stride);
    return status;
}

/* attn_problem_build takes 0 for a default; here every size was given by a tensor. */
static enum attn_status check_not_empty(struct attnbench *session, const char *name, const struct attn_tensor *tensor) {
    static const char *const axes[] = {"batch", "heads", "positions", "features"};
    if (!tensor->data)
        return attn_fail(&session->error, ATTN_INVALID, "operand %s is missing", name);
    for (int axis = 0; axis < 4; ++axis)
        if (tensor->shape[axis] < 1)
            return attn_fail(&session->error, ATTN_INVALID, "%s has %" PRId64 " %s; there must be at least 1", name,
                             tensor->shape[axis], axes[axis]);
    return ATTN_OK;
}

enum attn_status attnbench_complete(struct attnbench *session) {
    struct attn_problem *const problem = &session->problem;
    const struct attn_operands *const operands = &session->operands;
    enum attn_status status = check_not_empty(session, "q", &operands->q);
    if (!status)
        status = check_not_empty(session, "k", &operands->k);
    if (!status)
        status = check_not_empty(session, "v", &operands->v);
    if (status)
        return status;
    problem->type = operands->q.type;
    problem->batch = operands->q.shape[0];
    problem->query_heads = operands->q.shape[1];
    problem->query_len = operands->q.shape[2];
    problem->head_dim = operands->q.shape[3];
    problem->key_heads = operands->k.shape[1];
    problem->key_len = operands->k.shape[2];
    problem->value_dim = operands->v.shape[3];
    status = check_arrays(session);
    if (!status)
        status = attn_problem_build(problem, &session->error);
    return status ? status : attn_operands_check(problem, operands, &session->error);
}
