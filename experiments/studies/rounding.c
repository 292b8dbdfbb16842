/* SPDX-License-Identifier: Apache-2.0 */
#include "rounding.h"

#include <math.h>

#include "study/sample.h"

int64_t rounding_most_keys(const struct study_run *run, int64_t fewest) {
    int64_t most = fewest;
    while (most <= study_setting_integer(run, "keys") / 4)
        most *= 4;
    return most;
}

enum attn_status rounding_create(struct study_run *run, const struct rounding_sizes *sizes, struct rounding *rounding,
                                 struct attn_error *error) {
    const int64_t counts[4] = {sizes->queries * sizes->head_dim, sizes->keys * sizes->head_dim,
                               sizes->keys * sizes->value_dim, sizes->queries * sizes->value_dim};
    *rounding = (struct rounding){
        .run = run,
        .sizes = *sizes,
        .q = STUDY_ARRAY(run, counts[0], float, error),
        .k = STUDY_ARRAY(run, counts[1], float, error),
        .v = STUDY_ARRAY(run, counts[2], float, error),
        .exact = STUDY_ARRAY(run, counts[3], double, error),
    };
    bool whole = rounding->q && rounding->k && rounding->v && rounding->exact;
    for (int n = 0; n < 4; ++n) {
        rounding->stored[n] = STUDY_ARRAY(run, counts[n], float, error);
        whole = whole && rounding->stored[n];
    }
    return whole ? ATTN_OK : ATTN_NO_MEMORY;
}

void rounding_draw(struct rounding *rounding, double *drawn) {
    const struct rounding_sizes *const sizes = &rounding->sizes;
    float *const to[3] = {rounding->q, rounding->k, rounding->v};
    const int64_t counts[3] = {sizes->queries * sizes->head_dim, sizes->keys * sizes->head_dim,
                               sizes->keys * sizes->value_dim};
    for (int side = 0; side < 3; ++side) {
        study_normals(study_seed(rounding->run), (uint64_t)side, counts[side], 1, drawn);
        for (int64_t n = 0; n < counts[side]; ++n)
            to[side][n] = (float)drawn[n];
    }
}

static enum attn_status answer(const struct rounding *rounding, const struct layer_attention *attention,
                               void *const arrays[4], enum attn_type type, enum attn_type answer_type, int64_t keys,
                               struct attn_error *error) {
    const struct rounding_sizes *const sizes = &rounding->sizes;
    struct attn_problem problem = {.batch = 1,
                                   .query_heads = 1,
                                   .query_len = sizes->queries,
                                   .key_len = keys,
                                   .head_dim = sizes->head_dim,
                                   .value_dim = sizes->value_dim,
                                   .scale = sizes->scale,
                                   .type = type};
    const struct attn_operands operands = {
        .q = attn_tensor_dense(arrays[0], type, 1, 1, sizes->queries, sizes->head_dim),
        .k = attn_tensor_dense(arrays[1], type, 1, 1, keys, sizes->head_dim),
        .v = attn_tensor_dense(arrays[2], type, 1, 1, keys, sizes->value_dim),
        .out = attn_tensor_dense(arrays[3], answer_type, 1, 1, sizes->queries, sizes->value_dim),
    };
    const enum attn_status status = attn_problem_build(&problem, error);
    return status ? status : attention->run(attention->context, &problem, &operands, error);
}

enum attn_status rounding_solve(struct rounding *rounding, int64_t keys, struct attn_error *error) {
    const struct layer_attention attention = study_attention(rounding->run);
    void *const arrays[4] = {rounding->q, rounding->k, rounding->v, rounding->exact};
    return answer(rounding, &attention, arrays, ATTN_F32, ATTN_F64, keys, error);
}

static double distance_of(const struct rounding *rounding, const void *answers, enum attn_type type) {
    double apart = 0, length = 0;
    for (int64_t n = 0; n < rounding->sizes.queries * rounding->sizes.value_dim; ++n) {
        const double exact = rounding->exact[n], difference = (double)attn_load(answers, type, n) - exact;
        apart += difference * difference;
        length += exact * exact;
    }
    return sqrt(apart / length) / attn_type_roundoff(type);
}

double rounding_distance(const struct rounding *rounding, const float *answer_) {
    return distance_of(rounding, answer_, ATTN_F32);
}

enum attn_status rounding_measure(const struct rounding *rounding, const struct layer_attention *attention,
                                  enum attn_type type, int64_t keys, double *distance, struct attn_error *error) {
    const struct rounding_sizes *const sizes = &rounding->sizes;
    const float *const from[3] = {rounding->q, rounding->k, rounding->v};
    const int64_t counts[3] = {sizes->queries * sizes->head_dim, keys * sizes->head_dim, keys * sizes->value_dim};
    for (int side = 0; side < 3; ++side)
        for (int64_t n = 0; n < counts[side]; ++n)
            attn_store(rounding->stored[side], type, n, from[side][n]);
    const enum attn_status status = answer(rounding, attention, rounding->stored, type, type, keys, error);
    *distance = status ? NAN : distance_of(rounding, rounding->stored[3], type);
    return status;
}
