/* SPDX-License-Identifier: Apache-2.0 */
/* Backward passes that are wrong on purpose, one fault each, and one that is right. */
#ifndef TESTS_SABOTEURS_BACKWARD_H
#define TESTS_SABOTEURS_BACKWARD_H

#include "contract/variant.h"

extern const struct attn_registry backward_saboteur_registry; /* level "baseline" */

#endif
