/* SPDX-License-Identifier: Apache-2.0 */
#include "check/gradients.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "check/answer.h"
#include "check/gradient_row.h"

/* Doubles of working memory for one KV head; every part of it is a multiple of a double. */
static size_t scratch_bytes(const struct attn_problem *problem) {
    const size_t row = (size_t)(2 * problem->head_dim + problem->value_dim) * sizeof(double);
    const size_t key = (size_t)(problem->head_dim + problem->value_dim) * sizeof(double) +
                       sizeof(struct gradient_pair) + 2 * sizeof(struct noise_vector) + 2 * sizeof(struct noise_row);
    return row + (size_t)problem->key_len * key;
}

static void *cut(char **from, int64_t count, size_t size) {
    void *const part = *from;
    *from += (size_t)count * size;
    return part;
}

static struct gradient_head head_of(const struct attn_problem *problem, char *scratch) {
    const int64_t keys = problem->key_len;
    return (struct gradient_head){
        .problem = problem,
        .keys = cut(&scratch, keys * problem->head_dim, sizeof(double)),
        .values = cut(&scratch, keys * problem->value_dim, sizeof(double)),
        .query = cut(&scratch, problem->head_dim, sizeof(double)),
        .mean_key = cut(&scratch, problem->head_dim, sizeof(double)),
        .dout = cut(&scratch, problem->value_dim, sizeof(double)),
        .pairs = cut(&scratch, keys, sizeof(struct gradient_pair)),
        .key_sizes = cut(&scratch, keys, sizeof(struct noise_vector)),
        .value_sizes = cut(&scratch, keys, sizeof(struct noise_vector)),
        .dk_noise = cut(&scratch, keys, sizeof(struct noise_row)),
        .dv_noise = cut(&scratch, keys, sizeof(struct noise_row)),
    };
}

/* noise: of dq, dk, dv. */
static void differentiate_head(const struct attn_problem *problem, const struct attn_operands *operands, int64_t b,
                               int64_t key_head, const struct check_gradients *gradients, char *scratch,
                               struct noise_tensor noise[3]) {
    const int64_t keys = problem->key_len, head_dim = problem->head_dim, value_dim = problem->value_dim;
    const int64_t group = problem->query_heads / problem->key_heads;
    const double rounding = attn_type_roundoff(problem->type);
    struct gradient_head head = head_of(problem, scratch);
    head.dk = gradients->dk + (b * problem->key_heads + key_head) * keys * head_dim;
    head.dv = gradients->dv + (b * problem->key_heads + key_head) * keys * value_dim;
    for (int64_t j = 0; j < keys; ++j) {
        check_read_row(&operands->k, b, key_head, j, head.keys + j * head_dim, 1);
        check_read_row(&operands->v, b, key_head, j, head.values + j * value_dim, 1);
        head.key_sizes[j] = check_noise_vector(head.keys + j * head_dim, head_dim);
        head.value_sizes[j] = check_noise_vector(head.values + j * value_dim, value_dim);
        head.dk_noise[j] = head.dv_noise[j] = (struct noise_row){0};
    }
    for (int64_t h = key_head * group; h < (key_head + 1) * group; ++h)
        for (int64_t i = 0; i < problem->query_len; ++i) {
            const struct live_row row = check_live_row(problem, b, h, i);
            const int64_t n = (b * problem->query_heads + h) * problem->query_len + i;
            check_read_row(&operands->q, b, h, i, head.query, 1);
            check_read_row(&operands->dout, b, h, i, head.dout, 1);
            head.dq = gradients->dq + n * head_dim;
            head.out = gradients->out + n * value_dim;
            head.lse = gradients->lse + n;
            gradient_differentiate_row(&head, &row);
        }
    noise[0] = head.dq_noise;
    for (int64_t j = 0; j < keys; ++j) {
        const struct noise_vector dk = check_noise_vector(head.dk + j * head_dim, head_dim);
        const struct noise_vector dv = check_noise_vector(head.dv + j * value_dim, value_dim);
        check_noise_close(&noise[1], &head.dk_noise[j], &dk, 0.0, rounding);
        check_noise_close(&noise[2], &head.dv_noise[j], &dv, 0.0, rounding);
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

static void sum_noise(struct noise_tensor (*noise)[3], int64_t heads, struct check_gradients *gradients) {
    struct check_noise *const sums[3] = {&gradients->dq_noise, &gradients->dk_noise, &gradients->dv_noise};
    for (int tensor = 0; tensor < 3; ++tensor) {
        struct noise_tensor sum = {0};
        for (int64_t n = 0; n < heads; ++n) {
            sum.mean_sum += noise[n][tensor].mean_sum;
            sum.rows += noise[n][tensor].rows;
            sum.peak = fmax(sum.peak, noise[n][tensor].peak);
        }
        *sums[tensor] = (struct check_noise){sqrt(sum.peak), sqrt(sum.mean_sum / (double)sum.rows)};
    }
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
    const size_t bytes = scratch_bytes(problem), out_count = (size_t)attn_tensor_count(&operands->dout);
    char *const scratch = malloc(bytes * (size_t)threads);
    struct noise_tensor(*const noise)[3] = calloc((size_t)heads, sizeof *noise);
    gradients->dq = calloc((size_t)attn_tensor_count(&operands->q), sizeof *gradients->dq);
    gradients->dk = calloc((size_t)attn_tensor_count(&operands->k), sizeof *gradients->dk);
    gradients->dv = calloc((size_t)attn_tensor_count(&operands->v), sizeof *gradients->dv);
    gradients->out = calloc(out_count, sizeof *gradients->out);
    gradients->lse = calloc(out_count / (size_t)problem->value_dim, sizeof *gradients->lse);
    if (!scratch || !noise || !gradients->dq || !gradients->dk || !gradients->dv || !gradients->out ||
        !gradients->lse) {
        free(scratch);
        free(noise);
        check_gradients_release(gradients);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for float64 gradients: %zu bytes for each of %d threads",
                         bytes, threads);
    }
    int next_slice = 0;
#pragma omp parallel num_threads(threads)
    {
        int slice;
#pragma omp atomic capture
        slice = next_slice++;
        char *const mine = scratch + bytes * (size_t)slice;
#pragma omp for schedule(dynamic)
        for (int64_t n = 0; n < heads; ++n)
            differentiate_head(problem, operands, n / problem->key_heads, n % problem->key_heads, gradients, mine,
                               noise[n]);
    }
    sum_noise(noise, heads, gradients);
    free(noise);
    free(scratch);
    return ATTN_OK;
}

void check_gradients_release(struct check_gradients *gradients) {
    free(gradients->dq);
    free(gradients->dk);
    free(gradients->dv);
    free(gradients->out);
    free(gradients->lse);
    *gradients = (struct check_gradients){0};
}
