/* SPDX-License-Identifier: Apache-2.0 */
/* The product of a query and a key of unit normal features has the variance head_dim; the root of head_dim takes it
 * back to 1 (Vaswani et al. 2017, 3.2.1, footnote 4). */
#include <math.h>
#include <stdio.h>

#include "study/sample.h"
#include "study/study.h"

enum { LARGEST = 4096, PAIRS = 16384 };

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    double *const query = STUDY_ARRAY(run, LARGEST, double, error), *const key =
                                                                        STUDY_ARRAY(run, LARGEST, double, error);
    double *const scores = STUDY_ARRAY(run, PAIRS, double, error);
    if (!query || !key || !scores)
        return ATTN_NO_MEMORY;
    /* Var of a variance of `pairs` scores: 2 / pairs of its square for a normal score, and at head_dim 1 the product of
     * two normals has kurtosis 9, which gives 8 / pairs. Six standard deviations are allowed. */
    const double spread = 6 * sqrt(8.0 / PAIRS);
    double least = INFINITY, most = 0;
    for (int64_t head_dim = 1; head_dim <= LARGEST; head_dim *= 4) {
        for (int64_t n = 0; n < PAIRS; ++n) {
            const uint64_t stream = (uint64_t)(head_dim * PAIRS + n);
            study_normals(study_seed(run), 2 * stream, head_dim, 1, query);
            study_normals(study_seed(run), 2 * stream + 1, head_dim, 1, key);
            scores[n] = study_dot(head_dim, query, key);
        }
        const double variance = study_variance(PAIRS, scores), ratio = variance / (double)head_dim;
        study_expect(run, "C11", "Var(q.k) / head_dim", STUDY_AT("unscaled", "head_dim", (double)head_dim), ratio,
                     1 - spread, 1 + spread);
        study_record(run, "C11", "Var(q.k)", STUDY_AT("unscaled", "head_dim", (double)head_dim), variance);
        least = fmin(least, variance);
        most = fmax(most, variance);
    }
    study_conclude(run, "C11", most > 100 * least ? STUDY_SUPPORTED : STUDY_REFUTED,
                   "the variance grows from %.2f at head_dim 1 to %.0f at %d, in proportion", least, most, LARGEST);
    return ATTN_OK;
}

STUDY(score_variance) = {
    .name = "score_variance",
    .claims = "C11",
    .source = "S2",
    .statement = "The variance of the dot product grows with the dimension of the keys.",
    .law = "Var(q.k) = head_dim for unit normal queries and keys",
    .run = run,
};
