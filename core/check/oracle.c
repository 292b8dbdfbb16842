/* SPDX-License-Identifier: Apache-2.0 */
#include "check/oracle.h"

#include <inttypes.h>
#include <stdlib.h>

#include "check/answer.h"

/* About a second on one core at 64 features. */
#define DEFAULT_MAX_PAIRS (INT64_C(1) << 24)

static enum attn_status check_input(const char *name, const struct attn_tensor *tensor, const int64_t shape[4],
                                    struct attn_error *error) {
    if (!tensor->data)
        return attn_fail(error, ATTN_INVALID, "the oracle needs operand %s", name);
    return attn_operand_check_shape(name, tensor, shape, error);
}

enum attn_status answer_check_inputs(const struct attn_problem *problem, const struct attn_operands *operands,
                                     struct attn_error *error) {
    const int64_t batch = problem->batch, keys = problem->key_len, head_dim = problem->head_dim;
    const int64_t q[4] = {batch, problem->query_heads, problem->query_len, head_dim};
    const int64_t k[4] = {batch, problem->key_heads, keys, head_dim};
    const int64_t v[4] = {batch, problem->key_heads, keys, problem->value_dim};
    enum attn_status status = check_input("q", &operands->q, q, error);
    if (!status)
        status = check_input("k", &operands->k, k, error);
    if (!status)
        status = check_input("v", &operands->v, v, error);
    return status;
}

/* Cuts the rows into blocks that answer_rows takes: starts[n] .. starts[n + 1]. Returns how many. */
static int64_t cut_blocks(const struct check_oracle *oracle, int64_t *starts) {
    const int64_t group = oracle->problem.query_heads / oracle->problem.key_heads;
    int64_t count = 0;
    for (int64_t row = 0; row < oracle->row_count; ++row) {
        const int64_t *const first = oracle->rows[count > 0 ? starts[count - 1] : 0].place;
        const int64_t *const place = oracle->rows[row].place;
        if (count == 0 || row - starts[count - 1] == ANSWER_ROWS || place[0] != first[0] ||
            place[1] / group != first[1] / group)
            starts[count++] = row;
    }
    starts[count] = oracle->row_count;
    return count;
}

static enum attn_status compute_rows(struct check_oracle *oracle, const struct attn_operands *operands, int threads,
                                     struct attn_error *error) {
    const size_t scratch_count = answer_scratch_count(&oracle->problem);
    int64_t *const starts = malloc((size_t)(oracle->row_count + 1) * sizeof *starts);
    const int64_t block_count = starts ? cut_blocks(oracle, starts) : 0;
    if (threads > block_count)
        threads = block_count > 1 ? (int)block_count : 1;
    double *const scratch = malloc(scratch_count * (size_t)threads * sizeof *scratch);
    if (!starts || !scratch) {
        free(starts);
        free(scratch);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the oracle: %zu bytes for each of %d threads",
                         scratch_count * sizeof *scratch, threads);
    }
    int next_slice = 0;
#pragma omp parallel num_threads(threads)
    {
        int slice;
#pragma omp atomic capture
        slice = next_slice++;
        double *const mine = scratch + scratch_count * (size_t)slice;
#pragma omp for schedule(dynamic)
        for (int64_t n = 0; n < block_count; ++n)
            answer_rows(oracle, operands, starts[n], starts[n + 1], mine);
    }
    free(starts);
    free(scratch);
    return ATTN_OK;
}

static enum attn_status allocate_rows(struct check_oracle *oracle, struct attn_error *error) {
    const struct attn_problem *const problem = &oracle->problem;
    const size_t elements = (size_t)(oracle->row_count * problem->value_dim);
    const bool half = attn_type_bytes(problem->type) == 2;
    oracle->rows = calloc((size_t)oracle->row_count, sizeof *oracle->rows);
    oracle->answers = malloc(elements * sizeof *oracle->answers);
    oracle->allowed = malloc(elements * sizeof *oracle->allowed);
    oracle->value_sums = half ? malloc(elements * sizeof *oracle->value_sums) : NULL;
    if (oracle->rows && oracle->answers && oracle->allowed && (!half || oracle->value_sums))
        return ATTN_OK;
    return attn_fail(error, ATTN_NO_MEMORY, "no memory for the oracle's %" PRId64 " rows of %" PRId64 " numbers",
                     oracle->row_count, problem->value_dim);
}

enum attn_status check_oracle_create(const struct attn_problem *problem, const struct attn_operands *operands,
                                     uint64_t sample_seed, int64_t max_pairs, int threads, struct check_oracle **oracle,
                                     struct attn_error *error) {
    *oracle = NULL;
    enum attn_status status = answer_check_inputs(problem, operands, error);
    if (status)
        return status;
    struct check_oracle *const made = calloc(1, sizeof *made);
    if (!made)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the oracle");
    made->problem = *problem;
    if (problem->direction == ATTN_BACKWARD) {
        made->gradients = calloc(1, sizeof *made->gradients);
        status = made->gradients ? check_oracle_gradients(problem, operands, threads, made->gradients, error)
                                 : attn_fail(error, ATTN_NO_MEMORY, "no memory for the oracle");
        if (status)
            check_oracle_destroy(made);
        else
            *oracle = made;
        return status;
    }
    int64_t *const ids =
        answer_choose_rows(problem, sample_seed, max_pairs > 0 ? max_pairs : DEFAULT_MAX_PAIRS, &made->row_count);
    status = ids ? allocate_rows(made, error) : attn_fail(error, ATTN_NO_MEMORY, "no memory to sample rows");
    for (int64_t n = 0; !status && n < made->row_count; ++n) {
        int64_t *const place = made->rows[n].place;
        place[0] = ids[n] / problem->query_len / problem->query_heads;
        place[1] = ids[n] / problem->query_len % problem->query_heads;
        place[2] = ids[n] % problem->query_len;
    }
    free(ids);
    if (!status)
        status = compute_rows(made, operands, threads > 1 ? threads : 1, error);
    if (!status)
        status = answer_scan_inputs(made, operands, error);
    if (status)
        check_oracle_destroy(made);
    else
        *oracle = made;
    return status;
}

void check_oracle_destroy(struct check_oracle *oracle) {
    if (!oracle)
        return;
    if (oracle->gradients)
        check_gradients_release(oracle->gradients);
    free(oracle->gradients);
    free(oracle->rows);
    free(oracle->answers);
    free(oracle->allowed);
    free(oracle->value_sums);
    free(oracle->may_be_nonfinite);
    free(oracle);
}

void check_oracle_supply(const struct check_oracle *oracle, const struct attn_operands *operands) {
    check_gradients_supply(oracle->gradients, operands);
}

int64_t check_oracle_rows(const struct check_oracle *oracle) {
    return oracle->row_count;
}

const double *check_oracle_row(const struct check_oracle *oracle, int64_t index, int64_t place[3], double *lse) {
    memcpy(place, oracle->rows[index].place, 3 * sizeof *place);
    *lse = oracle->rows[index].lse;
    return oracle->answers + index * oracle->problem.value_dim;
}
