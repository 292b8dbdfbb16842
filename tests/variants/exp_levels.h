/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_EXP_LEVELS_H
#define TESTS_EXP_LEVELS_H

#include <stdint.h>

/* y[n] = plain_exp(x[n]); exp_of_many_<level> for each ISA level. The build defines FOR_EACH_LEVEL. */
typedef void exp_of_many(const float *x, float *y, int64_t count);
#define DECLARE(level) exp_of_many exp_of_many_##level;
FOR_EACH_LEVEL(DECLARE)
#undef DECLARE

#endif
