/* SPDX-License-Identifier: Apache-2.0 */
/* How far the largest of independent standard normal numbers leads the second: what decides when a softmax of them is
 * one-hot (order statistics: David and Nagaraja 2003, 2.1 and 2.2). */
#ifndef STUDY_EXTREME_H
#define STUDY_EXTREME_H

#include <stdint.h>

/* P(the largest of `count` leads the second by more than `lead` >= 0) = count * integral of phi(y) Phi(y - lead)^(count
 * - 1) dy. */
double study_lead_survival(int64_t count, double lead);

/* Half the draws lead by more. */
double study_lead_median(int64_t count);

/* The density of the lead at 0: count (count - 1) * integral of phi(y)^2 Phi(y)^(count - 2) dy. For large counts it
 * tends to sqrt(2 ln count). */
double study_tie_density(int64_t count);

#endif
