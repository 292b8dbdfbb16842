/* SPDX-License-Identifier: Apache-2.0 */
/* Three plain loops: all scores into a matrix, softmax over its rows, weights times values. */
#include "contract/row.h"
#include "contract/variant.h"
#include "kernels/scratch.h"

static size_t workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    const size_t matrix = (size_t)problem->query_len * (size_t)problem->key_len;
    return (matrix + 2 * (size_t)problem->head_dim + 2 * (size_t)problem->value_dim) * sizeof(float);
}

static void run(const struct attn_problem *problem, const struct attn_operands *operands,
                const struct attn_execution *execution) {
    const int64_t key_len = problem->key_len, head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads;
    float *const scores = execution->workspace;                     /* [query_len][key_len] */
    float *const query_row = scores + problem->query_len * key_len; /* [head_dim], 16-bit inputs widen into these */
    float *const key_row = query_row + head_dim;
    float *const value_row = key_row + head_dim;  /* [value_dim] */
    float *const sum_row = value_row + value_dim; /* [value_dim] */

    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t h = 0; h < problem->query_heads; ++h) {
            for (int64_t i = 0; i < problem->query_len; ++i) { /* scores = q k^T */
                const struct attn_row row = attn_row_begin(problem, b, h, i);
                const float *const query = attn_tensor_row_f32(&operands->q, b, h, i, query_row);
                for (int64_t j = row.key_begin; j < row.key_end; ++j) {
                    const float *const key = attn_tensor_row_f32(&operands->k, b, h / group, j, key_row);
                    float dot = 0.0f;
                    for (int64_t c = 0; c < head_dim; ++c)
                        dot += query[c] * key[c];
                    scores[i * key_len + j] = attn_score(&row, j, dot);
                }
            }
            for (int64_t i = 0; i < problem->query_len; ++i) { /* scores become weights */
                struct attn_row row = attn_row_begin(problem, b, h, i);
                float *const weights = scores + i * key_len;
                const float sink = row.max;
                for (int64_t j = row.key_begin; j < row.key_end; ++j)
                    row.max = fmaxf(row.max, weights[j]);
                if (sink != row.max) /* the sink's share falls as the maximum rises */
                    row.sum *= expf(sink - row.max);
                for (int64_t j = row.key_begin; j < row.key_end; ++j)
                    if (weights[j] != -INFINITY) { /* a masked pair stays -inf */
                        weights[j] = expf(weights[j] - row.max);
                        row.sum += weights[j];
                    }
                for (int64_t j = row.key_begin; j < row.key_end; ++j)
                    if (weights[j] != -INFINITY)
                        weights[j] /= row.sum;
                if (operands->lse.data) {
                    float *const lse = attn_tensor_row(&operands->lse, b, h, i);
                    *lse = row.sum == 0.0f ? -INFINITY : row.max + logf(row.sum);
                }
            }
            for (int64_t i = 0; i < problem->query_len; ++i) { /* out = weights v */
                const struct attn_row row = attn_row_begin(problem, b, h, i);
                for (int64_t c = 0; c < value_dim; ++c)
                    sum_row[c] = 0.0f;
                for (int64_t j = row.key_begin; j < row.key_end; ++j) {
                    const float weight = scores[i * key_len + j];
                    if (weight == -INFINITY) /* masked: a NaN in the value must not leak */
                        continue;
                    const float *const value = attn_tensor_row_f32(&operands->v, b, h / group, j, value_row);
                    for (int64_t c = 0; c < value_dim; ++c)
                        sum_row[c] += weight * value[c];
                }
                void *const out = attn_tensor_row(&operands->out, b, h, i);
                for (int64_t c = 0; c < value_dim; ++c)
                    attn_store(out, operands->out.type, c, sum_row[c]);
            }
        }
}

/* Memory of the backward pass. */
struct gradients {
    float *weights, *slopes;                 /* P and dS, d loss / d (q . k): [query_len][key_len] */
    float *dk, *dv;                          /* [key_len][head_dim], [key_len][value_dim]: one KV head */
    float *dq;                               /* [head_dim] */
    float *query, *key, *value, *dout, *out; /* rows that 16-bit inputs widen into */
    size_t bytes;
};

static struct gradients lay_out_gradients(const struct attn_problem *problem, void *workspace) {
    const int64_t matrix = problem->query_len * problem->key_len;
    struct scratch scratch = {.memory = workspace};
    struct gradients own = {
        .weights = scratch_floats(&scratch, matrix),
        .slopes = scratch_floats(&scratch, matrix),
        .dk = scratch_floats(&scratch, problem->key_len * problem->head_dim),
        .dv = scratch_floats(&scratch, problem->key_len * problem->value_dim),
        .dq = scratch_floats(&scratch, problem->head_dim),
        .query = scratch_floats(&scratch, problem->head_dim),
        .key = scratch_floats(&scratch, problem->head_dim),
        .value = scratch_floats(&scratch, problem->value_dim),
        .dout = scratch_floats(&scratch, problem->value_dim),
        .out = scratch_floats(&scratch, problem->value_dim),
    };
    own.bytes = scratch.bytes;
    return own;
}

static size_t backward_workspace_bytes(const struct attn_problem *problem, const struct attn_execution *execution) {
    (void)execution;
    return lay_out_gradients(problem, NULL).bytes;
}

static float dot_of(const float *a, const float *b, int64_t count) {
    float dot = 0.0f;
    for (int64_t c = 0; c < count; ++c)
        dot += a[c] * b[c];
    return dot;
}

/* P = exp(S - lse) and dS = P o (dout V^T - D) o slope, D = dout . out; -infinity in P marks a masked pair. */
static void differentiate_weights(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b,
                                  int64_t h, const struct gradients *own) {
    const int64_t key_head = h / (problem->query_heads / problem->key_heads);
    for (int64_t i = 0; i < problem->query_len; ++i) {
        const struct attn_row row = attn_row_begin(problem, b, h, i);
        const float *const query = attn_tensor_row_f32(&operands->q, b, h, i, own->query);
        const float *const dout = attn_tensor_row_f32(&operands->dout, b, h, i, own->dout);
        const float *const out = attn_tensor_row_f32(&operands->out, b, h, i, own->out);
        const float lse = *(const float *)attn_tensor_row(&operands->lse, b, h, i);
        const float d = dot_of(dout, out, problem->value_dim);
        for (int64_t j = row.key_begin; j < row.key_end; ++j) {
            const float *const key = attn_tensor_row_f32(&operands->k, b, key_head, j, own->key);
            const float *const value = attn_tensor_row_f32(&operands->v, b, key_head, j, own->value);
            const float dot = dot_of(query, key, problem->head_dim), score = attn_score(&row, j, dot);
            const float weight = score == -INFINITY ? -INFINITY : expf(score - lse);
            const float slope = attn_score_slope(&row, dot) * (dot_of(dout, value, problem->value_dim) - d);
            own->weights[i * problem->key_len + j] = weight;
            own->slopes[i * problem->key_len + j] = weight * slope;
        }
    }
}

/* dv += P^T dout,  dk += dS^T Q,  dq = dS K */
static void add_products(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b, int64_t h,
                         const struct gradients *own) {
    const int64_t key_head = h / (problem->query_heads / problem->key_heads);
    const int64_t head_dim = problem->head_dim, value_dim = problem->value_dim;
    for (int64_t i = 0; i < problem->query_len; ++i) {
        const struct attn_row row = attn_row_begin(problem, b, h, i);
        const float *const query = attn_tensor_row_f32(&operands->q, b, h, i, own->query);
        const float *const dout = attn_tensor_row_f32(&operands->dout, b, h, i, own->dout);
        for (int64_t c = 0; c < head_dim; ++c)
            own->dq[c] = 0.0f;
        for (int64_t j = row.key_begin; j < row.key_end; ++j) {
            const float weight = own->weights[i * problem->key_len + j];
            const float slope = own->slopes[i * problem->key_len + j];
            if (weight == -INFINITY) /* masked: a NaN on either side must not leak */
                continue;
            const float *const key = attn_tensor_row_f32(&operands->k, b, key_head, j, own->key);
            for (int64_t c = 0; c < value_dim; ++c)
                own->dv[j * value_dim + c] += weight * dout[c];
            for (int64_t c = 0; c < head_dim; ++c)
                own->dk[j * head_dim + c] += slope * query[c];
            for (int64_t c = 0; c < head_dim; ++c)
                own->dq[c] += slope * key[c];
        }
        void *const dq = attn_tensor_row(&operands->dq, b, h, i);
        for (int64_t c = 0; c < head_dim; ++c)
            attn_store(dq, operands->dq.type, c, own->dq[c]);
    }
}

static void run_backward(const struct attn_problem *problem, const struct attn_operands *operands,
                         const struct attn_execution *execution) {
    const int64_t key_len = problem->key_len, head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads;
    const struct gradients own = lay_out_gradients(problem, execution->workspace);
    for (int64_t b = 0; b < problem->batch; ++b)
        for (int64_t key_head = 0; key_head < problem->key_heads; ++key_head) {
            memset(own.dk, 0, (size_t)(key_len * head_dim) * sizeof *own.dk);
            memset(own.dv, 0, (size_t)(key_len * value_dim) * sizeof *own.dv);
            for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h) { /* summed over the group */
                differentiate_weights(problem, operands, b, h, &own);
                add_products(problem, operands, b, h, &own);
            }
            for (int64_t j = 0; j < key_len; ++j) {
                void *const dk = attn_tensor_row(&operands->dk, b, key_head, j);
                void *const dv = attn_tensor_row(&operands->dv, b, key_head, j);
                for (int64_t c = 0; c < head_dim; ++c)
                    attn_store(dk, operands->dk.type, c, own.dk[j * head_dim + c]);
                for (int64_t c = 0; c < value_dim; ++c)
                    attn_store(dv, operands->dv.type, c, own.dv[j * value_dim + c]);
            }
        }
}

ATTN_VARIANT(naive) = {
    .name = "naive",
    .idea = "three plain loops over a stored score matrix",
    .traits = ATTN_REPEATABLE | ATTN_THREAD_INVARIANT,
    .forward = {.workspace_bytes = workspace_bytes, .run = run},
    .backward = {.workspace_bytes = backward_workspace_bytes, .run = run_backward},
};
