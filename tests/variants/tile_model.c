/* SPDX-License-Identifier: Apache-2.0 */
/* A registry of `flash` alone, compiled with the plain-C model of the tile instructions: variant_exam linked to it puts
 * the AMX path through its exams on a CPU without AMX. */
#include "contract/variant.h"

#define MODEL(level)   attn_variant_flash_##level
#define DECLARE(level) extern const struct attn_variant MODEL(level);
#define NAME(level)    #level,
#define ROW(level)     &MODEL(level),

FOR_EACH_LEVEL(DECLARE)

static const char *const levels[] = {FOR_EACH_LEVEL(NAME)};
static const struct attn_variant *const models[] = {FOR_EACH_LEVEL(ROW)};

const struct attn_registry attn_registry = {1, sizeof levels / sizeof *levels, levels, models, NULL};
