/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/clock.h"

#include <criterion/criterion.h>
#include <regex.h>
#include <time.h>

Test(clock, never_runs_backwards) {
    int64_t last = machine_clock_ns();
    cr_assert_gt(last, 0);
    for (int i = 0; i < 100000; i++) {
        const int64_t now = machine_clock_ns();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(clock, counts_nanoseconds) {
    const struct timespec nap = {.tv_sec = 1, .tv_nsec = 50000000};
    const int64_t begin = machine_clock_ns();
    nanosleep(&nap, NULL);
    cr_assert_geq(machine_clock_ns() - begin, 1000000000, "across a second, less what the raw clock may be slow");
}

Test(clock, knows_what_it_costs) {
    const struct machine_clock_facts facts = machine_clock_measure();
    cr_assert(facts.overhead_ns > 0);
    cr_assert(facts.resolution_ns >= 1);
}

Test(clock, utc_is_iso_8601_with_milliseconds) {
    char text[32];
    regex_t form;
    struct tm parsed = {0};
    machine_utc_now(text);
    cr_assert_eq(regcomp(&form, "^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z$",
                         REG_EXTENDED | REG_NOSUB),
                 0);
    cr_assert_eq(regexec(&form, text, 0, NULL, 0), 0, "%s", text);
    regfree(&form);
    cr_assert_not_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &parsed));
    struct timespec now; /* of the same clock: that of time() runs up to a tick behind */
    cr_assert_eq(clock_gettime(CLOCK_REALTIME, &now), 0);
    const double behind = difftime(now.tv_sec, timegm(&parsed));
    cr_assert(behind >= 0 && behind <= 5, "%s is not now in UTC", text);
}
