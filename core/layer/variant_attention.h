/* SPDX-License-Identifier: Apache-2.0 */
/* A registered variant as the attention inside a layer, f32, both directions. */
#ifndef LAYER_VARIANT_ATTENTION_H
#define LAYER_VARIANT_ATTENTION_H

#include "contract/variant.h"
#include "layer/attention.h"

/* The context of layer_variant_attention: set variant and execution (threads, caches, sgemm; parameters 0 for
 * automatic, else within their ranges), the rest 0. Serves one call at a time. */
struct layer_variant {
    const struct attn_variant *variant;
    struct attn_execution execution;
    void *workspace; /* kept between calls, grown when too small */
    size_t workspace_bytes;
};

/* layer_attention's run, context a struct layer_variant. ATTN_UNSUPPORTED with the variant's objection, or when it does
 * not offer the direction; ATTN_NO_MEMORY. */
enum attn_status layer_variant_attention(void *context, const struct attn_problem *problem,
                                         const struct attn_operands *operands, struct attn_error *error);

void layer_variant_release(struct layer_variant *layer);

#endif
