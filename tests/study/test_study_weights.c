/* SPDX-License-Identifier: Apache-2.0 */
/* Studies of weights and their slopes: each law holds with a whole attention and at other seeds, and departs once what
 * it stands on is left out. */
#include <math.h>

#include "broken_attention.h"
#include "study/extreme.h"

/* A study and the words that make it short; NULL: it is. */
struct subject {
    const char *name, *set;
    const char *claims[3];
};

static const struct subject subjects[] = {
    {"identity_weights", NULL, {"C4"}},
    {"weighted_sum", NULL, {"C5", "C6"}},
    {"projections", NULL, {"C9"}},
    {"score_count", NULL, {"C10"}},
    {"saturation", "trials=50", {"C12", "C33"}},
    {"gradient_medians", "trials=100", {"C13"}},
    {"softmax_sensitivity", NULL, {"C14"}},
    {"gradient_checks", NULL, {"C26"}},
    {"score_gap", NULL, {"C34"}},
    {"rotated_coordinates", NULL, {"C35"}},
    {"moved_word", NULL, {"C36"}},
    {"self_included", NULL, {"C37"}},
    {"key_bias", NULL, {"C39"}},
    {"table_focus", NULL, {"C40"}},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

Test(weights, every_law_holds_with_a_whole_attention, .timeout = 240) {
    for (int n = 0; n < SUBJECTS; ++n)
        for (const char *const *claim = subjects[n].claims; *claim; ++claim)
            cr_expect_eq(broken_law(broken_study(subjects[n].name), *claim, BROKEN_NOTHING, subjects[n].set),
                         STUDY_HOLDS, "%s of %s", *claim, subjects[n].name);
}

Test(weights, every_law_holds_at_three_seeds, .timeout = 240) {
    for (int n = 0; n < SUBJECTS; ++n)
        for (uint64_t seed = 0; seed < 3; ++seed) {
            const struct study_options options = {
                .seed = seed, .threads = 1, .sets = &subjects[n].set, .set_count = subjects[n].set != NULL};
            struct study_report report;
            struct attn_error error = {0};
            cr_assert_eq(study_execute(broken_study(subjects[n].name), &options, &report, &error), ATTN_OK, "%s",
                         error.message);
            for (int i = 0; i < report.claim_count; ++i)
                cr_expect_eq(report.claims[i].law, STUDY_HOLDS, "%s of %s at seed %d", report.claims[i].claim,
                             subjects[n].name, (int)seed);
            study_report_release(&report);
        }
}

static const struct {
    const char *name, *claim;
    enum broken_part part;
    const char *set;
} falsified[] = {
    {"identity_weights", "C4", BROKEN_SCALE, NULL},
    {"identity_weights", "C4", BROKEN_SELF, NULL},
    {"weighted_sum", "C5", BROKEN_SUM, NULL},
    {"weighted_sum", "C6", BROKEN_SUM, NULL},
    {"projections", "C9", BROKEN_NOTHING, "maps=shared"},
    {"score_count", "C10", BROKEN_SELF, NULL},
    {"score_count", "C10", BROKEN_MASK, NULL},
    {"score_count", "C10", BROKEN_LAST_KEY, NULL},
    {"saturation", "C12", BROKEN_SCALE, "trials=50"},
    {"saturation", "C33", BROKEN_SCALE, "trials=50"},
    {"gradient_medians", "C13", BROKEN_D_TERM, "trials=100"},
    {"softmax_sensitivity", "C14", BROKEN_D_TERM, NULL},
    {"softmax_sensitivity", "C14", BROKEN_SUM, NULL},
    {"gradient_checks", "C26", BROKEN_D_TERM, NULL},
    {"gradient_checks", "C26", BROKEN_SLOPE, NULL},
    {"score_gap", "C34", BROKEN_SCALE, NULL},
    {"rotated_coordinates", "C35", BROKEN_NOTHING, "map=shear"},
    {"moved_word", "C36", BROKEN_SELF, NULL},
    {"self_included", "C37", BROKEN_SELF, NULL},
    {"key_bias", "C39", BROKEN_D_TERM, NULL},
    {"table_focus", "C40", BROKEN_LAST_KEY, NULL},
};

Test(weights, a_law_departs_once_something_is_left_out, .timeout = 240) {
    for (size_t n = 0; n < sizeof falsified / sizeof *falsified; ++n)
        cr_expect_eq(
            broken_law(broken_study(falsified[n].name), falsified[n].claim, falsified[n].part, falsified[n].set),
            STUDY_DEPARTS, "%s of %s, case %zu", falsified[n].claim, falsified[n].name, n);
}

/* The numbers themselves, not only the verdicts. */
Test(weights, threads_change_no_number, .timeout = 240) {
    for (int n = 0; n < SUBJECTS; ++n) {
        struct study_report reports[2];
        struct attn_error error = {0};
        for (int more = 0; more < 2; ++more) {
            const struct study_options options = {
                .threads = 1 + 2 * more, .sets = &subjects[n].set, .set_count = subjects[n].set != NULL};
            cr_assert_eq(study_execute(broken_study(subjects[n].name), &options, &reports[more], &error), ATTN_OK, "%s",
                         error.message);
        }
        cr_assert_eq(reports[0].quantity_count, reports[1].quantity_count);
        for (int i = 0; i < reports[0].quantity_count; ++i)
            cr_expect_eq(reports[0].quantities[i].measured, reports[1].quantities[i].measured, "%s: %s",
                         subjects[n].name, reports[0].quantities[i].name);
        study_report_release(&reports[0]);
        study_report_release(&reports[1]);
    }
}

/* The difference of two normal numbers is normal, of variance 2. */
Test(extreme, two_numbers_in_closed_form) {
    cr_expect_float_eq(study_tie_density(2), 1 / sqrt(M_PI), 1e-14);
    cr_expect_float_eq(study_lead_survival(2, 1.5), erfc(0.75), 1e-14);
    cr_expect_float_eq(study_lead_median(2), M_SQRT2 * 0.67448975019608174, 1e-11);
    cr_expect_float_eq(study_lead_survival(64, 0), 1, 1e-14);
}
