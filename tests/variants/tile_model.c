/* SPDX-License-Identifier: Apache-2.0 */
/* A registry of `flash` alone, compiled with the plain-C model of the tile instructions: variant_exam linked to it puts
 * the AMX path through its exams on a CPU without AMX. */
#include "contract/variant.h"

extern const struct attn_variant attn_variant_flash_baseline;

static const char *const levels[] = {"baseline"};
static const struct attn_variant *const models[] = {&attn_variant_flash_baseline};

const struct attn_registry attn_registry = {1, 1, levels, models, NULL};
