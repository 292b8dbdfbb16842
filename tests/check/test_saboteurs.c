/* SPDX-License-Identifier: Apache-2.0 */
/* The tester tested: every saboteur must be found out, for its own reason, on a small problem and on one of 4,096
 * keys. Each is examined in a process of its own, because some crash and one never ends. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check/exam.h"
#include "saboteurs.h"

enum outcome { ACCEPTED, REJECTED, KILLED_BY_SIGNAL, TIMED_OUT, BROKEN };
static const char *const outcome_names[] = {"accepted", "rejected", "killed", "timed out", "broken"};

static const struct expectation {
    const char *saboteur;
    enum check_pattern pattern;
    const char *mask;
    int threads;
    enum outcome outcome;
    const char *reason; /* what its text must contain; for signals their name */
} expectations[] = {
    {"honest", CHECK_NEEDLES, "causal=bottom_right", 1, ACCEPTED, ""},
    {"zeros", CHECK_NORMAL, "none", 1, REJECTED, "times the bound"},
    {"zeros", CHECK_NEEDLES, "none", 1, REJECTED, "times the bound"},
    {"nan", CHECK_NORMAL, "none", 1, REJECTED, "not finite"},
    {"missing_scale", CHECK_NORMAL, "none", 1, REJECTED, "out["},
    {"missing_scale", CHECK_NEEDLES, "none", 1, REJECTED, "out["},
    {"causal_leaks_next", CHECK_NORMAL, "causal=bottom_right", 1, REJECTED, "out["},
    {"causal_leaks_next", CHECK_NEEDLES, "causal=bottom_right", 1, REJECTED, "out["},
    {"one_start", CHECK_NORMAL, "causal=top_left,query_start=5", 1, ACCEPTED, ""},
    {"one_start", CHECK_NORMAL, "causal=top_left,query_start=5,starts=ragged", 1, REJECTED, "out["},
    {"one_start", CHECK_NEEDLES, "causal=top_left,starts=ragged", 1, REJECTED, "out["},
    {"drops_last_key", CHECK_NEEDLES, "none", 1, REJECTED, "out["},
    {"drops_last_key", CHECK_NEEDLES, "causal=bottom_right", 1, REJECTED, "out["},
    {"drops_last_key", CHECK_ASCENDING, "none", 1, REJECTED, "out["},
    {"drops_first_key", CHECK_NEEDLES, "none", 1, REJECTED, "out["},
    {"drops_first_key", CHECK_NEEDLES, "window=7:3", 1, REJECTED, "out["},
    {"drops_first_key", CHECK_DESCENDING, "none", 1, REJECTED, "out["},
    {"drops_last_tile", CHECK_NEEDLES, "none", 1, REJECTED, "out["},
    {"drops_last_tile", CHECK_NEEDLES, "lengths=ragged", 1, REJECTED, "out["},
    {"wrong_kv_head", CHECK_NORMAL, "none", 1, REJECTED, "out["},
    {"wrong_kv_head", CHECK_NEEDLES, "none", 1, REJECTED, "out["},
    {"writes_past_end", CHECK_NORMAL, "none", 1, KILLED_BY_SIGNAL, "SEGV"},
    {"writes_before_start", CHECK_NORMAL, "none", 1, REJECTED, "writes outside of out"},
    {"writes_past_workspace", CHECK_NORMAL, "none", 1, REJECTED, "writes past the workspace"},
    {"reads_past_end", CHECK_NORMAL, "none", 1, KILLED_BY_SIGNAL, "SEGV"},
    {"reads_before_start", CHECK_NORMAL, "none", 1, KILLED_BY_SIGNAL, "SEGV"},
    {"modifies_input", CHECK_NORMAL, "none", 1, REJECTED, "modifies an input: q"},
    {"modifies_mask", CHECK_NORMAL, "boolean", 1, REJECTED, "modifies an input: the boolean mask"},
    {"leaves_unwritten", CHECK_NORMAL, "none", 1, REJECTED, "leaves 1 elements unwritten"},
    {"leaves_unwritten", CHECK_DENORMALS, "none", 1, REJECTED, "leaves 1 elements unwritten"},
    {"trusts_workspace", CHECK_NORMAL, "none", 1, REJECTED, "1 elements are not finite"},
    {"assumes_dense", CHECK_NORMAL, "none", 1, REJECTED, "interleaved operands: out["},
    {"one_thread_only", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"one_thread_only", CHECK_NORMAL, "none", 2, REJECTED, "out["},
    {"one_thread_only", CHECK_NEEDLES, "none", 3, REJECTED, "out["},
    {"assumes_team", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"assumes_team", CHECK_NORMAL, "none", 2, REJECTED, "one thread delivered of 2: leaves"},
    {"not_repeatable", CHECK_NORMAL, "none", 1, REJECTED, "claims to be repeatable"},
    {"thread_variant", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"thread_variant", CHECK_NORMAL, "none", 3, REJECTED, "claims to be thread invariant"},
    {"remembers_keys", CHECK_NORMAL, "none", 1, REJECTED, "remembers an earlier call: out["},
    {"remembers_keys", CHECK_NEEDLES, "causal=bottom_right", 1, REJECTED, "remembers an earlier call: out["},
    {"leaks_masked_nan", CHECK_MASKED_NAN, "lengths=ragged", 1, REJECTED, "not finite"},
    {"leaks_masked_nan", CHECK_MASKED_INF, "lengths=ragged", 1, REJECTED, "not finite"},
    {"leaks_masked_nan", CHECK_NORMAL, "lengths=ragged", 1, ACCEPTED, ""},
    {"wrong_lse", CHECK_NORMAL, "none", 1, REJECTED, "lse["},
    {"forgets_sink", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"forgets_sink", CHECK_CONSTANT_VALUES, "sinks", 1, REJECTED, "out["},
    {"bf16_sums", CHECK_NORMAL, "none", 1, REJECTED, "out["},
    {"bf16_sums", CHECK_NEEDLES, "none", 1, REJECTED, "out["},
    {"sentinel_maximum", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"sentinel_maximum", CHECK_NEGATIVE_LOGITS, "none", 1, REJECTED, "out["},
    {"no_maximum", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"no_maximum", CHECK_HUGE_LOGITS, "none", 1, REJECTED, "not finite"},
    {"masked_block_nan", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"masked_block_nan", CHECK_NORMAL, "dead_block", 1, REJECTED, "not finite"},
    {"averages_dead_rows", CHECK_NORMAL, "none", 1, ACCEPTED, ""},
    {"averages_dead_rows", CHECK_NORMAL, "dead_rows", 1, REJECTED, "out["},
    {"hangs", CHECK_NORMAL, "none", 1, TIMED_OUT, ""},
    {"crashes", CHECK_NORMAL, "none", 1, KILLED_BY_SIGNAL, "ABRT"},
};
static const size_t expectation_count = sizeof expectations / sizeof *expectations;

static const double patience_s = 60.0, patience_with_a_hang_s = 1.0;

/* What became of an exam, in memory shared with the process that held it. */
struct report {
    enum outcome outcome;
    char reason[384];
};

static void examine_here(const struct expectation *expected, struct check_form form, struct report *report) {
    struct attn_error error = {0};
    struct check_result result = {0};
    const struct attn_execution execution = {.threads = expected->threads};
    const struct attn_variant *const variant = attn_registry_find(&saboteur_registry, expected->saboteur, "baseline");
    form.pattern = expected->pattern;
    enum attn_status status = check_mask_parse(expected->mask, &form.mask, &error);
    if (!status)
        status = check_exam(variant, &form, &execution, NULL, &result, &error);
    report->outcome = status                            ? BROKEN
                      : result.status == CHECK_ACCEPTED ? ACCEPTED
                      : result.status == CHECK_REJECTED ? REJECTED
                                                        : BROKEN;
    snprintf(report->reason, sizeof report->reason, "%.380s", status ? error.message : result.reason);
}

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void wait_for(pid_t child, double limit_s, struct report *report) {
    const double begin = now_s();
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (now_s() - begin > limit_s) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            report->outcome = TIMED_OUT;
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (WIFSIGNALED(status)) {
        report->outcome = KILLED_BY_SIGNAL;
        snprintf(report->reason, sizeof report->reason, "SIG%s", sigabbrev_np(WTERMSIG(status)));
    }
}

static struct report examine(const struct expectation *expected, const struct check_form *form) {
    struct report *const shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(shared, MAP_FAILED);
    shared->outcome = BROKEN;
    const pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        signal(SIGSEGV, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        examine_here(expected, *form, shared);
        _exit(0);
    }
    wait_for(child, expected->outcome == TIMED_OUT ? patience_with_a_hang_s : patience_s, shared);
    const struct report report = *shared;
    munmap(shared, sizeof *shared);
    return report;
}

static void examine_all(const struct check_form *form) {
    for (size_t n = 0; n < expectation_count; ++n) {
        const struct expectation *const expected = &expectations[n];
        const struct report report = examine(expected, form);
        cr_expect(report.outcome == expected->outcome && strstr(report.reason, expected->reason),
                  "%s on %s, %s, %d threads: %s (%s); expected %s (%s)", expected->saboteur,
                  check_pattern_name(expected->pattern), expected->mask, expected->threads,
                  outcome_names[report.outcome], report.reason, outcome_names[expected->outcome], expected->reason);
    }
}

Test(saboteurs, all_are_found_out_on_a_small_problem, .timeout = 300) {
    examine_all(&(struct check_form){.batch = 2,
                                     .query_heads = 4,
                                     .key_heads = 2,
                                     .query_len = 33,
                                     .key_len = 50,
                                     .head_dim = 8,
                                     .value_dim = 5,
                                     .lse = true,
                                     .seed = 1});
}

Test(saboteurs, all_are_found_out_at_4096_keys, .timeout = 600) {
    examine_all(&(struct check_form){.batch = 2,
                                     .query_heads = 4,
                                     .key_heads = 2,
                                     .query_len = 33,
                                     .key_len = 4096,
                                     .head_dim = 16,
                                     .value_dim = 5,
                                     .lse = true,
                                     .seed = 1});
}

Test(saboteurs, each_is_expected_to_fail_somewhere) {
    for (int n = 0; n < saboteur_registry.variant_count; ++n) {
        const char *const name = saboteur_registry.variants[n]->name;
        bool found = strcmp(name, "honest") == 0;
        for (size_t e = 0; e < expectation_count; ++e)
            found = found || (strcmp(expectations[e].saboteur, name) == 0 && expectations[e].outcome != ACCEPTED);
        cr_expect(found, "%s is expected to fail nowhere", name);
    }
}
