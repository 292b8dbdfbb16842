/* SPDX-License-Identifier: Apache-2.0 */
#include "layer/variant_attention.h"

#include <stdlib.h>

static enum attn_status provide_workspace(struct layer_variant *layer, size_t bytes, struct attn_error *error) {
    if (bytes <= layer->workspace_bytes)
        return ATTN_OK;
    layer_variant_release(layer);
    if (posix_memalign(&layer->workspace, 64, bytes) != 0) {
        layer->workspace = NULL;
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for the %zu bytes of %s's workspace", bytes,
                         layer->variant->name);
    }
    layer->workspace_bytes = bytes;
    return ATTN_OK;
}

enum attn_status layer_variant_attention(void *context, const struct attn_problem *problem,
                                         const struct attn_operands *operands, struct attn_error *error) {
    struct layer_variant *const layer = context;
    const struct attn_variant *const variant = layer->variant;
    const struct attn_pass *const pass = attn_variant_pass(variant, problem->direction);
    if (!pass->run)
        return attn_fail(error, ATTN_UNSUPPORTED, "%s has no %s pass", variant->name,
                         problem->direction == ATTN_BACKWARD ? "backward" : "forward");
    enum attn_status status = attn_operands_check(problem, operands, error);
    if (status)
        return status;
    struct attn_execution execution = layer->execution;
    if (!(variant->traits & ATTN_PARALLEL))
        execution.threads = 1;
    if (variant->resolve)
        variant->resolve(problem, &execution);
    const char *const objection = pass->objection ? pass->objection(problem, &execution) : NULL;
    if (objection)
        return attn_fail(error, ATTN_UNSUPPORTED, "%s: %s", variant->name, objection);
    const size_t bytes = pass->workspace_bytes ? pass->workspace_bytes(problem, &execution) : 0;
    status = provide_workspace(layer, bytes, error);
    if (status)
        return status;
    execution.workspace = bytes > 0 ? layer->workspace : NULL;
    pass->run(problem, operands, &execution);
    return ATTN_OK;
}

void layer_variant_release(struct layer_variant *layer) {
    free(layer->workspace);
    layer->workspace = NULL;
    layer->workspace_bytes = 0;
}
