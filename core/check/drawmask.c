/* SPDX-License-Identifier: Apache-2.0 */
/* Mask arrays of a form, drawn by its seed: lengths, offsets, starts, bias, boolean, slopes, sinks. */
#include <math.h>

#include "check/arrays.h"
#include "check/random.h"

enum stream {
    STREAM_LENGTHS = 100,
    STREAM_QUERY_SEGMENTS,
    STREAM_KEY_SEGMENTS,
    STREAM_BIAS,
    STREAM_BOOLEAN,
    STREAM_ROWS,
    STREAM_SINKS,
    STREAM_LAYOUT,
    STREAM_STARTS
};

/* Masks of up to this many elements take a broadcast layout drawn by the seed, so that checks meet all of them;
 * beyond, all batches and heads share one [query_len][key_len] array, as models do. */
static const double drawn_layout_elements = 1 << 16;
static const int64_t dead_block_keys = 64;

static bool has_boolean(const struct check_mask_form *mask) {
    return mask->boolean || mask->dead_rows || mask->dead_block;
}

/* Elements of a [batch][query_heads][query_len][key_len] array in which the dimensions of `broadcast` (a bit each)
 * are stored once. */
static double mask_strides(const struct check_form *form, unsigned broadcast, int64_t stride[4]) {
    const int64_t shape[4] = {form->batch, form->query_heads, form->query_len, form->key_len};
    double count = 1;
    for (int n = 3; n >= 0; --n) {
        const bool shared = broadcast >> n & 1;
        stride[n] = shared || count > 0x1p62 ? 0 : (int64_t)count;
        count *= shared ? 1 : (double)shape[n];
    }
    return count;
}

static double mask_layout(const struct check_form *form, enum check_array array, int64_t stride[4]) {
    const unsigned batch = 1, head = 2, query = 4;
    if (mask_strides(form, 0, stride) > drawn_layout_elements)
        return mask_strides(form, batch | head, stride);
    static const unsigned layouts[] = {0, batch, head, batch | head, query, head | query};
    unsigned choices = sizeof layouts / sizeof *layouts;
    if (array == CHECK_ALLOWED && form->mask.dead_rows)
        choices -= 2; /* rows can't differ where all queries share one */
    const uint64_t bits = check_bits(check_stream(form->seed, STREAM_LAYOUT), (uint64_t)array);
    return mask_strides(form, layouts[check_below(bits, choices)], stride);
}

struct check_form check_form_complete(const struct check_form *form) {
    struct check_form whole = *form;
    if (form->capture) {
        const struct check_capture *const capture = form->capture;
        whole.batch = capture->q.shape[0];
        whole.query_heads = capture->q.shape[1];
        whole.key_heads = capture->k.shape[1];
        whole.query_len = capture->q.shape[2];
        whole.key_len = capture->k.shape[2];
        whole.head_dim = capture->q.shape[3];
        whole.value_dim = capture->v.shape[3];
    }
    whole.key_heads = whole.key_heads ? whole.key_heads : whole.query_heads;
    whole.key_len = whole.key_len ? whole.key_len : whole.query_len;
    whole.value_dim = whole.value_dim ? whole.value_dim : whole.head_dim;
    return whole;
}

double check_array_bytes(const struct check_form *form, enum check_array array) {
    const struct check_mask_form *const mask = &form->mask;
    const double element = (double)attn_type_bytes(form->type), batch = (double)form->batch;
    const double query_rows = batch * (double)form->query_heads * (double)form->query_len;
    const double key_rows = batch * (double)form->key_heads * (double)form->key_len;
    const bool backward = form->direction == ATTN_BACKWARD;
    const double sequences = mask->packed > 0 ? (double)mask->packed : batch;
    int64_t stride[4];
    switch (array) {
    case CHECK_Q: return query_rows * (double)form->head_dim * element;
    case CHECK_K: return key_rows * (double)form->head_dim * element;
    case CHECK_V: return key_rows * (double)form->value_dim * element;
    case CHECK_OUT: return query_rows * (double)form->value_dim * element;
    case CHECK_LSE: return form->lse || backward ? query_rows * sizeof(float) : 0;
    case CHECK_DOUT: return backward ? query_rows * (double)form->value_dim * element : 0;
    case CHECK_DQ: return backward ? query_rows * (double)form->head_dim * element : 0;
    case CHECK_DK: return backward ? key_rows * (double)form->head_dim * element : 0;
    case CHECK_DV: return backward ? key_rows * (double)form->value_dim * element : 0;
    case CHECK_KEY_LENGTHS:
        return mask->ragged || (form->capture && form->capture->key_lengths) ? batch * sizeof(int64_t) : 0;
    case CHECK_QUERY_OFFSETS:
    case CHECK_KEY_OFFSETS: return mask->packed > 0 ? (sequences + 1) * sizeof(int64_t) : 0;
    case CHECK_QUERY_START: return mask->shifted ? sequences * sizeof(int64_t) : 0;
    case CHECK_BIAS: return mask->bias ? mask_layout(form, array, stride) * sizeof(float) : 0;
    case CHECK_ALLOWED: return has_boolean(mask) ? mask_layout(form, array, stride) * sizeof(bool) : 0;
    case CHECK_SLOPES: return mask->alibi ? (double)form->query_heads * sizeof(float) : 0;
    case CHECK_SINKS: return mask->sinks ? (double)form->query_heads * sizeof(float) : 0;
    default: return 0;
    }
}

void check_mask_attach(const struct check_form *form, void *const data[CHECK_ARRAY_COUNT], struct attn_mask *mask) {
    const struct check_mask_form *const source = &form->mask;
    *mask = (struct attn_mask){
        .causal = source->causal,
        .windowed = source->windowed,
        .window_left = source->window_left,
        .window_right = source->window_right,
        .alignment = source->alignment,
        .query_start = data[CHECK_QUERY_START],
        .key_start = source->key_start,
        .key_lengths = data[CHECK_KEY_LENGTHS],
        .segments = source->packed,
        .query_offsets = data[CHECK_QUERY_OFFSETS],
        .key_offsets = data[CHECK_KEY_OFFSETS],
        .bias = data[CHECK_BIAS],
        .allowed = data[CHECK_ALLOWED],
        .alibi_slopes = data[CHECK_SLOPES],
        .sinks = data[CHECK_SINKS],
        .softcap = (float)source->softcap,
    };
    if (mask->bias)
        mask_layout(form, CHECK_BIAS, mask->bias_stride);
    if (mask->allowed)
        mask_layout(form, CHECK_ALLOWED, mask->allowed_stride);
}

/* Sequence 0 is long but not whole, 1 has one key, 2 none; the others any length from 1. */
static void draw_lengths(const struct check_form *form, int64_t *lengths) {
    const uint64_t key = check_stream(form->seed, STREAM_LENGTHS);
    for (int64_t b = 0; b < form->batch; ++b) {
        const uint64_t bits = check_bits(key, (uint64_t)b);
        if (form->capture && form->capture->key_lengths)
            lengths[b] = form->capture->key_lengths[b];
        else if (b == 0)
            lengths[b] = form->key_len - (form->key_len > 1 ? 1 + check_below(bits, form->key_len / 2) : 0);
        else
            lengths[b] = b == 1 ? 1 : b == 2 ? 0 : 1 + check_below(bits, form->key_len);
    }
}

/* Starts from query_start on, by less than the keys that a sequence has on average; that of sequence 1 is another than
 * that of sequence 0. */
static void draw_starts(const struct check_form *form, int64_t sequences, int64_t *starts) {
    const uint64_t key = check_stream(form->seed, STREAM_STARTS);
    const int64_t keys = form->mask.packed > 0 ? form->key_len / sequences : form->key_len, span = keys > 2 ? keys : 2;
    for (int64_t n = 0; n < sequences; ++n) {
        int64_t shift = form->mask.ragged_starts ? check_below(check_bits(key, (uint64_t)n), span) : 0;
        if (form->mask.ragged_starts && n == 1 && form->mask.query_start + shift == starts[0])
            shift = (shift + 1) % span;
        starts[n] = form->mask.query_start + shift;
    }
}

/* Offsets of `segments` lengths that sum to `total`: one of length 0 (from three segments up) and one of length 1
 * (from two up, if there is that much) at places drawn by `key`, the rest between a fifth and all of an even share. */
static void draw_offsets(uint64_t key, int64_t segments, int64_t total, int64_t *offsets) {
    const int64_t empty = segments >= 3 ? check_below(check_bits(key, 0), segments) : -1;
    int64_t single = segments >= 2 ? check_below(check_bits(key, 1), segments) : -1;
    if (single == empty && single >= 0)
        single = (single + 1) % segments;
    const int64_t left = single >= 0 ? total - 1 : total;
    double weights = 0, reached = 0;
    for (int64_t s = 0; s < segments; ++s)
        weights += s == empty || s == single ? 0 : 0.25 + check_unit(check_bits(key, (uint64_t)s + 2));
    offsets[0] = 0;
    int64_t given = 0;
    for (int64_t s = 0; s < segments; ++s) {
        int64_t length = s == single ? 1 : 0;
        if (s != empty && s != single) {
            reached += 0.25 + check_unit(check_bits(key, (uint64_t)s + 2));
            const int64_t up_to = (int64_t)((double)left * (reached / weights) + 0.5);
            length = up_to - given;
            given = up_to;
        }
        offsets[s + 1] = offsets[s] + length;
    }
    offsets[segments] = total;
}

static void draw_bias(const struct check_form *form, int threads, float *bias) {
    const uint64_t key = check_stream(form->seed, STREAM_BIAS);
    const int64_t count = (int64_t)(check_array_bytes(form, CHECK_BIAS) / sizeof *bias);
    (void)threads;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1 && count > 1 << 16)
    for (int64_t n = 0; n < count; ++n) {
        const uint64_t bits = check_bits(key, (uint64_t)n);
        bias[n] = check_bits(bits, 0) % 16 == 0 ? -INFINITY : (float)check_normal(bits);
    }
}

/* An array without queries or keys of its own (stride 0) has one place there. */
static void draw_boolean(const struct check_form *form, int threads, bool *allowed) {
    int64_t stride[4];
    const int64_t count = (int64_t)mask_layout(form, CHECK_ALLOWED, stride);
    const uint64_t pairs = check_stream(form->seed, STREAM_BOOLEAN), rows = check_stream(form->seed, STREAM_ROWS);
    const int64_t block = form->key_len < 2 * dead_block_keys ? form->key_len / 2 : dead_block_keys;
    const int64_t key_len = form->key_len, query_len = stride[2] ? form->query_len : 1;
    (void)threads;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1 && count > 1 << 16)
    for (int64_t n = 0; n < count; ++n) {
        const int64_t j = n % key_len, i = n / key_len % query_len, plane = n / key_len / query_len;
        bool live = true;
        if (form->mask.boolean)
            live = check_bits(pairs, (uint64_t)n) % 4 != 0;
        if (form->mask.dead_block && j < block)
            live = false;
        if (form->mask.dead_rows && i % 4 == check_below(check_bits(rows, (uint64_t)plane), 4))
            live = false;
        allowed[n] = live;
    }
}

void check_mask_draw(const struct check_form *form, int threads, void *const data[CHECK_ARRAY_COUNT]) {
    float *const slopes = data[CHECK_SLOPES], *const sinks = data[CHECK_SINKS];
    if (data[CHECK_KEY_LENGTHS])
        draw_lengths(form, data[CHECK_KEY_LENGTHS]);
    if (data[CHECK_QUERY_OFFSETS]) {
        /* As many queries as keys: self-attention, the same segments in both. */
        const bool same = form->query_len == form->key_len;
        draw_offsets(check_stream(form->seed, STREAM_QUERY_SEGMENTS), form->mask.packed, form->query_len,
                     data[CHECK_QUERY_OFFSETS]);
        draw_offsets(check_stream(form->seed, same ? STREAM_QUERY_SEGMENTS : STREAM_KEY_SEGMENTS), form->mask.packed,
                     form->key_len, data[CHECK_KEY_OFFSETS]);
    }
    if (data[CHECK_QUERY_START])
        draw_starts(form, form->mask.packed > 0 ? form->mask.packed : form->batch, data[CHECK_QUERY_START]);
    if (data[CHECK_BIAS])
        draw_bias(form, threads, data[CHECK_BIAS]);
    if (data[CHECK_ALLOWED])
        draw_boolean(form, threads, data[CHECK_ALLOWED]);
    for (int64_t h = 0; h < form->query_heads && slopes; ++h)
        slopes[h] = exp2f(-8.0f * (float)(h + 1) / (float)form->query_heads);
    const uint64_t key = check_stream(form->seed, STREAM_SINKS);
    for (int64_t h = 0; h < form->query_heads && sinks; ++h)
        sinks[h] = h % 3 == 2 ? -INFINITY /* no sink */ : (float)check_normal(check_bits(key, (uint64_t)h));
}
