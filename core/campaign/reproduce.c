/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/reproduce.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "campaign/factors.h"

struct words {
    char *text;
    size_t bytes, used;
};

/* Appends " name=value"; values with characters that mean something to a shell are quoted. */
static void append(struct words *words, const char *name, const char *value) {
    const char *const quote = strpbrk(value, " *?[]{}()<>|&;$\"\\") ? "'" : "";
    const size_t room = words->bytes - words->used;
    const int length = snprintf(words->text + words->used, room, " %s=%s%s%s", name, quote, value, quote);
    if (length > 0)
        words->used += (size_t)length < room ? (size_t)length : room - 1;
}

void campaign_reproduce(const struct campaign_point *point, const struct attn_variant *variant, char *text,
                        size_t text_bytes) {
    struct words words = {.text = text, .bytes = text_bytes};
    const int length = snprintf(text, text_bytes, "attnbench time %s", point->variant);
    words.used = (size_t)length < text_bytes ? (size_t)length : text_bytes - 1;
    const struct campaign_point blank = {.variant = "", .isa = "", .placement = ""};
    for (int factor = 0; factor < FACTOR_COUNT; ++factor) {
        /* terms of the mask are in its text, shapes in the capture */
        if (factor == FACTOR_VARIANT || campaign_factor_info(factor)->home == HOME_MASK ||
            (point->capture_path && campaign_factor_is_shape(factor)))
            continue;
        char value[512], usual[512];
        const struct campaign_value own = campaign_factor_get(point, factor);
        const struct campaign_value none = campaign_factor_get(&blank, factor);
        campaign_value_text(factor, &own, value, sizeof value);
        campaign_value_text(factor, &none, usual, sizeof usual);
        if (strcmp(value, usual) != 0)
            append(&words, campaign_factor_info(factor)->name, value);
    }
    for (int i = 0; i < variant->parameter_count; ++i) {
        if (!point->overrides[i])
            continue;
        char name[128], value[32];
        snprintf(name, sizeof name, "%s.%s", point->variant, variant->parameters[i].name);
        snprintf(value, sizeof value, "%" PRId64, point->overrides[i]);
        append(&words, name, value);
    }
}
