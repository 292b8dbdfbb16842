/* SPDX-License-Identifier: Apache-2.0 */
/* Each way in which a capture can be wrong has its own crafted file. */
#include <hdf5.h>
#include <hdf5_hl.h>
#include <math.h>

#include "record/capture.h"
#include "record_scratch.h"

TestSuite(capture, .init = scratch_make, .fini = scratch_remove);

#define BATCH  2
#define HEADS  4
#define GROUPS 2 /* key heads */
#define QUERY  5
#define KEY    7
#define DIM    3
#define VALUE  6

static const hsize_t shape_q[] = {BATCH, HEADS, QUERY, DIM}, shape_k[] = {BATCH, GROUPS, KEY, DIM},
                     shape_v[] = {BATCH, GROUPS, KEY, VALUE}, shape_context[] = {BATCH, HEADS, QUERY, VALUE};

/* A dataset of ascending numbers: 0, 1, 2, ... */
static void put(hid_t file, const char *path, int rank, const hsize_t *shape, hid_t type) {
    double values[1024];
    for (int i = 0; i < 1024; ++i)
        values[i] = i;
    if (H5Lexists(file, path, H5P_DEFAULT) > 0)
        H5Ldelete(file, path, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(rank, shape, NULL);
    const hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(dataset >= 0);
    if (H5Tget_class(type) == H5T_FLOAT || H5Tget_class(type) == H5T_INTEGER)
        cr_assert(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Sclose(space);
}

/* A sound capture "text/layer3", open for spoiling. */
static hid_t sound_file(void) {
    const hid_t file = H5Fcreate(scratch_path("c.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(file >= 0);
    H5Gclose(H5Gcreate2(file, "text", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Gclose(H5Gcreate2(file, "text/layer3", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    put(file, "text/layer3/q", 4, shape_q, H5T_IEEE_F32LE);
    put(file, "text/layer3/k", 4, shape_k, H5T_IEEE_F32BE); /* the other byte order reads as well */
    put(file, "text/layer3/v", 4, shape_v, H5T_IEEE_F32LE);
    put(file, "text/layer3/context", 4, shape_context, H5T_IEEE_F32LE);
    put(file, "text/key_lengths", 1, (const hsize_t[]){BATCH}, H5T_STD_I64LE); /* 0 and 1 */
    return file;
}

static void expect_shape(const struct attn_tensor *tensor, const hsize_t *shape) {
    for (int i = 0; i < 4; ++i)
        cr_expect_eq(tensor->shape[i], (int64_t)shape[i]);
}

Test(capture, a_sound_file_is_read_whole) {
    H5Fclose(sound_file());
    struct record_capture capture;
    struct attn_error error = {0};
    cr_assert_eq(record_capture_read(scratch_path("c.h5"), "text/layer3", &capture, &error), ATTN_OK, "%s",
                 error.message);
    expect_shape(&capture.q, shape_q);
    expect_shape(&capture.k, shape_k);
    expect_shape(&capture.v, shape_v);
    expect_shape(&capture.context, shape_context);
    const struct attn_tensor *const all[] = {&capture.q, &capture.k, &capture.v, &capture.context};
    for (int t = 0; t < 4; ++t)
        for (int64_t i = 0; i < attn_tensor_count(all[t]); ++i)
            cr_assert_eq(((const float *)all[t]->data)[i], (float)i);
    cr_expect_eq(capture.q.stride[3], 1);
    cr_expect_eq(capture.q.stride[0], HEADS * QUERY * DIM);
    cr_expect(capture.key_lengths[0] == 0 && capture.key_lengths[1] == 1);
    record_capture_release(&capture);
    cr_expect(capture.q.data == NULL && capture.key_lengths == NULL);
}

Test(capture, shapes_alone_hold_no_data) {
    H5Fclose(sound_file());
    struct record_capture capture;
    cr_assert_eq(record_capture_shapes(scratch_path("c.h5"), "text/layer3", &capture, NULL), ATTN_OK);
    expect_shape(&capture.v, shape_v);
    cr_expect(capture.q.data == NULL && capture.context.data == NULL && capture.key_lengths == NULL);
    record_capture_release(&capture);
}

Test(capture, context_and_key_lengths_are_optional) {
    const hid_t file = sound_file();
    H5Ldelete(file, "text/layer3/context", H5P_DEFAULT);
    H5Ldelete(file, "text/key_lengths", H5P_DEFAULT);
    H5Fclose(file);
    struct record_capture capture;
    cr_assert_eq(record_capture_read(scratch_path("c.h5"), "text/layer3", &capture, NULL), ATTN_OK);
    cr_expect(capture.context.data == NULL && capture.context.shape[0] == 0 && capture.key_lengths == NULL);
    record_capture_release(&capture);
}

Test(capture, the_shipped_file_is_one) {
    struct record_capture capture;
    struct attn_error error = {0};
    cr_assert_eq(record_capture_read(SHIPPED_CAPTURE, "sentences/layer5", &capture, &error), ATTN_OK, "%s",
                 error.message);
    expect_shape(&capture.q, (const hsize_t[]){12, 12, 12, 32});
    cr_expect(capture.context.data != NULL && capture.key_lengths != NULL);
    for (int64_t i = 0; i < attn_tensor_count(&capture.q); ++i)
        cr_assert(isfinite(((const float *)capture.q.data)[i]));
    record_capture_release(&capture);
}

/* ---- what is wrong, and what is said ---- */

#define SHAPE(...)                                                                                                     \
    (const hsize_t[]) {                                                                                                \
        __VA_ARGS__                                                                                                    \
    }

static void no_v(hid_t file) {
    H5Ldelete(file, "text/layer3/v", H5P_DEFAULT);
}
static void v_misspelt(hid_t file) {
    H5Lmove(file, "text/layer3/context", file, "text/layer3/conteks", H5P_DEFAULT, H5P_DEFAULT);
    H5Lmove(file, "text/layer3/v", file, "text/layer3/V", H5P_DEFAULT, H5P_DEFAULT);
}
static void k_is_a_group(hid_t file) {
    H5Ldelete(file, "text/layer3/k", H5P_DEFAULT);
    H5Gclose(H5Gcreate2(file, "text/layer3/k", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}
static void k_has_three_dimensions(hid_t file) {
    put(file, "text/layer3/k", 3, SHAPE(GROUPS, KEY, DIM), H5T_IEEE_F32LE);
}
static void q_is_a_scalar(hid_t file) {
    put(file, "text/layer3/q", 0, NULL, H5T_IEEE_F32LE);
}
static void q_is_float64(hid_t file) {
    put(file, "text/layer3/q", 4, shape_q, H5T_IEEE_F64LE);
}
static void v_is_int32(hid_t file) {
    put(file, "text/layer3/v", 4, shape_v, H5T_STD_I32LE);
}
static void v_is_text(hid_t file) {
    put(file, "text/layer3/v", 4, shape_v, H5T_C_S1);
}
static void q_is_empty(hid_t file) {
    put(file, "text/layer3/q", 4, SHAPE(BATCH, 0, QUERY, DIM), H5T_IEEE_F32LE);
}
static void k_has_another_batch(hid_t file) {
    put(file, "text/layer3/k", 4, SHAPE(1, GROUPS, KEY, DIM), H5T_IEEE_F32LE);
}
static void k_has_another_dim(hid_t file) {
    put(file, "text/layer3/k", 4, SHAPE(BATCH, GROUPS, KEY, DIM + 1), H5T_IEEE_F32LE);
}
static void v_has_another_length(hid_t file) {
    put(file, "text/layer3/v", 4, SHAPE(BATCH, GROUPS, KEY + 1, VALUE), H5T_IEEE_F32LE);
}
static void v_has_other_heads(hid_t file) {
    put(file, "text/layer3/v", 4, SHAPE(BATCH, 1, KEY, VALUE), H5T_IEEE_F32LE);
}
static void heads_do_not_divide(hid_t file) {
    put(file, "text/layer3/k", 4, SHAPE(BATCH, 3, KEY, DIM), H5T_IEEE_F32LE);
    put(file, "text/layer3/v", 4, SHAPE(BATCH, 3, KEY, VALUE), H5T_IEEE_F32LE);
}
static void context_has_another_length(hid_t file) {
    put(file, "text/layer3/context", 4, SHAPE(BATCH, HEADS, QUERY + 1, VALUE), H5T_IEEE_F32LE);
}
static void lengths_for_another_batch(hid_t file) {
    put(file, "text/key_lengths", 1, SHAPE(BATCH + 1), H5T_STD_I64LE);
}
static void lengths_are_floats(hid_t file) {
    put(file, "text/key_lengths", 1, SHAPE(BATCH), H5T_IEEE_F32LE);
}
static void lengths_are_too_long(hid_t file) {
    const int64_t lengths[BATCH] = {KEY, KEY + 1};
    H5Ldelete(file, "text/key_lengths", H5P_DEFAULT);
    H5LTmake_dataset(file, "text/key_lengths", 1, SHAPE(BATCH), H5T_NATIVE_INT64, lengths);
}
static void q_was_never_written(hid_t file) {
    H5Ldelete(file, "text/layer3/q", H5P_DEFAULT);
    const hid_t space = H5Screate_simple(4, shape_q, NULL);
    H5Dclose(H5Dcreate2(file, "text/layer3/q", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}
static void q_is_enormous(hid_t file) {
    H5Ldelete(file, "text/layer3/q", H5P_DEFAULT);
    const hid_t space = H5Screate_simple(4, SHAPE(1 << 20, 1 << 20, 1 << 20, 8), NULL);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE); /* chunked: nothing is allocated */
    H5Pset_chunk(properties, 4, SHAPE(1, 1, 8, 8));
    H5Dclose(H5Dcreate2(file, "text/layer3/q", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT));
    H5Pclose(properties);
    H5Sclose(space);
}

static const struct {
    void (*spoil)(hid_t file);
    const char *tensor, *says;
} wrong[] = {
    {NULL, "text/layer5", "no tensor group 'text/layer5'; did you mean 'text/layer3'?"},
    {NULL, "unlike/anything/here", "no tensor group 'unlike/anything/here'; there is text/layer3"},
    {NULL, "text/layer3/q", "no tensor group 'text/layer3/q'"},
    {NULL, "text/layer3/q/deeper", "no tensor group 'text/layer3/q/deeper'"},
    {NULL, "", "no tensor group ''"},
    {NULL, "text", "no dataset 'q' in text"},
    {no_v, "text/layer3", "no dataset 'v' in text/layer3; there is context, k, q"},
    {v_misspelt, "text/layer3", "no dataset 'v' in text/layer3; did you mean 'V'?"},
    {k_is_a_group, "text/layer3", "text/layer3/k cannot be opened as a dataset"},
    {k_has_three_dimensions, "text/layer3", "text/layer3/k has 3 dimensions; it must have 4"},
    {q_is_a_scalar, "text/layer3", "text/layer3/q has 0 dimensions; it must have 4"},
    {q_is_float64, "text/layer3", "text/layer3/q is float64; it must be float32"},
    {v_is_int32, "text/layer3", "text/layer3/v is int32; it must be float32"},
    {v_is_text, "text/layer3", "text/layer3/v is text; it must be float32"},
    {q_is_empty, "text/layer3", "text/layer3/q has size 0 in dimension 2 of 4"},
    {q_is_enormous, "text/layer3", "text/layer3/q has size 1048576 in dimension 3 of 4"},
    {k_has_another_batch, "text/layer3", "text/layer3/k has batch 1; it must be 2, as q's"},
    {k_has_another_dim, "text/layer3", "text/layer3/k has features 4; it must be 3, as q's"},
    {v_has_another_length, "text/layer3", "text/layer3/v has positions 8; it must be 7, as k's"},
    {v_has_other_heads, "text/layer3", "text/layer3/v has heads 1; it must be 2, as k's"},
    {heads_do_not_divide, "text/layer3", "text/layer3/q has 4 heads; they must be a multiple of k's 3"},
    {context_has_another_length, "text/layer3", "text/layer3/context has positions 6; it must be 5, as q's"},
    {lengths_for_another_batch, "text/layer3", "key_lengths must hold one number for each of the 2 batch entries"},
    {lengths_are_floats, "text/layer3", "key_lengths is float32; it must be int64"},
    {lengths_are_too_long, "text/layer3", "key_lengths has 8 at 1; lengths are 0 to the 7 keys"},
    {q_was_never_written, "text/layer3", "text/layer3/q holds no data"},
};

Test(capture, every_fault_is_named) {
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        const hid_t file = sound_file();
        if (wrong[i].spoil)
            wrong[i].spoil(file);
        H5Fclose(file);
        struct record_capture capture;
        struct attn_error error = {0};
        cr_expect_eq(record_capture_read(scratch_path("c.h5"), wrong[i].tensor, &capture, &error), ATTN_INVALID,
                     "accepted, though %s", wrong[i].says);
        cr_expect(strstr(error.message, wrong[i].says) != NULL, "'%s' is not in: %s", wrong[i].says, error.message);
        cr_expect(strstr(error.message, "/c.h5: ") != NULL, "%s", error.message);
        cr_expect(capture.q.data == NULL && capture.k.data == NULL && capture.key_lengths == NULL, "not zeroed");
    }
}

static void expect_refusal(const char *path, enum attn_status status, const char *says) {
    struct record_capture capture;
    struct attn_error error = {0};
    cr_expect_eq(record_capture_read(path, "text/layer3", &capture, &error), status, "%s", error.message);
    cr_expect(strstr(error.message, says) != NULL, "%s", error.message);
}

Test(capture, what_is_no_capture_file_is_refused) {
    expect_refusal(scratch_path("none.h5"), ATTN_IO, "No such file");
    expect_refusal(scratch, ATTN_INVALID, "not an HDF5 file");
    scratch_write("c.h5", "", 0);
    expect_refusal(scratch_path("c.h5"), ATTN_INVALID, "not an HDF5 file");
    scratch_write("c.h5", "PK\3\4 something else entirely", 28);
    expect_refusal(scratch_path("c.h5"), ATTN_INVALID, "not an HDF5 file");
}

/* Cut anywhere: refused with a message, never a crash and never wrong numbers. */
Test(capture, truncated_files_are_refused) {
    H5Fclose(sound_file());
    size_t bytes;
    char *const whole = scratch_read("c.h5", &bytes);
    for (size_t length = 0; length < bytes; length += 61) {
        struct record_capture capture;
        struct attn_error error = {0};
        scratch_write("c.h5", whole, length);
        cr_expect_eq(record_capture_read(scratch_path("c.h5"), "text/layer3", &capture, &error), ATTN_INVALID,
                     "%zu of %zu bytes were accepted", length, bytes);
        cr_expect(error.message[0] != '\0');
    }
    scratch_write("c.h5", whole, bytes - 1);
    expect_refusal(scratch_path("c.h5"), ATTN_INVALID, "truncated file");
    free(whole);
}

Test(capture, an_error_leaves_no_file_open) {
    const hid_t file = sound_file();
    no_v(file);
    H5Fclose(file);
    expect_refusal(scratch_path("c.h5"), ATTN_INVALID, "no dataset 'v'");
    cr_expect_eq(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}
