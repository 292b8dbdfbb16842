/* SPDX-License-Identifier: Apache-2.0 */
/* One query at a time over the keys and values of all words so far, as a decoder does it, against the rows of one
 * causal call. */
#include <math.h>

#include "check/oracle.h"
#include "drawn_layer.h"

enum { WORDS = 64, HEADS = 2, HEAD_DIM = 32, WIDTH = HEADS * HEAD_DIM, COUNT = WORDS * WIDTH };

static const struct attn_problem causal = {
    .batch = 1, .query_heads = HEADS, .query_len = WORDS, .head_dim = HEAD_DIM, .mask = {.causal = true}};

struct decoding {
    float *q, *k, *v, *whole, *steps; /* [WORDS][HEADS][HEAD_DIM] */
};

static enum attn_status decode(const struct layer_attention *attention, const struct decoding *decoding,
                               struct attn_error *error) {
    enum attn_status status =
        drawn_attention(attention, causal, decoding->q, decoding->k, decoding->v, decoding->whole, error);
    for (int64_t step = 0; step < WORDS && !status; ++step) {
        const struct attn_problem one = {
            .query_heads = HEADS, .query_len = 1, .key_len = step + 1, .head_dim = HEAD_DIM};
        status = drawn_attention(attention, one, decoding->q + step * WIDTH, decoding->k, decoding->v,
                                 decoding->steps + step * WIDTH, error);
    }
    return status;
}

/* The steps judged as the answer of the causal call: by the error that each element is allowed, check/bound.h. */
static enum attn_status judge_variants(struct study_run *run, const struct decoding *decoding,
                                       const struct check_oracle *oracle, double *worst, struct attn_error *error) {
    const struct attn_registry *const registry = study_variants(run);
    const struct layer_sequences sequences = {.batch = 1, .positions = WORDS};
    const struct attn_operands answers = {.out = layer_heads_view(decoding->steps, &sequences, HEADS, HEAD_DIM)};
    for (int n = 0; registry && n < registry->variant_count; ++n) {
        const struct attn_variant *const variant = registry->variants[n * registry->level_count];
        struct layer_attention attention;
        enum attn_status status = variant ? study_variant(run, variant->name, &attention, error) : ATTN_UNSUPPORTED;
        if (!status)
            status = decode(&attention, decoding, error);
        if (status == ATTN_UNSUPPORTED)
            continue;
        if (status)
            return status;
        struct check_verdict verdict;
        check_oracle_judge(oracle, &answers, variant->traits, false, &verdict);
        const double difference = drawn_difference(COUNT, decoding->whole, decoding->steps);
        study_expect(run, "C28", "error of the steps as that call's answer / allowed", STUDY_BAR(variant->name),
                     verdict.bound_fraction, 0, 1);
        study_record(run, "C28", "largest difference between a step and its causal row", STUDY_BAR(variant->name),
                     difference);
        *worst = fmax(*worst, difference);
    }
    return ATTN_OK;
}

static enum attn_status compare_variants(struct study_run *run, const struct decoding *decoding, double *worst,
                                         struct attn_error *error) {
    const struct layer_sequences sequences = {.batch = 1, .positions = WORDS};
    const struct attn_operands inputs = {.q = layer_heads_view(decoding->q, &sequences, HEADS, HEAD_DIM),
                                         .k = layer_heads_view(decoding->k, &sequences, HEADS, HEAD_DIM),
                                         .v = layer_heads_view(decoding->v, &sequences, HEADS, HEAD_DIM)};
    struct attn_problem problem = causal;
    struct check_oracle *oracle = NULL;
    enum attn_status status = attn_problem_build(&problem, error);
    if (!status)
        status = check_oracle_create(&problem, &inputs, 0, 0, study_threads(run), &oracle, error);
    if (!status)
        status = judge_variants(run, decoding, oracle, worst, error);
    check_oracle_destroy(oracle);
    return status;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const struct layer_attention attention = study_attention(run);
    float *const memory = STUDY_ARRAY(run, 5 * COUNT, float, error);
    if (!memory)
        return ATTN_NO_MEMORY;
    const struct decoding decoding = {memory, memory + COUNT, memory + 2 * COUNT, memory + 3 * COUNT,
                                      memory + 4 * COUNT};
    drawn_normals(study_seed(run), 0, 3 * COUNT, 1, memory);
    double worst = 0;
    enum attn_status status = decode(&attention, &decoding, error);
    if (status)
        return status;
    study_expect(run, "C28", "largest difference between a step and its causal row", STUDY_BAR("oracle"),
                 drawn_difference(COUNT, decoding.whole, decoding.steps), 0, 0);
    status = compare_variants(run, &decoding, &worst, error);
    if (status)
        return status;
    study_conclude(
        run, "C28", study_holds(run, "C28") ? STUDY_SUPPORTED : STUDY_REFUTED,
        "the query of the current word over all keys and values is the last causal row, in the oracle bit for "
        "bit, in the variants to %.0e",
        worst);
    return ATTN_OK;
}

STUDY(incremental) = {
    .name = "incremental",
    .claims = "C28",
    .source = "S3 S4",
    .statement = "The query is of the current token only; keys and values are of all tokens.",
    .law = "a step with one query over the keys and values so far equals that row of a causal call",
    .run = run,
};
