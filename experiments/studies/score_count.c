/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys a query met is read off its weights: a key that was not scored has none. And what the score was: the log
 * of a ratio of weights is a difference of scaled dot products. */
#include <math.h>

#include "study/attend.h"
#include "study/sample.h"

enum { LARGEST = 256, HEAD_DIM = 16 };
#define ROUNDOFF 0x1p-53

struct seen {
    int64_t pairs, own; /* weights that are not 0; those on the query's own place */
    double off;         /* largest |ln(w_ij / w_ii) - scale (q_i . k_j - q_i . k_i)| */
};

static struct seen look(int64_t tokens, double scale, const double *q, const double *k, const double *weights) {
    struct seen seen = {0};
    for (int64_t i = 0; i < tokens; ++i) {
        const double *const row = weights + i * tokens, *const query = q + i * HEAD_DIM;
        seen.own += row[i] > 0;
        for (int64_t j = 0; j < tokens; ++j) {
            seen.pairs += row[j] > 0;
            if (row[j] == 0)
                continue;
            const double scores =
                study_dot(HEAD_DIM, query, k + j * HEAD_DIM) - study_dot(HEAD_DIM, query, k + i * HEAD_DIM);
            seen.off = study_larger(seen.off, fabs(log(row[j] / row[i]) - scale * scores));
        }
    }
    return seen;
}

/* The score of HEAD_DIM products is off by at most (HEAD_DIM + 2) u of the sum of |q k|, twice, here and there; the
 * weights by a few u each, and what exp makes of a score's last place. */
static double rounding(int64_t tokens, double scale, const double *q, const double *k) {
    double longest_q = 0, longest_k = 0;
    for (int64_t i = 0; i < tokens; ++i) {
        longest_q = fmax(longest_q, study_norm(HEAD_DIM, q + i * HEAD_DIM));
        longest_k = fmax(longest_k, study_norm(HEAD_DIM, k + i * HEAD_DIM));
    }
    return 4 * ((HEAD_DIM + 4) * scale * longest_q * longest_k + 4) * ROUNDOFF;
}

static enum attn_status measure(struct study_run *run, bool causal, int64_t tokens, const double *q, const double *k,
                                double *weights, struct attn_error *error) {
    const struct attn_problem problem = {.mask = {.causal = causal}};
    const double scale = (double)layer_scale_value(LAYER_SCALE_ROOT, HEAD_DIM), count = (double)tokens;
    const enum attn_status status = study_weights(run, problem, study_tensor(q, 1, tokens, HEAD_DIM),
                                                  study_tensor(k, 1, tokens, HEAD_DIM), weights, error);
    if (status)
        return status;
    const struct seen seen = look(tokens, scale, q, k, weights);
    const struct study_place place = STUDY_AT(causal ? "causal" : "all keys", "tokens", count);
    const double pairs = causal ? count * (count + 1) / 2 : count * count;
    study_expect(run, "C10", "pairs of a query and a key with a weight", place, (double)seen.pairs, pairs, pairs);
    study_expect(run, "C10", "queries with a weight on their own place", place, (double)seen.own, count, count);
    study_expect(run, "C10", "largest |ln(weight ratio) - score difference|", place, seen.off, 0,
                 rounding(tokens, scale, q, k));
    return ATTN_OK;
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const q = STUDY_ARRAY(run, LARGEST * HEAD_DIM, double, error);
    double *const k = STUDY_ARRAY(run, LARGEST * HEAD_DIM, double, error);
    double *const weights = STUDY_ARRAY(run, LARGEST * LARGEST, double, error);
    if (!q || !k || !weights)
        return ATTN_NO_MEMORY;
    study_normals(study_seed(run), 0, LARGEST * HEAD_DIM, 1, q);
    study_normals(study_seed(run), 1, LARGEST * HEAD_DIM, 1, k);
    enum attn_status status = ATTN_OK;
    for (int causal = 0; !status && causal < 2; ++causal)
        for (int64_t tokens = 1; !status && tokens <= LARGEST; tokens *= 2)
            status = measure(run, causal, tokens, q, k, weights, error);
    study_conclude(run, "C10", study_holds(run, "C10") ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "%d tokens: %d dot products, %d under a causal mask, each token's own among them", LARGEST,
                   LARGEST * LARGEST, LARGEST * (LARGEST + 1) / 2);
    return status;
}

STUDY(score_count) = {
    .name = "score_count",
    .claims = "C10",
    .source = "S2 S4",
    .statement = "A score is the dot product of the query with the keys of all tokens, itself included.",
    .law = "tokens^2 dot products, tokens (tokens + 1) / 2 under a causal mask",
    .run = run,
};
