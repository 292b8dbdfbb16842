/* SPDX-License-Identifier: Apache-2.0 */
/* The library way: one GEMM for all scores of a head, a softmax over the stored matrix, one GEMM for the answers. A
 * GEMM knows no masks: it computes the masked half as well, and a masked pair enters the second product with weight
 * zero, so values that are not finite have to be kept out of it. */
#include "contract/variant.h"
#include "kernels/plain.h"
#include "kernels/scratch.h"

struct buffers {
    float *queries;   /* [query_len][head_dim], one head, dense: what a GEMM library takes for granted */
    float *keys;      /* [key_len][head_dim] */
    float *values;    /* [key_len][value_dim]; rows that are not finite are 0 */
    float *scores;    /* [query_len][key_len] */
    float *weighted;  /* [query_len][value_dim] */
    float *max, *sum; /* [query_len] */
    int64_t *unsafe;  /* [key_len], the first unsafe_count: keys whose value is not finite */
    int64_t unsafe_count;
    int64_t key_begin, key_end; /* every key that a query may read; row 0 of keys and values is key_begin */
};

static struct buffers lay_out(const struct attn_problem *problem, struct scratch *scratch) {
    const int64_t query_len = problem->query_len, key_len = problem->key_len;
    return (struct buffers){
        .queries = scratch_floats(scratch, query_len * problem->head_dim),
        .keys = scratch_floats(scratch, key_len * problem->head_dim),
        .values = scratch_floats(scratch, key_len * problem->value_dim),
        .scores = scratch_floats(scratch, query_len * key_len),
        .weighted = scratch_floats(scratch, query_len * problem->value_dim),
        .max = scratch_floats(scratch, query_len),
        .sum = scratch_floats(scratch, query_len),
        .unsafe = scratch_take(scratch, (size_t)key_len * sizeof(int64_t)),
    };
}

static const char *objection(const struct attn_problem *problem, const struct attn_execution *execution) {
    return execution->sgemm ? plain_objects_unless_f32(problem, execution) : "no GEMM library: built without CBLAS";
}

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    struct scratch scratch = {0};
    lay_out(problem, &scratch);
    return scratch.bytes;
}

static void copy_rows(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t first, int64_t last,
                      float *rows) {
    const size_t row_bytes = (size_t)tensor->shape[3] * sizeof(float);
    for (int64_t i = first; i < last; ++i, rows += tensor->shape[3])
        memcpy(rows, attn_tensor_row(tensor, b, h, i), row_bytes);
}

static void copy_keys_and_values(const struct attn_operands *operands, int64_t b, int64_t key_head,
                                 struct buffers *buffers) {
    const int64_t value_dim = operands->v.shape[3];
    copy_rows(&operands->k, b, key_head, buffers->key_begin, buffers->key_end, buffers->keys);
    copy_rows(&operands->v, b, key_head, buffers->key_begin, buffers->key_end, buffers->values);
    buffers->unsafe_count = 0;
    for (int64_t j = buffers->key_begin; j < buffers->key_end; ++j) {
        float *const value = buffers->values + (j - buffers->key_begin) * value_dim;
        bool finite = true;
        for (int64_t c = 0; c < value_dim; ++c)
            finite &= fabsf(value[c]) < INFINITY;
        if (finite)
            continue;
        memset(value, 0, (size_t)value_dim * sizeof *value);
        buffers->unsafe[buffers->unsafe_count++] = j;
    }
}

/* Row i of the scores becomes weights, not yet divided by their sum; masked pairs become 0. What live pairs have to do
 * with values that are not finite is done here, the rest is left to the second GEMM. */
static void soften_row(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b, int64_t h,
                       int64_t i, const struct buffers *buffers) {
    const struct attn_row row = attn_row_begin(problem, b, h, i);
    const int64_t live = row.key_end - row.key_begin, value_dim = problem->value_dim;
    const int64_t width = buffers->key_end - buffers->key_begin;
    float *const scores = buffers->scores + i * width, *const weighted = buffers->weighted + i * value_dim;
    memset(weighted, 0, (size_t)value_dim * sizeof *weighted);
    buffers->max[i] = row.max;
    buffers->sum[i] = row.sum;
    if (live == 0) {
        memset(scores, 0, (size_t)width * sizeof *scores);
        return;
    }
    const int64_t before = row.key_begin - buffers->key_begin;
    float *const weights = scores + before; /* of key key_begin */
    buffers->max[i] = plain_scores(&row, row.key_begin, live, weights, row.max);
    const float base = plain_base(buffers->max[i]);
    buffers->sum[i] = row.sum * plain_rescale(row.max, base) + plain_weights(weights, live, base);

    const int64_t key_head = h / (problem->query_heads / problem->key_heads);
    for (int64_t n = 0; n < buffers->unsafe_count; ++n) {
        const int64_t j = buffers->unsafe[n];
        if (j < row.key_begin || j >= row.key_end || weights[j - row.key_begin] == -INFINITY)
            continue;
        const float *const value = attn_tensor_row(&operands->v, b, key_head, j);
        for (int64_t c = 0; c < value_dim; ++c)
            weighted[c] += weights[j - row.key_begin] * value[c];
    }
    memset(scores, 0, (size_t)before * sizeof *scores);
    for (int64_t n = 0; n < live; ++n)
        weights[n] = weights[n] == -INFINITY ? 0.0f : weights[n];
    memset(weights + live, 0, (size_t)(width - before - live) * sizeof *weights);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    struct scratch scratch = {.memory = execution->workspace};
    struct buffers buffers = lay_out(problem, &scratch);
    const int64_t query_len = problem->query_len, head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads;
    const struct attn_profile *const profile = execution->profile;

    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h) {
            int64_t now_ns = attn_profile_now(profile);
            attn_tile_keys(problem, b, h, 0, query_len, &buffers.key_begin, &buffers.key_end);
            const int64_t width = buffers.key_end - buffers.key_begin;
            if (h % group == 0)
                copy_keys_and_values(operands, b, h / group, &buffers);
            copy_rows(&operands->q, b, h, 0, query_len, buffers.queries);
            now_ns = attn_profile_spent(profile, 0, ATTN_PACKING, now_ns);
            if (width > 0)
                execution->sgemm(false, true, query_len, width, head_dim, 1.0f, buffers.queries, head_dim, buffers.keys,
                                 head_dim, 0.0f, buffers.scores, width);
            now_ns = attn_profile_spent(profile, 0, ATTN_SCORES, now_ns);
            for (int64_t i = 0; i < query_len; ++i)
                soften_row(problem, operands, b, h, i, &buffers);
            now_ns = attn_profile_spent(profile, 0, ATTN_SOFTMAX, now_ns);
            if (width > 0)
                execution->sgemm(false, false, query_len, value_dim, width, 1.0f, buffers.scores, width, buffers.values,
                                 value_dim, 1.0f, buffers.weighted, value_dim);
            now_ns = attn_profile_spent(profile, 0, ATTN_VALUES, now_ns);
            for (int64_t i = 0; i < query_len; ++i)
                plain_write_row(operands, b, h, i, buffers.max[i], buffers.sum[i], buffers.weighted + i * value_dim);
            attn_profile_spent(profile, 0, ATTN_MERGING, now_ns);
        }
}

ATTN_VARIANT(blas_unfused) = {
    .name = "blas_unfused",
    .idea = "the library way: GEMM, softmax over the stored matrix, GEMM",
    .improves_on = "naive",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .forward = {.objection = objection, .workspace_bytes = workspace_bytes, .run = run},
};
