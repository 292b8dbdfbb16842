/* SPDX-License-Identifier: Apache-2.0 */
/* A form drawn, answered and judged: what the tests of the judge share. */
#ifndef CHECK_JUDGED_H
#define CHECK_JUDGED_H

#include <criterion/criterion.h>
#include <stdlib.h>

#include "check/instance.h"
#include "check/oracle.h"

extern const struct attn_variant attn_variant_naive_baseline, attn_variant_online_baseline;

struct trial {
    struct check_instance *instance;
    struct check_oracle *oracle;
    struct check_verdict verdict;
};

/* Draws the form's inputs under `mask`, asks for an lse, and computes every row's answer; `prepare_sampled` at most
 * about `max_pairs` pairs. To be given to finish(). */
struct trial prepare(struct check_form form, const char *mask);
struct trial prepare_sampled(struct check_form form, const char *mask, int64_t max_pairs);

/* Computes the oracle anew after a test has changed inputs. */
void recompute(struct trial *trial, int64_t max_pairs);
void finish(struct trial *trial);

void answer_by(struct trial *trial, const struct attn_variant *variant);
void answer_naive(struct trial *trial);

/* Whether the verdict accepts the answer; it is left in trial->verdict. */
bool judge(struct trial *trial, unsigned traits);
void expect_rejected(struct trial *trial, unsigned traits, const char *reason);

#endif
