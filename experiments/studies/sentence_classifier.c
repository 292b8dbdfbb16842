/* SPDX-License-Identifier: Apache-2.0 */
#include "sentence_classifier.h"

#include <math.h>
#include <string.h>

#include "layer/plain_gemm.h"
#include "layer/readout.h"
#include "study/sample.h"

const char *const classifier_start_names[] = {"identity", "random", "xavier"};

/* Queries, keys and values: of the vocabulary, of the sentences at hand, and slopes of both. */
struct sides {
    layer_real *query, *key, *value;
};

struct classifier {
    enum classifier_kind kind;
    struct classifier_sizes sizes;
    float scale;
    struct layer_attention attention;
    struct layer_compute compute;
    struct layer_embedding words;
    layer_real *parameters, *gradient;
    int64_t parameter_count;
    struct layer_linear maps[3], map_slopes[3], readout, readout_slopes; /* maps: query, key, value */
    struct sides mapped, mapped_slopes;                                  /* [vocabulary][features] each */
    struct sides seen;             /* what sentences are looked up in: mapped, or the words themselves */
    struct sides rows, row_slopes; /* query [batch][features], the others [batch][words][features] */
    layer_real *answers, *answer_slopes, *logits;
    float *lse;
    double *drawn; /* [features][features] */
};

static int64_t place_linear(struct layer_linear *linear, int64_t in, int64_t out, bool bias, layer_real *at) {
    *linear = (struct layer_linear){.in_features = in, .out_features = out, .weight = at};
    linear->bias = bias ? at + in * out : NULL;
    return in * out + (bias ? out : 0);
}

/* Maps, then the read-out, one after the other. */
static void place_parameters(const struct classifier_sizes *sizes, struct layer_linear maps[3],
                             struct layer_linear *readout, layer_real *at) {
    for (int n = 0; n < 3; ++n)
        at += place_linear(&maps[n], sizes->features, sizes->features, false, at);
    place_linear(readout, sizes->features, sizes->classes, true, at);
}

static bool reserve_sides(struct study_run *run, int64_t queries, int64_t keys, int64_t features, struct sides *sides,
                          struct attn_error *error) {
    sides->query = STUDY_ARRAY(run, queries * features, layer_real, error);
    sides->key = STUDY_ARRAY(run, keys * features, layer_real, error);
    sides->value = STUDY_ARRAY(run, keys * features, layer_real, error);
    return sides->query && sides->key && sides->value;
}

static bool reserve(struct study_run *run, struct classifier *made, struct attn_error *error) {
    const int64_t features = made->sizes.features, batch = made->sizes.batch, words = made->sizes.words;
    const int64_t known = made->sizes.vocabulary;
    made->parameters = STUDY_ARRAY(run, made->parameter_count, layer_real, error);
    made->gradient = STUDY_ARRAY(run, made->parameter_count, layer_real, error);
    made->drawn = STUDY_ARRAY(run, features * features, double, error);
    made->answers = STUDY_ARRAY(run, batch * features, layer_real, error);
    made->answer_slopes = STUDY_ARRAY(run, batch * features, layer_real, error);
    made->lse = STUDY_ARRAY(run, batch, float, error);
    made->logits = STUDY_ARRAY(run, batch * made->sizes.classes, layer_real, error);
    return made->parameters && made->gradient && made->drawn && made->answers && made->answer_slopes && made->lse &&
           made->logits && reserve_sides(run, known, known, features, &made->mapped, error) &&
           reserve_sides(run, known, known, features, &made->mapped_slopes, error) &&
           reserve_sides(run, batch, batch * words, features, &made->rows, error) &&
           reserve_sides(run, batch, batch * words, features, &made->row_slopes, error);
}

/* One map [features][features]. `drawn` is scratch of its size. */
static void start_map(enum classifier_start start, uint64_t seed, uint64_t stream, int64_t features, double *drawn,
                      layer_real *map) {
    const int64_t count = features * features;
    const double width = sqrt(6.0 / (double)(features + features));
    if (start == CLASSIFIER_RANDOM)
        study_normals(seed, stream, count, 1 / sqrt((double)features), drawn);
    for (int64_t n = 0; n < count; ++n) {
        if (start == CLASSIFIER_IDENTITY)
            drawn[n] = n / features == n % features;
        else if (start == CLASSIFIER_XAVIER)
            drawn[n] = width * (2 * study_uniform(seed, stream, (uint64_t)n) - 1);
        map[n] = (layer_real)drawn[n];
    }
}

struct classifier *classifier_create(struct study_run *run, const struct classifier_sizes *sizes,
                                     const struct layer_attention *attention, struct attn_error *error) {
    const int64_t features = sizes->features;
    struct classifier *const made = STUDY_ARRAY(run, 1, struct classifier, error);
    if (!made)
        return NULL;
    *made = (struct classifier){
        .sizes = *sizes,
        .attention = *attention,
        .compute = {.gemm = layer_plain_gemm, .threads = 1},
        .parameter_count = 3 * features * features + (features + 1) * sizes->classes,
    };
    if (!reserve(run, made, error))
        return NULL;
    place_parameters(sizes, made->maps, &made->readout, made->parameters);
    place_parameters(sizes, made->map_slopes, &made->readout_slopes, made->gradient);
    return made;
}

void classifier_begin(struct classifier *classifier, enum classifier_kind kind, enum classifier_start start,
                      uint64_t seed, uint64_t stream, float scale, const layer_real *table) {
    struct classifier *const own = classifier;
    layer_real *const words = (layer_real *)(uintptr_t)table; /* an embedding has no const; nothing writes to it */
    own->kind = kind;
    own->scale = scale;
    own->words = (struct layer_embedding){own->sizes.vocabulary, own->sizes.features, words};
    own->seen = kind == CLASSIFIER_LEARNED ? own->mapped : (struct sides){words, words, words};
    memset(own->parameters, 0, (size_t)own->parameter_count * sizeof *own->parameters);
    memset(own->gradient, 0, (size_t)own->parameter_count * sizeof *own->gradient);
    for (uint64_t n = 0; n < 3; ++n)
        start_map(start, seed, stream + n, own->sizes.features, own->drawn, own->maps[n].weight);
}

/* ---- forward ---- */

/* The attention's operands for these sentences, and their problem. */
static enum attn_status state(const struct classifier *own, int64_t count, enum attn_direction direction,
                              struct attn_problem *problem, struct attn_operands *operands, struct attn_error *error) {
    const int64_t features = own->sizes.features, words = own->sizes.words;
    *problem = (struct attn_problem){.batch = count,
                                     .query_heads = 1,
                                     .query_len = 1,
                                     .key_len = words,
                                     .head_dim = features,
                                     .scale = own->scale,
                                     .type = ATTN_F32,
                                     .direction = direction};
    *operands = (struct attn_operands){
        .q = attn_tensor_dense(own->rows.query, LAYER_TYPE, count, 1, 1, features),
        .k = attn_tensor_dense(own->rows.key, LAYER_TYPE, count, 1, words, features),
        .v = attn_tensor_dense(own->rows.value, LAYER_TYPE, count, 1, words, features),
        .out = attn_tensor_dense(own->answers, LAYER_TYPE, count, 1, 1, features),
        .lse = attn_tensor_dense(own->lse, ATTN_F32, count, 1, 1, 1),
    };
    if (direction == ATTN_BACKWARD) {
        operands->dout = attn_tensor_dense(own->answer_slopes, LAYER_TYPE, count, 1, 1, features);
        operands->dq = attn_tensor_dense(own->row_slopes.query, LAYER_TYPE, count, 1, 1, features);
        operands->dk = attn_tensor_dense(own->row_slopes.key, LAYER_TYPE, count, 1, words, features);
        operands->dv = attn_tensor_dense(own->row_slopes.value, LAYER_TYPE, count, 1, words, features);
    }
    return attn_problem_build(problem, error);
}

static enum attn_status look_up(const struct classifier *own, layer_real *table, int64_t count, const int64_t *ids,
                                layer_real *rows, struct attn_error *error) {
    const struct layer_embedding side = {own->sizes.vocabulary, own->sizes.features, table};
    return layer_embedding_forward(&side, count, ids, rows, error);
}

/* Maps the vocabulary as the maps are now. */
static void map_vocabulary(struct classifier *own) {
    layer_real *const to[] = {own->mapped.query, own->mapped.key, own->mapped.value};
    for (int n = 0; n < 3 && own->kind == CLASSIFIER_LEARNED; ++n)
        layer_linear_forward(&own->maps[n], &own->compute, own->sizes.vocabulary, own->words.table, to[n]);
}

/* Answers and logits of at most a batch of sentences, with the vocabulary as it is mapped. */
static enum attn_status answer(struct classifier *own, int64_t count, const int64_t *ids, const int64_t *asked,
                               struct attn_error *error) {
    enum attn_status status;
    if (own->kind == CLASSIFIER_STATIC) {
        status = look_up(own, own->words.table, count, asked, own->answers, error);
    } else {
        struct attn_problem problem;
        struct attn_operands operands;
        status = look_up(own, own->seen.query, count, asked, own->rows.query, error);
        if (!status)
            status = look_up(own, own->seen.key, count * own->sizes.words, ids, own->rows.key, error);
        if (!status)
            status = look_up(own, own->seen.value, count * own->sizes.words, ids, own->rows.value, error);
        if (!status)
            status = state(own, count, ATTN_FORWARD, &problem, &operands, error);
        if (!status)
            status = own->attention.run(own->attention.context, &problem, &operands, error);
    }
    if (!status)
        layer_linear_forward(&own->readout, &own->compute, count, own->answers, own->logits);
    return status;
}

static int64_t greatest(const layer_real *logits, int64_t classes) {
    int64_t most = 0;
    for (int64_t c = 1; c < classes; ++c)
        if (logits[c] > logits[most])
            most = c;
    return most;
}

enum attn_status classifier_choose(struct classifier *classifier, const struct sentences *sentences, int64_t *choices,
                                   layer_real *answers, struct attn_error *error) {
    const struct classifier_sizes *const sizes = &classifier->sizes;
    map_vocabulary(classifier);
    for (int64_t begin = 0; begin < sentences->count; begin += sizes->batch) {
        const int64_t count = sentences->count - begin < sizes->batch ? sentences->count - begin : sizes->batch;
        const enum attn_status status =
            answer(classifier, count, sentences->ids + begin * sizes->words, sentences->asked + begin, error);
        if (status)
            return status;
        for (int64_t n = 0; n < count; ++n)
            choices[begin + n] = greatest(classifier->logits + n * sizes->classes, sizes->classes);
        for (int64_t n = 0; answers && n < count * sizes->features; ++n)
            answers[begin * sizes->features + n] = classifier->answers[n];
    }
    return ATTN_OK;
}

double sentences_right(const struct sentences *sentences, const int64_t *choices) {
    int64_t right = 0;
    for (int64_t n = 0; n < sentences->count; ++n)
        right += choices[n] == sentences->labels[n];
    return (double)right / (double)sentences->count;
}

/* ---- backward ---- */

static void add_up(const struct classifier *own, int64_t count, const int64_t *ids, const layer_real *row_slopes,
                   layer_real *table_slopes) {
    const struct layer_embedding side = {own->sizes.vocabulary, own->sizes.features, table_slopes};
    memset(table_slopes, 0, (size_t)(side.entries * side.features) * sizeof *table_slopes);
    layer_embedding_backward(count, ids, row_slopes, &side);
}

/* The maps' gradient from that of the answers. */
static enum attn_status differentiate_maps(struct classifier *own, const struct sentences *sentences,
                                           struct attn_error *error) {
    const int64_t count = sentences->count, all = count * own->sizes.words;
    struct attn_problem problem;
    struct attn_operands operands;
    enum attn_status status = state(own, count, ATTN_BACKWARD, &problem, &operands, error);
    if (!status)
        status = own->attention.run(own->attention.context, &problem, &operands, error);
    if (status)
        return status;
    add_up(own, count, sentences->asked, own->row_slopes.query, own->mapped_slopes.query);
    add_up(own, all, sentences->ids, own->row_slopes.key, own->mapped_slopes.key);
    add_up(own, all, sentences->ids, own->row_slopes.value, own->mapped_slopes.value);
    const layer_real *const from[] = {own->mapped_slopes.query, own->mapped_slopes.key, own->mapped_slopes.value};
    for (int n = 0; n < 3; ++n)
        layer_linear_backward(&own->maps[n], &own->compute, own->sizes.vocabulary, own->words.table, from[n], NULL,
                              false, &own->map_slopes[n]);
    return ATTN_OK;
}

enum attn_status classifier_learn(struct classifier *classifier, const struct sentences *sentences, double rate,
                                  double *loss, struct attn_error *error) {
    struct classifier *const own = classifier;
    map_vocabulary(own);
    enum attn_status status = answer(own, sentences->count, sentences->ids, sentences->asked, error);
    if (!status)
        status = layer_softmax_loss(sentences->count, own->sizes.classes, own->logits, sentences->labels, loss,
                                    own->logits, error);
    if (status)
        return status;
    layer_linear_backward(&own->readout, &own->compute, sentences->count, own->answers, own->logits, own->answer_slopes,
                          false, &own->readout_slopes);
    if (own->kind == CLASSIFIER_LEARNED)
        status = differentiate_maps(own, sentences, error);
    if (!status)
        layer_sgd_step(own->parameter_count, rate, own->parameters, own->gradient);
    return status;
}
