/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an instance between two calls of a variant: values in, poison over the answers, damage looked for. */
#include <omp.h>

#include "check/arrays.h"
#include "check/fingerprint.h"
#include "check/pattern.h"

/* Beyond this many elements a tensor is filled by several threads. */
static const int64_t parallel_elements = 1 << 15;

static const struct {
    const char *overrun, *modified; /* what check_instance_damage says */
} complaints[CHECK_ARRAY_COUNT] = {
#define COMPLAINTS(name)                                                                                               \
    { "writes outside of " name, "modifies an input: " name }
    [CHECK_Q] = COMPLAINTS("q"),
    [CHECK_K] = COMPLAINTS("k"),
    [CHECK_V] = COMPLAINTS("v"),
    [CHECK_OUT] = COMPLAINTS("out"),
    [CHECK_LSE] = COMPLAINTS("lse"),
    [CHECK_DOUT] = COMPLAINTS("dout"),
    [CHECK_DQ] = COMPLAINTS("dq"),
    [CHECK_DK] = COMPLAINTS("dk"),
    [CHECK_DV] = COMPLAINTS("dv"),
    [CHECK_KEY_LENGTHS] = COMPLAINTS("key_lengths"),
    [CHECK_QUERY_OFFSETS] = COMPLAINTS("query_offsets"),
    [CHECK_KEY_OFFSETS] = COMPLAINTS("key_offsets"),
    [CHECK_QUERY_START] = COMPLAINTS("query_start"),
    [CHECK_BIAS] = COMPLAINTS("bias"),
    [CHECK_ALLOWED] = COMPLAINTS("the boolean mask"),
    [CHECK_SLOPES] = COMPLAINTS("alibi_slopes"),
    [CHECK_SINKS] = COMPLAINTS("sinks"),
#undef COMPLAINTS
};

static bool is_input(int array, enum attn_direction direction) {
    const bool forward_answer = array == CHECK_OUT || array == CHECK_LSE;
    return array <= CHECK_V || array == CHECK_DOUT || array >= CHECK_KEY_LENGTHS ||
           (forward_answer && direction == ATTN_BACKWARD);
}

static void seal(struct check_arrays *arrays, int array) {
    const struct machine_buffer *const buffer = &arrays->buffers[array];
    if (buffer->mapping)
        arrays->fingerprints[array] = check_fingerprint(buffer->data, buffer->bytes, arrays->threads);
}

void check_masks_seal(struct check_arrays *arrays) {
    for (int array = CHECK_KEY_LENGTHS; array < CHECK_ARRAY_COUNT; ++array)
        seal(arrays, array);
    seal(arrays, CHECK_OUT); /* matter where they are inputs */
    seal(arrays, CHECK_LSE);
}

static void fill_row(const struct check_source *source, const struct check_arrays *arrays, enum check_array array,
                     const struct attn_tensor *tensor, int64_t n) {
    const int64_t heads = tensor->shape[1], positions = tensor->shape[2];
    const int64_t b = n / positions / heads, h = n / positions % heads, i = n % positions;
    void *const row = attn_tensor_row(tensor, b, h, i);
    float *const drawn = arrays->scratch ? arrays->scratch + omp_get_thread_num() * arrays->scratch_floats : row;
    check_pattern_row(source, array, b, h, i, drawn);
    for (int64_t c = 0; c < tensor->shape[3] && arrays->scratch; ++c)
        attn_store(row, tensor->type, c, drawn[c]);
}

static void fill_tensor(const struct check_source *source, struct check_arrays *arrays, enum check_array array,
                        const struct attn_tensor *tensor) {
    if (!tensor->data)
        return;
    const int64_t rows = tensor->shape[0] * tensor->shape[1] * tensor->shape[2];
    const bool parallel = arrays->threads > 1 && rows * tensor->shape[3] > parallel_elements;
#pragma omp parallel for schedule(static) num_threads(arrays->threads) if (parallel)
    for (int64_t n = 0; n < rows; ++n)
        fill_row(source, arrays, array, tensor, n);
    seal(arrays, array);
}

void check_instance_fill(struct check_instance *instance, uint64_t seed) {
    struct check_arrays *const arrays = instance->arrays;
    const struct check_source source = {
        .form = &instance->form,
        .problem = &instance->problem,
        .seed = seed,
        .needles = arrays->needles,
        .live = arrays->live,
        .dominant = arrays->dominant,
        .capture_rms = arrays->capture_rms,
    };
    if (arrays->dominant)
        check_pattern_draw_dominant(&source);
    fill_tensor(&source, arrays, CHECK_Q, &instance->operands.q);
    fill_tensor(&source, arrays, CHECK_K, &instance->operands.k);
    fill_tensor(&source, arrays, CHECK_V, &instance->operands.v);
    fill_tensor(&source, arrays, CHECK_DOUT, &instance->operands.dout);
}

void check_instance_supply(struct check_instance *instance, const struct check_oracle *oracle) {
    if (instance->form.direction != ATTN_BACKWARD)
        return;
    check_oracle_supply(oracle, &instance->operands);
    seal(instance->arrays, CHECK_OUT);
    seal(instance->arrays, CHECK_LSE);
}

void check_instance_poison(struct check_instance *instance) {
    static const enum check_array forward[] = {CHECK_OUT, CHECK_LSE}, backward[] = {CHECK_DQ, CHECK_DK, CHECK_DV};
    const bool gradients = instance->form.direction == ATTN_BACKWARD;
    const size_t count = gradients ? sizeof backward / sizeof *backward : sizeof forward / sizeof *forward;
    for (size_t n = 0; n < count; ++n) {
        const struct machine_buffer *const buffer = &instance->arrays->buffers[gradients ? backward[n] : forward[n]];
        if (buffer->mapping)
            memset(buffer->data, ATTN_POISON_BYTE, buffer->bytes);
    }
}

const char *check_instance_damage(const struct check_instance *instance) {
    const struct check_arrays *const arrays = instance->arrays;
    for (int array = 0; array < CHECK_ARRAY_COUNT; ++array) {
        const struct machine_buffer *const buffer = &arrays->buffers[array];
        if (!buffer->mapping)
            continue;
        if (!machine_buffer_intact(buffer))
            return complaints[array].overrun;
        if (is_input(array, instance->form.direction) &&
            check_fingerprint(buffer->data, buffer->bytes, arrays->threads) != arrays->fingerprints[array])
            return complaints[array].modified;
    }
    return NULL;
}
