/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

#include "record/factfile.h"
#include "record/planfile.h"
#include "record_scratch.h"

TestSuite(planfile, .init = scratch_make, .fini = scratch_remove);

/* Three points, two invocations. */
static struct record_plan small_plan(void) {
    struct record_plan plan = {.point_count = 3, .invocations = 2};
    plan.points = calloc(3, sizeof *plan.points);
    plan.order = calloc(6, sizeof *plan.order);
    memcpy(plan.order, (const uint32_t[]){2, 0, 1, 1, 2, 0}, 6 * sizeof *plan.order);
    record_add_text(&plan.header, "name", "small");
    record_add_integer(&plan.header, "seed", INT64_MAX);
    record_add_real(&plan.header, "target_ci", 0.02);
    for (int64_t i = 0; i < 3; ++i) {
        char canonical[16];
        snprintf(canonical, sizeof canonical, "point %d", (int)i);
        record_id(canonical, plan.points[i].id);
        record_add_text(&plan.points[i].factors, "variant", canonical);
        record_add_integer(&plan.points[i].factors, "query_len", 64 << i);
        if (i == 1)
            record_add_real(&plan.points[i].factors, "softcap", INFINITY);
    }
    return plan;
}

static char *long_text(size_t bytes) {
    char *const text = malloc(bytes + 1);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    return text;
}

Test(planfile, comes_back_as_it_was) {
    struct record_plan plan = small_plan(), back;
    struct attn_error error = {0};
    char *const path_text = long_text(5000);
    record_add_text(&plan.header, "config_path", path_text);
    cr_assert_eq(record_plan_write(scratch_path("plan.json"), &plan, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(record_plan_read(scratch_path("plan.json"), &back, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(back.point_count, 3);
    cr_expect_eq(back.invocations, 2);
    cr_expect_arr_eq(back.order, plan.order, 6 * sizeof *plan.order);
    cr_expect_str_eq(record_text(&back.header, "name", ""), "small");
    cr_expect_str_eq(record_text(&back.header, "config_path", ""), path_text);
    cr_expect_eq(record_integer(&back.header, "seed", 0), INT64_MAX);
    cr_expect_eq(record_real(&back.header, "target_ci", 0), 0.02);
    for (int i = 0; i < 3; ++i) {
        cr_expect_str_eq(back.points[i].id, plan.points[i].id);
        cr_expect_eq(record_integer(&back.points[i].factors, "query_len", 0), 64 << i);
        cr_expect_str_eq(record_text(&back.points[i].factors, "variant", ""), plan.points[i].factors.items[0].text);
    }
    cr_expect(isinf(record_real(&back.points[1].factors, "softcap", 0)));
    cr_expect_not(scratch_exists("plan.json.tmp"));
    free(path_text);
    record_plan_release(&plan);
    record_plan_release(&back);
    cr_expect(back.points == NULL && back.order == NULL);
}

Test(planfile, ids_are_fnv_1a) {
    static const char *const known[][2] = {
        {"", "cbf29ce484222325"}, {"a", "af63dc4c8601ec8c"}, {"foobar", "85944171f73967e8"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        char id[RECORD_ID_CHARS + 1];
        record_id(known[i][0], id);
        cr_expect_str_eq(id, known[i][1]);
    }
}

#define HEAD   "{\"schema\": \"attnbench-plan\", \"schema_version\": 1, \"header\": {}, "
#define POINTS "\"points\": [{\"id\": \"0000000000000001\", \"factors\": {}}, {\"id\": \"0000000000000002\"}]"

static const struct {
    const char *text, *says;
} refused[] = {
    {"", "not JSON"},
    {"{}", "'schema' is missing"},
    {"{\"schema\": \"other\", \"schema_version\": 1}", "this program reads attnbench-plan version 1"},
    {"{\"schema\": \"attnbench-plan\", \"schema_version\": 2}", "version 2; this program reads"},
    {HEAD "\"order\": []}", "'points' is missing"},
    {HEAD "\"points\": [{}], \"order\": []}", "point 0: 'id' is missing"},
    {HEAD "\"points\": [7], \"order\": []}", "point 0: 'id' is missing"},
    {HEAD "\"points\": [{\"id\": \"xyz\"}], \"order\": []}", "point 0: 'id' is not 16"},
    {HEAD "\"points\": [{\"id\": \"0000000000000001\", \"factors\": {\"a\": [1]}}], \"order\": []}",
     "'a' in 'factors'"},
    {HEAD "\"points\": [{\"id\": \"0000000000000001\"}, {\"id\": \"0000000000000001\"}], \"order\": []}",
     "two points have the id 0000000000000001"},
    {HEAD POINTS "}", "'order' is missing"},
    {HEAD POINTS ", \"order\": [[0]]}", "'order'[0] is not an array of 2"},
    {HEAD POINTS ", \"order\": [[0, 1], [1, 1]]}", "'order'[1][1]"},
    {HEAD POINTS ", \"order\": [[0, 2]]}", "'order'[0][1]"},
    {HEAD POINTS ", \"order\": [[-1, 0]]}", "'order'[0][0]"},
    {HEAD POINTS ", \"order\": [[0.0, 1]]}", "'order'[0][0]"},
};

Test(planfile, what_is_no_plan_is_refused_with_file_and_reason) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i) {
        struct record_plan plan;
        struct attn_error error = {0};
        scratch_write("plan.json", refused[i].text, strlen(refused[i].text));
        cr_expect_eq(record_plan_read(scratch_path("plan.json"), &plan, &error), ATTN_INVALID, "%s", refused[i].text);
        cr_expect(strstr(error.message, refused[i].says) != NULL, "%s: %s", refused[i].text, error.message);
        cr_expect(strstr(error.message, "/plan.json: ") != NULL, "%s", error.message);
        cr_expect(plan.points == NULL && plan.order == NULL && plan.header.items == NULL, "not zeroed");
    }
}

Test(planfile, no_bytes_whatever_crash_the_reader) {
    struct record_plan plan = small_plan();
    record_plan_write(scratch_path("plan.json"), &plan, NULL);
    size_t bytes;
    char *const text = scratch_read("plan.json", &bytes);
    unsigned short state[3] = {3, 1, 4};
    int accepted = 0;
    for (int round = 0; round < 10000; ++round) {
        char *const mutant = malloc(bytes);
        size_t length = bytes;
        memcpy(mutant, text, bytes);
        for (int change = (int)(nrand48(state) % 3); change >= 0; --change) {
            mutant[(size_t)nrand48(state) % bytes] = "{}[]\",:0123456789"[nrand48(state) % 17];
            if (nrand48(state) % 16 == 0)
                length = (size_t)nrand48(state) % bytes;
        }
        struct record_plan back;
        if (record_plan_decode(mutant, length, &back, NULL) == ATTN_OK) {
            ++accepted;
            record_plan_release(&back);
        }
        free(mutant);
    }
    cr_expect(accepted > 100 && accepted < 9900, "%d of 10000 accepted", accepted);
    free(text);
    record_plan_release(&plan);
}

/* A file-size limit stands for a full disk. */
Test(planfile, a_plan_that_cannot_be_written_leaves_the_old_one) {
    struct record_plan plan = small_plan(), back;
    struct attn_error error = {0};
    cr_assert_eq(record_plan_write(scratch_path("plan.json"), &plan, NULL), ATTN_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, limit.rlim_max});
    cr_expect_eq(record_plan_write(scratch_path("plan.json"), &plan, &error), ATTN_IO);
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_expect(strstr(error.message, "File too large") != NULL, "%s", error.message);
    cr_expect_not(scratch_exists("plan.json.tmp"));
    cr_assert_eq(record_plan_read(scratch_path("plan.json"), &back, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(back.point_count, 3);
    record_plan_release(&back);
    cr_expect_eq(record_plan_write(scratch_path("no/such/plan.json"), &plan, &error), ATTN_IO);
    cr_expect(strstr(error.message, "No such file") != NULL, "%s", error.message);
    cr_expect_eq(record_plan_read(scratch_path("none.json"), &back, &error), ATTN_IO);
    record_plan_release(&plan);
}

Test(planfile, provenance_comes_back_as_it_was) {
    struct record_fields facts = {0}, back = {0};
    struct attn_error error = {0};
    record_add_text(&facts, "cpu_model", "A \"fast\" one");
    record_add_integer(&facts, "cores", 64);
    cr_assert_eq(record_provenance_write(scratch_path("p.json"), &facts, &error), ATTN_OK, "%s", error.message);
    cr_assert_eq(record_provenance_read(scratch_path("p.json"), &back, &error), ATTN_OK, "%s", error.message);
    cr_expect_str_eq(record_text(&back, "cpu_model", ""), "A \"fast\" one");
    cr_expect_eq(record_integer(&back, "cores", 0), 64);
    scratch_write("p.json", "{\"nested\": {}}", 14);
    cr_expect_eq(record_provenance_read(scratch_path("p.json"), &back, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "/p.json: 'nested'") != NULL, "%s", error.message);
    record_fields_release(&facts);
    record_fields_release(&back);
}
