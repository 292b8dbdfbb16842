/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes, lengths and digests of captured tensors, read once each. */
#include "record/capture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/reading.h"

/* FNV-1a over a file's bytes, 16 hexadecimal digits: a point on other data is another point, wherever the file
 * lies. NULL when the file cannot be read. */
static const char *digest_file(struct campaign_texts *texts, const char *path) {
    FILE *const file = fopen(path, "re");
    const size_t block_bytes = 1 << 16;
    unsigned char *const block = malloc(block_bytes);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t bytes; file && block && (bytes = fread(block, 1, block_bytes, file)) > 0;)
        for (size_t n = 0; n < bytes; ++n)
            hash = (hash ^ block[n]) * UINT64_C(0x100000001b3);
    const bool good = file && block && !ferror(file);
    free(block);
    if (file)
        fclose(file);
    return good ? campaign_texts_format(texts, "%016" PRIx64, hash) : NULL;
}

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
    capture->digest = digest ? digest : digest_file(config->texts, path);
    struct attn_error error = {.message = "the capture cannot be read"};
    capture->good = capture->digest && look_into(config, capture, &error);
    if (capture->good)
        return capture;
    campaign_complain(&config->complaints, place, "%s", error.message);
    return NULL;
}
