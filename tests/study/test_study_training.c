/* SPDX-License-Identifier: Apache-2.0 */
/* Studies that train, and those of rounding: whole, their laws hold; without what they stand on, they depart. */
#include <math.h>

#include "broken_attention.h"
#include "check/oracle_attention.h"
#include "contract/variant.h"

extern const struct study study_static_vectors, study_norm_training, study_polysemy, study_idiom,
    study_streaming_maxima, study_error_growth, study_key_order, study_storage_types;

/* With registered variants, as the program runs it, unless an attention is given. The caller releases the report. */
static void execute(const struct study *study, const char *set, int threads, const struct layer_attention *attention,
                    struct study_report *report) {
    struct study_options options = {
        .seed = 1, .threads = threads, .variants = &attn_registry, .sets = &set, .set_count = 1};
    struct attn_error error = {0};
    if (attention)
        options.attention = *attention;
    cr_assert_eq(study_execute(study, &options, report, &error), ATTN_OK, "%s: %s", study->name, error.message);
}

static void expect_whole(const struct study *study, const char *set) {
    struct study_report report;
    execute(study, set, 2, NULL, &report);
    for (int i = 0; i < report.quantity_count; ++i) {
        const struct study_quantity *const quantity = &report.quantities[i];
        cr_expect(quantity->inside, "%s: %s of %s at %g is %g, not in %g to %g", study->name, quantity->name,
                  quantity->series, quantity->at, quantity->measured, quantity->low, quantity->high);
    }
    for (int i = 0; i < report.claim_count; ++i)
        cr_expect_eq(report.claims[i].law, STUDY_HOLDS, "%s: %s", study->name, report.claims[i].claim);
    study_report_release(&report);
}

static bool same(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

static void expect_same_for_any_threads(const struct study *study, const char *set) {
    struct study_report one, two;
    execute(study, set, 1, NULL, &one);
    execute(study, set, 2, NULL, &two);
    cr_assert_eq(one.quantity_count, two.quantity_count);
    for (int i = 0; i < one.quantity_count; ++i)
        cr_expect(same(one.quantities[i].measured, two.quantities[i].measured), "%s: %s of %s: %.17g and %.17g",
                  study->name, one.quantities[i].name, one.quantities[i].series, one.quantities[i].measured,
                  two.quantities[i].measured);
    study_report_release(&one);
    study_report_release(&two);
}

Test(static_vectors, factorise_counts) {
    expect_whole(&study_static_vectors, "sentences=3000");
}

Test(static_vectors, need_as_many_features_as_words) {
    cr_expect_eq(broken_law(&study_static_vectors, "C1", BROKEN_NOTHING, "sentences=500,features=2"), STUDY_DEPARTS);
}

Test(norm_training, definitions_hold) {
    expect_whole(&study_norm_training, "items=1024");
}

Test(polysemy, is_learned) {
    expect_whole(&study_polysemy, "norm=1,draws=1,init=random");
}

#define SHORT "norm=1,draws=1,steps=500,init=random"

Test(polysemy, is_not_without_a_key_or_by_wrong_gradients) {
    cr_expect_eq(broken_law(&study_polysemy, "C25", BROKEN_NOTHING, SHORT), STUDY_HOLDS);
    cr_expect_eq(broken_law(&study_polysemy, "C25", BROKEN_LAST_KEY, SHORT), STUDY_DEPARTS);
    cr_expect_eq(broken_law(&study_polysemy, "C25", BROKEN_SLOPE, SHORT), STUDY_DEPARTS);
}

Test(polysemy, is_the_same_for_any_threads) {
    expect_same_for_any_threads(&study_polysemy, "norm=1,draws=1,steps=100");
}

Test(idiom, is_learned_but_not_without_a_key) {
    expect_whole(&study_idiom, "steps=1000");
    cr_expect_eq(broken_law(&study_idiom, "C29", BROKEN_NOTHING, "steps=1000"), STUDY_HOLDS);
    cr_expect_eq(broken_law(&study_idiom, "C29", BROKEN_LAST_KEY, "steps=100"), STUDY_DEPARTS);
}

Test(streaming_maxima, are_as_many_as_records) {
    expect_whole(&study_streaming_maxima, "rows=50");
    cr_expect_eq(broken_law(&study_streaming_maxima, "L1", BROKEN_NOTHING, "rows=50,drift=upward"), STUDY_DEPARTS);
}

/* Attention in float64, rounded once, has no such errors. */
static enum study_law law_without_rounding(const struct study *study, const char *set) {
    const struct layer_attention exact = {.run = check_oracle_attention};
    struct study_report report;
    execute(study, set, 1, &exact, &report);
    const enum study_law law = report.claims[0].law;
    study_report_release(&report);
    return law;
}

Test(rounding, grows_as_theory_says) {
    expect_whole(&study_error_growth, "keys=4096");
    cr_expect_eq(law_without_rounding(&study_error_growth, "keys=256"), STUDY_DEPARTS);
}

Test(rounding, depends_on_the_order_of_keys) {
    expect_whole(&study_key_order, "keys=4096");
    cr_expect_eq(law_without_rounding(&study_key_order, "keys=4096"), STUDY_DEPARTS);
}

Test(rounding, of_16_bit_storage_is_constant) {
    expect_whole(&study_storage_types, "keys=1024");
}

Test(rounding, is_the_same_for_any_threads) {
    expect_same_for_any_threads(&study_error_growth, "keys=1024");
}
