/* SPDX-License-Identifier: Apache-2.0 */
/* Variants that are wrong on purpose, one fault each, and one that is right: the tests of the tester. They answer
 * f32 problems only. Any program can be handed their registry. */
#ifndef TESTS_SABOTEURS_H
#define TESTS_SABOTEURS_H

#include "contract/variant.h"

extern const struct attn_registry saboteur_registry; /* level "baseline" */

#endif
