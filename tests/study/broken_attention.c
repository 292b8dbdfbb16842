/* SPDX-License-Identifier: Apache-2.0 */
#include "broken_attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "contract/row.h"

static double element(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i, int64_t c) {
    const void *const row = attn_tensor_row(tensor, b, h, i);
    return tensor->type == ATTN_F64 ? ((const double *)row)[c] : (double)attn_load(row, tensor->type, c);
}

static void add(const struct attn_tensor *tensor, int64_t b, int64_t h, int64_t i, int64_t c, double value) {
    void *const row = attn_tensor_row(tensor, b, h, i);
    if (tensor->type == ATTN_F64)
        ((double *)row)[c] += value;
    else
        attn_store(row, tensor->type, c, (float)((double)attn_load(row, tensor->type, c) + value));
}

static void clear(const struct attn_tensor *tensor) {
    for (int64_t b = 0; b < tensor->shape[0]; ++b)
        for (int64_t h = 0; h < tensor->shape[1]; ++h)
            for (int64_t i = 0; i < tensor->shape[2]; ++i)
                memset(attn_tensor_row(tensor, b, h, i), 0,
                       (size_t)tensor->shape[3] * (size_t)attn_type_bytes(tensor->type));
}

/* One row of weights [key_len], the log of their sum, and the keys that it has. */
struct weights {
    double *p, lse;
    int64_t begin, end, key_head;
};

static void weigh(enum broken_part part, const struct attn_problem *problem, const struct attn_operands *operands,
                  const int64_t place[3], struct weights *row) {
    const int64_t b = place[0], h = place[1];
    const int64_t i = part == BROKEN_NEIGHBOUR ? (place[2] + 1) % problem->query_len : place[2];
    const struct attn_row live = attn_row_begin(problem, b, h, place[2]);
    const double scale = part == BROKEN_SCALE ? 1 : (double)problem->scale;
    row->key_head = h / (problem->query_heads / problem->key_heads);
    row->begin = part == BROKEN_MASK ? 0 : live.key_begin;
    row->end = part == BROKEN_MASK ? problem->key_len : live.key_end;
    row->end -= part == BROKEN_LAST_KEY && row->end - row->begin > 1;
    double max = -INFINITY, sum = 0;
    for (int64_t j = row->begin; j < row->end; ++j) {
        double dot = 0;
        for (int64_t c = 0; c < problem->head_dim; ++c)
            dot += element(&operands->q, b, h, i, c) * element(&operands->k, b, row->key_head, j, c);
        row->p[j] = part == BROKEN_SELF && j == place[2] && row->end - row->begin > 1 ? -INFINITY : scale * dot;
        max = fmax(max, row->p[j]);
    }
    for (int64_t j = row->begin; j < row->end; ++j)
        sum += row->p[j] = exp(row->p[j] - max);
    for (int64_t j = row->begin; j < row->end && part != BROKEN_SUM; ++j)
        row->p[j] /= sum;
    row->lse = max + log(sum);
}

static void forward_row(const struct attn_problem *problem, const struct attn_operands *operands,
                        const int64_t place[3], const struct weights *row) {
    for (int64_t j = row->begin; j < row->end; ++j)
        for (int64_t c = 0; c < problem->value_dim; ++c)
            add(&operands->out, place[0], place[1], place[2], c,
                row->p[j] * element(&operands->v, place[0], row->key_head, j, c));
    if (operands->lse.data)
        attn_store(attn_tensor_row(&operands->lse, place[0], place[1], place[2]), ATTN_F32, 0, (float)row->lse);
}

/* dP = dO V^T, D = sum_j P dP, dS = P (dP - D), dQ = scale dS K, dK = scale dS^T Q, dV = P^T dO. */
static void backward_row(enum broken_part part, const struct attn_problem *problem,
                         const struct attn_operands *operands, const int64_t place[3], const struct weights *row,
                         double *dp) {
    const int64_t b = place[0], h = place[1], i = place[2], key_head = row->key_head;
    double d = 0;
    for (int64_t j = row->begin; j < row->end; ++j) {
        dp[j] = 0;
        for (int64_t c = 0; c < problem->value_dim; ++c) {
            const double slope = element(&operands->dout, b, h, i, c);
            dp[j] += slope * element(&operands->v, b, key_head, j, c);
            add(&operands->dv, b, key_head, j, c, row->p[j] * slope);
        }
        d += row->p[j] * dp[j];
    }
    const double scale =
        (part == BROKEN_SCALE ? 1 : (double)problem->scale) * (part == BROKEN_SLOPE ? (double)problem->scale : 1);
    for (int64_t j = row->begin; j < row->end; ++j) {
        const double ds = scale * row->p[j] * (dp[j] - (part == BROKEN_D_TERM ? 0 : d));
        for (int64_t c = 0; c < problem->head_dim; ++c) {
            add(&operands->dq, b, h, i, c, ds * element(&operands->k, b, key_head, j, c));
            add(&operands->dk, b, key_head, j, c, ds * element(&operands->q, b, h, i, c));
        }
    }
}

static enum attn_status answer(void *context, const struct attn_problem *problem, const struct attn_operands *operands,
                               struct attn_error *error) {
    const enum broken_part part = *(const enum broken_part *)context;
    const bool backward = problem->direction == ATTN_BACKWARD;
    double *const rows = calloc((size_t)problem->key_len, 2 * sizeof *rows);
    if (!rows)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for a row of weights");
    struct weights row = {.p = rows};
    if (backward) {
        clear(&operands->dq);
        clear(&operands->dk);
        clear(&operands->dv);
    } else {
        clear(&operands->out);
    }
    int64_t place[3];
    for (place[0] = 0; place[0] < problem->batch; ++place[0])
        for (place[1] = 0; place[1] < problem->query_heads; ++place[1])
            for (place[2] = 0; place[2] < problem->query_len; ++place[2]) {
                weigh(part, problem, operands, place, &row);
                if (backward)
                    backward_row(part, problem, operands, place, &row, rows + problem->key_len);
                else
                    forward_row(problem, operands, place, &row);
            }
    free(rows);
    return ATTN_OK;
}

struct layer_attention broken_attention(enum broken_part part) {
    static enum broken_part parts[BROKEN_NEIGHBOUR + 1];
    parts[part] = part;
    return (struct layer_attention){.context = &parts[part], .run = answer};
}

const struct study *broken_study(const char *name) {
    const struct study *const study = study_find(&study_registry, name);
    cr_assert(study != NULL, "no study %s", name);
    return study;
}

enum study_law broken_law_of(const struct study *study, const char *claim, const struct study_options *options) {
    struct study_report report;
    struct attn_error error = {0};
    const enum attn_status status = study_execute(study, options, &report, &error);
    cr_assert_eq(status, ATTN_OK, "%s: %s", study->name, error.message);
    enum study_law law = STUDY_RECORDED;
    bool found = false;
    for (int i = 0; i < report.claim_count; ++i)
        if (!strcmp(report.claims[i].claim, claim)) {
            law = report.claims[i].law;
            found = true;
        }
    study_report_release(&report);
    cr_assert(found, "%s says nothing on %s", study->name, claim);
    return law;
}

enum study_law broken_law(const struct study *study, const char *claim, enum broken_part part, const char *set) {
    const struct study_options options = {
        .seed = 1, .threads = 1, .attention = broken_attention(part), .sets = &set, .set_count = set != NULL};
    return broken_law_of(study, claim, &options);
}
