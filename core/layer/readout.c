/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/readout.h"

#include <inttypes.h>
#include <math.h>

static enum attn_status check_labels(int64_t rows, int64_t classes, const int64_t *labels, struct attn_error *error) {
    for (int64_t row = 0; row < rows; ++row)
        if (labels[row] < 0 || labels[row] >= classes)
            return attn_fail(error, ATTN_INVALID, "row %" PRId64 " has label %" PRId64 "; labels are 0 to %" PRId64,
                             row, labels[row], classes - 1);
    return ATTN_OK;
}

enum attn_status layer_logistic_loss(int64_t rows, const layer_real *logits, const int64_t *labels, double *loss,
                                     layer_real *dlogits, struct attn_error *error) {
    const enum attn_status status = check_labels(rows, 2, labels, error);
    double sum = 0;
    for (int64_t row = 0; !status && row < rows; ++row) {
        const double against = labels[row] ? -(double)logits[row] : (double)logits[row];
        const double tail = exp(-fabs(against)); /* of the likelier side; at most 1, so nothing overflows */
        sum += fmax(against, 0) + log1p(tail);
        const double wrong = (against > 0 ? 1 : tail) / (1 + tail); /* the probability of the other label */
        if (dlogits)
            dlogits[row] = (layer_real)((labels[row] ? -wrong : wrong) / (double)rows);
    }
    if (!status)
        *loss = sum / (double)rows;
    return status;
}

enum attn_status layer_softmax_loss(int64_t rows, int64_t classes, const layer_real *logits, const int64_t *labels,
                                    double *loss, layer_real *dlogits, struct attn_error *error) {
    const enum attn_status status = check_labels(rows, classes, labels, error);
    double total = 0;
    for (int64_t row = 0; !status && row < rows; ++row) {
        const layer_real *const logit = logits + row * classes;
        const double wanted = (double)logit[labels[row]];
        double max = (double)logit[0], sum = 0;
        for (int64_t c = 1; c < classes; ++c)
            max = fmax(max, (double)logit[c]);
        for (int64_t c = 0; c < classes; ++c)
            sum += exp((double)logit[c] - max);
        total += max + log(sum) - wanted;
        for (int64_t c = 0; dlogits && c < classes; ++c) {
            const double p = exp((double)logit[c] - max) / sum;
            dlogits[row * classes + c] = (layer_real)((p - (c == labels[row])) / (double)rows);
        }
    }
    if (!status)
        *loss = total / (double)rows;
    return status;
}

void layer_sgd_step(int64_t count, double rate, layer_real *parameters, layer_real *gradient) {
    for (int64_t n = 0; n < count; ++n) {
        parameters[n] = (layer_real)((double)parameters[n] - rate * (double)gradient[n]);
        gradient[n] = 0;
    }
}
