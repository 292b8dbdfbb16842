/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the layer: every array an instance owns, operands and mask arrays alike. */
#ifndef CHECK_ARRAYS_H
#define CHECK_ARRAYS_H

#include "check/instance.h"
#include "check/needles.h"

enum check_array {
    CHECK_Q = 0,
    CHECK_K,
    CHECK_V,
    CHECK_OUT,
    CHECK_LSE,
    CHECK_DOUT,
    CHECK_DQ,
    CHECK_DK,
    CHECK_DV,
    CHECK_KEY_LENGTHS,
    CHECK_QUERY_OFFSETS,
    CHECK_KEY_OFFSETS,
    CHECK_QUERY_START,
    CHECK_BIAS,
    CHECK_ALLOWED,
    CHECK_SLOPES,
    CHECK_SINKS,
    CHECK_ARRAY_COUNT,
};

struct check_arrays {
    int threads;
    struct machine_buffer buffers[CHECK_ARRAY_COUNT]; /* mapping NULL: the form has no such array */
    uint64_t fingerprints[CHECK_ARRAY_COUNT];         /* of inputs and mask arrays, as last filled */
    struct check_needles *needles;
    bool *live;
    int64_t *dominant;
    float capture_rms[3];
    float *scratch; /* [threads][scratch_floats]: a row before rounding; NULL: rows are f32 and filled in place */
    int64_t scratch_floats;
};

/* Remembers what the mask arrays hold now, for check_instance_damage. */
void check_masks_seal(struct check_arrays *arrays);

/* The form with every size filled in: from the capture, or from its partner. */
struct check_form check_form_complete(const struct check_form *form);

/* The problem of a complete form, not yet built, without its mask. */
struct attn_problem check_form_problem(const struct check_form *form);

/* Bytes of one array of a complete form whose sizes are positive; 0: the form has none. In float64, so that
 * no size overflows. */
double check_array_bytes(const struct check_form *form, enum check_array array);

/* Points `mask` at the drawn arrays `data` (NULL where the form has none) and copies the form's scalars. */
void check_mask_attach(const struct check_form *form, void *const data[CHECK_ARRAY_COUNT], struct attn_mask *mask);

/* Draws the mask arrays that exist, each from a stream of the form's seed. */
void check_mask_draw(const struct check_form *form, int threads, void *const data[CHECK_ARRAY_COUNT]);

#endif
