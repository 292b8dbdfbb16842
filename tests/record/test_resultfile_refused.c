/* SPDX-License-Identifier: Apache-2.0 */
/* Result files that cannot be built: the old one stays, the reason is told. */
#include <signal.h>
#include <sys/resource.h>

#include "tiny_run.h"

TestSuite(resultfile_refused, .init = scratch_make, .fini = scratch_remove);

/* The build fails with `status` and the words `says`, and the file that stood there is the same. */
static void expect_failure(enum attn_status status, const char *says, const char *before, size_t before_bytes) {
    struct attn_error error = {0};
    cr_expect_eq(record_result_build(scratch, scratch_path("results.h5"), &error), status, "%s", error.message);
    cr_expect(strstr(error.message, says) != NULL, "%s", error.message);
    cr_expect_not(scratch_exists("results.h5.tmp"));
    size_t bytes;
    char *const after = scratch_read("results.h5", &bytes);
    cr_expect(bytes == before_bytes && memcmp(after, before, bytes) == 0, "the old file has changed");
    free(after);
}

Test(resultfile_refused, a_journal_that_does_not_fit_the_plan_is_refused_by_line) {
    write_run();
    build();
    size_t bytes, journal_bytes;
    char *const before = scratch_read("results.h5", &bytes);
    char *const journal = scratch_read("journal.jsonl", &journal_bytes);
    append(strdup("{\"point\": \"00000000000000ff\", \"invocation\": 0, \"status\": \"MEASURED\"}"));
    expect_failure(ATTN_INVALID, "journal.jsonl:6: the plan has no point 00000000000000ff", before, bytes);
    scratch_write("journal.jsonl", journal, journal_bytes);
    append(strdup("{\"point\": \"000000000000abc0\", \"invocation\": 2, \"status\": \"MEASURED\"}"));
    expect_failure(ATTN_INVALID, "journal.jsonl:6: invocation 2, counted from 0; the plan has 2", before, bytes);
    scratch_write("journal.jsonl", journal, journal_bytes);
    append(strdup("garbage"));
    expect_failure(ATTN_INVALID, "journal.jsonl:6: not JSON", before, bytes);
    scratch_write("journal.jsonl", journal, journal_bytes);
    scratch_write("provenance.json", "[]", 2);
    expect_failure(ATTN_INVALID, "provenance.json: not a JSON object", before, bytes);
    unlink(scratch_path("provenance.json"));
    unlink(scratch_path("journal.jsonl"));
    expect_failure(ATTN_IO, "journal.jsonl: cannot open", before, bytes);
    scratch_write("journal.jsonl", journal, journal_bytes);
    scratch_write("plan.json", "{}", 2);
    expect_failure(ATTN_INVALID, "plan.json: 'schema' is missing", before, bytes);
    unlink(scratch_path("plan.json"));
    expect_failure(ATTN_IO, "plan.json: cannot open", before, bytes);
    free(before);
    free(journal);
}

/* A file-size limit stands for a full disk; wherever it strikes, the old file stays and the next build works. */
Test(resultfile_refused, a_full_disk_leaves_the_old_file) {
    write_run();
    build();
    size_t bytes;
    char *const before = scratch_read("results.h5", &bytes);
    append(trial_line(2, 1, RECORD_MEASURED, 6000)); /* one trial more: the new file would differ */
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    for (rlim_t room = 0; room < bytes; room += 1000) {
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){room, limit.rlim_max});
        expect_failure(ATTN_IO, "results.h5: cannot ", before, bytes);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    build();
    const hid_t file = open_results();
    cr_expect_eq(length_of(file, "/trial/status"), 6);
    H5Fclose(file);
    free(before);
}

Test(resultfile_refused, the_reason_of_a_full_disk_is_told) {
    write_run();
    struct attn_error error = {0};
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){9000, limit.rlim_max});
    cr_expect_eq(record_result_build(scratch, scratch_path("results.h5"), &error), ATTN_IO);
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_expect(strstr(error.message, "File too large") != NULL, "%s", error.message);
    cr_expect_eq(record_result_build(scratch, scratch_path("no/such/results.h5"), &error), ATTN_IO);
    cr_expect(strstr(error.message, "No such file") != NULL, "%s", error.message);
    cr_expect_not(scratch_exists("results.h5"));
}
