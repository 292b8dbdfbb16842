/* SPDX-License-Identifier: Apache-2.0 */
#include "check/outline.h"

#include <stdlib.h>

#include "check/arrays.h"

/* The mask arrays on which counts depend. */
static const enum check_array drawn_arrays[] = {CHECK_KEY_LENGTHS, CHECK_QUERY_OFFSETS, CHECK_KEY_OFFSETS,
                                                CHECK_QUERY_START};
#define DRAWN_COUNT (sizeof drawn_arrays / sizeof *drawn_arrays)

enum attn_status check_outline_create(const struct check_form *form, double available_bytes,
                                      struct check_outline *outline, struct attn_error *error) {
    *outline = (struct check_outline){.instance_bytes = 0};
    const enum attn_status status = check_instance_estimate(form, &outline->instance_bytes, error);
    if (status)
        return status;
    if (!(outline->instance_bytes <= available_bytes))
        return attn_fail(error, ATTN_NO_MEMORY,
                         "the operands take %.1f GB of memory, %.1f GB are available; make a size smaller",
                         outline->instance_bytes / 1e9, available_bytes / 1e9);
    const struct check_form whole = check_form_complete(form);
    void *data[CHECK_ARRAY_COUNT] = {NULL};
    for (size_t n = 0; n < DRAWN_COUNT; ++n) {
        const double bytes = check_array_bytes(&whole, drawn_arrays[n]);
        if (bytes == 0)
            continue;
        data[drawn_arrays[n]] = outline->arrays[n] = malloc((size_t)bytes);
        if (!outline->arrays[n]) {
            check_outline_release(outline);
            return attn_fail(error, ATTN_NO_MEMORY, "no memory for lengths and offsets");
        }
    }
    check_mask_draw(&whole, 1, data);
    /* The others only have to be there: nobody reads them before there is an instance. */
    static const float nothing[1];
    for (int array = CHECK_BIAS; array <= CHECK_SINKS; ++array)
        if (check_array_bytes(&whole, (enum check_array)array) > 0)
            data[array] = (void *)(uintptr_t)nothing;
    outline->problem = check_form_problem(&whole);
    check_mask_attach(&whole, data, &outline->problem.mask);
    const enum attn_status built = attn_problem_build(&outline->problem, error);
    if (built)
        check_outline_release(outline);
    return built;
}

void check_outline_release(struct check_outline *outline) {
    for (size_t n = 0; n < DRAWN_COUNT; ++n) {
        free(outline->arrays[n]);
        outline->arrays[n] = NULL;
    }
}
