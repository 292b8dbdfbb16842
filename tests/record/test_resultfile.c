/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a result file. */
#include "record/factfile.h"
#include "tiny_run.h"

TestSuite(resultfile, .init = scratch_make, .fini = scratch_remove);

static void expect_reals(hid_t file, const char *column, const double *want, size_t count) {
    double got[32];
    cr_assert_eq(length_of(file, column), count, "%s has %zu rows", column, length_of(file, column));
    cr_assert(H5LTread_dataset_double(file, column, got) >= 0);
    for (size_t i = 0; i < count; ++i)
        cr_expect(got[i] == want[i] || (isnan(got[i]) && isnan(want[i])), "%s[%zu] is %g, not %g", column, i, got[i],
                  want[i]);
}
#define EXPECT_REALS(file, column, ...)                                                                                \
    expect_reals(file, column, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void expect_texts(hid_t file, const char *column, const char *const *want, size_t count) {
    char got[1024] = {0};
    size_t width;
    cr_assert(H5LTget_dataset_info(file, column, NULL, NULL, &width) >= 0);
    cr_assert_eq(length_of(file, column), count);
    cr_assert(count * width < sizeof got);
    cr_assert(H5LTread_dataset(file, column, H5Dget_type(H5Dopen2(file, column, H5P_DEFAULT)), got) >= 0);
    for (size_t i = 0; i < count; ++i)
        cr_expect(strncmp(got + i * width, want[i], width) == 0 && strlen(want[i]) <= width, "%s[%zu] is %.*s, not %s",
                  column, i, (int)width, got + i * width, want[i]);
}
#define EXPECT_TEXTS(file, column, ...)                                                                                \
    expect_texts(file, column, (const char *const[]){__VA_ARGS__},                                                     \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void expect_attribute(hid_t file, const char *object, const char *name, const char *want) {
    char *got = NULL; /* variable length: HDF5 allocates */
    cr_assert(H5LTget_attribute_string(file, object, name, (char *)&got) >= 0, "%s has no %s", object, name);
    cr_expect_str_eq(got, want, "%s of %s is %s", name, object, got);
    free(got);
}

static void expect_number(hid_t file, const char *object, const char *name, double want) {
    double got = -1;
    cr_assert(H5LTget_attribute_double(file, object, name, &got) >= 0, "%s has no %s", object, name);
    cr_expect_eq(got, want, "%s of %s is %g", name, object, got);
}

Test(resultfile, trials_stand_in_plan_order_whatever_the_journal_s) {
    write_run();
    build();
    const hid_t file = open_results();
    EXPECT_REALS(file, "/trial/trial_index", 0, 1, 2, 3, 4);
    EXPECT_REALS(file, "/trial/point_index", 0, 0, 1, 1, 2);
    EXPECT_TEXTS(file, "/trial/point_id", "000000000000abc0", "000000000000abc0", "000000000000abbf",
                 "000000000000abbf", "000000000000abbe");
    EXPECT_REALS(file, "/trial/invocation", 0, 1, 0, 1, 0);
    EXPECT_REALS(file, "/trial/position", 0, 0, 7, 7, 14);
    EXPECT_TEXTS(file, "/trial/status", "MEASURED", "MEASURED", "MEASURED", "MEASURED", "SKIPPED");
    EXPECT_TEXTS(file, "/trial/reason", "", "", "", "", "takes f32 only");
    EXPECT_TEXTS(file, "/trial/cpus", "0,2", "0,2", "0,2", "0,2", "0,2");
    EXPECT_REALS(file, "/trial/timing_valid", 1, 1, 1, 1, 0);
    EXPECT_REALS(file, "/trial/sample_count", 2, 4, 3, 1, 0);
    EXPECT_REALS(file, "/trial/sample_start", 0, 2, 6, 9, 10);
    EXPECT_REALS(file, "/sample/trial_index", 0, 0, 1, 1, 1, 1, 2, 2, 2, 3);
    EXPECT_REALS(file, "/sample/iteration", 0, 1, 0, 1, 2, 3, 0, 1, 2, 0);
    EXPECT_REALS(file, "/sample/elapsed_ns", 0, 1, 100, 101, 102, 103, 1000, 1001, 1002, 1100);
    H5Fclose(file);
}

Test(resultfile, fields_become_columns_and_what_a_row_lacks_is_nan) {
    write_run();
    build();
    const hid_t file = open_results();
    EXPECT_REALS(file, "/trial/median_ns", 0, 100, 1000, 1100, NAN);
    EXPECT_REALS(file, "/trial/parameter_block_keys", NAN, NAN, 32, 32, NAN);
    EXPECT_REALS(file, "/trial/check_checked_rows", 64, 64, 64, 64, NAN);
    EXPECT_REALS(file, "/trial/check_max_abs", INFINITY, INFINITY, 0.5, 0.5, NAN);
    EXPECT_TEXTS(file, "/plan/point_id", "000000000000abc0", "000000000000abbf", "000000000000abbe");
    EXPECT_TEXTS(file, "/plan/variant", "naive", "online_tiled", "naive");
    EXPECT_REALS(file, "/plan/query_len", 64, 128, 256);
    EXPECT_REALS(file, "/plan/online_tiled.block_keys", NAN, 32, NAN);
    H5Fclose(file);
}

Test(resultfile, columns_carry_units_and_dimension_scales) {
    static const char *const scales[][2] = {{"/plan/point_id", "/plan/variant"},
                                            {"/trial/trial_index", "/trial/check_max_abs"},
                                            {"/sample/sample_index", "/sample/elapsed_ns"}};
    write_run();
    build();
    const hid_t file = open_results();
    expect_attribute(file, "/sample/elapsed_ns", "units", "ns");
    expect_attribute(file, "/trial/median_ns", "units", "ns");
    expect_attribute(file, "/trial/workspace_bytes", "units", "B");
    for (size_t i = 0; i < sizeof scales / sizeof *scales; ++i) {
        const hid_t scale = H5Dopen2(file, scales[i][0], H5P_DEFAULT),
                    column = H5Dopen2(file, scales[i][1], H5P_DEFAULT);
        cr_expect(H5DSis_scale(scale) > 0 && H5DSis_attached(column, scale, 0) > 0, "%s", scales[i][1]);
        H5Dclose(scale);
        H5Dclose(column);
    }
    H5Fclose(file);
}

/* The columns of a roof are there where some line has one, and only there. */
Test(resultfile, a_roof_has_columns_of_its_own) {
    write_run();
    build();
    hid_t file = open_results();
    cr_expect_eq(H5Lexists(file, "/trial/roof_gflops", H5P_DEFAULT), 0);
    H5Fclose(file);
    append(strdup("{\"point\": \"000000000000abbe\", \"invocation\": 1, \"status\": \"MEASURED\", \"roof\": "
                  "{\"memory\": \"L2\", \"gflops\": 118.5, \"gbs\": 73, \"clock_ghz\": 3.5, \"ns\": 10}}"));
    build();
    file = open_results();
    EXPECT_REALS(file, "/trial/roof_gflops", NAN, NAN, NAN, NAN, NAN, 118.5);
    EXPECT_TEXTS(file, "/trial/roof_memory", "", "", "", "", "", "L2");
    expect_attribute(file, "/trial/roof_gflops", "units", "GFLOP/s");
    expect_attribute(file, "/trial/roof_gbs", "units", "GB/s");
    expect_attribute(file, "/trial/roof_clock_ghz", "units", "GHz");
    expect_attribute(file, "/trial/roof_ns", "units", "ns");
    H5Fclose(file);
}

Test(resultfile, the_root_says_what_the_file_is) {
    write_run();
    struct record_fields facts = {0};
    record_add_text(&facts, "hostname", "box");
    record_add_text(&facts, "software_version", "0.1.0");
    record_add_integer(&facts, "cores", 2);
    record_provenance_write(scratch_path("provenance.json"), &facts, NULL);
    record_fields_release(&facts);
    scratch_write("config.yaml", "name: tiny\n", 11);
    scratch_write("topology.xml", "<t>\xff</t>", 8);
    build();
    const hid_t file = open_results();
    expect_attribute(file, "/", "schema", "attnbench-results");
    expect_number(file, "/", "schema_version", 1);
    expect_attribute(file, "/", "software", "attnbench");
    expect_attribute(file, "/", "softwareVersion", "0.1.0");
    expect_attribute(file, "/", "machine", "box");
    expect_attribute(file, "/", "date", "2026-01-31T12:00:00.000Z");
    expect_attribute(file, "/", "status", "complete");
    expect_number(file, "/", "seed", 7);
    expect_number(file, "/", "point_count", 3);
    expect_number(file, "/", "trial_count", 5);
    expect_number(file, "/", "sample_count", 10);
    expect_number(file, "/", "invocation_count", 2);
    expect_attribute(file, "/plan", "name", "tiny");
    expect_number(file, "/provenance", "cores", 2);
    size_t bytes;
    char *const plan = scratch_read("plan.json", &bytes);
    char hash[RECORD_ID_CHARS + 1], *text = NULL;
    record_id(plan, hash);
    expect_attribute(file, "/", "plan_hash", hash);
    free(plan);
    cr_assert(H5LTread_dataset_string(file, "/provenance/config", (char *)&text) >= 0);
    cr_expect_str_eq(text, "name: tiny\n");
    free(text);
    cr_assert(H5LTread_dataset_string(file, "/provenance/topology_xml", (char *)&text) >= 0);
    cr_expect_str_eq(text, "<t>\xef\xbf\xbd</t>");
    free(text);
    cr_expect(H5LTfind_dataset(file, "provenance") && H5Lexists(file, "/provenance/resolved_config", H5P_DEFAULT) == 0);
    H5Fclose(file);
}

Test(resultfile, a_run_that_goes_on_is_partial_and_shows_every_point) {
    write_plan();
    scratch_write("journal.jsonl", "", 0);
    build();
    hid_t file = open_results();
    expect_attribute(file, "/", "status", "partial");
    cr_expect_eq(length_of(file, "/plan/variant"), 3);
    cr_expect_eq(length_of(file, "/trial/status"), 0);
    cr_expect_eq(length_of(file, "/sample/elapsed_ns"), 0);
    H5Fclose(file);
    append(trial_line(0, 0, RECORD_MEASURED, 1));
    append(trial_line(0, 1, RECORD_MEASURED, 1));
    append(trial_line(1, 1, RECORD_MEASURED, 1)); /* invocation 0 is missing */
    append(trial_line(2, 1, RECORD_FAILED, 0));
    build();
    file = open_results();
    expect_attribute(file, "/", "status", "partial");
    cr_expect_eq(length_of(file, "/plan/variant"), 3);
    H5Fclose(file);
    append(trial_line(1, 0, RECORD_MEASURED, 1));
    build();
    file = open_results();
    expect_attribute(file, "/", "status", "complete");
    H5Fclose(file);
}

Test(resultfile, of_lines_for_the_same_trial_the_first_counts) {
    write_run();
    append(trial_line(0, 0, RECORD_FAILED, 9));
    append(trial_line(1, 1, RECORD_MEASURED, 9));
    build();
    const hid_t file = open_results();
    EXPECT_REALS(file, "/trial/sample_count", 2, 4, 3, 1, 0);
    EXPECT_TEXTS(file, "/trial/status", "MEASURED", "MEASURED", "MEASURED", "MEASURED", "SKIPPED");
    cr_expect_eq(length_of(file, "/sample/elapsed_ns"), 10);
    H5Fclose(file);
}

Test(resultfile, equal_runs_give_equal_bytes) {
    write_run();
    build();
    size_t first_bytes, second_bytes;
    char *const first = scratch_read("results.h5", &first_bytes);
    sleep(1); /* so that a time of creation in the file would differ */
    unlink(scratch_path("journal.jsonl"));
    append(trial_line(1, 1, RECORD_MEASURED, 1));
    append(trial_line(0, 0, RECORD_MEASURED, 2));
    append(trial_line(2, 0, RECORD_SKIPPED, 0));
    append(trial_line(0, 1, RECORD_MEASURED, 4));
    append(trial_line(1, 0, RECORD_MEASURED, 3));
    build();
    char *const second = scratch_read("results.h5", &second_bytes);
    cr_assert_eq(first_bytes, second_bytes);
    cr_expect(memcmp(first, second, first_bytes) == 0);
    free(first);
    free(second);
}

Test(resultfile, tables_longer_than_a_block_are_whole) {
    write_plan();
    append(trial_line(0, 0, RECORD_MEASURED, 5000));
    append(trial_line(0, 1, RECORD_MEASURED, 3192)); /* 8192 in all: exactly two blocks */
    append(trial_line(1, 0, RECORD_MEASURED, 10000));
    build();
    const hid_t file = open_results();
    cr_assert_eq(length_of(file, "/sample/elapsed_ns"), 18192);
    double *const elapsed_ns = malloc(18192 * sizeof *elapsed_ns);
    cr_assert(H5LTread_dataset_double(file, "/sample/elapsed_ns", elapsed_ns) >= 0);
    for (int i = 0; i < 18192; ++i) {
        const double want = i < 5000 ? i : i < 8192 ? 100 + i - 5000 : 1000 + i - 8192;
        cr_assert_eq(elapsed_ns[i], want, "sample %d is %g, not %g", i, elapsed_ns[i], want);
    }
    free(elapsed_ns);
    H5Fclose(file);
}

Test(resultfile, a_column_of_numbers_and_texts_holds_texts) {
    static const char *const lines[] = {
        "{\"point\": \"000000000000abc0\", \"invocation\": 0, \"status\": \"MEASURED\", \"check\": {\"mixed\": 12}}",
        "{\"point\": \"000000000000abc0\", \"invocation\": 1, \"status\": \"MEASURED\", \"check\": {\"mixed\": "
        "\"a/b\"}}",
        "{\"point\": \"000000000000abbf\", \"invocation\": 0, \"status\": \"MEASURED\", \"check\": {\"mixed\": "
        "\"nan\"}}",
        "{\"point\": \"000000000000abbe\", \"invocation\": 0, \"status\": \"MEASURED\", \"check\": {\"a/b\": 1}}"};
    write_plan();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; ++i)
        append(strdup(lines[i]));
    build();
    const hid_t file = open_results();
    EXPECT_TEXTS(file, "/trial/check_mixed", "12", "a/b", "nan", "");
    EXPECT_REALS(file, "/trial/check_a_b", NAN, NAN, NAN, 1);
    H5Fclose(file);
}

static herr_t own_printing(hid_t stack, void *context) {
    (void)stack, (void)context;
    return 0;
}

Test(resultfile, the_caller_s_error_printing_is_given_back) {
    H5E_auto2_t print = NULL;
    void *context = NULL;
    int mark;
    write_run();
    H5Eset_auto2(H5E_DEFAULT, own_printing, &mark);
    build();
    H5Eget_auto2(H5E_DEFAULT, &print, &context);
    cr_expect(print == own_printing && context == &mark);
}
