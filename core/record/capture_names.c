/* SPDX-License-Identifier: Apache-2.0 */
#include "record/capture_names.h"

#include <stdio.h>
#include <string.h>

#include "contract/nearest.h"

#define MAX_OFFERED 64 /* names looked through for one that is near */
#define NAME_BYTES  128

struct offered {
    char names[MAX_OFFERED][NAME_BYTES];
    size_t count;
};

static void offer(struct offered *offered, const char *name, size_t bytes) {
    if (offered->count < MAX_OFFERED && bytes < NAME_BYTES)
        snprintf(offered->names[offered->count++], NAME_BYTES, "%.*s", (int)bytes, name);
}

static herr_t offer_member(hid_t group, const char *name, const H5L_info_t *info, void *offered) {
    (void)group, (void)info;
    offer(offered, name, strlen(name));
    return 0;
}

static herr_t offer_tensor(hid_t file, const char *name, const H5O_info_t *info, void *offered) {
    const size_t length = strlen(name);
    (void)file;
    if (info->type == H5O_TYPE_DATASET && length > 2 && strcmp(name + length - 2, "/q") == 0)
        offer(offered, name, length - 2);
    return 0;
}

/* `what` is "no dataset 'x' in y". */
static enum attn_status refuse(const char *path, const char *what, const char *name, const struct offered *offered,
                               struct attn_error *error) {
    const char *candidates[MAX_OFFERED];
    for (size_t i = 0; i < offered->count; ++i)
        candidates[i] = offered->names[i];
    const char *const near = attn_nearest(name, candidates, offered->count);
    if (near)
        return attn_fail(error, ATTN_INVALID, "%s: %s; did you mean '%s'?", path, what, near);
    char list[512] = "none";
    size_t used = 0;
    for (size_t i = 0; i < offered->count && used + strlen(candidates[i]) + 3 < sizeof list; ++i)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", candidates[i]);
    return attn_fail(error, ATTN_INVALID, "%s: %s; there is %s", path, what, list);
}

enum attn_status record_refuse_tensor(const char *path, hid_t file, const char *tensor, struct attn_error *error) {
    struct offered offered = {.count = 0};
    char what[640];
    H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, offer_tensor, &offered);
    snprintf(what, sizeof what, "no tensor group '%s'", tensor);
    return refuse(path, what, tensor, &offered, error);
}

enum attn_status record_refuse_dataset(const char *path, hid_t group, const char *tensor, const char *name,
                                       struct attn_error *error) {
    struct offered offered = {.count = 0};
    char what[640];
    H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, offer_member, &offered);
    snprintf(what, sizeof what, "no dataset '%s' in %s", name, tensor);
    return refuse(path, what, name, &offered, error);
}
