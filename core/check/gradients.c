/* SPDX-License-Identifier: Apache-2.0 */
#include "check/gradients.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "check/answer.h"

/* One (batch, KV head) while its gradients are summed. Everything dense and float64. */
struct head_work {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    double *keys, *values;          /* [key_len][head_dim], [key_len][value_dim] */
    double *query, *dout;           /* of one row */
    double *weights, *slopes, *dps; /* [key_len]: p_j (negative: masked), ds/d(dot), dP_j */
    double *dq, *dk, *dv;           /* row dq; dk and dv of the KV head */
};

/* Eight sums side by side, so that the loop vectorises as it is written. */
static double dot_of(const double *a, const double *b, int64_t count) {
    enum { SUMS = 8 };
    double sums[SUMS] = {0}, rest = 0.0;
    int64_t n = 0;
    for (; n + SUMS <= count; n += SUMS)
        for (int l = 0; l < SUMS; ++l)
            sums[l] += a[n + l] * b[n + l];
    for (; n < count; ++n)
        rest += a[n] * b[n];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest;
}

/* weights = softmax of the row's live scores; slopes = derivative of a score with respect to its dot product. */
static void weigh_row(const struct head_work *work, const struct live_row *row) {
    const struct attn_problem *const problem = work->problem;
    const double scale = problem->scale, softcap = problem->mask.softcap;
    const double sink = problem->mask.sinks ? (double)problem->mask.sinks[row->head] : -INFINITY;
    double max = sink, sum;
    for (int64_t j = row->first; j < row->last; ++j) {
        work->weights[j] = -INFINITY;
        if (!check_pair_lives(problem, row, j))
            continue;
        double bias, alibi, score = scale * dot_of(work->query, work->keys + j * problem->head_dim, problem->head_dim);
        work->slopes[j] = scale;
        if (softcap > 0.0) {
            const double bent = tanh(score / softcap);
            score = softcap * bent;
            work->slopes[j] = scale * (1.0 - bent * bent);
        }
        check_pair_terms(problem, row, j, &bias, &alibi);
        work->weights[j] = score + bias + alibi;
        if (!(work->weights[j] <= max))
            max = work->weights[j];
    }
    sum = sink == -INFINITY ? 0.0 : exp(sink - max);
    for (int64_t j = row->first; j < row->last; ++j)
        if (work->weights[j] == -INFINITY)
            work->weights[j] = -1.0;
        else
            sum += work->weights[j] = exp(work->weights[j] - max);
    for (int64_t j = row->first; j < row->last; ++j)
        if (!(work->weights[j] < 0.0))
            work->weights[j] /= sum;
}

/* Adds what one query row contributes to dk and dv, and computes its dq. */
static void differentiate_row(const struct head_work *work, const struct live_row *row) {
    const int64_t head_dim = work->problem->head_dim, value_dim = work->problem->value_dim;
    double mean = 0.0; /* D: the weighted mean of dP */
    weigh_row(work, row);
    for (int64_t c = 0; c < head_dim; ++c)
        work->dq[c] = 0.0;
    for (int64_t j = row->first; j < row->last; ++j)
        if (!(work->weights[j] < 0.0)) {
            work->dps[j] = dot_of(work->dout, work->values + j * value_dim, value_dim);
            mean += work->weights[j] * work->dps[j];
        }
    for (int64_t j = row->first; j < row->last; ++j) {
        if (work->weights[j] < 0.0)
            continue;
        const double ds = work->slopes[j] * work->weights[j] * (work->dps[j] - mean);
        for (int64_t c = 0; c < value_dim; ++c)
            work->dv[j * value_dim + c] += work->weights[j] * work->dout[c];
        for (int64_t c = 0; c < head_dim; ++c) {
            work->dq[c] += ds * work->keys[j * head_dim + c];
            work->dk[j * head_dim + c] += ds * work->query[c];
        }
    }
}

static size_t scratch_count(const struct attn_problem *problem) {
    return (size_t)((problem->key_len + 1) * (problem->head_dim + problem->value_dim) + 3 * problem->key_len);
}

static void differentiate_head(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b,
                               int64_t key_head, const struct check_gradients *gradients, double *scratch) {
    const int64_t keys = problem->key_len, head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads;
    struct head_work work = {.problem = problem, .operands = operands, .keys = scratch};
    work.values = work.keys + keys * head_dim;
    work.query = work.values + keys * value_dim;
    work.dout = work.query + head_dim;
    work.weights = work.dout + value_dim;
    work.slopes = work.weights + keys;
    work.dps = work.slopes + keys;
    work.dk = gradients->dk + (b * problem->key_heads + key_head) * keys * head_dim;
    work.dv = gradients->dv + (b * problem->key_heads + key_head) * keys * value_dim;
    for (int64_t j = 0; j < keys; ++j) {
        check_read_row(&operands->k, b, key_head, j, work.keys + j * head_dim, 1);
        check_read_row(&operands->v, b, key_head, j, work.values + j * value_dim, 1);
    }
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h)
        for (int64_t i = 0; i < problem->query_len; ++i) {
            const struct live_row row = check_live_row(problem, b, h, i);
            check_read_row(&operands->q, b, h, i, work.query, 1);
            check_read_row(&operands->dout, b, h, i, work.dout, 1);
            work.dq = gradients->dq + ((b * problem->query_heads + h) * problem->query_len + i) * head_dim;
            differentiate_row(&work, &row);
        }
}

static enum attn_status check_dout(const struct attn_problem *problem, const struct attn_tensor *dout,
                                   struct attn_error *error) {
    if (!dout->data)
        return attn_fail(error, ATTN_INVALID, "gradients need operand dout");
    const int64_t shape[4] = {problem->batch, problem->query_heads, problem->query_len, problem->value_dim};
    for (int n = 0; n < 4; ++n)
        if (dout->shape[n] != shape[n])
            return attn_fail(error, ATTN_INVALID,
                             "dout has %" PRId64 " in dimension %d; the problem's out has %" PRId64, dout->shape[n], n,
                             shape[n]);
    return ATTN_OK;
}

enum attn_status check_oracle_gradients(const struct attn_problem *problem, const struct attn_operands *operands,
                                        int threads, struct check_gradients *gradients, struct attn_error *error) {
    *gradients = (struct check_gradients){0};
    enum attn_status status = answer_check_inputs(problem, operands, error);
    if (!status)
        status = check_dout(problem, &operands->dout, error);
    if (status)
        return status;
    const int64_t heads = problem->batch * problem->key_heads;
    if (threads > heads)
        threads = (int)heads;
    if (threads < 1)
        threads = 1;
    const size_t count = scratch_count(problem);
    double *const scratch = malloc(count * (size_t)threads * sizeof *scratch);
    gradients->dq = calloc((size_t)attn_tensor_count(&operands->q), sizeof *gradients->dq);
    gradients->dk = calloc((size_t)attn_tensor_count(&operands->k), sizeof *gradients->dk);
    gradients->dv = calloc((size_t)attn_tensor_count(&operands->v), sizeof *gradients->dv);
    if (!scratch || !gradients->dq || !gradients->dk || !gradients->dv) {
        free(scratch);
        check_gradients_release(gradients);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for float64 gradients: %zu bytes for each of %d threads",
                         count * sizeof *scratch, threads);
    }
    int next_slice = 0;
#pragma omp parallel num_threads(threads)
    {
        int slice;
#pragma omp atomic capture
        slice = next_slice++;
        double *const mine = scratch + count * (size_t)slice;
#pragma omp for schedule(dynamic)
        for (int64_t n = 0; n < heads; ++n)
            differentiate_head(problem, operands, n / problem->key_heads, n % problem->key_heads, gradients, mine);
    }
    free(scratch);
    return ATTN_OK;
}

void check_gradients_release(struct check_gradients *gradients) {
    free(gradients->dq);
    free(gradients->dk);
    free(gradients->dv);
    *gradients = (struct check_gradients){0};
}
