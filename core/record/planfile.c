/* SPDX-License-Identifier: Apache-2.0 */
#include "record/planfile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "record/json_read.h"
#include "record/json_text.h"
#include "record/wholefile.h"

#define PLAN_SCHEMA         "attnbench-plan"
#define PLAN_SCHEMA_VERSION 1

void record_id(const char *canonical, char id[RECORD_ID_CHARS + 1]) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: offset basis, prime */
    for (const char *c = canonical; *c; ++c)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    for (int i = RECORD_ID_CHARS - 1; i >= 0; --i, hash >>= 4)
        id[i] = "0123456789abcdef"[hash & 15];
    id[RECORD_ID_CHARS] = '\0';
}

/* ---- writing ---- */

static char *encode(const struct record_plan *plan) {
    struct record_json_text text = {0};
    record_json_literal(&text, "{\"schema\": \"" PLAN_SCHEMA "\",\n\"schema_version\": ");
    record_json_integer(&text, PLAN_SCHEMA_VERSION);
    record_json_literal(&text, ",\n\"header\": ");
    record_json_object(&text, &plan->header);
    record_json_literal(&text, ",\n\"points\": [");
    for (size_t i = 0; i < plan->point_count; ++i) {
        record_json_literal(&text, i ? ",\n{\"id\": " : "\n{\"id\": ");
        record_json_string(&text, plan->points[i].id);
        record_json_literal(&text, ", \"factors\": ");
        record_json_object(&text, &plan->points[i].factors);
        record_json_literal(&text, "}");
    }
    record_json_literal(&text, "],\n\"order\": [");
    for (size_t n = 0; n < plan->invocations; ++n) {
        record_json_literal(&text, n ? ",\n[" : "\n[");
        for (size_t i = 0; i < plan->point_count; ++i) {
            record_json_literal(&text, i ? ", " : "");
            record_json_integer(&text, plan->order[n * plan->point_count + i]);
        }
        record_json_literal(&text, "]");
    }
    record_json_literal(&text, "]}\n");
    return record_json_finish(&text);
}

enum attn_status record_plan_write(const char *path, const struct record_plan *plan, struct attn_error *error) {
    char *const text = encode(plan);
    if (!text)
        return attn_fail(error, ATTN_NO_MEMORY, "%s: no memory for the plan", path);
    const enum attn_status status = record_file_write(path, text, strlen(text), error);
    free(text);
    return status;
}

/* ---- reading ---- */

static int by_id(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static enum attn_status refuse_equal_ids(const struct record_plan *plan, struct attn_error *error) {
    const char **const ids = malloc((plan->point_count + 1) * sizeof *ids);
    if (!ids)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for %zu points", plan->point_count);
    for (size_t i = 0; i < plan->point_count; ++i)
        ids[i] = plan->points[i].id;
    qsort(ids, plan->point_count, sizeof *ids, by_id);
    enum attn_status status = ATTN_OK;
    for (size_t i = 1; status == ATTN_OK && i < plan->point_count; ++i)
        if (strcmp(ids[i - 1], ids[i]) == 0)
            status = attn_fail(error, ATTN_INVALID, "two points have the id %s", ids[i]);
    free(ids);
    return status;
}

static enum attn_status decode_points(const json_t *root, struct record_plan *plan, struct attn_error *error) {
    const json_t *const points = json_object_get(root, "points");
    if (!json_is_array(points))
        return attn_fail(error, ATTN_INVALID, "'points' is missing or not an array");
    plan->points = calloc(json_array_size(points) + 1, sizeof *plan->points);
    if (!plan->points)
        return attn_fail(error, ATTN_NO_MEMORY, "no memory for %zu points", json_array_size(points));
    plan->point_count = json_array_size(points);
    for (size_t i = 0; i < plan->point_count; ++i) {
        const json_t *const point = json_array_get(points, i);
        char id[RECORD_ID_CHARS + 2];
        struct attn_error why = {0};
        enum attn_status status = record_json_get_text(point, "id", true, id, sizeof id, &why);
        if (status == ATTN_OK && (strlen(id) != RECORD_ID_CHARS || strspn(id, "0123456789abcdef") != RECORD_ID_CHARS))
            status = attn_fail(&why, ATTN_INVALID, "'id' is not %d lower-case hexadecimal digits", RECORD_ID_CHARS);
        if (status == ATTN_OK)
            status = record_json_get_fields(point, "factors", &plan->points[i].factors, &why);
        if (status != ATTN_OK)
            return attn_fail(error, status, "point %zu: %s", i, why.message);
        memcpy(plan->points[i].id, id, sizeof plan->points[i].id);
    }
    return refuse_equal_ids(plan, error);
}

/* One invocation's order: each point once. `seen` has room for every point. */
static enum attn_status decode_walk(const json_t *walk, size_t invocation, const struct record_plan *plan,
                                    uint32_t *order, bool *seen, struct attn_error *error) {
    if (!json_is_array(walk) || json_array_size(walk) != plan->point_count)
        return attn_fail(error, ATTN_INVALID, "'order'[%zu] is not an array of %zu points", invocation,
                         plan->point_count);
    memset(seen, 0, plan->point_count);
    for (size_t i = 0; i < plan->point_count; ++i) {
        const json_t *const entry = json_array_get(walk, i);
        const json_int_t index = json_is_integer(entry) ? json_integer_value(entry) : -1;
        if (index < 0 || (uint64_t)index >= plan->point_count || seen[index])
            return attn_fail(error, ATTN_INVALID, "'order'[%zu][%zu] is not the index of a point not yet named",
                             invocation, i);
        seen[index] = true;
        order[i] = (uint32_t)index;
    }
    return ATTN_OK;
}

static enum attn_status decode_order(const json_t *root, struct record_plan *plan, struct attn_error *error) {
    const json_t *const walks = json_object_get(root, "order");
    if (!json_is_array(walks))
        return attn_fail(error, ATTN_INVALID, "'order' is missing or not an array");
    const size_t invocations = json_array_size(walks);
    plan->order = calloc(invocations * plan->point_count + 1, sizeof *plan->order);
    bool *const seen = calloc(plan->point_count + 1, sizeof *seen);
    enum attn_status status =
        plan->order && seen ? ATTN_OK : attn_fail(error, ATTN_NO_MEMORY, "no memory for the order of the plan");
    plan->invocations = invocations;
    for (size_t n = 0; status == ATTN_OK && n < invocations; ++n)
        status = decode_walk(json_array_get(walks, n), n, plan, plan->order + n * plan->point_count, seen, error);
    free(seen);
    return status;
}

static enum attn_status decode(const json_t *root, struct record_plan *plan, struct attn_error *error) {
    char schema[32] = "";
    int64_t version = 0;
    enum attn_status status = record_json_get_text(root, "schema", true, schema, sizeof schema, error);
    if (status == ATTN_OK)
        status = record_json_get_integer(root, "schema_version", true, &version, error);
    if (status == ATTN_OK && (strcmp(schema, PLAN_SCHEMA) != 0 || version != PLAN_SCHEMA_VERSION))
        status = attn_fail(error, ATTN_INVALID, "schema %s version %" PRId64 "; this program reads %s version %d",
                           schema, version, PLAN_SCHEMA, PLAN_SCHEMA_VERSION);
    if (status == ATTN_OK)
        status = record_json_get_fields(root, "header", &plan->header, error);
    if (status == ATTN_OK)
        status = decode_points(root, plan, error);
    return status == ATTN_OK ? decode_order(root, plan, error) : status;
}

enum attn_status record_plan_decode(const char *text, size_t bytes, struct record_plan *plan,
                                    struct attn_error *error) {
    *plan = (struct record_plan){0};
    json_t *const root = record_json_parse(text, bytes, error);
    if (!root)
        return ATTN_INVALID;
    const enum attn_status status = decode(root, plan, error);
    json_decref(root);
    if (status != ATTN_OK)
        record_plan_release(plan);
    return status;
}

enum attn_status record_plan_read(const char *path, struct record_plan *plan, struct attn_error *error) {
    char *text;
    size_t bytes;
    *plan = (struct record_plan){0};
    enum attn_status status = record_file_read(path, &text, &bytes, error);
    if (status != ATTN_OK)
        return status;
    struct attn_error why = {0};
    status = record_plan_decode(text, bytes, plan, &why);
    free(text);
    return status == ATTN_OK ? status : attn_fail(error, status, "%s: %s", path, why.message);
}

void record_plan_release(struct record_plan *plan) {
    record_fields_release(&plan->header);
    for (size_t i = 0; i < plan->point_count; ++i)
        record_fields_release(&plan->points[i].factors);
    free(plan->points);
    free(plan->order);
    *plan = (struct record_plan){0};
}
