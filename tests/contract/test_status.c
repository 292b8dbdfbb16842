/* SPDX-License-Identifier: Apache-2.0 */
/* Failure reports, and finding a variant in a registry. */
#include <criterion/criterion.h>
#include <string.h>

#include "contract/status.h"
#include "contract/variant.h"

Test(status, a_failure_keeps_status_and_message) {
    struct attn_error error;
    cr_expect(attn_fail(&error, ATTN_IO, "%s: %d", "disk", 7) == ATTN_IO);
    cr_expect(error.status == ATTN_IO);
    cr_expect(strcmp(error.message, "disk: 7") == 0, "%s", error.message);
    cr_expect(attn_fail(NULL, ATTN_INVALID, "nobody listens") == ATTN_INVALID);
}

Test(status, a_long_message_is_cut_and_terminated) {
    struct attn_error error;
    memset(&error, 'x', sizeof error);
    attn_fail(&error, ATTN_INVALID, "%0*d", 3 * (int)sizeof error.message, 1);
    cr_expect(strlen(error.message) == sizeof error.message - 1);
}

Test(status, every_status_has_a_name) {
    for (int n = ATTN_OK; n <= ATTN_INTERNAL; ++n)
        for (int m = ATTN_OK; m < n; ++m)
            cr_expect(strcmp(attn_status_name((enum attn_status)n), attn_status_name((enum attn_status)m)) != 0);
    cr_expect(strcmp(attn_status_name((enum attn_status)99), "unknown") == 0);
    cr_expect(strcmp(attn_status_name((enum attn_status) - 1), "unknown") == 0);
}

static const struct attn_variant plain = {.name = "plain"}, plain_wide = {.name = "plain"}, clever = {.name = "clever"};

Test(registry, finds_by_name_and_level) {
    const char *const levels[] = {"baseline", "wide"};
    const struct attn_variant *const variants[] = {&plain, &plain_wide, NULL, &clever};
    const struct attn_registry registry = {
        .variant_count = 2, .level_count = 2, .levels = levels, .variants = variants};
    cr_expect(attn_registry_find(&registry, "plain", "baseline") == &plain);
    cr_expect(attn_registry_find(&registry, "plain", "wide") == &plain_wide);
    cr_expect(attn_registry_find(&registry, "clever", "wide") == &clever);
    cr_expect(attn_registry_find(&registry, "clever", "baseline") == NULL, "not compiled for that level");
    cr_expect(attn_registry_find(&registry, "plai", "baseline") == NULL);
    cr_expect(attn_registry_find(&registry, "plain", "narrow") == NULL);
}
