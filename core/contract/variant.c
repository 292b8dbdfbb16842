/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/variant.h"

#include <string.h>

const struct attn_variant *attn_registry_find(const struct attn_registry *registry, const char *name,
                                              const char *level) {
    for (int l = 0; l < registry->level_count; ++l) {
        if (strcmp(registry->levels[l], level) != 0)
            continue;
        for (int v = 0; v < registry->variant_count; ++v) {
            const struct attn_variant *const variant = registry->variants[v * registry->level_count + l];
            if (variant && strcmp(variant->name, name) == 0)
                return variant;
        }
    }
    return NULL;
}
