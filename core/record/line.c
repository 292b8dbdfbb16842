/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "record/journal.h"
#include "record/json_read.h"
#include "record/json_text.h"

static const char *const status_names[] = {"MEASURED", "SKIPPED", "REJECTED", "FAILED"};
#define STATUS_COUNT (sizeof status_names / sizeof *status_names)

const char *record_status_name(enum record_status status) {
    return (unsigned)status < STATUS_COUNT ? status_names[status] : "UNKNOWN";
}

static void put_text(struct record_json_text *text, const char *key, const char *value) {
    record_json_literal(text, key);
    record_json_string(text, value);
}

static void put_integer(struct record_json_text *text, const char *key, int64_t value) {
    record_json_literal(text, key);
    record_json_integer(text, value);
}

static void put_fields(struct record_json_text *text, const char *key, const struct record_fields *fields) {
    record_json_literal(text, key);
    record_json_object(text, fields);
}

/* Samples of a clock that counts nanoseconds are whole numbers: written as such, a third of the bytes and time. */
static void put_sample(struct record_json_text *text, double sample_ns) {
    const double largest_exact = 9007199254740992.0; /* 2^53 */
    if (sample_ns == floor(sample_ns) && fabs(sample_ns) <= largest_exact)
        record_json_integer(text, (int64_t)sample_ns);
    else
        record_json_real(text, sample_ns);
}

char *record_line_encode(const struct record_line *line) {
    struct record_json_text text = {0};
    put_text(&text, "{\"point\": ", line->point);
    put_integer(&text, ", \"invocation\": ", line->invocation);
    put_integer(&text, ", \"position\": ", line->position);
    put_text(&text, ", \"status\": ", record_status_name(line->status));
    put_text(&text, ", \"reason\": ", line->reason);
    record_json_literal(&text, line->timing_valid ? ", \"timing_valid\": true" : ", \"timing_valid\": false");
    put_text(&text, ", \"timing_reason\": ", line->timing_reason);
    put_text(&text, ", \"started_utc\": ", line->started_utc);
    put_text(&text, ", \"ended_by\": ", line->ended_by);
    put_integer(&text, ", \"threads_delivered\": ", line->threads_delivered);
    put_integer(&text, ", \"workspace_bytes\": ", line->workspace_bytes);
    put_fields(&text, ", \"summary\": ", &line->summary);
    put_fields(&text, ", \"parameters\": ", &line->parameters);
    put_fields(&text, ", \"check\": ", &line->check);
    if (line->roof.count)
        put_fields(&text, ", \"roof\": ", &line->roof);
    record_json_literal(&text, ", \"cpus\": [");
    for (size_t i = 0; i < line->cpu_count; ++i) {
        record_json_literal(&text, i ? ", " : "");
        record_json_integer(&text, line->cpus[i]);
    }
    record_json_literal(&text, "], \"samples_ns\": [");
    for (size_t i = 0; i < line->sample_count; ++i) {
        record_json_literal(&text, i ? "," : "");
        put_sample(&text, line->samples_ns[i]);
    }
    record_json_literal(&text, "]}");
    return record_json_finish(&text);
}

static enum attn_status decode_point(const json_t *root, char point[RECORD_ID_CHARS + 1], struct attn_error *error) {
    char text[RECORD_ID_CHARS + 5];
    const enum attn_status status = record_json_get_text(root, "point", true, text, sizeof text, error);
    if (status != ATTN_OK)
        return status;
    if (strlen(text) != RECORD_ID_CHARS || strspn(text, "0123456789abcdef") != RECORD_ID_CHARS)
        return attn_fail(error, ATTN_INVALID, "'point' is not %d lower-case hexadecimal digits", RECORD_ID_CHARS);
    memcpy(point, text, RECORD_ID_CHARS + 1);
    return ATTN_OK;
}

static enum attn_status decode_status(const json_t *root, enum record_status *value, struct attn_error *error) {
    char text[32];
    const enum attn_status status = record_json_get_text(root, "status", true, text, sizeof text, error);
    if (status != ATTN_OK)
        return status;
    for (size_t i = 0; i < STATUS_COUNT; ++i)
        if (strcmp(text, status_names[i]) == 0) {
            *value = (enum record_status)i;
            return ATTN_OK;
        }
    return attn_fail(error, ATTN_INVALID, "'status' is '%s'; it must be MEASURED, SKIPPED, REJECTED or FAILED", text);
}

/* Memory for the elements of array `key`, whose number goes to `count`; NULL when it is empty or absent. */
static void *array_memory(const json_t *root, const char *key, size_t *count, enum attn_status *status,
                          struct attn_error *error) {
    const json_t *const array = json_object_get(root, key);
    *count = 0;
    *status = !array || json_is_array(array) ? ATTN_OK : attn_fail(error, ATTN_INVALID, "'%s' is not an array", key);
    if (*status != ATTN_OK || json_array_size(array) == 0)
        return NULL;
    void *const memory = malloc(json_array_size(array) * sizeof(int64_t));
    if (!memory)
        *status = attn_fail(error, ATTN_NO_MEMORY, "no memory for '%s'", key);
    else
        *count = json_array_size(array);
    return memory;
}

static enum attn_status decode_samples(const json_t *root, struct record_line *line, struct attn_error *error) {
    enum attn_status status;
    line->samples_ns = array_memory(root, "samples_ns", &line->sample_count, &status, error);
    for (size_t i = 0; i < line->sample_count; ++i) {
        const json_t *const sample = json_array_get(json_object_get(root, "samples_ns"), i);
        if (!json_is_number(sample) || !(json_number_value(sample) >= 0))
            return attn_fail(error, ATTN_INVALID, "'samples_ns'[%zu] is not a number of nanoseconds", i);
        line->samples_ns[i] = json_number_value(sample);
    }
    return status;
}

static enum attn_status decode_cpus(const json_t *root, struct record_line *line, struct attn_error *error) {
    enum attn_status status;
    line->cpus = array_memory(root, "cpus", &line->cpu_count, &status, error);
    for (size_t i = 0; i < line->cpu_count; ++i) {
        const json_t *const cpu = json_array_get(json_object_get(root, "cpus"), i);
        if (!json_is_integer(cpu) || json_integer_value(cpu) < -1)
            return attn_fail(error, ATTN_INVALID, "'cpus'[%zu] is neither a CPU number nor -1", i);
        line->cpus[i] = json_integer_value(cpu);
    }
    return status;
}

static enum attn_status decode_scalars(const json_t *root, struct record_line *line, struct attn_error *error) {
    const struct {
        const char *key;
        bool required;
        int64_t *value;
    } integers[] = {
        {"invocation", true, &line->invocation},
        {"position", false, &line->position},
        {"threads_delivered", false, &line->threads_delivered},
        {"workspace_bytes", false, &line->workspace_bytes},
    };
    const struct {
        const char *key;
        char *value;
        size_t room;
    } texts[] = {
        {"reason", line->reason, sizeof line->reason},
        {"timing_reason", line->timing_reason, sizeof line->timing_reason},
        {"started_utc", line->started_utc, sizeof line->started_utc},
        {"ended_by", line->ended_by, sizeof line->ended_by},
    };
    enum attn_status status = decode_point(root, line->point, error);
    if (status == ATTN_OK)
        status = decode_status(root, &line->status, error);
    for (size_t i = 0; status == ATTN_OK && i < sizeof integers / sizeof *integers; ++i) {
        status = record_json_get_integer(root, integers[i].key, integers[i].required, integers[i].value, error);
        if (status == ATTN_OK && *integers[i].value < 0)
            status = attn_fail(error, ATTN_INVALID, "'%s' is negative", integers[i].key);
    }
    for (size_t i = 0; status == ATTN_OK && i < sizeof texts / sizeof *texts; ++i)
        status = record_json_get_text(root, texts[i].key, false, texts[i].value, texts[i].room, error);
    return status == ATTN_OK ? record_json_get_flag(root, "timing_valid", &line->timing_valid, error) : status;
}

static enum attn_status decode(const json_t *root, struct record_line *line, struct attn_error *error) {
    enum attn_status status = decode_scalars(root, line, error);
    if (status == ATTN_OK)
        status = record_json_get_fields(root, "summary", &line->summary, error);
    if (status == ATTN_OK)
        status = record_json_get_fields(root, "parameters", &line->parameters, error);
    if (status == ATTN_OK)
        status = record_json_get_fields(root, "check", &line->check, error);
    if (status == ATTN_OK)
        status = record_json_get_fields(root, "roof", &line->roof, error);
    if (status == ATTN_OK)
        status = decode_cpus(root, line, error);
    return status == ATTN_OK ? decode_samples(root, line, error) : status;
}

enum attn_status record_line_decode(const char *text, size_t bytes, struct record_line *line,
                                    struct attn_error *error) {
    *line = (struct record_line){0};
    json_t *const root = record_json_parse(text, bytes, error);
    if (!root)
        return ATTN_INVALID;
    const enum attn_status status = decode(root, line, error);
    json_decref(root);
    if (status != ATTN_OK)
        record_line_release(line);
    return status;
}

void record_line_release(struct record_line *line) {
    record_fields_release(&line->summary);
    record_fields_release(&line->parameters);
    record_fields_release(&line->check);
    record_fields_release(&line->roof);
    free(line->samples_ns);
    free(line->cpus);
    *line = (struct record_line){0};
}
