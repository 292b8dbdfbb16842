/* SPDX-License-Identifier: Apache-2.0 */
#include "record/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/capture_names.h"

#define MAX_DIMENSION  2147483647         /* as in a problem */
#define MAX_BYTES      (INT64_C(1) << 48) /* likewise */
#define MAX_PATH_BYTES 512                /* of a tensor's name */

/* What one reading works on. `path` and `tensor` are the caller's words, for messages. */
struct reading {
    const char *path, *tensor;
    struct record_hdf5_session session;
    hid_t file, group;
    struct attn_error *error;
};

/* ---- opening ---- */

static enum attn_status open_file(struct reading *reading) {
    FILE *const probe = fopen(reading->path, "rbe");
    if (!probe)
        return attn_fail(reading->error, ATTN_IO, "%s: cannot open: %s", reading->path, strerror(errno));
    fclose(probe);
    if (H5Fis_hdf5(reading->path) <= 0)
        return attn_fail(reading->error, ATTN_INVALID, "%s: not an HDF5 file", reading->path);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    reading->file = H5Fopen(reading->path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (reading->file < 0)
        return record_hdf5_fail(&reading->session, reading->error, ATTN_INVALID, reading->path, "a damaged HDF5 file");
    return ATTN_OK;
}

/* Whether every step of a path exists: H5Lexists wants all but the last to. */
static bool path_exists(hid_t file, const char *path) {
    char step[MAX_PATH_BYTES];
    const size_t length = strlen(path);
    if (length == 0 || length >= sizeof step)
        return false;
    for (size_t i = 1; i <= length; ++i)
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(step, path, i);
            step[i] = '\0';
            if (H5Lexists(file, step, H5P_DEFAULT) <= 0)
                return false;
        }
    return true;
}

static enum attn_status open_group(struct reading *reading) {
    reading->group =
        path_exists(reading->file, reading->tensor) ? H5Gopen2(reading->file, reading->tensor, H5P_DEFAULT) : -1;
    if (reading->group >= 0)
        return ATTN_OK;
    return record_refuse_tensor(reading->path, reading->file, reading->tensor, reading->error);
}

/* ---- datasets ---- */

static enum attn_status refuse(struct reading *reading, const char *dataset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum attn_status refuse(struct reading *reading, const char *dataset, const char *format, ...) {
    char what[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return attn_fail(reading->error, ATTN_INVALID, "%s: %s/%s %s", reading->path, reading->tensor, dataset, what);
}

static const char *type_name(hid_t type) {
    const size_t bits = 8 * H5Tget_size(type);
    switch (H5Tget_class(type)) {
    case H5T_FLOAT: return bits == 64 ? "float64" : bits == 32 ? "float32" : bits == 16 ? "float16" : "a float";
    case H5T_INTEGER: return bits == 64 ? "int64" : bits == 32 ? "int32" : "an integer";
    case H5T_STRING: return "text";
    case H5T_COMPOUND: return "compound";
    default: return "of another class";
    }
}

/* Fills the tensor's shape, no data. */
static enum attn_status load_shape(struct reading *reading, hid_t dataset, const char *name,
                                   struct attn_tensor *tensor) {
    hsize_t shape[H5S_MAX_RANK] = {0};
    const hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    const int rank = H5Sget_simple_extent_dims(space, shape, NULL);
    const bool is_float = H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0;
    const char *const type_found = type_name(type);
    H5Tclose(type);
    H5Sclose(space);
    if (!is_float)
        return refuse(reading, name, "is %s; it must be float32", type_found);
    if (rank != 4)
        return refuse(reading, name, "has %d dimensions; it must have 4: batch, head, position, feature", rank);
    int64_t bytes = sizeof(float);
    for (int i = 0; i < 4; ++i) {
        const hsize_t room = (hsize_t)(MAX_BYTES / bytes);
        if (shape[i] < 1 || shape[i] > MAX_DIMENSION || shape[i] > room)
            return refuse(reading, name, "has size %llu in dimension %d of 4; sizes are 1 to 2^31-1, 2^48 bytes in all",
                          (unsigned long long)shape[i], i + 1);
        bytes *= (int64_t)shape[i];
    }
    *tensor =
        attn_tensor_dense(NULL, ATTN_F32, (int64_t)shape[0], (int64_t)shape[1], (int64_t)shape[2], (int64_t)shape[3]);
    return ATTN_OK;
}

static enum attn_status load_data(struct reading *reading, hid_t dataset, const char *name,
                                  struct attn_tensor *tensor) {
    const size_t bytes = (size_t)attn_tensor_count(tensor) * sizeof(float);
    if (H5Dget_storage_size(dataset) == 0)
        return refuse(reading, name, "holds no data");
    float *const data = malloc(bytes);
    if (!data)
        return attn_fail(reading->error, ATTN_NO_MEMORY, "%s: %s/%s: no memory for %zu bytes", reading->path,
                         reading->tensor, name, bytes);
    reading->session.reason[0] = '\0';
    if (H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
        free(data);
        return refuse(reading, name, "cannot be read, the file may be cut short: %s", reading->session.reason);
    }
    tensor->data = data;
    return ATTN_OK;
}

static enum attn_status load(struct reading *reading, const char *name, bool read, struct attn_tensor *tensor) {
    if (H5Lexists(reading->group, name, H5P_DEFAULT) <= 0)
        return record_refuse_dataset(reading->path, reading->group, reading->tensor, name, reading->error);
    reading->session.reason[0] = '\0';
    const hid_t dataset = H5Dopen2(reading->group, name, H5P_DEFAULT);
    if (dataset < 0)
        return refuse(reading, name, "cannot be opened as a dataset: %s", reading->session.reason);
    enum attn_status status = load_shape(reading, dataset, name, tensor);
    if (status == ATTN_OK && read)
        status = load_data(reading, dataset, name, tensor);
    H5Dclose(dataset);
    return status;
}

/* key_lengths of the group above the tensor's. `values` is set when `read`. */
static enum attn_status load_key_lengths(struct reading *reading, int64_t batch, int64_t key_len, bool read,
                                         int64_t **values) {
    static const char name[] = "../key_lengths"; /* for messages */
    char parent[MAX_PATH_BYTES];
    const char *const slash = strrchr(reading->tensor, '/');
    const int length = slash ? (int)(slash - reading->tensor) : 0;
    snprintf(parent, sizeof parent, "%.*s/key_lengths", length, reading->tensor);
    if (!path_exists(reading->file, parent))
        return ATTN_OK;
    reading->session.reason[0] = '\0';
    const hid_t dataset = H5Dopen2(reading->file, parent, H5P_DEFAULT);
    if (dataset < 0)
        return refuse(reading, name, "cannot be opened as a dataset: %s", reading->session.reason);
    hsize_t count[H5S_MAX_RANK] = {0};
    const hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    const int rank = H5Sget_simple_extent_dims(space, count, NULL);
    const bool is_integer = H5Tget_class(type) == H5T_INTEGER;
    const char *const type_found = type_name(type);
    int64_t *const lengths = malloc((size_t)batch * sizeof *lengths);
    enum attn_status status = ATTN_OK;
    if (!lengths)
        status = attn_fail(reading->error, ATTN_NO_MEMORY, "%s: no memory for key_lengths", reading->path);
    else if (!is_integer)
        status = refuse(reading, name, "is %s; it must be int64", type_found);
    else if (rank != 1 || count[0] != (hsize_t)batch)
        status = refuse(reading, name, "must hold one number for each of the %" PRId64 " batch entries", batch);
    else if (read && H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, lengths) < 0)
        status = refuse(reading, name, "cannot be read, the file may be cut short: %s", reading->session.reason);
    for (int64_t b = 0; read && status == ATTN_OK && b < batch; ++b)
        if (lengths[b] < 0 || lengths[b] > key_len)
            status = refuse(reading, name, "has %" PRId64 " at %" PRId64 "; lengths are 0 to the %" PRId64 " keys",
                            lengths[b], b, key_len);
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(dataset);
    if (status == ATTN_OK && read)
        *values = lengths;
    else
        free(lengths);
    return status;
}

/* ---- agreement ---- */

static enum attn_status agree(struct reading *reading, const char *name, const struct attn_tensor *tensor,
                              int dimension, int64_t wanted, const char *why) {
    static const char *const dimensions[] = {"batch", "heads", "positions", "features"};
    return tensor->shape[dimension] == wanted ? ATTN_OK
                                              : refuse(reading, name, "has %s %" PRId64 "; it must be %" PRId64 ", %s",
                                                       dimensions[dimension], tensor->shape[dimension], wanted, why);
}

static enum attn_status check_shapes(struct reading *reading, const struct record_capture *capture) {
    const struct attn_tensor *const q = &capture->q, *const k = &capture->k, *const v = &capture->v;
    const struct attn_tensor *const context = &capture->context;
    const bool has_context = context->shape[0] > 0;
    const struct {
        const char *name;
        const struct attn_tensor *tensor;
        int dimension;
        int64_t wanted;
        const char *why;
    } rules[] = {
        {"k", k, 0, q->shape[0], "as q's"},
        {"v", v, 0, q->shape[0], "as q's"},
        {"k", k, 3, q->shape[3], "as q's"},
        {"v", v, 1, k->shape[1], "as k's"},
        {"v", v, 2, k->shape[2], "as k's"},
        {"context", context, 0, q->shape[0], "as q's"},
        {"context", context, 1, q->shape[1], "as q's"},
        {"context", context, 2, q->shape[2], "as q's"},
        {"context", context, 3, v->shape[3], "as v's"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; ++i) {
        if (rules[i].tensor == context && !has_context)
            continue;
        const enum attn_status status =
            agree(reading, rules[i].name, rules[i].tensor, rules[i].dimension, rules[i].wanted, rules[i].why);
        if (status != ATTN_OK)
            return status;
    }
    if (q->shape[1] % k->shape[1] != 0)
        return refuse(reading, "q", "has %" PRId64 " heads; they must be a multiple of k's %" PRId64, q->shape[1],
                      k->shape[1]);
    return ATTN_OK;
}

/* ---- the whole ---- */

static enum attn_status load_all(struct reading *reading, bool read, struct record_capture *capture) {
    enum attn_status status = open_file(reading);
    if (status == ATTN_OK)
        status = open_group(reading);
    if (status == ATTN_OK)
        status = load(reading, "q", read, &capture->q);
    if (status == ATTN_OK)
        status = load(reading, "k", read, &capture->k);
    if (status == ATTN_OK)
        status = load(reading, "v", read, &capture->v);
    if (status == ATTN_OK && H5Lexists(reading->group, "context", H5P_DEFAULT) > 0)
        status = load(reading, "context", read, &capture->context);
    if (status == ATTN_OK)
        status = check_shapes(reading, capture);
    if (status == ATTN_OK)
        status = load_key_lengths(reading, capture->q.shape[0], capture->k.shape[2], read, &capture->key_lengths);
    return status;
}

static enum attn_status read_capture(const char *path, const char *tensor, bool read, struct record_capture *capture,
                                     struct attn_error *error) {
    struct reading reading = {.path = path, .tensor = tensor, .file = -1, .group = -1, .error = error};
    *capture = (struct record_capture){0};
    if (strlen(tensor) >= MAX_PATH_BYTES - sizeof "/key_lengths")
        return attn_fail(error, ATTN_INVALID, "%s: a tensor's name is shorter than %d bytes", path, MAX_PATH_BYTES);
    record_hdf5_begin(&reading.session);
    const enum attn_status status = load_all(&reading, read, capture);
    if (reading.group >= 0)
        H5Gclose(reading.group);
    if (reading.file >= 0)
        H5Fclose(reading.file);
    record_hdf5_end(&reading.session);
    if (status != ATTN_OK)
        record_capture_release(capture);
    return status;
}

enum attn_status record_capture_shapes(const char *path, const char *tensor, struct record_capture *capture,
                                       struct attn_error *error) {
    return read_capture(path, tensor, false, capture, error);
}

enum attn_status record_capture_read(const char *path, const char *tensor, struct record_capture *capture,
                                     struct attn_error *error) {
    return read_capture(path, tensor, true, capture, error);
}

void record_capture_release(struct record_capture *capture) {
    free(capture->q.data);
    free(capture->k.data);
    free(capture->v.data);
    free(capture->context.data);
    free(capture->key_lengths);
    *capture = (struct record_capture){0};
}
