/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/embedding.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum attn_status layer_embedding_forward(const struct layer_embedding *embedding, int64_t count, const int64_t *ids,
                                         layer_real *x, struct attn_error *error) {
    const int64_t features = embedding->features;
    for (int64_t n = 0; n < count; ++n)
        if (ids[n] < 0 || ids[n] >= embedding->entries)
            return attn_fail(error, ATTN_INVALID,
                             "token %" PRId64 " has id %" PRId64 "; the table holds ids 0 to %" PRId64, n, ids[n],
                             embedding->entries - 1);
    for (int64_t n = 0; n < count; ++n)
        memcpy(x + n * features, embedding->table + ids[n] * features, (size_t)features * sizeof *x);
    return ATTN_OK;
}

void layer_embedding_backward(int64_t count, const int64_t *ids, const layer_real *dx,
                              const struct layer_embedding *gradient) {
    const int64_t features = gradient->features;
    for (int64_t n = 0; n < count; ++n)
        for (int64_t c = 0; c < features; ++c)
            gradient->table[ids[n] * features + c] += dx[n * features + c];
}

void layer_positions_sinusoidal(const struct layer_embedding *positions, double base) {
    const int64_t features = positions->features;
    for (int64_t place = 0; place < positions->entries; ++place)
        for (int64_t c = 0; c < features; c += 2) {
            const double angle = (double)place * pow(base, -(double)c / (double)features);
            positions->table[place * features + c] = (layer_real)sin(angle);
            positions->table[place * features + c + 1] = (layer_real)cos(angle);
        }
}

enum attn_status layer_positions_forward(const struct layer_embedding *positions,
                                         const struct layer_sequences *sequences, layer_real *x,
                                         struct attn_error *error) {
    const int64_t features = positions->features, tokens = layer_token_count(sequences);
    for (int64_t token = 0; token < tokens; ++token)
        if (layer_place_of(sequences, token) >= positions->entries)
            return attn_fail(error, ATTN_INVALID,
                             "a sequence is longer than the %" PRId64 " positions of the table; cut it",
                             positions->entries);
    for (int64_t token = 0; token < tokens; ++token) {
        const layer_real *const row = positions->table + layer_place_of(sequences, token) * features;
        for (int64_t c = 0; c < features; ++c)
            x[token * features + c] += row[c];
    }
    return ATTN_OK;
}

void layer_positions_backward(const struct layer_sequences *sequences, const layer_real *dx,
                              const struct layer_embedding *gradient) {
    const int64_t features = gradient->features, tokens = layer_token_count(sequences);
    for (int64_t token = 0; token < tokens; ++token) {
        layer_real *const row = gradient->table + layer_place_of(sequences, token) * features;
        for (int64_t c = 0; c < features; ++c)
            row[c] += dx[token * features + c];
    }
}

void layer_rotary(const struct layer_sequences *sequences, double base, int64_t heads, int64_t head_dim,
                  enum layer_turn turn, layer_real *x) {
    const int64_t tokens = layer_token_count(sequences);
    for (int64_t i = 0; i < head_dim; i += 2) {
        const double frequency = pow(base, -(double)i / (double)head_dim);
        for (int64_t token = 0; token < tokens; ++token) {
            const double angle = turn * (double)layer_place_of(sequences, token) * frequency;
            const double cosine = cos(angle), sine = sin(angle);
            for (int64_t h = 0; h < heads; ++h) {
                layer_real *const pair = x + (token * heads + h) * head_dim + i;
                const double first = (double)pair[0], second = (double)pair[1];
                pair[0] = (layer_real)(cosine * first - sine * second);
                pair[1] = (layer_real)(sine * first + cosine * second);
            }
        }
    }
}
