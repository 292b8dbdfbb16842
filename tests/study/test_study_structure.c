/* SPDX-License-Identifier: Apache-2.0 */
/* The studies of what attention is made of: each law holds, and departs once what it stands on is left out. */
#include <math.h>

#include "broken_attention.h"

static enum study_law law_of(const char *name, const char *claim, enum broken_part part, const char *set) {
    const struct study_options options = {.seed = 1,
                                          .threads = 1,
                                          .variants = &attn_registry,
                                          .attention = broken_attention(part),
                                          .sets = &set,
                                          .set_count = set != NULL};
    return broken_law_of(broken_study(name), claim, &options);
}

static const struct {
    const char *name, *claim;
    enum broken_part part;
    const char *set;
} departures[] = {
    {"static_contextual", "C2", BROKEN_MASK, NULL},
    {"static_contextual", "C2", BROKEN_NOTHING, "sees=itself"},
    {"reach", "C3", BROKEN_MASK, NULL},
    {"reach", "C3", BROKEN_LAST_KEY, NULL},
    {"gravitation", "C7", BROKEN_SCALE, NULL},
    {"gravitation", "C7", BROKEN_NEIGHBOUR, NULL},
    {"gravitation", "C7", BROKEN_NOTHING, "scale=none"},
    {"linearity", "C8", BROKEN_NOTHING, "map=affine"},
    {"row_independence", "C15", BROKEN_NEIGHBOUR, NULL},
    {"recurrent_cost", "C16", BROKEN_NOTHING, "mask=causal"},
    {"order", "C17", BROKEN_MASK, NULL},
    {"order", "C17", BROKEN_NEIGHBOUR, NULL},
    {"order", "C17", BROKEN_LAST_KEY, NULL},
    {"order", "C17", BROKEN_NOTHING, "positions=none"},
    {"positions", "C18", BROKEN_NOTHING, "positions=none"},
    {"heads", "C19", BROKEN_NOTHING, "join=mean"},
    {"normalisation", "C22", BROKEN_NOTHING, "norm=batch"},
    {"ragged_batch", "C27", BROKEN_MASK, NULL},
    {"incremental", "C28", BROKEN_MASK, NULL},
    {"cost_slopes", "C31", BROKEN_NOTHING, "mask=window"},
    {"two_senses", "C32", BROKEN_MASK, NULL},
    {"two_senses", "C32", BROKEN_NEIGHBOUR, NULL},
    {"two_senses", "C32", BROKEN_NOTHING, "positions=none"},
};
enum { DEPARTURES = sizeof departures / sizeof *departures };

Test(structure, a_law_departs_without_what_it_stands_on) {
    for (int n = 0; n < DEPARTURES; ++n)
        cr_expect_eq(law_of(departures[n].name, departures[n].claim, departures[n].part, departures[n].set),
                     STUDY_DEPARTS, "%s, part %d, %s", departures[n].name, departures[n].part,
                     departures[n].set ? departures[n].set : "as it is");
}

Test(structure, plain_loops_hold_every_law) {
    for (int n = 0; n < DEPARTURES; ++n)
        if (n == 0 || strcmp(departures[n].name, departures[n - 1].name) != 0)
            cr_expect_eq(law_of(departures[n].name, departures[n].claim, BROKEN_NOTHING, NULL), STUDY_HOLDS, "%s",
                         departures[n].name);
}

Test(structure, the_oracle_holds_them_whatever_the_seed) {
    for (int n = 0; n < DEPARTURES; ++n)
        for (uint64_t seed = 0; seed < 3 && (n == 0 || strcmp(departures[n].name, departures[n - 1].name) != 0);
             ++seed) {
            const struct study_options options = {.seed = seed, .threads = 2, .variants = &attn_registry};
            cr_expect_eq(broken_law_of(broken_study(departures[n].name), departures[n].claim, &options), STUDY_HOLDS,
                         "%s, seed %d", departures[n].name, (int)seed);
        }
}

static bool takes_time(const struct study_quantity *quantity) {
    return strstr(quantity->name, "time") || strstr(quantity->name, "speed-up");
}

Test(structure, numbers_do_not_depend_on_the_threads) {
    for (int n = 0; n < DEPARTURES; ++n) {
        if (n > 0 && !strcmp(departures[n].name, departures[n - 1].name))
            continue;
        struct study_report reports[2];
        for (int threads = 1; threads <= 2; ++threads) {
            const struct study_options options = {.threads = threads, .variants = &attn_registry};
            struct attn_error error = {0};
            const enum attn_status status =
                study_execute(broken_study(departures[n].name), &options, &reports[threads - 1], &error);
            cr_assert_eq(status, ATTN_OK, "%s", error.message);
        }
        cr_assert_eq(reports[0].quantity_count, reports[1].quantity_count);
        for (int i = 0; i < reports[0].quantity_count; ++i) {
            const struct study_quantity *const one = &reports[0].quantities[i], *const two = &reports[1].quantities[i];
            cr_expect(takes_time(one) || one->measured == two->measured, "%s: %s of %s is %.17g or %.17g",
                      departures[n].name, one->name, one->series, one->measured, two->measured);
        }
        study_report_release(&reports[0]);
        study_report_release(&reports[1]);
    }
}

static struct study_report report_of(const char *name, struct layer_attention attention) {
    const struct study_options options = {.threads = 1, .attention = attention};
    struct study_report report;
    struct attn_error error = {0};
    cr_assert_eq(study_execute(broken_study(name), &options, &report, &error), ATTN_OK, "%s", error.message);
    return report;
}

static double best_head(const struct study_report *report, const char *relation) {
    for (int n = 0; n < report->quantity_count; ++n)
        if (!strcmp(report->quantities[n].series, "best head") &&
            !strncmp(report->quantities[n].name, relation, strlen(relation)))
            return report->quantities[n].measured;
    return NAN;
}

/* What a captured model does follows from no theory. */
Test(structure, a_captured_model_is_recorded) {
    static const char *const names[] = {"head_roles", "word_pieces"};
    for (int n = 0; n < 2; ++n) {
        struct study_report report = report_of(names[n], (struct layer_attention){0});
        cr_expect_eq(report.claims[0].law, STUDY_RECORDED, "%s", names[n]);
        for (int i = 0; i < report.quantity_count; ++i)
            cr_expect(isfinite(report.quantities[i].measured), "%s: %s", names[n], report.quantities[i].name);
        study_report_release(&report);
    }
}

/* A head that finds every subject's verb finds fewer in the rows of the next query. */
Test(structure, roles_are_in_the_rows_of_the_weights) {
    struct study_report whole = report_of("head_roles", broken_attention(BROKEN_NOTHING));
    struct study_report shifted = report_of("head_roles", broken_attention(BROKEN_NEIGHBOUR));
    cr_expect_gt(best_head(&whole, "subject to verb"), best_head(&shifted, "subject to verb"));
    study_report_release(&whole);
    study_report_release(&shifted);
}
