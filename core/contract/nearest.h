/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the known name that a misspelt one resembles most. */
#ifndef CONTRACT_NEAREST_H
#define CONTRACT_NEAREST_H

#include <stddef.h>

/* The candidate nearest to `name` by edit distance, upper and lower case alike: insertions, deletions,
 * substitutions and swaps of neighbours each count one (optimal string alignment distance). At most a
 * third of the longer name may differ; failing that, the first candidate that `name`, of three or more
 * characters, abbreviates. Of equals the first. NULL when nothing is close, or for names beyond 127 bytes. */
const char *attn_nearest(const char *name, const char *const *candidates, size_t count);

#endif
