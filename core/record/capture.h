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

/* Reads shapes only (data and key_lengths NULL) or everything. `tensor` is a group, "paragraph/layer3". ATTN_IO: the
 * system refuses the file. ATTN_INVALID with file, dataset and what is wrong: not an HDF5 file, cut short, a missing
 * group or dataset (nearest name offered), rank, type, shapes that disagree, lengths beyond the keys. `capture` need
 * not be initialised and is zeroed on failure; context.shape[0] is 0 when the file has none. */
enum attn_status record_capture_shapes(const char *path, const char *tensor, struct record_capture *capture,
                                       struct attn_error *error);
enum attn_status record_capture_read(const char *path, const char *tensor, struct record_capture *capture,
                                     struct attn_error *error);
void record_capture_release(struct record_capture *capture);

#endif
