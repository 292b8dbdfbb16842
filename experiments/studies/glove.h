/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors from counts of pairs, GloVe (Pennington, Socher, Manning 2014): least squares of
 *   w_i . c_j + b_i + b'_j - ln X_ij, each weighted by f(X_ij) = min(1, (X_ij / 100)^0.75), over pairs that occur,
 * by AdaGrad (Duchi et al. 2011). */
#ifndef STUDIES_GLOVE_H
#define STUDIES_GLOVE_H

#include <stdint.h>

struct glove {
    int64_t words, features;
    double *word, *context;           /* [words][features + 1] each: a vector and a bias */
    double *word_past, *context_past; /* likewise: sums of squared gradients; begin at 1 */
};

/* A pass over the pairs that occur, counts [words][words], in an order drawn from (seed, stream); `order` is scratch of
 * the size of counts. */
void glove_pass(const struct glove *model, const double *counts, double rate, uint64_t seed, uint64_t stream,
                int64_t *order);

/* w_i . c_j + b_i + b'_j */
double glove_score(const struct glove *model, int64_t word, int64_t context);

#endif
