/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the oracle: what one query row contributes to the gradients, in float64. */
#ifndef CHECK_GRADIENT_ROW_H
#define CHECK_GRADIENT_ROW_H

#include "check/gradient_noise.h"
#include "check/live.h"

/* A weight as the noise knows it. */
struct gradient_pair {
    double weight;   /* p_j; negative: masked */
    double slope;    /* ds / d(dot) */
    double dp;       /* dP_j */
    double error;    /* squared relative error of the weight */
    double dp_error; /* squared error of dP_j */
};

/* One (batch, KV head) while its gradients are summed. Everything dense and float64. */
struct gradient_head {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    double *keys, *values;                        /* [key_len][head_dim], [key_len][value_dim] */
    double *query, *dout, *mean_key;              /* of one row; sum_j s'_j p_j k_j */
    struct gradient_pair *pairs;                  /* [key_len], of one row */
    double *dq, *out, *lse, *dk, *dv;             /* row's; dk and dv of the KV head */
    struct noise_vector *key_sizes, *value_sizes; /* [key_len] */
    struct noise_row *dk_noise, *dv_noise;        /* [key_len] */
    struct noise_tensor dq_noise;
};

/* Adds what the row contributes to dk and dv and their noise; computes its dq, out and lse. query and dout are set. */
void gradient_differentiate_row(struct gradient_head *head, const struct live_row *row);

#endif
