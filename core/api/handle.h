/* SPDX-License-Identifier: Apache-2.0 */
/* What is behind the opaque handle of attnbench_api.h. */
#ifndef API_HANDLE_H
#define API_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/variant.h"
#include "machine/memory.h"

/* Nothing but these functions leaves the library: everything else is compiled with hidden visibility. */
#pragma GCC visibility push(default)
#include "api/attnbench_api.h"
#pragma GCC visibility pop

struct attnbench {
    struct attn_problem problem; /* the masks as given; the sizes are filled in from the operands */
    struct attn_operands operands;
    /* What the caller says its mask arrays hold, compared with the problem before anything reads them. */
    int64_t query_start_count, key_lengths_count, query_offsets_count, key_offsets_count, slope_count, sink_count;
    int64_t bias_shape[4], allowed_shape[4];
    const struct attn_variant *variant; /* NULL: not chosen yet */
    int64_t overrides[ATTN_MAX_PARAMETERS];
    struct attn_execution execution;
    struct machine_buffer workspace; /* kept between calls, replaced when too small */
    struct attn_error error;
};

/* Builds the problem from operands and masks; ATTN_INVALID with what is wrong. */
enum attn_status attnbench_complete(struct attnbench *session);

/* Answers session->problem, which is built, with the session's variant. */
enum attn_status attnbench_answer(struct attnbench *session, const struct attn_operands *operands);

#endif
