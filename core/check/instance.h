/* SPDX-License-Identifier: Apache-2.0 */
/* A form made real: a built problem, its mask arrays, and guarded memory for every operand. */
#ifndef CHECK_INSTANCE_H
#define CHECK_INSTANCE_H

#include "check/form.h"
#include "check/oracle.h"
#include "machine/memory.h"

struct check_instance {
    struct check_form form;
    struct attn_problem problem; /* mask arrays point into this instance's buffers */
    struct attn_operands operands;
    struct check_arrays *arrays; /* private: buffers and fingerprints */
};

/* Bytes that creating the instance would take, before anything is allocated. ATTN_INVALID: what
 * attn_problem_build refuses, and a mask form that does not go with the sizes. */
enum attn_status check_instance_estimate(const struct check_form *form, double *bytes, struct attn_error *error);

/* Allocates operands and mask arrays under the given guard and fills them from form->seed. Same bits for
 * any number of threads. ATTN_NO_MEMORY, before anything is allocated, when the estimate exceeds what the
 * machine has left; the message holds both numbers. */
enum attn_status check_instance_create(const struct check_form *form, enum machine_guard guard, int threads,
                                       struct check_instance **instance, struct attn_error *error);

/* Refills q, k, v (and dout) with the values of another seed in the same memory (for a capture: a normal
 * pattern at the capture's scale); mask arrays stay, because the problem is constant. check_instance_fill(i,
 * i->form.seed) restores the original values exactly.
 * Seeds that differ in their last bit give different keys under every pattern. */
#define CHECK_OTHER_SEED(seed) ((seed) ^ 1)
void check_instance_fill(struct check_instance *instance, uint64_t seed);

/* Backward: fills out and lse, inputs of that pass, from the oracle; until then they hold zeros. They stay when the
 * instance is filled with another seed. Forward: nothing. */
void check_instance_supply(struct check_instance *instance, const struct check_oracle *oracle);

/* Sets every byte of out and lse (backward: dq, dk, dv) to ATTN_POISON_BYTE. */
void check_instance_poison(struct check_instance *instance);

/* NULL, or what was found broken: a canary of an operand or mask array changed, or an input (or mask array)
 * no longer holds what fill wrote. */
const char *check_instance_damage(const struct check_instance *instance);

void check_instance_destroy(struct check_instance *instance); /* NULL is allowed */

#endif
