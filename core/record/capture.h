/* SPDX-License-Identifier: Apache-2.0 */
/* Captured tensors of real models: GROUP/{q,k,v[,context]} in [batch, head, position, feature], optional
 * key_lengths in the parent group. */
#ifndef RECORD_CAPTURE_H
#define RECORD_CAPTURE_H

#include "contract/status.h"
#include "contract/tensor.h"

struct record_capture {
    struct attn_tensor q, k, v; /* f32, owned */
    struct attn_tensor context; /* data NULL when the file has none */
    int64_t *key_lengths;       /* [batch] or NULL; owned */
};

/* Reads shapes only (data and key_lengths NULL) or everything. ATTN_INVALID / ATTN_IO with file, dataset and what
 * is wrong: missing dataset (nearest names offered), rank, type, shapes that disagree, truncated file. */
enum attn_status record_capture_shapes(const char *path, const char *tensor, struct record_capture *capture,
                                       struct attn_error *error);
enum attn_status record_capture_read(const char *path, const char *tensor, struct record_capture *capture,
                                     struct attn_error *error);
void record_capture_release(struct record_capture *capture);

#endif
