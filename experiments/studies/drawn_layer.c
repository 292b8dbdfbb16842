/* SPDX-License-Identifier: Apache-2.0 */
#include "drawn_layer.h"

#include <math.h>

#include "check/random.h"
#include "layer/plain_gemm.h"

void drawn_normals(uint64_t seed, uint64_t stream, int64_t count, double deviation, layer_real *values) {
    const uint64_t key = check_stream(seed, stream);
    for (int64_t n = 0; n < count; ++n)
        values[n] = (layer_real)(deviation * check_normal(check_bits(key, (uint64_t)n)));
}

double drawn_difference(int64_t count, const layer_real *a, const layer_real *b) {
    double largest = 0;
    for (int64_t n = 0; n < count; ++n) {
        const double difference = fabs((double)a[n] - (double)b[n]);
        if (!(difference <= largest)) /* NaN too */
            largest = difference;
        if (isnan(largest))
            break;
    }
    return largest;
}

static bool draw_map(struct study_run *run, uint64_t stream, int64_t in, int64_t out, struct layer_linear *map,
                     struct attn_error *error) {
    *map = (struct layer_linear){.in_features = in, .out_features = out};
    map->weight = STUDY_ARRAY(run, in * out, layer_real, error);
    if (map->weight)
        drawn_normals(study_seed(run), stream, in * out, 1 / sqrt((double)in), map->weight);
    return map->weight;
}

enum attn_status drawn_layer_create(struct study_run *run, uint64_t stream, int64_t tokens, int64_t model_dim,
                                    int64_t heads, int64_t head_dim, struct drawn_layer *drawn,
                                    struct attn_error *error) {
    const int64_t width = heads * head_dim;
    *drawn = (struct drawn_layer){.layer = {.heads = heads, .head_dim = head_dim},
                                  .compute = {.gemm = layer_plain_gemm, .threads = 1}};
    struct layer_self_attention *const layer = &drawn->layer;
    layer_real *const saved = STUDY_ARRAY(run, 4 * tokens * width, layer_real, error);
    if (!saved || !draw_map(run, stream, model_dim, width, &layer->query, error) ||
        !draw_map(run, stream + 1, model_dim, width, &layer->key, error) ||
        !draw_map(run, stream + 2, model_dim, width, &layer->value, error) ||
        !draw_map(run, stream + 3, width, model_dim, &layer->output, error))
        return ATTN_NO_MEMORY;
    drawn->saved = (struct layer_attention_saved){.q = saved,
                                                  .k = saved + tokens * width,
                                                  .v = saved + 2 * tokens * width,
                                                  .context = saved + 3 * tokens * width};
    return ATTN_OK;
}

enum attn_status drawn_layer_forward(const struct drawn_layer *drawn, const struct layer_attention *attention,
                                     const struct layer_sequences *sequences, const layer_real *x, layer_real *y,
                                     struct attn_error *error) {
    return layer_self_attention_forward(&drawn->layer, attention, &drawn->compute, sequences, x, &drawn->saved, y,
                                        error);
}

enum attn_status drawn_attention(const struct layer_attention *attention, struct attn_problem problem,
                                 const layer_real *q, const layer_real *k, const layer_real *v, layer_real *out,
                                 struct attn_error *error) {
    problem.batch = problem.batch ? problem.batch : 1;
    problem.query_heads = problem.query_heads ? problem.query_heads : 1;
    const enum attn_status status = attn_problem_build(&problem, error);
    if (status)
        return status;
    const struct layer_sequences queries = {.batch = problem.batch, .positions = problem.query_len};
    const struct layer_sequences keys = {.batch = problem.batch, .positions = problem.key_len};
    const struct attn_operands operands = {
        .q = layer_heads_view(q, &queries, problem.query_heads, problem.head_dim),
        .k = layer_heads_view(k, &keys, problem.key_heads, problem.head_dim),
        .v = layer_heads_view(v, &keys, problem.key_heads, problem.value_dim),
        .out = layer_heads_view(out, &queries, problem.query_heads, problem.value_dim),
    };
    return attention->run(attention->context, &problem, &operands, error);
}
