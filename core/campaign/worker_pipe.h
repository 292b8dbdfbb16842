/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of supervise.h. Lines:
 *   "BEGIN <item>"               what follows is this item's doing
 *   "LINE <item> <code> <text>"  the item's result; ends what BEGIN began
 * A worker that is asked to leave finds its leave pipe closed before its next item, and exits 0. */
#ifndef CAMPAIGN_WORKER_PIPE_H
#define CAMPAIGN_WORKER_PIPE_H

#include <stdbool.h>

enum { WORKER_LINE_FD = 3, WORKER_LEAVE_FD = 4 };

/* false: nobody listens any more. `text` has no newline. */
bool worker_pipe_begin(long item);
bool worker_pipe_line(long item, int code, const char *text);
/* False once the parent asked this worker to leave, or is gone. */
bool worker_pipe_may_go_on(void);

#endif
