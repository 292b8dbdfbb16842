/* SPDX-License-Identifier: Apache-2.0 */
/* One head of attention in finite precision, and how far its answer is from the exact one. */
#ifndef STUDIES_ROUNDING_H
#define STUDIES_ROUNDING_H

#include "study/study.h"

/* The mean square of a relative rounding error in units of u^2: the error is uniform within half a unit in the last
 * place, which is between u and u / 2 of a number, whose leading digits are spread evenly on a logarithmic scale:
 * 1/3 x integral from 1 to 2 of dm / (m^3 ln 2) = 1 / (8 ln 2). */
#define ROUNDING_MEAN_SQUARE 0.18033688011112042

struct rounding_sizes {
    int64_t queries, keys, head_dim, value_dim; /* keys: the most that are asked for */
    float scale;
};

struct rounding {
    struct study_run *run;
    struct rounding_sizes sizes;
    float *q, *k, *v; /* [queries][head_dim], [keys][head_dim], [keys][value_dim]; the caller fills them */
    double *exact;    /* [queries][value_dim]: what rounding_solve found */
    void *stored[4];  /* q, k, v and the answer in the type that is measured */
};

/* The largest of fewest, 4 x fewest, 16 x fewest ... that the setting "keys" allows; fewest at least. */
int64_t rounding_most_keys(const struct study_run *run, int64_t fewest);

/* ATTN_NO_MEMORY. */
enum attn_status rounding_create(struct study_run *run, const struct rounding_sizes *sizes, struct rounding *rounding,
                                 struct attn_error *error);

/* Fills q, k, v with N(0, 1), each from a stream of the seed; `drawn` is scratch as large as the largest of them. */
void rounding_draw(struct rounding *rounding, double *drawn);

/* Fills `exact` with the answer for the first `keys` keys, by study_attention() on the values as they are in float. */
enum attn_status rounding_solve(struct rounding *rounding, int64_t keys, struct attn_error *error);

/* The same from operands rounded to `type` by `attention`: |answer - exact| / |exact| over all elements (Frobenius), in
 * units of the type's round-off. */
enum attn_status rounding_measure(const struct rounding *rounding, const struct layer_attention *attention,
                                  enum attn_type type, int64_t keys, double *distance, struct attn_error *error);
/* Likewise of an answer in float [queries][value_dim] that the caller has. */
double rounding_distance(const struct rounding *rounding, const float *answer);

#endif
