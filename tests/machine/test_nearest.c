/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/nearest.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const names[] = {"naive", "tiled", "online", "online_tiled", "blas_unfused", "k", "threads"};

static const char *nearest(const char *name) {
    return attn_nearest(name, names, sizeof names / sizeof *names);
}

Test(nearest, a_typing_error_finds_its_name) {
    cr_assert_str_eq(nearest("thread"), "threads");
    cr_assert_str_eq(nearest("naiev"), "naive");
    cr_assert_str_eq(nearest("onlnie_tield"), "online_tiled");
    cr_assert_str_eq(nearest("TILED"), "tiled");
    cr_assert_str_eq(nearest("naive"), "naive");
    cr_assert_str_eq(nearest("anvie"), "naive", "a swap of neighbours is one error, not two");
}

Test(nearest, of_two_equally_near_the_first_is_offered) {
    static const char *const twins[] = {"left_key", "left_kez"};
    cr_assert_eq(attn_nearest("left_kex", twins, 2), twins[0]);
}

Test(nearest, an_abbreviation_finds_its_name) {
    cr_assert_str_eq(nearest("blas"), "blas_unfused");
}

Test(nearest, nothing_close_is_nothing) {
    cr_assert_null(nearest("placement"));
    cr_assert_null(nearest(""));
    cr_assert_null(nearest("q"), "one letter for another is another word, not a typing error");
    cr_assert_null(attn_nearest("naive", names, 0));
    char endless[300];
    memset(endless, 'n', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    cr_assert_null(nearest(endless));
}
