/* SPDX-License-Identifier: Apache-2.0 */
#include "record/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract/nearest.h"
#include "record/json_read.h"

#define LENGTH_BYTES     8
#define MAX_HEADER_BYTES 100000000 /* the format's own limit */
#define MAX_TENSOR_BYTES (INT64_C(1) << 48)

struct entry {
    const char *name, *type; /* owned by the header */
    int rank;
    int64_t shape[RECORD_MAX_RANK];
    int64_t begin, end; /* bytes after the header */
};

struct record_safetensors {
    char path[512]; /* for messages */
    void *mapped;
    size_t bytes;
    const char *data; /* the first byte after the header */
    int64_t data_bytes;
    json_t *header;
    struct entry *entries; /* by begin */
    int64_t count;
};

/* ---- the file ---- */

static enum attn_status map_file(const char *path, struct record_safetensors *file, struct attn_error *error) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    struct stat facts;
    if (descriptor < 0 || fstat(descriptor, &facts) != 0) {
        const int reason = errno;
        if (descriptor >= 0)
            close(descriptor);
        return attn_fail(error, ATTN_IO, "%s: cannot open: %s", path, strerror(reason));
    }
    if (!S_ISREG(facts.st_mode) || facts.st_size < LENGTH_BYTES) {
        close(descriptor);
        return attn_fail(error, ATTN_INVALID, "%s: not a safetensors file: it must begin with %d bytes of length", path,
                         LENGTH_BYTES);
    }
    file->bytes = (size_t)facts.st_size;
    file->mapped = mmap(NULL, file->bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    const int reason = errno;
    close(descriptor);
    if (file->mapped != MAP_FAILED)
        return ATTN_OK;
    file->mapped = NULL;
    return attn_fail(error, ATTN_IO, "%s: cannot map: %s", path, strerror(reason));
}

static enum attn_status parse_header(struct record_safetensors *file, struct attn_error *error) {
    const unsigned char *const bytes = file->mapped;
    uint64_t length = 0;
    for (int n = LENGTH_BYTES; n-- > 0;)
        length = length << 8 | bytes[n];
    const uint64_t rest = file->bytes - LENGTH_BYTES;
    if (length > MAX_HEADER_BYTES)
        return attn_fail(error, ATTN_INVALID,
                         "%s: not a safetensors file: a header of %" PRIu64 " bytes; at most %d are allowed",
                         file->path, length, MAX_HEADER_BYTES);
    if (length > rest)
        return attn_fail(error, ATTN_INVALID,
                         "%s: cut short: %" PRIu64 " bytes follow the length of the header, which has %" PRIu64,
                         file->path, rest, length);
    struct attn_error inner;
    file->header = record_json_parse((const char *)bytes + LENGTH_BYTES, (size_t)length, &inner);
    if (!file->header)
        return attn_fail(error, ATTN_INVALID, "%s: the header: %s", file->path, inner.message);
    file->data = (const char *)bytes + LENGTH_BYTES + length;
    file->data_bytes = (int64_t)(rest - length);
    return ATTN_OK;
}

/* ---- the tensors ---- */

/* Bytes of one element; 0: no type of the format. */
static int64_t element_bytes(const char *type) {
    static const struct {
        const char *name;
        int64_t bytes;
    } types[] = {{"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
                 {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (size_t n = 0; n < sizeof types / sizeof *types; ++n)
        if (strcmp(types[n].name, type) == 0)
            return types[n].bytes;
    return 0;
}

static enum attn_status refuse(const struct record_safetensors *file, const char *name, const char *what,
                               struct attn_error *error) {
    return attn_fail(error, ATTN_INVALID, "%s: tensor '%s': %s", file->path, name, what);
}

/* Bytes that shape and type ask for. */
static enum attn_status read_shape(const struct record_safetensors *file, const json_t *shape, struct entry *entry,
                                   int64_t *bytes, struct attn_error *error) {
    *bytes = element_bytes(entry->type);
    if (*bytes == 0)
        return refuse(file, entry->name, "its dtype is unknown; F32 and the like are known", error);
    if (!json_is_array(shape) || json_array_size(shape) > RECORD_MAX_RANK)
        return refuse(file, entry->name, "its shape must be a list of at most 8 sizes", error);
    entry->rank = (int)json_array_size(shape);
    for (int n = 0; n < entry->rank; ++n) {
        const json_t *const size = json_array_get(shape, (size_t)n);
        entry->shape[n] = json_is_integer(size) ? json_integer_value(size) : -1;
        if (entry->shape[n] < 0)
            return refuse(file, entry->name, "its shape must hold integers of at least 0", error);
        if (entry->shape[n] > 0 && *bytes > MAX_TENSOR_BYTES / entry->shape[n])
            return refuse(file, entry->name, "its shape asks for more than 2^48 bytes", error);
        *bytes *= entry->shape[n];
    }
    return ATTN_OK;
}

static enum attn_status read_entry(const struct record_safetensors *file, const char *name, const json_t *facts,
                                   struct entry *entry, struct attn_error *error) {
    const json_t *const offsets = json_object_get(facts, "data_offsets");
    const json_t *const begin = json_array_get(offsets, 0), *const end = json_array_get(offsets, 1);
    *entry = (struct entry){.name = name, .type = json_string_value(json_object_get(facts, "dtype"))};
    if (!entry->type || json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return refuse(file, name, "it needs dtype, shape and two data_offsets", error);
    int64_t bytes;
    const enum attn_status status = read_shape(file, json_object_get(facts, "shape"), entry, &bytes, error);
    if (status)
        return status;
    entry->begin = json_integer_value(begin);
    entry->end = json_integer_value(end);
    if (entry->begin < 0 || entry->end < entry->begin)
        return refuse(file, name, "its data_offsets must ascend from 0", error);
    if (entry->end > file->data_bytes)
        return attn_fail(error, ATTN_INVALID,
                         "%s: tensor '%s': cut short: it ends at byte %" PRId64
                         " after the header, the file at %" PRId64,
                         file->path, name, entry->end, file->data_bytes);
    if (entry->end - entry->begin != bytes)
        return attn_fail(error, ATTN_INVALID,
                         "%s: tensor '%s': its offsets hold %" PRId64 " bytes, its shape and type %" PRId64, file->path,
                         name, entry->end - entry->begin, bytes);
    return ATTN_OK;
}

static int by_place(const void *a, const void *b) {
    const struct entry *const left = a, *const right = b;
    if (left->begin != right->begin)
        return left->begin < right->begin ? -1 : 1;
    return (left->end > right->end) - (left->end < right->end); /* empty tensors first */
}

/* Every byte belongs to one tensor: with a gap a file could hide something, and mean another thing elsewhere. */
static enum attn_status check_cover(const struct record_safetensors *file, struct attn_error *error) {
    int64_t covered = 0;
    for (int64_t n = 0; n < file->count; ++n) {
        const struct entry *const entry = &file->entries[n];
        if (entry->begin < covered)
            return attn_fail(error, ATTN_INVALID, "%s: tensors '%s' and '%s' overlap", file->path,
                             file->entries[n - 1].name, entry->name);
        if (entry->begin > covered)
            return refuse(file, entry->name, "bytes before it belong to no tensor", error);
        covered = entry->end;
    }
    if (covered == file->data_bytes)
        return ATTN_OK;
    return attn_fail(error, ATTN_INVALID, "%s: %" PRId64 " bytes after the last tensor belong to none", file->path,
                     file->data_bytes - covered);
}

static enum attn_status read_entries(struct record_safetensors *file, struct attn_error *error) {
    file->entries = calloc(json_object_size(file->header) + 1, sizeof *file->entries);
    if (!file->entries)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for the list of tensors", file->path);
    const char *name;
    json_t *facts;
    json_object_foreach(file->header, name, facts) {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        const enum attn_status status = read_entry(file, name, facts, &file->entries[file->count], error);
        if (status)
            return status;
        ++file->count;
    }
    qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_place);
    return check_cover(file, error);
}

enum attn_status record_safetensors_open(const char *path, struct record_safetensors **file, struct attn_error *error) {
    *file = NULL;
    struct record_safetensors *const made = calloc(1, sizeof *made);
    if (!made)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory to open it", path);
    snprintf(made->path, sizeof made->path, "%s", path);
    enum attn_status status = map_file(path, made, error);
    if (!status)
        status = parse_header(made, error);
    if (!status)
        status = read_entries(made, error);
    if (status)
        record_safetensors_close(made);
    else
        *file = made;
    return status;
}

void record_safetensors_close(struct record_safetensors *file) {
    if (!file)
        return;
    free(file->entries);
    json_decref(file->header);
    if (file->mapped)
        munmap(file->mapped, file->bytes);
    free(file);
}

/* ---- asking ---- */

static void write_shape(int rank, const int64_t *shape, char *text, size_t room) {
    size_t used = (size_t)snprintf(text, room, "[");
    for (int n = 0; n < rank && used < room; ++n)
        used += (size_t)snprintf(text + used, room - used, "%s%" PRId64, n ? ", " : "", shape[n]);
    if (used < room)
        snprintf(text + used, room - used, "]");
}

static enum attn_status refuse_name(const struct record_safetensors *file, const char *name, struct attn_error *error) {
    const char **const names = malloc((size_t)(file->count + 1) * sizeof *names);
    for (int64_t n = 0; names && n < file->count; ++n)
        names[n] = file->entries[n].name;
    const char *const nearest = names ? attn_nearest(name, names, (size_t)file->count) : NULL;
    free(names);
    return attn_fail(error, ATTN_INVALID, "%s: no tensor '%s'%s%s%s", file->path, name,
                     nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

enum attn_status record_safetensors_find(const struct record_safetensors *file, const char *name, int rank,
                                         const int64_t *shape, const float **data, struct attn_error *error) {
    *data = NULL;
    const struct entry *found = NULL;
    for (int64_t n = 0; n < file->count && !found; ++n)
        if (strcmp(file->entries[n].name, name) == 0)
            found = &file->entries[n];
    if (!found)
        return refuse_name(file, name, error);
    if (strcmp(found->type, "F32") != 0)
        return attn_fail(error, ATTN_INVALID, "%s: tensor '%s' is %s; it must be F32", file->path, name, found->type);
    if (found->rank != rank || memcmp(found->shape, shape, (size_t)rank * sizeof *shape) != 0) {
        char has[128], needed[128];
        write_shape(found->rank, found->shape, has, sizeof has);
        write_shape(rank, shape, needed, sizeof needed);
        return attn_fail(error, ATTN_INVALID, "%s: tensor '%s' has shape %s; it must have %s", file->path, name, has,
                         needed);
    }
    const char *const bytes = file->data + found->begin;
    if ((uintptr_t)bytes % sizeof(float) != 0)
        return refuse(file, name, "its bytes are not aligned for F32; pad the header to 8 bytes", error);
    *data = (const float *)(const void *)bytes;
    return ATTN_OK;
}

int64_t record_safetensors_count(const struct record_safetensors *file) {
    return file->count;
}

const char *record_safetensors_name(const struct record_safetensors *file, int64_t index) {
    return file->entries[index].name;
}
