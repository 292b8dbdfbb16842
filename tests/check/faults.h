/* SPDX-License-Identifier: Apache-2.0 */
/* The list of faults, and the rows of an answer with the faults that lie in rows: private to the saboteurs. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include "contract/variant.h"

/* name, what is wrong, what it claims */
#define SABOTEURS(X)                                                                                                   \
    X(honest, "right: two passes over the keys of a row", ATTN_REPEATABLE | ATTN_THREAD_INVARIANT)                     \
    X(zeros, "answers zeros", ATTN_REPEATABLE)                                                                         \
    X(nan, "answers NaN", ATTN_REPEATABLE)                                                                             \
    X(missing_scale, "forgets the scale", ATTN_REPEATABLE)                                                             \
    X(causal_leaks_next, "reads the key behind the last live one", ATTN_REPEATABLE)                                    \
    X(one_start, "takes the query start of sequence 0 for all", ATTN_REPEATABLE)                                       \
    X(drops_last_key, "stops one key early", ATTN_REPEATABLE)                                                          \
    X(drops_first_key, "starts one key late", ATTN_REPEATABLE)                                                         \
    X(drops_last_tile, "leaves the last tile of keys out", ATTN_REPEATABLE)                                            \
    X(wrong_kv_head, "query head h reads KV head h % key_heads", ATTN_REPEATABLE)                                      \
    X(writes_past_end, "writes one element behind out", ATTN_REPEATABLE)                                               \
    X(writes_before_start, "writes one element before out", ATTN_REPEATABLE)                                           \
    X(writes_past_workspace, "uses one float more than it asked for", ATTN_REPEATABLE)                                 \
    X(reads_past_end, "reads one element behind k", ATTN_REPEATABLE)                                                   \
    X(reads_before_start, "reads one element before v", ATTN_REPEATABLE)                                               \
    X(modifies_input, "scales the queries in place", ATTN_REPEATABLE)                                                  \
    X(modifies_mask, "clears the last entry of the boolean mask", ATTN_REPEATABLE)                                     \
    X(leaves_unwritten, "skips the last feature of the last row", ATTN_REPEATABLE)                                     \
    X(trusts_workspace, "adds the first float of its workspace, which it never wrote", ATTN_REPEATABLE)                \
    X(assumes_dense, "reads k as if it were dense", ATTN_REPEATABLE)                                                   \
    X(one_thread_only, "merges partial softmaxes without their maxima", ATTN_PARALLEL)                                 \
    X(assumes_team, "splits rows by the threads asked for, not delivered", ATTN_PARALLEL)                              \
    X(not_repeatable, "moves a last bit in every other call, yet claims the same bits", ATTN_REPEATABLE)               \
    X(thread_variant, "sums in an order that depends on the team, yet claims the same bits",                           \
      ATTN_PARALLEL | ATTN_THREAD_INVARIANT)                                                                           \
    X(remembers_keys, "packs the keys once and finds them again by their address", ATTN_REPEATABLE)                    \
    X(leaks_masked_nan, "weights masked values by 0", ATTN_REPEATABLE)                                                 \
    X(wrong_lse, "gives lse in base 2", ATTN_REPEATABLE)                                                               \
    X(forgets_sink, "leaves the sink out of the sum", ATTN_REPEATABLE)                                                 \
    X(bf16_sums, "rounds every partial sum to bf16 and claims f32", ATTN_REPEATABLE)                                   \
    X(sentinel_maximum, "starts the running maximum at -10000", ATTN_REPEATABLE)                                       \
    X(no_maximum, "does not subtract the maximum", ATTN_REPEATABLE)                                                    \
    X(masked_block_nan, "rescales by exp(-inf - -inf) while all keys so far are masked", ATTN_REPEATABLE)              \
    X(averages_dead_rows, "masks by -1e9: a fully masked row becomes the mean", ATTN_REPEATABLE)                       \
    X(hangs, "never returns", ATTN_REPEATABLE)                                                                         \
    X(crashes, "aborts", ATTN_REPEATABLE)

enum fault {
#define FAULT(name, idea, traits) FAULT_##name,
    SABOTEURS(FAULT)
#undef FAULT
        FAULT_COUNT
};

/* One call. */
struct call {
    const struct attn_problem *problem;
    const struct attn_operands *operands;
    const struct attn_execution *execution;
    enum fault fault;
};

/* Every row of the call's answer; what its fault does to whole calls is the caller's. */
void faulty_rows(const struct call *call);

#endif
