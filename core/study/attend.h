/* SPDX-License-Identifier: Apache-2.0 */
/* The run's attention (study_attention) asked with tensors alone, for studies that look at weights and slopes. */
#ifndef STUDY_ATTEND_H
#define STUDY_ATTEND_H

#include "study/study.h"

/* A view of float64 rows as [batch][1][positions][features]; batch stride 0 when `shared`: every sequence of the batch
 * has the same rows. A tensor has no const: only what `rows` allows may be done to it. */
struct attn_tensor study_tensor(const double *rows, int64_t batch, int64_t positions, int64_t features);
struct attn_tensor study_shared(const double *rows, int64_t batch, int64_t positions, int64_t features);

/* Answers `problem`, whose sizes are filled from the operands: direction, scale and mask are the caller's. */
enum attn_status study_attend(const struct study_run *run, struct attn_problem problem,
                              const struct attn_operands *operands, struct attn_error *error);

/* Its weights [batch][query_heads][query_len][key_len], dense: the answer when value j is the j-th unit vector. */
enum attn_status study_weights(const struct study_run *run, struct attn_problem problem, struct attn_tensor q,
                               struct attn_tensor k, double *weights, struct attn_error *error);

/* The definition that laws are held against, in plain loops: weights[n] = exp(scores[n]) / sum of exp(scores).
 * `weights` may be `scores`. */
void study_softmax(int64_t count, const double *scores, double *weights);

#endif
