/* SPDX-License-Identifier: Apache-2.0 */
/* "The cat sat on the mat" as source S3 prints it: 2-dimensional queries, keys and values for five words. */
#ifndef STUDY_WORD_TABLE_H
#define STUDY_WORD_TABLE_H

enum { THE, CAT, SAT, ON, MAT, WORDS };

static const double word_queries[WORDS][2] = {{.1, .3}, {.5, .7}, {.6, .8}, {.2, .4}, {.4, .5}};
static const double word_keys[WORDS][2] = {{.2, .1}, {.3, .2}, {.4, .3}, {.1, .4}, {.7, .3}};
static const double word_values[WORDS][2] = {{.1, .2}, {.4, .6}, {.7, .5}, {.5, .3}, {.8, .5}};

static const char *const word_names[WORDS] = {"the", "cat", "sat", "on", "mat"};
static const int six_tokens[] = {THE, CAT, SAT, ON, THE, MAT}; /* the sentence; the table has "the" once */

#endif
