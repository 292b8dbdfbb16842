/* SPDX-License-Identifier: Apache-2.0 */
/* Each way in which a safetensors file can be wrong has its own file; thousands more are spoiled at random, more of
 * them with -DMUTATIONS=.... */
#include <math.h>
#include <stdint.h>

#include "record/safetensors.h"
#include "record_scratch.h"

TestSuite(safetensors, .init = scratch_make, .fini = scratch_remove);

#ifndef MUTATIONS
#define MUTATIONS 5000
#endif

enum { MAX_BYTES = 1024 };

/* Writes w.safetensors: the header's length, the header, `data_bytes` bytes of floats 0, 1, 2, ...; returns its size.
 */
static size_t put_file(const char *header, size_t data_bytes, char bytes[MAX_BYTES]) {
    const size_t length = strlen(header), size = 8 + length + data_bytes;
    cr_assert(size <= MAX_BYTES);
    memset(bytes, 0, 8);
    bytes[0] = (char)(length & 0xFF);
    bytes[1] = (char)(length >> 8);
    memcpy(bytes + 8, header, length);
    for (size_t n = 0; n < data_bytes; n += sizeof(float)) {
        const float value = (float)(n / sizeof(float));
        memcpy(bytes + 8 + length + n, &value, data_bytes - n < sizeof value ? data_bytes - n : sizeof value);
    }
    scratch_write("w.safetensors", bytes, size);
    return size;
}

/* Padded by spaces so that the floats are aligned. */
static const char sound[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                            "\"bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                            "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[12,20]},"
                            "\"weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[20,44]}}";

static enum attn_status open_scratch(struct record_safetensors **file, struct attn_error *error) {
    return record_safetensors_open(scratch_path("w.safetensors"), file, error);
}

/* The file is refused, and the message holds `what`. */
static void expect_refused(const char *header, size_t data_bytes, const char *what) {
    char bytes[MAX_BYTES];
    struct record_safetensors *file;
    struct attn_error error = {0};
    put_file(header, data_bytes, bytes);
    cr_expect_eq(open_scratch(&file, &error), ATTN_INVALID, "%s was accepted", header);
    cr_expect(file == NULL);
    cr_expect(strstr(error.message, what) && strstr(error.message, "w.safetensors: "), "%s\nsaid: %s\nnot: %s", header,
              error.message, what);
}

Test(safetensors, a_sound_file) {
    char bytes[MAX_BYTES];
    struct record_safetensors *file;
    struct attn_error error = {0};
    const float *data;
    put_file(sound, 44, bytes);
    cr_assert_eq(open_scratch(&file, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(record_safetensors_count(file), 3);
    cr_expect_str_eq(record_safetensors_name(file, 2), "weight");
    cr_assert_eq(record_safetensors_find(file, "weight", 2, (const int64_t[]){2, 3}, &data, &error), ATTN_OK, "%s",
                 error.message);
    for (int n = 0; n < 6; ++n)
        cr_expect_eq(data[n], (float)(5 + n));
    cr_assert_eq(record_safetensors_find(file, "bias", 1, (const int64_t[]){3}, &data, &error), ATTN_OK);
    cr_expect_eq(data[2], 2.0f);
    record_safetensors_close(file);
}

Test(safetensors, asking_for_what_is_not_there) {
    char bytes[MAX_BYTES];
    struct record_safetensors *file;
    struct attn_error error = {0};
    const float *data;
    put_file(sound, 44, bytes);
    cr_assert_eq(open_scratch(&file, &error), ATTN_OK);
    cr_expect_eq(record_safetensors_find(file, "weigth", 2, (const int64_t[]){2, 3}, &data, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "no tensor 'weigth'; did you mean 'weight'?"), "%s", error.message);
    cr_expect_eq(record_safetensors_find(file, "weight", 2, (const int64_t[]){3, 2}, &data, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "has shape [2, 3]; it must have [3, 2]"), "%s", error.message);
    cr_expect_eq(record_safetensors_find(file, "weight", 1, (const int64_t[]){6}, &data, &error), ATTN_INVALID);
    cr_expect_eq(record_safetensors_find(file, "ids", 1, (const int64_t[]){1}, &data, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "is I64; it must be F32"), "%s", error.message);
    cr_expect(data == NULL);
    record_safetensors_close(file);
}

Test(safetensors, misaligned_floats_are_not_handed_out) {
    char bytes[MAX_BYTES];
    struct record_safetensors *file;
    struct attn_error error = {0};
    const float *data;
    put_file("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, bytes);
    cr_assert_eq(open_scratch(&file, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(record_safetensors_find(file, "w", 1, (const int64_t[]){1}, &data, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "not aligned"), "%s", error.message);
    record_safetensors_close(file);
}

Test(safetensors, truncated) {
    char bytes[MAX_BYTES];
    struct record_safetensors *file;
    struct attn_error error = {0};
    const size_t size = put_file(sound, 44, bytes);
    for (size_t kept = 0; kept < size; ++kept) {
        scratch_write("w.safetensors", bytes, kept);
        cr_expect_eq(open_scratch(&file, &error), ATTN_INVALID, "%zu of %zu bytes were accepted", kept, size);
        cr_expect(strstr(error.message, kept < 8 ? "must begin with 8 bytes" : "cut short"), "%s", error.message);
    }
    expect_refused(sound, 43, "cut short: it ends at byte 44 after the header, the file at 43");
}

Test(safetensors, bytes_without_a_tensor) {
    expect_refused(sound, 48, "4 bytes after the last tensor belong to none");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "bytes before it");
}

Test(safetensors, overlapping) {
    expect_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                   "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
                   12, "tensors 'a' and 'b' overlap");
    expect_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                   "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                   8, "overlap");
}

Test(safetensors, wrong_type) {
    expect_refused("{\"w\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is unknown");
    expect_refused("{\"w\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "needs dtype");
    expect_refused("{\"w\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "hold 4 bytes, its shape");
}

Test(safetensors, oversized) {
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4,
                   "more than 2^48 bytes");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,4]}}", 4,
                   "more than 2^48 bytes");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,9223372036854775807]}}", 4,
                   "cut short");
}

Test(safetensors, malformed_entries) {
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "integers of at least 0");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "integers of at least 0");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "list of at most 8");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 8");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two data_offsets");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "must ascend");
    expect_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "must ascend");
    expect_refused("{\"w\":7}", 0, "needs dtype");
}

Test(safetensors, no_header) {
    expect_refused("not JSON", 0, "the header: not JSON");
    expect_refused("[1]", 0, "not a JSON object");
    expect_refused("{\"w\":{},\"w\":{}}", 0, "the header: not JSON: duplicate");
    struct record_safetensors *file;
    struct attn_error error = {0};
    scratch_write("w.safetensors", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF{}", 10);
    cr_expect_eq(open_scratch(&file, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "a header of 18446744073709551615 bytes"), "%s", error.message);
    cr_expect_eq(record_safetensors_open(scratch_path("missing"), &file, &error), ATTN_IO);
    cr_expect(strstr(error.message, "No such file"), "%s", error.message);
    cr_expect_eq(record_safetensors_open("/", &file, &error), ATTN_INVALID);
}

/* Whatever becomes of its bytes, a file is refused with a sentence or all its tensors can be read. */
Test(safetensors, spoiled_at_random) {
    char bytes[MAX_BYTES], spoiled[MAX_BYTES];
    const size_t size = put_file(sound, 44, bytes);
    uint32_t state = 1;
    int accepted = 0;
    for (int n = 0; n < MUTATIONS; ++n) {
        memcpy(spoiled, bytes, size);
        for (int changes = 1 + n % 3; changes-- > 0;) {
            state = state * 1664525 + 1013904223;
            const size_t at = (state >> 8) % (size - 44); /* header and length; the floats may be anything */
            state = state * 1664525 + 1013904223;
            spoiled[at] = n % 2 ? (char)(state >> 16) : "0123456789,:[]{}\"F"[(state >> 16) % 18];
        }
        scratch_write("w.safetensors", spoiled, size);
        struct record_safetensors *file;
        struct attn_error error = {0};
        if (open_scratch(&file, &error)) {
            cr_assert(error.message[0] != '\0');
            continue;
        }
        ++accepted;
        const float *data;
        float sum = 0;
        if (record_safetensors_find(file, "weight", 2, (const int64_t[]){2, 3}, &data, &error) == ATTN_OK)
            for (int c = 0; c < 6; ++c)
                sum += data[c];
        cr_assert(!isnan(sum));
        record_safetensors_close(file);
    }
    cr_expect(accepted > 0 && accepted < MUTATIONS, "%d of %d were accepted", accepted, MUTATIONS);
}
