/* SPDX-License-Identifier: Apache-2.0 */
#include "check/instance.h"

#include <math.h>
#include <stdlib.h>

#include "check/arrays.h"
#include "check/pattern.h"
#include "check/random.h"

/* Requests below this are not worth asking the system how much memory it has left. */
static const double worth_asking_bytes = 64 << 20;

struct attn_problem check_form_problem(const struct check_form *form) {
    return (struct attn_problem){
        .batch = form->batch,
        .query_heads = form->query_heads,
        .key_heads = form->key_heads,
        .query_len = form->query_len,
        .key_len = form->key_len,
        .head_dim = form->head_dim,
        .value_dim = form->value_dim,
        .scale = (float)form->scale,
        .type = form->type,
        .direction = form->direction,
    };
}

/* Bytes of all arrays, and of what the patterns remember about the mask; NaN-free for positive sizes. */
static double total_bytes(const struct check_form *form) {
    const double groups = (double)form->batch * (double)form->key_heads;
    double bytes = 0;
    for (int array = 0; array < CHECK_ARRAY_COUNT; ++array)
        bytes += check_array_bytes(form, (enum check_array)array);
    if (!form->capture && check_pattern_needs_live(form->pattern))
        bytes += groups * (double)form->key_len + groups * sizeof(int64_t);
    if (!form->capture && form->pattern == CHECK_NEEDLES)
        bytes += groups * sizeof(struct check_needles);
    return bytes;
}

static enum attn_status refuse_form(const struct check_form *form, struct attn_error *error) {
    const struct check_mask_form *const mask = &form->mask;
    if ((unsigned)form->pattern >= CHECK_PATTERN_COUNT)
        return attn_fail(error, ATTN_INVALID, "input pattern %d is unknown", (int)form->pattern);
    if (mask->packed > 0 && form->batch != 1)
        return attn_fail(error, ATTN_INVALID, "packed sequences need batch 1, not %lld", (long long)form->batch);
    if (mask->packed > 0 && (mask->ragged || (form->capture && form->capture->key_lengths)))
        return attn_fail(error, ATTN_INVALID, "packed sequences have lengths of their own; drop the key lengths");
    if (mask->packed > INT32_MAX)
        return attn_fail(error, ATTN_INVALID, "packed=%lld is more segments than 2^31-1", (long long)mask->packed);
    return ATTN_OK;
}

/* attn_problem_build on the sizes. Counting live pairs, its last step, walks every row; a form too big for this
 * machine is refused in no time, so its rows are left out unless a tensor overflows. */
static enum attn_status refuse_sizes(const struct check_form *form, struct attn_error *error) {
    struct attn_problem sizes = check_form_problem(form);
    sizes.mask = (struct attn_mask){.windowed = form->mask.windowed,
                                    .window_left = form->mask.window_left,
                                    .window_right = form->mask.window_right,
                                    .key_start = form->mask.key_start,
                                    .softcap = (float)form->mask.softcap};
    bool fits = form->batch > 0 && form->batch <= INT32_MAX && form->query_len > 0 && form->query_len <= INT32_MAX;
    for (int array = CHECK_Q; array <= CHECK_OUT; ++array)
        fits = fits && check_array_bytes(form, (enum check_array)array) <= 0x1p48;
    if (fits)
        sizes.batch = sizes.query_len = 1;
    return attn_problem_build(&sizes, error);
}

enum attn_status check_instance_estimate(const struct check_form *form, double *bytes, struct attn_error *error) {
    const struct check_form whole = check_form_complete(form);
    enum attn_status status = refuse_sizes(&whole, error);
    if (!status)
        status = refuse_form(&whole, error);
    *bytes = status ? 0.0 : total_bytes(&whole);
    return status;
}

static enum attn_status refuse_memory(double bytes, struct attn_error *error) {
    if (bytes < worth_asking_bytes)
        return ATTN_OK;
    const double available = (double)machine_memory_available_bytes(), gib = 1 << 30;
    if (bytes > available)
        return attn_fail(error, ATTN_NO_MEMORY,
                         "the problem needs %.2f GiB and %.2f GiB are available; make a size smaller", bytes / gib,
                         available / gib);
    return ATTN_OK;
}

static struct attn_tensor view(const struct check_form *form, void *data, enum attn_type type, int64_t heads,
                               int64_t positions, int64_t features) {
    struct attn_tensor tensor = attn_tensor_dense(data, type, form->batch, heads, positions, features);
    if (form->layout == CHECK_INTERLEAVED) {
        tensor.stride[1] = features;
        tensor.stride[2] = heads * features;
    }
    return tensor;
}

static void attach_operands(struct check_instance *instance, void *const data[CHECK_ARRAY_COUNT]) {
    const struct check_form *const form = &instance->form;
    const int64_t query_heads = form->query_heads, key_heads = form->key_heads, query_len = form->query_len;
    const int64_t key_len = form->key_len, head_dim = form->head_dim, value_dim = form->value_dim;
    struct attn_operands *const operands = &instance->operands;
    *operands = (struct attn_operands){
        .q = view(form, data[CHECK_Q], form->type, query_heads, query_len, head_dim),
        .k = view(form, data[CHECK_K], form->type, key_heads, key_len, head_dim),
        .v = view(form, data[CHECK_V], form->type, key_heads, key_len, value_dim),
        .out = view(form, data[CHECK_OUT], form->type, query_heads, query_len, value_dim),
    };
    if (data[CHECK_LSE])
        operands->lse = view(form, data[CHECK_LSE], ATTN_F32, query_heads, query_len, 1);
    if (form->direction != ATTN_BACKWARD)
        return;
    operands->dout = view(form, data[CHECK_DOUT], form->type, query_heads, query_len, value_dim);
    operands->dq = view(form, data[CHECK_DQ], form->type, query_heads, query_len, head_dim);
    operands->dk = view(form, data[CHECK_DK], form->type, key_heads, key_len, head_dim);
    operands->dv = view(form, data[CHECK_DV], form->type, key_heads, key_len, value_dim);
}

static float root_mean_square(const struct attn_tensor *tensor) {
    double squares = 0;
    for (int64_t b = 0; b < tensor->shape[0]; ++b)
        for (int64_t h = 0; h < tensor->shape[1]; ++h)
            for (int64_t i = 0; i < tensor->shape[2]; ++i) {
                const float *const row = attn_tensor_row(tensor, b, h, i);
                for (int64_t c = 0; c < tensor->shape[3]; ++c)
                    squares += (double)row[c] * row[c];
            }
    return (float)sqrt(squares / (double)attn_tensor_count(tensor));
}

/* What the pattern has to know about the mask before it can fill. */
static enum attn_status prepare_pattern(struct check_instance *instance, struct attn_error *error) {
    const struct check_form *const form = &instance->form;
    const struct attn_problem *const problem = &instance->problem;
    struct check_arrays *const arrays = instance->arrays;
    const int64_t groups = form->batch * form->key_heads;
    if (form->capture) {
        arrays->capture_rms[CHECK_Q] = root_mean_square(&form->capture->q);
        arrays->capture_rms[CHECK_K] = root_mean_square(&form->capture->k);
        arrays->capture_rms[CHECK_V] = root_mean_square(&form->capture->v);
        return ATTN_OK;
    }
    const bool needles = form->pattern == CHECK_NEEDLES, live = check_pattern_needs_live(form->pattern);
    if (needles)
        arrays->needles = calloc((size_t)groups, sizeof *arrays->needles);
    if (live) {
        arrays->live = calloc((size_t)(groups * form->key_len), sizeof *arrays->live);
        arrays->dominant = calloc((size_t)groups, sizeof *arrays->dominant);
    }
    if ((needles && !arrays->needles) || (live && (!arrays->live || !arrays->dominant)))
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for what pattern %s knows about the mask",
                         check_pattern_name(form->pattern));
#pragma omp parallel for schedule(dynamic) num_threads(arrays->threads) if (arrays->threads > 1 && groups > 1)
    for (int64_t group = 0; group < groups; ++group) {
        const int64_t b = group / form->key_heads, key_head = group % form->key_heads;
        if (needles)
            check_needles_place(problem, b, key_head, check_stream(form->seed, (uint64_t)group),
                                &arrays->needles[group]);
        if (live)
            check_live_keys(problem, b, key_head, arrays->live + group * form->key_len);
    }
    return ATTN_OK;
}

static enum attn_status allocate(struct check_instance *instance, enum machine_guard guard, struct attn_error *error) {
    const struct check_form *const form = &instance->form;
    struct check_arrays *const arrays = instance->arrays;
    void *data[CHECK_ARRAY_COUNT] = {NULL};
    for (int array = 0; array < CHECK_ARRAY_COUNT; ++array) {
        const size_t bytes = (size_t)check_array_bytes(form, (enum check_array)array);
        const enum attn_status status =
            bytes == 0 ? ATTN_OK : machine_buffer_create(bytes, guard, arrays->threads, &arrays->buffers[array], error);
        if (status)
            return status;
        data[array] = arrays->buffers[array].data;
    }
    if (form->type != ATTN_F32) {
        const int64_t features = form->head_dim > form->value_dim ? form->head_dim : form->value_dim;
        arrays->scratch_floats = (features + 15) / 16 * 16; /* a cache line of its own for every thread */
        arrays->scratch = malloc((size_t)arrays->threads * (size_t)arrays->scratch_floats * sizeof *arrays->scratch);
        if (!arrays->scratch)
            return attn_fail(error, ATTN_NO_MEMORY, "no memory for a row of each thread");
    }
    check_mask_attach(form, data, &instance->problem.mask);
    check_mask_draw(form, arrays->threads, data);
    attach_operands(instance, data);
    return ATTN_OK;
}

enum attn_status check_instance_create(const struct check_form *form, enum machine_guard guard, int threads,
                                       struct check_instance **instance, struct attn_error *error) {
    double bytes;
    *instance = NULL;
    enum attn_status status = check_instance_estimate(form, &bytes, error);
    if (!status)
        status = refuse_memory(bytes, error);
    if (status)
        return status;
    struct check_instance *const made = calloc(1, sizeof *made);
    struct check_arrays *const arrays = calloc(1, sizeof *arrays);
    if (!made || !arrays) {
        free(made);
        free(arrays);
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for an instance");
    }
    arrays->threads = threads < 1 ? 1 : threads;
    made->arrays = arrays;
    made->form = check_form_complete(form);
    made->problem = check_form_problem(&made->form);
    status = allocate(made, guard, error);
    if (!status)
        status = attn_problem_build(&made->problem, error);
    if (!status)
        status = prepare_pattern(made, error);
    if (status) {
        check_instance_destroy(made);
        return status;
    }
    check_masks_seal(arrays);
    check_instance_fill(made, form->seed);
    *instance = made;
    return ATTN_OK;
}

void check_instance_destroy(struct check_instance *instance) {
    if (!instance)
        return;
    struct check_arrays *const arrays = instance->arrays;
    for (int array = 0; array < CHECK_ARRAY_COUNT; ++array)
        machine_buffer_release(&arrays->buffers[array]);
    free(arrays->needles);
    free(arrays->live);
    free(arrays->dominant);
    free(arrays->scratch);
    free(arrays);
    free(instance);
}
