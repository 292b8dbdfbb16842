/* SPDX-License-Identifier: Apache-2.0 */
/* Checks a problem's sizes, mask and operands, and says of everything wrong what would be right. */
#include "contract/problem.h"

#include <inttypes.h>
#include <math.h>

#define MAX_SIZE         INT64_C(0x7FFFFFFF)
#define MAX_TENSOR_BYTES (INT64_C(1) << 48) /* what a process can map on today's 64-bit machines */

static enum attn_status check_sizes(const struct attn_problem *problem, struct attn_error *error) {
    const struct {
        const char *name;
        int64_t value;
    } sizes[] = {
        {"batch", problem->batch},         {"query_heads", problem->query_heads}, {"key_heads", problem->key_heads},
        {"query_len", problem->query_len}, {"key_len", problem->key_len},         {"head_dim", problem->head_dim},
        {"value_dim", problem->value_dim},
    };
    for (size_t n = 0; n < sizeof sizes / sizeof *sizes; ++n)
        if (sizes[n].value < 1 || sizes[n].value > MAX_SIZE)
            return attn_fail(error, ATTN_INVALID, "%s is %" PRId64 "; it must be in 1..%" PRId64, sizes[n].name,
                             sizes[n].value, MAX_SIZE);
    if (problem->query_heads % problem->key_heads != 0)
        return attn_fail(error, ATTN_INVALID,
                         "query_heads %" PRId64 " is not a multiple of key_heads %" PRId64
                         "; each KV head serves the same number of query heads",
                         problem->query_heads, problem->key_heads);
    return ATTN_OK;
}

/* batch x heads x positions x features in bytes must stay below MAX_TENSOR_BYTES. */
static enum attn_status check_tensor_size(const struct attn_problem *problem, const char *name, int64_t heads,
                                          int64_t positions, int64_t features, struct attn_error *error) {
    int64_t bytes = (int64_t)attn_type_bytes(problem->type);
    const int64_t factors[] = {problem->batch, heads, positions, features};
    for (int n = 0; n < 4; ++n)
        if (__builtin_mul_overflow(bytes, factors[n], &bytes) || bytes > MAX_TENSOR_BYTES)
            return attn_fail(error, ATTN_INVALID,
                             "%s would have %" PRId64 " x %" PRId64 " x %" PRId64 " x %" PRId64
                             " elements, more than 2^48 bytes; make the problem smaller",
                             name, problem->batch, heads, positions, features);
    return ATTN_OK;
}

/* Pairs are counted in an int64_t. */
static enum attn_status check_pair_count(const struct attn_problem *problem, struct attn_error *error) {
    int64_t pairs = problem->batch;
    const int64_t factors[] = {problem->query_heads, problem->query_len, problem->key_len};
    for (int n = 0; n < 3; ++n)
        if (__builtin_mul_overflow(pairs, factors[n], &pairs))
            return attn_fail(error, ATTN_INVALID,
                             "batch %" PRId64 " x query_heads %" PRId64 " x query_len %" PRId64 " x key_len %" PRId64
                             " is more than 2^63 pairs; make the problem smaller",
                             problem->batch, problem->query_heads, problem->query_len, problem->key_len);
    return ATTN_OK;
}

static enum attn_status check_offsets(const char *name, const int64_t *offsets, int64_t segments, int64_t total,
                                      struct attn_error *error) {
    if (!offsets)
        return attn_fail(error, ATTN_INVALID, "packed sequences need %s, %" PRId64 " numbers", name, segments + 1);
    if (offsets[0] != 0 || offsets[segments] != total)
        return attn_fail(error, ATTN_INVALID,
                         "%s runs from %" PRId64 " to %" PRId64 "; it must run from 0 to the total length %" PRId64,
                         name, offsets[0], offsets[segments], total);
    for (int64_t s = 0; s < segments; ++s)
        if (offsets[s] > offsets[s + 1])
            return attn_fail(error, ATTN_INVALID,
                             "%s[%" PRId64 "] = %" PRId64 " is greater than %s[%" PRId64 "] = %" PRId64
                             "; offsets must not descend",
                             name, s, offsets[s], name, s + 1, offsets[s + 1]);
    return ATTN_OK;
}

static enum attn_status check_packing(const struct attn_problem *problem, struct attn_error *error) {
    const struct attn_mask *const mask = &problem->mask;
    if (mask->segments < 0 || mask->segments > MAX_SIZE)
        return attn_fail(error, ATTN_INVALID, "segments is %" PRId64 "; it must be in 0..%" PRId64, mask->segments,
                         MAX_SIZE);
    if (mask->segments == 0) {
        if (mask->query_offsets || mask->key_offsets)
            return attn_fail(error, ATTN_INVALID, "offsets are given but segments is 0; set it to their count - 1");
        return ATTN_OK;
    }
    if (problem->batch != 1)
        return attn_fail(error, ATTN_INVALID, "packed sequences need batch 1, not %" PRId64, problem->batch);
    if (mask->key_lengths)
        return attn_fail(error, ATTN_INVALID, "key_lengths do not go with packed sequences; key_offsets say the same");
    const enum attn_status status =
        check_offsets("query_offsets", mask->query_offsets, mask->segments, problem->query_len, error);
    return status ? status : check_offsets("key_offsets", mask->key_offsets, mask->segments, problem->key_len, error);
}

static enum attn_status check_mask(const struct attn_problem *problem, struct attn_error *error) {
    const struct attn_mask *const mask = &problem->mask;
    if (mask->windowed && (mask->window_left < 0 || mask->window_right < 0))
        return attn_fail(error, ATTN_INVALID,
                         "window (%" PRId64 ", %" PRId64 ") has a negative side; count positions from 0",
                         mask->window_left, mask->window_right);
    /* Positions are added to each other and to window sides; far below 2^62 no sum can overflow. */
    const int64_t far = INT64_C(1) << 40;
    if (mask->windowed && ((mask->window_left > far && mask->window_left != ATTN_UNBOUNDED) ||
                           (mask->window_right > far && mask->window_right != ATTN_UNBOUNDED)))
        return attn_fail(error, ATTN_INVALID,
                         "window (%" PRId64 ", %" PRId64 ") goes beyond 2^40; a side without limit is ATTN_UNBOUNDED",
                         mask->window_left, mask->window_right);
    if (!(mask->softcap >= 0.0f) || isinf(mask->softcap))
        return attn_fail(error, ATTN_INVALID, "softcap is %g; it must be positive and finite, or 0 for none",
                         (double)mask->softcap);
    if (mask->key_start > far || mask->key_start < -far)
        return attn_fail(error, ATTN_INVALID, "key_start is %" PRId64 "; positions go to +-2^40", mask->key_start);
    const int64_t sequences = mask->segments > 0 ? mask->segments : problem->batch;
    for (int64_t b = 0; mask->query_start && b < sequences; ++b)
        if (mask->query_start[b] > far || mask->query_start[b] < -far)
            return attn_fail(error, ATTN_INVALID, "query_start[%" PRId64 "] is %" PRId64 "; positions go to +-2^40", b,
                             mask->query_start[b]);
    for (int64_t b = 0; mask->key_lengths && b < problem->batch; ++b)
        if (mask->key_lengths[b] < 0 || mask->key_lengths[b] > problem->key_len)
            return attn_fail(error, ATTN_INVALID,
                             "key_lengths[%" PRId64 "] is %" PRId64 "; it must be in 0..key_len = %" PRId64, b,
                             mask->key_lengths[b], problem->key_len);
    return check_packing(problem, error);
}

/* A sequence as positions see it: what packing and batching come down to. */
struct sequence {
    int64_t query_count, key_count, live_key_limit, start;
};

static struct sequence sequence_of(const struct attn_problem *problem, int64_t n) {
    const struct attn_mask *const mask = &problem->mask;
    const bool packed = mask->segments > 0;
    struct sequence sequence = {
        .query_count = packed ? mask->query_offsets[n + 1] - mask->query_offsets[n] : problem->query_len,
        .key_count = packed ? mask->key_offsets[n + 1] - mask->key_offsets[n] : problem->key_len,
    };
    sequence.live_key_limit = mask->key_lengths ? mask->key_lengths[n] : sequence.key_count;
    sequence.start = mask->query_start                      ? mask->query_start[n]
                     : mask->alignment == ATTN_BOTTOM_RIGHT ? sequence.key_count - sequence.query_count
                                                            : 0;
    return sequence;
}

/* Counts what the structural masks leave. They are the same for every head. */
static void count_live(struct attn_problem *problem) {
    const struct attn_mask *const mask = &problem->mask;
    const int64_t sequences = mask->segments > 0 ? mask->segments : problem->batch;
    problem->live_pairs = problem->live_keys = 0;
    for (int64_t n = 0; n < sequences; ++n) {
        const struct sequence sequence = sequence_of(problem, n);
        int64_t pairs = 0, first = sequence.live_key_limit, last = 0;
        for (int64_t i = 0; i < sequence.query_count; ++i) {
            const int64_t here = sequence.start + i - mask->key_start;
            int64_t begin = 0, end = sequence.live_key_limit;
            if (mask->causal)
                end = here + 1 < end ? here + 1 : end;
            if (mask->windowed && mask->window_right != ATTN_UNBOUNDED)
                end = here + mask->window_right + 1 < end ? here + mask->window_right + 1 : end;
            if (mask->windowed && mask->window_left != ATTN_UNBOUNDED)
                begin = here - mask->window_left > 0 ? here - mask->window_left : 0;
            if (begin >= end)
                continue;
            pairs += end - begin;
            first = begin < first ? begin : first;
            last = end > last ? end : last;
        }
        problem->live_pairs += pairs * problem->query_heads;
        problem->live_keys += last > first ? last - first : 0;
    }
}

enum attn_status attn_problem_build(struct attn_problem *problem, struct attn_error *error) {
    if (problem->key_heads == 0)
        problem->key_heads = problem->query_heads;
    if (problem->key_len == 0)
        problem->key_len = problem->query_len;
    if (problem->value_dim == 0)
        problem->value_dim = problem->head_dim;
    enum attn_status status = check_sizes(problem, error);
    if (status)
        return status;
    if (problem->scale == 0.0f)
        problem->scale = (float)(1.0 / sqrt((double)problem->head_dim));
    if (!isfinite(problem->scale))
        return attn_fail(error, ATTN_INVALID, "scale is %g; it must be finite", (double)problem->scale);
    if ((unsigned)problem->type > ATTN_F16)
        return attn_fail(error, ATTN_INVALID, "the type of a problem is f32, bf16 or f16");
    const struct {
        const char *name;
        int64_t heads, positions, features;
    } tensors[] = {
        {"q", problem->query_heads, problem->query_len, problem->head_dim},
        {"k", problem->key_heads, problem->key_len, problem->head_dim},
        {"v", problem->key_heads, problem->key_len, problem->value_dim},
        {"out", problem->query_heads, problem->query_len, problem->value_dim},
    };
    for (size_t n = 0; n < sizeof tensors / sizeof *tensors && !status; ++n)
        status = check_tensor_size(problem, tensors[n].name, tensors[n].heads, tensors[n].positions,
                                   tensors[n].features, error);
    if (!status)
        status = check_pair_count(problem, error);
    if (!status)
        status = check_mask(problem, error);
    if (!status)
        count_live(problem);
    return status;
}

enum attn_status attn_operand_check_shape(const char *name, const struct attn_tensor *tensor, const int64_t shape[4],
                                          struct attn_error *error) {
    for (int n = 0; n < 4; ++n)
        if (tensor->shape[n] != shape[n])
            return attn_fail(error, ATTN_INVALID,
                             "%s has shape [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
                             "]; the problem needs [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "]",
                             name, tensor->shape[0], tensor->shape[1], tensor->shape[2], tensor->shape[3], shape[0],
                             shape[1], shape[2], shape[3]);
    return ATTN_OK;
}

static enum attn_status check_operand(const char *name, const struct attn_tensor *tensor, enum attn_type type,
                                      const int64_t shape[4], struct attn_error *error) {
    if (!tensor->data)
        return attn_fail(error, ATTN_INVALID, "operand %s is missing", name);
    if (tensor->type != type)
        return attn_fail(error, ATTN_INVALID, "%s is %s; the problem needs %s", name, attn_type_name(tensor->type),
                         attn_type_name(type));
    const enum attn_status status = attn_operand_check_shape(name, tensor, shape, error);
    if (status == ATTN_OK && tensor->stride[3] != 1 && shape[3] > 1)
        return attn_fail(error, ATTN_INVALID, "%s has feature stride %" PRId64 "; it must be 1", name,
                         tensor->stride[3]);
    return status;
}

enum attn_status attn_operands_check(const struct attn_problem *problem, const struct attn_operands *operands,
                                     struct attn_error *error) {
    const int64_t query[4] = {problem->batch, problem->query_heads, problem->query_len, problem->head_dim};
    const int64_t key[4] = {problem->batch, problem->key_heads, problem->key_len, problem->head_dim};
    const int64_t value[4] = {problem->batch, problem->key_heads, problem->key_len, problem->value_dim};
    const int64_t answer[4] = {problem->batch, problem->query_heads, problem->query_len, problem->value_dim};
    const int64_t row[4] = {problem->batch, problem->query_heads, problem->query_len, 1};
    const bool backward = problem->direction == ATTN_BACKWARD;
    const struct {
        const char *name;
        const struct attn_tensor *tensor;
        const int64_t *shape;
        enum attn_type type;
        bool needed;
    } checks[] = {
        {"q", &operands->q, query, problem->type, true},
        {"k", &operands->k, key, problem->type, true},
        {"v", &operands->v, value, problem->type, true},
        {"out", &operands->out, answer, problem->type, true},
        {"lse", &operands->lse, row, ATTN_F32, backward || operands->lse.data},
        {"dout", &operands->dout, answer, problem->type, backward},
        {"dq", &operands->dq, query, problem->type, backward},
        {"dk", &operands->dk, key, problem->type, backward},
        {"dv", &operands->dv, value, problem->type, backward},
    };
    for (size_t n = 0; n < sizeof checks / sizeof *checks; ++n) {
        const enum attn_status status =
            checks[n].needed ? check_operand(checks[n].name, checks[n].tensor, checks[n].type, checks[n].shape, error)
                             : ATTN_OK;
        if (status)
            return status;
    }
    return ATTN_OK;
}

double attn_problem_flops(const struct attn_problem *problem) {
    const double head_dim = (double)problem->head_dim, value_dim = (double)problem->value_dim;
    return (double)problem->live_pairs *
           (problem->direction == ATTN_BACKWARD ? 6 * head_dim + 4 * value_dim : 2 * head_dim + 2 * value_dim);
}

/* Bytes of an array that broadcasts where a stride is 0. */
static double broadcast_bytes(const struct attn_problem *problem, const int64_t stride[4], double element_bytes) {
    const int64_t shape[4] = {problem->batch, problem->query_heads, problem->query_len, problem->key_len};
    for (int n = 0; n < 4; ++n)
        element_bytes *= stride[n] == 0 ? 1.0 : (double)shape[n];
    return element_bytes;
}

double attn_problem_min_bytes(const struct attn_problem *problem) {
    const double element = (double)attn_type_bytes(problem->type);
    const double rows = (double)problem->batch * (double)problem->query_heads * (double)problem->query_len;
    const double queries = rows * (double)problem->head_dim * element;
    const double answers = rows * (double)problem->value_dim * element;
    const double keys = (double)problem->live_keys * (double)problem->key_heads *
                        (double)(problem->head_dim + problem->value_dim) * element;
    const struct attn_mask *const mask = &problem->mask;
    double masks = 0;
    if (mask->bias)
        masks += broadcast_bytes(problem, mask->bias_stride, sizeof(float));
    if (mask->allowed)
        masks += broadcast_bytes(problem, mask->allowed_stride, sizeof(bool));
    if (problem->direction == ATTN_BACKWARD) /* also out, dout, lse in; dq, dk, dv out */
        return 2 * queries + 2 * answers + 2 * keys + rows * sizeof(float) + masks;
    return queries + answers + keys + masks;
}
