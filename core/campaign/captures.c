/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes, lengths and digests of captured tensors, read once each. */
#include "record/capture.h"

#include <string.h>

#include "campaign/provenance.h"
#include "campaign/reading.h"

/* The data is read too, so that a truncated file is refused before anything runs; only shapes and lengths stay. */
static bool look_into(struct campaign_config *config, struct campaign_capture *capture, struct attn_error *error) {
    struct record_capture whole = {0};
    if (record_capture_read(capture->path, capture->tensor, &whole, error) != ATTN_OK)
        return false;
    capture->view = (struct check_capture){.q = whole.q, .k = whole.k, .v = whole.v};
    capture->view.q.data = capture->view.k.data = capture->view.v.data = NULL;
    const size_t bytes = (size_t)whole.q.shape[0] * sizeof *whole.key_lengths;
    if (whole.key_lengths) {
        int64_t *const lengths = campaign_texts_allocate(config->texts, bytes);
        if (lengths)
            memcpy(lengths, whole.key_lengths, bytes);
        capture->view.key_lengths = lengths;
    }
    record_capture_release(&whole);
    return true;
}

const struct campaign_capture *campaign_capture_get(struct campaign_config *config, const char *path,
                                                    const char *tensor, struct campaign_place place) {
    const char *digest = NULL;
    for (const struct campaign_capture *known = config->captures; known; known = known->next) {
        if (strcmp(known->path, path) == 0 && strcmp(known->tensor, tensor) == 0)
            return known->good ? known : NULL;
        if (strcmp(known->path, path) == 0)
            digest = known->digest;
    }
    struct campaign_capture *const capture = campaign_texts_allocate(config->texts, sizeof *capture);
    if (!capture) {
        campaign_complain(&config->complaints, place, "out of memory");
        return NULL;
    }
    *capture = (struct campaign_capture){.path = path, .tensor = tensor, .next = config->captures};
    config->captures = capture;
    /* A point on other data is another point, wherever the file lies. */
    struct attn_error error = {.message = "out of memory"};
    char id[RECORD_ID_CHARS + 1];
    if (!digest && campaign_file_id(path, id, &error) == ATTN_OK)
        digest = campaign_texts_intern(config->texts, id);
    capture->digest = digest;
    capture->good = digest && look_into(config, capture, &error);
    if (capture->good)
        return capture;
    campaign_complain(&config->complaints, place, "%s", error.message);
    return NULL;
}
