/* SPDX-License-Identifier: Apache-2.0 */
#include "captured.h"

#include <inttypes.h>
#include <string.h>

#include "record/capture.h"

static enum attn_status copy(struct study_run *run, const struct record_capture *from, struct captured *to,
                             struct attn_error *error) {
    const float *const values = from->q.data;
    const int64_t count = attn_tensor_count(&from->q);
    *to = (struct captured){from->q.shape[0],
                            from->q.shape[1],
                            from->q.shape[2],
                            from->q.shape[3],
                            STUDY_ARRAY(run, count, double, error),
                            STUDY_ARRAY(run, from->q.shape[0], int64_t, error)};
    if (!to->q || !to->lengths)
        return ATTN_NO_MEMORY;
    for (int64_t n = 0; n < count; ++n)
        to->q[n] = (double)values[n];
    memcpy(to->lengths, from->key_lengths, (size_t)to->texts * sizeof *to->lengths);
    return ATTN_OK;
}

enum attn_status captured_read(struct study_run *run, const char *group, int64_t texts, int64_t heads,
                               struct captured *captured, struct attn_error *error) {
    static const char path[] = STUDY_INPUTS "/minilm_words.h5";
    struct record_capture capture;
    enum attn_status status = record_capture_read(path, group, &capture, error);
    const int64_t *const shape = capture.q.shape;
    if (!status && (shape[0] != texts || shape[1] != heads || shape[2] > CAPTURED_POSITIONS || !capture.key_lengths))
        status = attn_fail(error, ATTN_INVALID,
                           "%s: %s must hold %" PRId64 " texts of at most %d tokens, their key_lengths, and %" PRId64
                           " heads",
                           path, group, texts, CAPTURED_POSITIONS, heads);
    if (!status)
        status = copy(run, &capture, captured, error);
    record_capture_release(&capture);
    return status;
}

const double *captured_vector(const struct captured *captured, int64_t text, int64_t position) {
    return captured->q + (text * captured->positions + position) * captured->features;
}
