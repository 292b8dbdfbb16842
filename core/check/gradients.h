/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's backward pass: float64 gradients of a loss whose derivative with respect to out is dout,
 *
 *   P = softmax(S),  dV = P^T dout,  dP = dout V^T,  D_i = sum_j P_ij dP_ij,  dS = P o (dP - D),
 *   dQ = scale * dS' K,  dK = scale * dS'^T Q,   dS' = dS (1 - tanh^2(s / softcap)) with a softcap, else dS,
 *
 * dK and dV summed over the query heads of a group. A sink takes its share of the softmax and has no value.
 * Masked pairs touch nothing; a fully masked row has gradient 0. Shares the masks' reading with the forward
 * oracle, and nothing with any variant. */
#ifndef CHECK_GRADIENTS_H
#define CHECK_GRADIENTS_H

#include "contract/problem.h"

/* How far plain f32 arithmetic is expected to be from one gradient tensor: see gradient_noise.h. */
struct check_noise {
    double peak; /* of the element that is worst off */
    double rms;  /* over all elements */
};

/* Dense [batch][heads][positions][features], owned. */
struct check_gradients {
    double *dq;  /* as q */
    double *dk;  /* as k */
    double *dv;  /* as v */
    double *out; /* as out */
    double *lse; /* [batch][query_heads][query_len] */
    struct check_noise dq_noise, dk_noise, dv_noise;
};

/* Reads q, k, v and dout (f64 allowed, whatever the problem's type) and computes every gradient, and out and lse on the
 * way, which are not read. OpenMP over KV heads: the same bits for any number of threads. ATTN_INVALID as
 * check_oracle_create. */
enum attn_status check_oracle_gradients(const struct attn_problem *problem, const struct attn_operands *operands,
                                        int threads, struct check_gradients *gradients, struct attn_error *error);
void check_gradients_release(struct check_gradients *gradients); /* safe on a zeroed struct; leaves one */

/* The error of one gradient tensor. */
struct check_tensor_error {
    double max_abs, rms;
    double frobenius;             /* ||got - want||_F / ||want||_F; infinity when only want is 0 */
    double want_max_abs;          /* the scale of what was wanted */
    int64_t nonfinite, unwritten; /* elements that hold no number where one is wanted */
    int64_t worst[4];             /* batch, head, position, feature of the largest error */
    double worst_got, worst_want;
};

/* `want` is dense, of got's shape. Where want is not finite any non-finite value is right, and no finite one: such
 * an element, and one that is unwritten, makes max_abs, rms and frobenius infinite. */
void check_gradient_error(const double *want, const struct attn_tensor *got, struct check_tensor_error *error);

/* The gate, per tensor: its largest error over CHECK_NOISE_MARGIN times the expected peak, or its root mean square over
 * that margin times the expected one, whichever is more; both with half the type's smallest subnormal number on top. At
 * most 1 is accepted; infinity for what is not a number or unwritten. Right answers were seen up to 2.5 times the
 * expected error, with every mask, pattern, type and ISA level. */
#define CHECK_NOISE_MARGIN 4.0
double check_gradient_fraction(const struct check_tensor_error *error, const struct check_noise *noise,
                               enum attn_type type);

/* Writes out and lse, which the backward pass reads: rounded to f32, then to the tensor's type. */
void check_gradients_supply(const struct check_gradients *gradients, const struct attn_operands *operands);

#endif
