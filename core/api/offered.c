/* SPDX-License-Identifier: Apache-2.0 */
/* What the library offers, read from the registry that the build wrote. */
#include "api/handle.h"
#include "machine/isa.h"

/* The rung at its lowest level: names, ideas and parameters are the same at every level. */
static const struct attn_variant *rung(int variant) {
    if (variant < 0 || variant >= attn_registry.variant_count)
        return NULL;
    return attn_registry.variants[variant * attn_registry.level_count];
}

static const struct attn_parameter *parameter_of(int variant, int parameter) {
    const struct attn_variant *const found = rung(variant);
    return found && parameter >= 0 && parameter < found->parameter_count ? &found->parameters[parameter] : NULL;
}

const char *attnbench_version(void) {
    return ATTNBENCH_VERSION;
}

int attnbench_variant_count(void) {
    return attn_registry.variant_count;
}

const char *attnbench_variant_name(int variant) {
    const struct attn_variant *const found = rung(variant);
    return found ? found->name : NULL;
}

const char *attnbench_variant_idea(int variant) {
    const struct attn_variant *const found = rung(variant);
    return found ? found->idea : NULL;
}

const char *attnbench_variant_improves_on(int variant) {
    const struct attn_variant *const found = rung(variant);
    return found ? found->improves_on : NULL;
}

int attnbench_parameter_count(int variant) {
    const struct attn_variant *const found = rung(variant);
    return found ? found->parameter_count : 0;
}

const char *attnbench_parameter_name(int variant, int parameter) {
    const struct attn_parameter *const found = parameter_of(variant, parameter);
    return found ? found->name : NULL;
}

const char *attnbench_parameter_meaning(int variant, int parameter) {
    const struct attn_parameter *const found = parameter_of(variant, parameter);
    return found ? found->meaning : NULL;
}

int attnbench_isa_count(void) {
    return attn_registry.level_count;
}

const char *attnbench_isa_name(int level) {
    return level >= 0 && level < attn_registry.level_count ? attn_registry.levels[level] : NULL;
}

const char *attnbench_isa_objection(int level) {
    const char *const name = attnbench_isa_name(level);
    return name ? machine_isa_objection(name) : "there is no such level";
}
