/* SPDX-License-Identifier: Apache-2.0 */
/* A point as the command line that measures it alone. */
#ifndef CAMPAIGN_REPRODUCE_H
#define CAMPAIGN_REPRODUCE_H

#include "campaign/plan.h"

/* "attnbench time VARIANT key=value ...": every factor that is not its default. */
void campaign_reproduce(const struct campaign_point *point, const struct attn_variant *variant, char *text,
                        size_t text_bytes);

#endif
