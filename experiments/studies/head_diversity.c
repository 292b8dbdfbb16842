/* SPDX-License-Identifier: Apache-2.0 */
/* How much the heads of a trained layer differ: their weights on a paragraph of 203 tokens (MiniLM-L6, layer 3), beside
 * those of drawn queries and keys. Recorded: nothing says how large a difference must be. */
#include <math.h>
#include <stdio.h>

#include "drawn_layer.h"
#include "record/capture.h"

struct head_stats {
    double entropy,
        distance; /* means over queries: of the weights, over ln of the keys; of |i - j| under the weights */
};

/* P of every head, [heads][tokens][tokens]: the answers for values that are the rows of the identity, which all heads
 * share. */
static enum attn_status weigh(struct study_run *run, const struct attn_tensor *q, const struct attn_tensor *k, float *p,
                              struct attn_error *error) {
    const int64_t heads = q->shape[1], tokens = q->shape[2];
    const struct layer_attention attention = study_attention(run);
    struct attn_problem problem = {
        .batch = 1, .query_heads = heads, .query_len = tokens, .head_dim = q->shape[3], .value_dim = tokens};
    float *const identity = STUDY_ARRAY(run, tokens * tokens, float, error);
    if (!identity)
        return ATTN_NO_MEMORY;
    for (int64_t n = 0; n < tokens; ++n)
        identity[n * tokens + n] = 1;
    struct attn_operands operands = {.q = *q,
                                     .k = *k,
                                     .v = attn_tensor_dense(identity, ATTN_F32, 1, heads, tokens, tokens),
                                     .out = attn_tensor_dense(p, ATTN_F32, 1, heads, tokens, tokens)};
    operands.v.stride[1] = 0;
    const enum attn_status status = attn_problem_build(&problem, error);
    return status ? status : attention.run(attention.context, &problem, &operands, error);
}

static struct head_stats describe(const float *p, int64_t tokens) {
    struct head_stats stats = {0};
    for (int64_t i = 0; i < tokens; ++i)
        for (int64_t j = 0; j < tokens; ++j) {
            const double weight = (double)p[i * tokens + j];
            stats.entropy -= weight > 0 ? weight * log(weight) / log((double)tokens) / (double)tokens : 0;
            stats.distance += weight * fabs((double)(i - j)) / (double)tokens;
        }
    return stats;
}

static double cosine(int64_t count, const float *a, const float *b) {
    double product = 0, squares_a = 0, squares_b = 0;
    for (int64_t n = 0; n < count; ++n) {
        product += (double)a[n] * (double)b[n];
        squares_a += (double)a[n] * (double)a[n];
        squares_b += (double)b[n] * (double)b[n];
    }
    return product / sqrt(squares_a * squares_b);
}

struct diversity {
    double least, mean, most; /* cosine of a pair of heads */
    double nearest, farthest; /* mean distance that a head looks */
};

/* What the heads of p are like, one by one and in pairs. */
static struct diversity compare(struct study_run *run, const char *series, int64_t heads, int64_t tokens,
                                const float *p) {
    const int64_t matrix = tokens * tokens;
    struct diversity found = {.least = 1, .most = -1, .nearest = INFINITY};
    for (int64_t h = 0; h < heads; ++h) {
        const struct head_stats stats = describe(p + h * matrix, tokens);
        study_record(run, "C20", "entropy of the weights / ln tokens", STUDY_AT(series, "head", (double)h),
                     stats.entropy);
        study_record(run, "C20", "mean distance of what a head looks at, tokens", STUDY_AT(series, "head", (double)h),
                     stats.distance);
        found.nearest = fmin(found.nearest, stats.distance);
        found.farthest = fmax(found.farthest, stats.distance);
        for (int64_t other = 0; other < h; ++other) {
            const double alike = cosine(matrix, p + h * matrix, p + other * matrix);
            found.mean += alike / (double)(heads * (heads - 1) / 2);
            found.least = fmin(found.least, alike);
            found.most = fmax(found.most, alike);
        }
    }
    const double cosines[] = {found.least, found.mean, found.most};
    static const char *const which[] = {"least", "mean", "most"};
    for (int n = 0; n < 3; ++n) {
        char name[64];
        snprintf(name, sizeof name, "%s, %s", series, which[n]);
        study_record(run, "C20", "cosine of two heads' weights", STUDY_BAR(name), cosines[n]);
    }
    return found;
}

static enum attn_status diversity(struct study_run *run, const struct record_capture *capture,
                                  struct attn_error *error) {
    const int64_t heads = capture->q.shape[1], tokens = capture->q.shape[2], count = attn_tensor_count(&capture->q);
    float *const p = STUDY_ARRAY(run, heads * tokens * tokens, float, error);
    float *const drawn = STUDY_ARRAY(run, 2 * count, float, error);
    if (!p || !drawn)
        return ATTN_NO_MEMORY;
    enum attn_status status = weigh(run, &capture->q, &capture->k, p, error);
    if (status)
        return status;
    const struct diversity trained = compare(run, "trained", heads, tokens, p);
    drawn_normals(study_seed(run), 0, 2 * count, 1, drawn);
    struct attn_tensor q = capture->q, k = capture->k;
    q.data = drawn;
    k.data = drawn + count;
    status = weigh(run, &q, &k, p, error);
    if (status)
        return status;
    const struct diversity random = compare(run, "drawn", heads, tokens, p);
    study_conclude(
        run, "C20", STUDY_DEPENDS,
        "trained heads look %.0f to %.0f tokens far, drawn ones %.0f to %.0f; their weights have cosines of "
        "%.2f to %.2f, drawn %.2f to %.2f: some differ more than by chance, others are near copies, and what "
        "relation each is about is not in its weights",
        trained.nearest, trained.farthest, random.nearest, random.farthest, trained.least, trained.most, random.least,
        random.most);
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    struct record_capture capture;
    enum attn_status status = record_capture_read(STUDY_INPUTS "/minilm_l6.h5", "paragraph/layer3", &capture, error);
    if (!status)
        status = diversity(run, &capture, error);
    record_capture_release(&capture);
    return status;
}

STUDY(head_diversity) = {
    .name = "head_diversity",
    .claims = "C20",
    .source = "S3",
    .statement = "Each head focuses on different relations between the words.",
    .law = "recorded: cosine between heads' weights, their entropy, and how far they look",
    .run = run,
};
