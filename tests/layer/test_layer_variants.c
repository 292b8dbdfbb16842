/* SPDX-License-Identifier: Apache-2.0 */
/* Every registered variant inside a float32 block, both directions, against the same block around the oracle. */
#include <math.h>
#include <string.h>

#include "check/oracle_attention.h"
#include "layer/block.h"
#include "layer/plain_gemm.h"
#include "layer/variant_attention.h"
#include "layer_draw.h"
#include "machine/gemm.h"
#include "machine/isa.h"

enum { MODEL = 48, HEADS = 4, HEAD_DIM = 8, HIDDEN = 80, TOKENS = 70 };

static const int64_t offsets[] = {0, 13, 14, TOKENS};
static const struct layer_sequences packed = {
    1, TOKENS, {.segments = 3, .query_offsets = offsets, .key_offsets = offsets}};

/* What one pass forward and one backward make. */
struct outcome {
    float y[TOKENS * MODEL], dx[TOKENS * MODEL];
    float *slopes; /* of the parameters */
    int64_t count;
};

static struct outcome run_block(const struct layer_attention *attention, const struct layer_compute *compute,
                                bool backward) {
    struct layer_block block, gradient;
    layer_block_place(&block, LAYER_POST_NORM, MODEL, HEADS, HEAD_DIM, HIDDEN, NULL);
    struct outcome outcome = {.count = layer_block_parameter_count(&block)};
    float *const parameters = draw(3, outcome.count, .2), *const x = draw(1, TOKENS * MODEL, 1);
    float *const target = draw(2, TOKENS * MODEL, 1), *const saved = zeros(layer_block_saved_count(&block, TOKENS));
    float *const scratch = zeros(layer_block_scratch_count(&block, TOKENS));
    outcome.slopes = zeros(outcome.count);
    layer_block_place(&block, LAYER_POST_NORM, MODEL, HEADS, HEAD_DIM, HIDDEN, parameters);
    layer_block_place(&gradient, LAYER_POST_NORM, MODEL, HEADS, HEAD_DIM, HIDDEN, outcome.slopes);
    struct attn_error error;
    cr_assert(layer_block_forward(&block, attention, compute, &packed, x, saved, outcome.y, &error) == ATTN_OK, "%s",
              error.message);
    if (backward)
        cr_assert(layer_block_backward(&block, attention, compute, &packed, x, saved, target, scratch, outcome.dx,
                                       &gradient, &error) == ATTN_OK,
                  "%s", error.message);
    free(parameters);
    free(x);
    free(target);
    free(saved);
    free(scratch);
    return outcome;
}

/* In the norm, in units of round-off. The bound of a variant's answer is (4 sqrt(keys) + 40) u of what it sums, here
 * 70 u; the norms after it divide by a deviation near 1. */
static void expect_close(const char *what, const char *name, const char *level, const float *got, const float *want,
                         int64_t count) {
    double off = 0, size = 0;
    for (int64_t n = 0; n < count; ++n) {
        off += ((double)got[n] - (double)want[n]) * ((double)got[n] - (double)want[n]);
        size += (double)want[n] * (double)want[n];
    }
    cr_expect(size > 0);
    const double ulps = sqrt(off / size) * 0x1p24;
    cr_expect(ulps <= 70, "%s of %s at %s: off by %.3g u of its norm", what, name, level, ulps);
}

Test(variants_in_a_block, every_one_agrees_with_the_oracle) {
    const struct layer_compute compute = {layer_plain_gemm, 1};
    struct outcome want = run_block(&(struct layer_attention){NULL, check_oracle_attention}, &compute, true);
    for (int v = 0; v < attn_registry.variant_count; ++v)
        for (int level = 0; level < attn_registry.level_count; ++level) {
            if (machine_isa_objection(attn_registry.levels[level]))
                continue;
            struct layer_variant inner = {.variant = attn_registry.variants[v * attn_registry.level_count + level],
                                          .execution = {.threads = 2, .sgemm = machine_gemm()}};
            const bool backward = inner.variant->backward.run != NULL;
            if (strcmp(inner.variant->name, "blas_unfused") == 0 && !machine_gemm())
                continue;
            struct outcome got =
                run_block(&(struct layer_attention){&inner, layer_variant_attention}, &compute, backward);
            const char *const name = inner.variant->name, *const isa = attn_registry.levels[level];
            expect_close("y", name, isa, got.y, want.y, TOKENS * MODEL);
            if (backward) {
                expect_close("dx", name, isa, got.dx, want.dx, TOKENS * MODEL);
                expect_close("parameters' slopes", name, isa, got.slopes, want.slopes, want.count);
            }
            layer_variant_release(&inner);
            free(got.slopes);
        }
    free(want.slopes);
}

Test(variants_in_a_block, the_same_bits_for_any_number_of_threads) {
    struct layer_variant inner = {.variant = attn_registry_find(&attn_registry, "naive", attn_registry.levels[0]),
                                  .execution = {.threads = 1}};
    const struct layer_attention naive = {&inner, layer_variant_attention};
    layer_gemm *const gemms[] = {layer_plain_gemm, machine_gemm()};
    machine_gemm_single_thread();
    for (int g = 0; g < 2 && gemms[g]; ++g) {
        struct outcome one = run_block(&naive, &(struct layer_compute){gemms[g], 1}, true);
        struct outcome three = run_block(&naive, &(struct layer_compute){gemms[g], 3}, true);
        cr_expect(memcmp(one.y, three.y, sizeof one.y) == 0);
        cr_expect(memcmp(one.dx, three.dx, sizeof one.dx) == 0);
        cr_expect(memcmp(one.slopes, three.slopes, (size_t)one.count * sizeof(float)) == 0);
        free(one.slopes);
        free(three.slopes);
    }
    layer_variant_release(&inner);
}

Test(variants_in_a_block, a_missing_direction_is_unsupported) {
    const struct attn_variant forward_only = {.name = "half", .forward = {.objection = NULL}};
    struct layer_variant inner = {.variant = &forward_only, .execution = {.threads = 1}};
    struct attn_problem problem = {.batch = 1, .query_heads = 1, .query_len = 1, .head_dim = 1};
    const struct attn_operands operands = {.q = {.data = NULL}};
    struct attn_error error;
    cr_assert(attn_problem_build(&problem, &error) == ATTN_OK);
    problem.direction = ATTN_BACKWARD;
    cr_expect(layer_variant_attention(&inner, &problem, &operands, &error) == ATTN_UNSUPPORTED);
    cr_expect_str_eq(error.message, "half has no backward pass");
}
