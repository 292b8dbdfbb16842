/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt at one point: resolve, objection, workspace, bind, trial, verdict on the last timed answer. */
#ifndef CAMPAIGN_ATTEMPT_H
#define CAMPAIGN_ATTEMPT_H

#include "campaign/station.h"
#include "record/journal.h"

/* SKIPPED without need of inputs: a level this machine or this build lacks. False: nothing speaks against the point. */
bool campaign_attempt_skip(const struct campaign_station *station, const struct campaign_point *point,
                           struct record_line *line);

/* Fills status, reason and everything measured of `line`; point, invocation, position and time are the caller's.
 * The station has entered the point's block. ATTN_NO_MEMORY: the line cannot be completed. */
enum attn_status campaign_attempt(struct campaign_station *station, const struct campaign_point *point,
                                  struct record_line *line, struct attn_error *error);

#endif
