/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of standard normal numbers for tests of the layer. */
#ifndef TESTS_LAYER_DRAW_H
#define TESTS_LAYER_DRAW_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "check/random.h"
#include "layer/real.h"

/* `count` numbers of standard deviation `size`; free() them. */
static inline layer_real *draw(uint64_t seed, int64_t count, double size) {
    layer_real *const values = malloc((size_t)count * sizeof *values);
    cr_assert(values != NULL);
    for (int64_t n = 0; n < count; ++n)
        values[n] = (layer_real)(size * check_normal(check_bits(check_stream(seed, 7), (uint64_t)n)));
    return values;
}

static inline layer_real *zeros(int64_t count) {
    layer_real *const values = calloc((size_t)count, sizeof *values);
    cr_assert(values != NULL);
    return values;
}

#endif
