/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/journal.h"

static double samples[] = {1000, 999.5, 0, 123456789012, 0.1};
static int64_t cpus[] = {3, -1, 127};

/* A line with every kind of value in it. Release its fields with drop(). */
static struct record_line full_line(void) {
    struct record_line line = {
        .point = "0123456789abcdef",
        .invocation = 2,
        .position = 41,
        .status = RECORD_REJECTED,
        .reason = "a \"quoted\" reason\twith \\ and caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 and \x01",
        .timing_valid = true,
        .timing_reason = "2 of 4 threads delivered",
        .started_utc = "2026-01-31T12:34:56.789Z",
        .samples_ns = samples,
        .sample_count = sizeof samples / sizeof *samples,
        .ended_by = "max_time",
        .threads_delivered = 2,
        .cpus = cpus,
        .cpu_count = sizeof cpus / sizeof *cpus,
        .workspace_bytes = INT64_MAX,
    };
    record_add_real(&line.summary, "median_ns", 999.5);
    record_add_real(&line.summary, "whole", 3.0);
    record_add_real(&line.summary, "minus_zero", -0.0);
    record_add_real(&line.summary, "third", 1.0 / 3.0);
    record_add_real(&line.summary, "tiny", 5e-324);
    record_add_real(&line.summary, "huge", 1.7976931348623157e308);
    record_add_integer(&line.parameters, "block_keys", INT64_MIN);
    record_add_text(&line.parameters, "empty", "");
    record_add_real(&line.check, "not_a_number", NAN);
    record_add_real(&line.check, "infinite", INFINITY);
    record_add_real(&line.check, "minus_infinite", -INFINITY);
    record_add_text(&line.check, "worst", "got 1\nwant 2");
    record_add_text(&line.roof, "memory", "L2");
    record_add_real(&line.roof, "fraction", 0.75);
    return line;
}

static void drop(struct record_line *line) {
    record_fields_release(&line->summary);
    record_fields_release(&line->parameters);
    record_fields_release(&line->check);
    record_fields_release(&line->roof);
}

static void expect_same_fields(const struct record_fields *got, const struct record_fields *want) {
    cr_assert_eq(got->count, want->count);
    for (size_t i = 0; i < want->count; ++i) {
        const struct record_field *const a = &got->items[i], *const b = &want->items[i];
        cr_expect_str_eq(a->name, b->name);
        cr_expect_eq(a->kind, b->kind, "%s changed its kind", b->name);
        cr_expect_eq(a->integer, b->integer, "%s", b->name);
        cr_expect_str_eq(a->text, b->text);
        cr_expect(memcmp(&a->real, &b->real, sizeof a->real) == 0 || (isnan(a->real) && isnan(b->real)), "%s: %.17g",
                  b->name, a->real);
    }
}

Test(line, comes_back_as_it_was) {
    struct record_line line = full_line(), back;
    char *const text = record_line_encode(&line);
    cr_assert(text != NULL);
    cr_expect(strchr(text, '\n') == NULL);
    struct attn_error error = {0};
    cr_assert_eq(record_line_decode(text, strlen(text), &back, &error), ATTN_OK, "%s", error.message);
    cr_expect_str_eq(back.point, line.point);
    cr_expect_eq(back.invocation, 2);
    cr_expect_eq(back.position, 41);
    cr_expect_eq(back.status, RECORD_REJECTED);
    cr_expect_str_eq(back.reason, line.reason);
    cr_expect(back.timing_valid);
    cr_expect_str_eq(back.timing_reason, line.timing_reason);
    cr_expect_str_eq(back.started_utc, line.started_utc);
    cr_expect_str_eq(back.ended_by, line.ended_by);
    cr_expect_eq(back.threads_delivered, 2);
    cr_expect_eq(back.workspace_bytes, INT64_MAX);
    cr_assert_eq(back.sample_count, line.sample_count);
    cr_expect_arr_eq(back.samples_ns, samples, sizeof samples);
    cr_assert_eq(back.cpu_count, line.cpu_count);
    cr_expect_arr_eq(back.cpus, cpus, sizeof cpus);
    expect_same_fields(&back.summary, &line.summary);
    expect_same_fields(&back.parameters, &line.parameters);
    expect_same_fields(&back.check, &line.check);
    expect_same_fields(&back.roof, &line.roof);
    record_line_release(&back);
    cr_expect(back.samples_ns == NULL && back.cpus == NULL && back.check.items == NULL);
    drop(&line);
    free(text);
}

Test(line, non_finite_numbers_are_the_agreed_strings) {
    struct record_line line = full_line();
    char *const text = record_line_encode(&line);
    cr_expect(strstr(text, "\"not_a_number\": \"nan\"") != NULL);
    cr_expect(strstr(text, "\"infinite\": \"inf\"") != NULL);
    cr_expect(strstr(text, "\"minus_infinite\": \"-inf\"") != NULL);
    drop(&line);
    free(text);
}

Test(line, the_emptiest_line_is_one) {
    const struct record_line empty = {.point = "0123456789abcdef"};
    struct record_line back;
    char *const text = record_line_encode(&empty);
    cr_assert_eq(record_line_decode(text, strlen(text), &back, NULL), ATTN_OK);
    cr_expect_null(strstr(text, "roof"), "a line without one does not speak of it");
    cr_expect(back.sample_count == 0 && back.samples_ns == NULL && back.cpu_count == 0 && back.check.count == 0);
    record_line_release(&back);
    free(text);
}

Test(line, bytes_that_are_not_utf8_are_replaced) {
    struct record_line line = {.point = "0123456789abcdef",
                               .reason = "\xff ok \xc3\x28 \xed\xa0\x80 \xc0\x80 \xe2\x82"};
    struct record_line back;
    char *const text = record_line_encode(&line);
    cr_assert_eq(record_line_decode(text, strlen(text), &back, NULL), ATTN_OK);
    cr_expect_str_eq(back.reason, "\xef\xbf\xbd ok \xef\xbf\xbd( \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
                                  "\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
    record_line_release(&back);
    free(text);
}

/* ---- lines that are none ---- */

#define HEAD "{\"point\": \"0123456789abcdef\", \"invocation\": 0, \"status\": \"MEASURED\""

static const struct {
    const char *text, *says;
} refused[] = {
    {"", "not JSON"},
    {"[1, 2]", "not a JSON object"},
    {"{\"point\": \"0123456789abcdef\"", "not JSON"},
    {HEAD "} trailing", "not JSON"},
    {"{\"invocation\": 0, \"status\": \"MEASURED\"}", "'point' is missing"},
    {"{\"point\": \"0123456789abcdeF\", \"invocation\": 0, \"status\": \"MEASURED\"}", "hexadecimal"},
    {"{\"point\": \"0123456789abcde\", \"invocation\": 0, \"status\": \"MEASURED\"}", "hexadecimal"},
    {"{\"point\": \"0123456789abcdef0\", \"invocation\": 0, \"status\": \"MEASURED\"}", "hexadecimal"},
    {"{\"point\": 7, \"invocation\": 0, \"status\": \"MEASURED\"}", "'point' is not a string"},
    {"{\"point\": \"0123456789abcdef\", \"status\": \"MEASURED\"}", "'invocation' is missing"},
    {"{\"point\": \"0123456789abcdef\", \"invocation\": -1, \"status\": \"MEASURED\"}", "'invocation' is negative"},
    {"{\"point\": \"0123456789abcdef\", \"invocation\": 1.5, \"status\": \"MEASURED\"}",
     "'invocation' is not an integer"},
    {"{\"point\": \"0123456789abcdef\", \"invocation\": 0}", "'status' is missing"},
    {"{\"point\": \"0123456789abcdef\", \"invocation\": 0, \"status\": \"FINE\"}", "'status' is 'FINE'"},
    {HEAD ", \"invocation\": 1}", "not JSON"}, /* a name twice */
    {HEAD ", \"timing_valid\": 1}", "'timing_valid'"},
    {HEAD ", \"samples_ns\": 5}", "'samples_ns' is not an array"},
    {HEAD ", \"samples_ns\": [1, \"nan\"]}", "'samples_ns'[1]"},
    {HEAD ", \"samples_ns\": [-1]}", "'samples_ns'[0]"},
    {HEAD ", \"samples_ns\": [1e999]}", "not JSON"},
    {HEAD ", \"cpus\": [0.5]}", "'cpus'[0]"},
    {HEAD ", \"cpus\": [-2]}", "'cpus'[0]"},
    {HEAD ", \"check\": []}", "'check' is not an object"},
    {HEAD ", \"check\": {\"a\": null}}", "'a' in 'check'"},
    {HEAD ", \"check\": {\"\": 1}}", "1 to 47 bytes"},
    {HEAD ", \"check\": {\"a_name_that_is_longer_than_any_column_can_take_in\": 1}}", "1 to 47 bytes"},
    {HEAD ", \"workspace_bytes\": 9223372036854775808}", "not JSON"},
};

Test(line, what_is_no_line_is_refused_with_the_reason) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        struct record_line line;
        struct attn_error error = {0};
        cr_expect_eq(record_line_decode(refused[i].text, strlen(refused[i].text), &line, &error), ATTN_INVALID, "%s",
                     refused[i].text);
        cr_expect(strstr(error.message, refused[i].says) != NULL, "%s: %s", refused[i].text, error.message);
        cr_expect(line.samples_ns == NULL && line.check.items == NULL, "not zeroed");
    }
}

Test(line, unknown_members_are_passed_over_and_long_texts_cut_between_characters) {
    char text[2000] = HEAD ", \"from_the_future\": {\"x\": [1, {}]}, \"reason\": \"";
    for (int i = 0; i < 300; ++i)
        strcat(text, "\xe2\x82\xac"); /* 900 bytes into room for 511 */
    strcat(text, "\"}");
    struct record_line line;
    cr_assert_eq(record_line_decode(text, strlen(text), &line, NULL), ATTN_OK);
    cr_expect_eq(strlen(line.reason), 510);
    record_line_release(&line);
}

/* Bytes changed, cut, doubled and inserted at random: refused or read, never a crash; what is read can be written and
 * read again. Run under the sanitizers by the whole test. */
Test(line, no_bytes_whatever_crash_the_decoder) {
    struct record_line line = full_line();
    char *const text = record_line_encode(&line);
    const size_t bytes = strlen(text);
    char *const mutant = malloc(2 * bytes);
    unsigned short state[3] = {7, 7, 7};
    int accepted = 0, refusals = 0;
    for (int round = 0; round < 20000; ++round) {
        memcpy(mutant, text, bytes);
        size_t length = bytes;
        for (int change = (int)(nrand48(state) % 4); change >= 0; --change) {
            const size_t at = (size_t)nrand48(state) % length;
            switch (nrand48(state) % 5) {
            case 0: mutant[at] = (char)nrand48(state); break;
            case 1: mutant[at] = "{}[]\",:0-9eE.\\utnfl"[nrand48(state) % 20]; break;
            case 2: length = at + 1; break;
            case 3: mutant[at] ^= (char)(1 << nrand48(state) % 8); break;
            case 4:
                if (length < bytes + 64) {
                    memmove(mutant + at + 1, mutant + at, length - at);
                    ++length;
                }
                break;
            }
        }
        char *const exact = malloc(length); /* so that a read behind the end is one behind the allocation */
        memcpy(exact, mutant, length);
        struct record_line back, again;
        if (record_line_decode(exact, length, &back, NULL) == ATTN_OK) {
            char *const rewritten = record_line_encode(&back);
            cr_assert_eq(record_line_decode(rewritten, strlen(rewritten), &again, NULL), ATTN_OK, "%s", rewritten);
            cr_assert_eq(again.sample_count, back.sample_count);
            record_line_release(&again);
            record_line_release(&back);
            free(rewritten);
            ++accepted;
        } else {
            ++refusals;
        }
        free(exact);
    }
    cr_expect(accepted > 100 && refusals > 100, "the mutations were too mild or too wild: %d, %d", accepted, refusals);
    free(mutant);
    drop(&line);
    free(text);
}

/* ---- fields ---- */

Test(field, names_are_unique_and_of_limited_length) {
    struct record_fields fields = {0};
    char name[49];
    memset(name, 'n', sizeof name);
    name[48] = '\0';
    cr_expect_eq(record_add_integer(&fields, name, 1), ATTN_INVALID);
    name[47] = '\0';
    cr_expect_eq(record_add_integer(&fields, name, 1), ATTN_OK);
    cr_expect_eq(record_add_real(&fields, name, 1), ATTN_INVALID);
    cr_expect_eq(record_add_text(&fields, name, "x"), ATTN_INVALID);
    cr_expect_eq(record_add_text(&fields, "", "x"), ATTN_INVALID);
    cr_expect_eq(record_add_text(&fields, "\xff", "x"), ATTN_INVALID);
    cr_expect_eq(fields.count, 1);
    record_fields_release(&fields);
}

Test(field, values_are_found_by_name_and_kind) {
    struct record_fields fields = {0};
    for (int i = 0; i < 100; ++i) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        record_add_integer(&fields, name, i);
    }
    record_add_real(&fields, "real", 0.5);
    record_add_text(&fields, "text", "words");
    cr_expect_eq(record_integer(&fields, "n77", -1), 77);
    cr_expect_eq(record_integer(&fields, "real", -1), -1);
    cr_expect_eq(record_real(&fields, "n77", -1), 77);
    cr_expect_eq(record_real(&fields, "real", -1), 0.5);
    cr_expect_eq(record_real(&fields, "text", -1), -1);
    cr_expect_str_eq(record_text(&fields, "text", "none"), "words");
    cr_expect_str_eq(record_text(&fields, "n77", "none"), "none");
    cr_expect(record_find(&fields, "n100") == NULL);
    record_fields_release(&fields);
}
