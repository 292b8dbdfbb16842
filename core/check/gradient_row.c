/* SPDX-License-Identifier: Apache-2.0 */
#include "check/gradient_row.h"

#include <math.h>

#define UNIT     0x1p-24  /* f32, in which every type is computed */
#define SMALLEST 0x1p-125 /* weights below it may be flushed to 0 */

/* Eight sums side by side, so that the loop vectorises as it is written. */
static double dot_of(const double *a, const double *b, int64_t count) {
    enum { SUMS = 8 };
    double sums[SUMS] = {0}, rest = 0.0;
    int64_t n = 0;
    for (; n + SUMS <= count; n += SUMS)
        for (int l = 0; l < SUMS; ++l)
            sums[l] += a[n + l] * b[n + l];
    for (; n < count; ++n)
        rest += a[n] * b[n];
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest;
}

/* The row's weights, slopes, lse, and the relative errors of the weights. */
static void weigh_row(const struct gradient_head *head, const struct live_row *row, const struct noise_vector *query) {
    const struct attn_problem *const problem = head->problem;
    const double scale = problem->scale, softcap = problem->mask.softcap;
    const double sink = problem->mask.sinks ? (double)problem->mask.sinks[row->head] : -INFINITY;
    double max = sink, sum;
    for (int64_t j = row->first; j < row->last; ++j) {
        struct gradient_pair *const pair = &head->pairs[j];
        *pair = (struct gradient_pair){.weight = -INFINITY, .slope = scale};
        if (!check_pair_lives(problem, row, j))
            continue;
        const double dot = dot_of(head->query, head->keys + j * problem->head_dim, problem->head_dim);
        double bias, alibi, score = scale * dot;
        if (softcap > 0.0) {
            const double bent = tanh(score / softcap);
            score = softcap * bent;
            pair->slope = scale * (1.0 - bent * bent);
        }
        check_pair_terms(problem, row, j, &bias, &alibi);
        pair->weight = score + bias + alibi;
        const double error = scale * check_noise_dot(query->norm * head->key_sizes[j].norm, dot, problem->head_dim);
        pair->error = error * error + UNIT * UNIT * (bias * bias + alibi * alibi + 4.0 * score * score + 9.0);
        if (!(pair->weight <= max))
            max = pair->weight;
    }
    sum = sink == -INFINITY ? 0.0 : exp(sink - max);
    for (int64_t j = row->first; j < row->last; ++j)
        if (head->pairs[j].weight != -INFINITY)
            sum += exp(head->pairs[j].weight - max);
    const double lse = sum == 0.0 ? -INFINITY : max + log(sum);
    for (int64_t j = row->first; j < row->last; ++j) {
        struct gradient_pair *const pair = &head->pairs[j];
        const double score = pair->weight;
        if (score == -INFINITY) {
            pair->weight = -1.0;
            continue;
        }
        pair->weight = exp(score - max) / sum;
        pair->error += UNIT * UNIT * (2.0 * (score - lse) * (score - lse) + lse * lse / 3.0);
        if (pair->weight < SMALLEST) /* may have become 0 */
            pair->error = 1.0;
    }
    *head->lse = lse;
}

/* dP of every live pair; returns D, their weighted mean, and in *error its squared error. */
static double differentiate_weights(const struct gradient_head *head, const struct live_row *row, double *error) {
    const int64_t value_dim = head->problem->value_dim;
    const struct noise_vector dout = check_noise_vector(head->dout, value_dim);
    double mean = 0.0, products = 0.0;
    for (int64_t c = 0; c < value_dim; ++c)
        head->out[c] = 0.0;
    for (int64_t j = row->first; j < row->last; ++j) {
        struct gradient_pair *const pair = &head->pairs[j];
        if (pair->weight < 0.0)
            continue;
        const double *const value = head->values + j * value_dim;
        pair->dp = dot_of(head->dout, value, value_dim);
        pair->dp_error = check_noise_dot(dout.norm * head->value_sizes[j].norm, pair->dp, value_dim);
        mean += pair->weight * pair->dp;
        for (int64_t c = 0; c < value_dim; ++c)
            head->out[c] += pair->weight * value[c];
    }
    for (int64_t c = 0; c < value_dim; ++c)
        products += head->dout[c] * head->out[c] * head->dout[c] * head->out[c];
    const double rounding = attn_type_roundoff(head->problem->type);
    const double dot = check_noise_dot(dout.norm * check_noise_vector(head->out, value_dim).norm, mean, value_dim);
    *error = dot * dot + (rounding > UNIT ? rounding * rounding / 3.0 * products : 0.0);
    return mean;
}

void gradient_differentiate_row(struct gradient_head *head, const struct live_row *row) {
    const int64_t head_dim = head->problem->head_dim, value_dim = head->problem->value_dim;
    const struct noise_vector query = check_noise_vector(head->query, head_dim);
    const struct noise_vector dout = check_noise_vector(head->dout, value_dim);
    struct noise_row noise = {0};
    double mean_error, largest_error = 0.0;
    weigh_row(head, row, &query);
    const double mean = differentiate_weights(head, row, &mean_error);
    for (int64_t c = 0; c < head_dim; ++c)
        head->dq[c] = head->mean_key[c] = 0.0;
    for (int64_t j = row->first; j < row->last; ++j) {
        const struct gradient_pair *const pair = &head->pairs[j];
        if (pair->weight < 0.0)
            continue;
        const double share = pair->slope * pair->weight, off = pair->dp - mean, ds = share * off;
        for (int64_t c = 0; c < value_dim; ++c)
            head->dv[j * value_dim + c] += pair->weight * head->dout[c];
        for (int64_t c = 0; c < head_dim; ++c) {
            const double key = head->keys[j * head_dim + c];
            head->dq[c] += ds * key;
            head->mean_key[c] += share * key;
            head->dk[j * head_dim + c] += ds * head->query[c];
        }
        const double error =
            share * share *
            ((pair->error + 16.0 * UNIT * UNIT) * off * off + pair->dp_error * pair->dp_error + mean_error);
        check_noise_add(&noise, error, ds, &head->key_sizes[j]);
        check_noise_add(&head->dk_noise[j], error, ds, &query);
        check_noise_add(&head->dv_noise[j], pair->error * pair->weight * pair->weight, pair->weight, &dout);
        largest_error = fmax(largest_error, pair->weight < SMALLEST ? 0.0 : pair->error);
    }
    const struct noise_vector want = check_noise_vector(head->dq, head_dim);
    const struct noise_vector mean_key = check_noise_vector(head->mean_key, head_dim);
    noise.mean += mean_error * mean_key.square;
    noise.peak += mean_error * mean_key.peak;
    check_noise_close(&head->dq_noise, &noise, &want, largest_error, attn_type_roundoff(head->problem->type));
}
