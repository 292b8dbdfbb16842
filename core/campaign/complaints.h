/* SPDX-License-Identifier: Apache-2.0 */
/* Everything found wrong with a config, collected so that all of it is told at once. */
#ifndef CAMPAIGN_COMPLAINTS_H
#define CAMPAIGN_COMPLAINTS_H

#include "campaign/texts.h"
#include "contract/status.h"

/* Where something was written: a place in a file, or an option, variable or word (line 0). */
struct campaign_place {
    const char *source; /* "scaling.yaml", "--set threads=0", "ATTNBENCH_MEASURE_SEED" */
    int line, column;   /* from 1 */
};

struct campaign_complaints {
    struct campaign_texts *texts; /* where complaints live */
    struct campaign_complaint *first;
    size_t count;
};

/* Adds one complaint; the same text at the same place counts once. */
void campaign_complain(struct campaign_complaints *complaints, struct campaign_place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "unknown KIND 'NAME'; did you mean 'NEAREST'?", or the known names when none is near. */
void campaign_complain_unknown(struct campaign_complaints *complaints, struct campaign_place place, const char *kind,
                               const char *name, const char *const *known, size_t known_count);

/* ATTN_OK when there are none. Else ATTN_INVALID with one line each, in the order of their places; what does not
 * fit into the message is counted. */
enum attn_status campaign_complaints_tell(const struct campaign_complaints *complaints, struct attn_error *error);

/* "scaling.yaml:7:3", or the source alone where there is no line. Texts live in `texts`. */
const char *campaign_place_text(struct campaign_texts *texts, struct campaign_place place);

#endif
