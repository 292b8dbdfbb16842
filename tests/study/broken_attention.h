/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in plain float64 loops that leaves out one thing on purpose: handed to a study, its law must depart. */
#ifndef BROKEN_ATTENTION_H
#define BROKEN_ATTENTION_H

#include <criterion/criterion.h>

#include "study/runner.h"

enum broken_part {
    BROKEN_NOTHING,   /* whole: to see that it is what was left out that makes a law depart */
    BROKEN_SCALE,     /* scores are not scaled */
    BROKEN_MASK,      /* every mask is ignored */
    BROKEN_SUM,       /* weights are not divided by their sum */
    BROKEN_SELF,      /* a query leaves out the key of its own place */
    BROKEN_LAST_KEY,  /* the last key of a row is lost */
    BROKEN_D_TERM,    /* backward: dS = P o dP, without subtracting rowsum(dO o O) */
    BROKEN_SLOPE,     /* backward: dS is scaled twice */
    BROKEN_NEIGHBOUR, /* a row takes the next query's place: rows are not independent */
};

/* f64 or f32 operands, every structural mask. Lasts as long as the program. */
struct layer_attention broken_attention(enum broken_part part);

/* The study of this name; the test fails when there is none. */
const struct study *broken_study(const char *name);

/* The law verdict of `claim` when `study` runs with these options. The test fails when the study itself fails. */
enum study_law broken_law_of(const struct study *study, const char *claim, const struct study_options *options);
/* With this attention and these settings ("scale=none", or NULL), without variants. */
enum study_law broken_law(const struct study *study, const char *claim, enum broken_part part, const char *set);

#endif
