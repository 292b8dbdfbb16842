/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in the safetensors format (https://github.com/huggingface/safetensors): 8 bytes with the little-endian length
 * of a JSON header, the header {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...}, then the tensors' bytes
 * without gap or overlap. The file is mapped, not read: pages come when they are touched. */
#ifndef RECORD_SAFETENSORS_H
#define RECORD_SAFETENSORS_H

#include <stdint.h>

#include "contract/status.h"

#define RECORD_MAX_RANK 8

struct record_safetensors; /* opaque */

/* Maps the file and checks all it says before any tensor is handed out. ATTN_IO: the system refuses the file.
 * ATTN_INVALID, with file and tensor: shorter than its header or its tensors, bytes that belong to no tensor, tensors
 * that overlap, offsets that disagree with shape and type, sizes beyond 2^48 bytes, more than RECORD_MAX_RANK
 * dimensions, no JSON. The file must not be cut short while it is open: touching lost pages is a SIGBUS. */
enum attn_status record_safetensors_open(const char *path, struct record_safetensors **file, struct attn_error *error);
void record_safetensors_close(struct record_safetensors *file); /* NULL is allowed */

/* The f32 tensor `name`, which must have this shape: a read-only view, row-major, valid until the file is closed.
 * ATTN_INVALID: not in the file (nearest name offered), of another type or shape, not aligned for a float. */
enum attn_status record_safetensors_find(const struct record_safetensors *file, const char *name, int rank,
                                         const int64_t *shape, const float **data, struct attn_error *error);

/* Tensors in the file, and their names in the order of their bytes. */
int64_t record_safetensors_count(const struct record_safetensors *file);
const char *record_safetensors_name(const struct record_safetensors *file, int64_t index);

#endif
