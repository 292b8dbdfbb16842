/* SPDX-License-Identifier: Apache-2.0 */
/* The tester of gradients tested: every wrong backward pass must be found out, for its own reason. */
#include <criterion/criterion.h>
#include <string.h>

#include "check/exam.h"
#include "saboteurs_backward.h"

static const struct expectation {
    const char *saboteur;
    enum check_pattern pattern;
    const char *mask;
    const char *reason; /* what its text must contain; NULL: accepted */
} expectations[] = {
    {"honest", CHECK_NORMAL, "none", NULL},
    {"honest", CHECK_NEEDLES, "causal=bottom_right", NULL},
    {"honest", CHECK_HUGE_LOGITS, "sinks,softcap=5", NULL},
    {"honest", CHECK_MASKED_NAN, "lengths=ragged", NULL},
    {"missing_d", CHECK_NORMAL, "none", "dq["},
    {"missing_d", CHECK_NEEDLES, "none", "d"},
    {"missing_d", CHECK_CONSTANT_VALUES, "none", "dq["},
    {"scale_squared", CHECK_NORMAL, "none", "d"},
    {"scale_squared", CHECK_NEEDLES, "none", "d"},
    {"scale_missing", CHECK_NORMAL, "none", "dq["},
    {"loses_a_head", CHECK_NORMAL, "none", "d"},
    {"loses_a_head", CHECK_ZERO_VALUES, "none", "dv["},
    {"overwrites_heads", CHECK_NORMAL, "none", "dk["},
    {"drops_last_key", CHECK_NORMAL, "none", "d"},
    {"drops_last_key", CHECK_NEEDLES, "causal=bottom_right", "d"},
    {"drops_last_query", CHECK_NORMAL, "none", "d"},
    {"drops_last_query", CHECK_NEEDLES, "none", "d"},
    {"causal_leaks_next", CHECK_NORMAL, "causal=bottom_right", "d"},
    {"causal_leaks_next", CHECK_NEEDLES, "causal=bottom_right", "d"},
    {"no_bend", CHECK_NORMAL, "none", NULL},
    {"no_bend", CHECK_NORMAL, "softcap=5", "d"},
    {"renormalises", CHECK_NORMAL, "none", NULL},
    {"renormalises", CHECK_NORMAL, "sinks", "d"},
    {"swaps_roles", CHECK_NORMAL, "none", "dk["},
    {"bf16_sums", CHECK_NORMAL, "none", "dv["},
    {"bf16_weights", CHECK_NORMAL, "none", "d"},
    {"dead_keys_unwritten", CHECK_NORMAL, "none", NULL},
    {"dead_keys_unwritten", CHECK_NORMAL, "query_start=-9,causal=top_left", "elements of dk unwritten"},
    {"dead_rows_nan", CHECK_NORMAL, "none", NULL},
    {"dead_rows_nan", CHECK_NORMAL, "dead_rows", "are not finite"},
    {"leaks_masked_nan", CHECK_NORMAL, "boolean", NULL},
    {"leaks_masked_nan", CHECK_MASKED_NAN, "dead_block", "are not finite"},
    {"leaks_masked_nan", CHECK_MASKED_INF, "dead_block", "are not finite"},
    {"modifies_out", CHECK_NORMAL, "none", "modifies an input: out"},
    {"adds_to_garbage", CHECK_NORMAL, "none", "elements of dq unwritten"},
};
static const size_t expectation_count = sizeof expectations / sizeof *expectations;

static void examine(const struct expectation *expected, struct check_form form) {
    struct attn_error error = {0};
    struct check_result result = {0};
    const struct attn_execution execution = {.threads = 1};
    const struct attn_variant *const variant =
        attn_registry_find(&backward_saboteur_registry, expected->saboteur, "baseline");
    form.pattern = expected->pattern;
    cr_assert_eq(check_mask_parse(expected->mask, &form.mask, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(check_exam(variant, &form, &execution, NULL, &result, &error), ATTN_OK, "%s", error.message);
    const enum check_status status = expected->reason ? CHECK_REJECTED : CHECK_ACCEPTED;
    cr_expect(result.status == status && (!expected->reason || strstr(result.reason, expected->reason)),
              "%s on %s, %s: %s (%s); expected %s (%s)", expected->saboteur, check_pattern_name(expected->pattern),
              expected->mask, result.status == CHECK_ACCEPTED ? "accepted" : "not accepted", result.reason,
              expected->reason ? "rejected" : "accepted", expected->reason ? expected->reason : "");
}

Test(saboteurs_backward, all_are_found_out_on_a_small_problem, .timeout = 120) {
    for (size_t n = 0; n < expectation_count; ++n)
        examine(&expectations[n], (struct check_form){.batch = 2,
                                                      .query_heads = 4,
                                                      .key_heads = 2,
                                                      .query_len = 33,
                                                      .key_len = 50,
                                                      .head_dim = 8,
                                                      .value_dim = 5,
                                                      .direction = ATTN_BACKWARD,
                                                      .seed = 1});
}

Test(saboteurs_backward, all_are_found_out_at_1024_keys, .timeout = 300) {
    for (size_t n = 0; n < expectation_count; ++n)
        if (strcmp(expectations[n].saboteur, "renormalises") != 0) /* cubic in the length */
            examine(&expectations[n], (struct check_form){.batch = 1,
                                                          .query_heads = 2,
                                                          .key_heads = 1,
                                                          .query_len = 100,
                                                          .key_len = 1024,
                                                          .head_dim = 16,
                                                          .value_dim = 5,
                                                          .direction = ATTN_BACKWARD,
                                                          .seed = 1});
}

Test(saboteurs_backward, each_is_expected_to_fail_somewhere) {
    for (int n = 0; n < backward_saboteur_registry.variant_count; ++n) {
        const char *const name = backward_saboteur_registry.variants[n]->name;
        bool found = strcmp(name, "honest") == 0;
        for (size_t e = 0; e < expectation_count; ++e)
            found = found || (strcmp(expectations[e].saboteur, name) == 0 && expectations[e].reason);
        cr_expect(found, "%s is expected to fail nowhere", name);
    }
}
