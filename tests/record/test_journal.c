/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "record_scratch.h"

TestSuite(journal, .init = scratch_make, .fini = scratch_remove);

/* A line whose position is `number`, with `samples` samples to make it long. To be freed. */
static char *numbered_line(int number, size_t samples) {
    double values_ns[512];
    for (size_t i = 0; i < samples; ++i)
        values_ns[i] = 123456789;
    const struct record_line line = {
        .point = "0123456789abcdef", .position = number, .samples_ns = values_ns, .sample_count = samples};
    return record_line_encode(&line);
}

static struct record_journal *opened(const char *name) {
    struct record_journal *journal;
    struct attn_error error = {0};
    cr_assert_eq(record_journal_open(scratch_path(name), &journal, &error), ATTN_OK, "%s", error.message);
    return journal;
}

static enum attn_status append_numbered(struct record_journal *journal, int number, struct attn_error *error) {
    char *const text = numbered_line(number, 8);
    const enum attn_status status = record_journal_append(journal, text, error);
    free(text);
    return status;
}

struct seen {
    int64_t positions[64];
    int count;
};

static enum attn_status remember(void *context, const struct record_line *line, struct attn_error *error) {
    struct seen *const seen = context;
    (void)error;
    seen->positions[seen->count++] = line->position;
    return ATTN_OK;
}

/* The journal holds lines 0 to count - 1, each once. */
static void expect_lines(const char *name, int count) {
    struct seen seen = {.count = 0};
    struct attn_error error = {0};
    cr_assert_eq(record_journal_read(scratch_path(name), remember, &seen, &error), ATTN_OK, "%s", error.message);
    cr_expect_eq(seen.count, count, "%d lines, not %d", seen.count, count);
    for (int i = 0; i < seen.count; ++i)
        cr_expect_eq(seen.positions[i], i);
}

Test(journal, lines_are_there_once_append_returned) {
    struct record_journal *const journal = opened("j");
    expect_lines("j", 0);
    for (int i = 0; i < 5; ++i) {
        cr_assert_eq(append_numbered(journal, i, NULL), ATTN_OK);
        expect_lines("j", i + 1); /* before any close or sync */
    }
    cr_expect_eq(record_journal_close(journal, NULL), ATTN_OK);
    struct record_journal *const again = opened("j");
    cr_assert_eq(append_numbered(again, 5, NULL), ATTN_OK);
    record_journal_close(again, NULL);
    expect_lines("j", 6);
}

Test(journal, a_torn_last_line_is_passed_over_and_cut) {
    struct record_journal *journal = opened("j");
    for (int i = 0; i < 3; ++i)
        append_numbered(journal, i, NULL);
    record_journal_close(journal, NULL);
    size_t bytes;
    char *const whole = scratch_read("j", &bytes);
    char *const last = numbered_line(3, 500); /* longer than the block in which the end is searched */
    const size_t last_bytes = strlen(last);
    for (size_t torn = 1; torn <= last_bytes; torn += torn < 40 ? 1 : 397) {
        char *const damaged = malloc(bytes + torn);
        memcpy(damaged, whole, bytes);
        memcpy(damaged + bytes, last, torn);
        scratch_write("j", damaged, bytes + torn);
        free(damaged);
        expect_lines("j", 3);
        journal = opened("j");
        append_numbered(journal, 3, NULL);
        record_journal_close(journal, NULL);
        expect_lines("j", 4);
    }
    /* The very text without its newline never counted either. */
    scratch_write("j", last, last_bytes);
    expect_lines("j", 0);
    record_journal_close(opened("j"), NULL);
    struct stat facts;
    cr_assert_eq(stat(scratch_path("j"), &facts), 0);
    cr_expect_eq(facts.st_size, 0);
    free(last);
    free(whole);
}

Test(journal, damage_elsewhere_is_named_by_line) {
    struct record_journal *const journal = opened("j");
    append_numbered(journal, 0, NULL);
    record_journal_append(journal, "{\"half\": ", NULL);
    append_numbered(journal, 1, NULL);
    record_journal_close(journal, NULL);
    struct seen seen = {.count = 0};
    struct attn_error error = {0};
    cr_expect_eq(record_journal_read(scratch_path("j"), remember, &seen, &error), ATTN_INVALID);
    cr_expect(strstr(error.message, "/j:2: not JSON") != NULL, "%s", error.message);
}

Test(journal, a_line_holds_no_newline) {
    struct record_journal *const journal = opened("j");
    cr_expect_eq(record_journal_append(journal, "{}\n{}", NULL), ATTN_INVALID);
    record_journal_close(journal, NULL);
    expect_lines("j", 0);
}

/* A file-size limit stands for a full disk: it cuts a write short in the same way. */
Test(journal, a_full_disk_leaves_nothing_of_the_line) {
    struct record_journal *const journal = opened("j");
    for (int i = 0; i < 2; ++i)
        append_numbered(journal, i, NULL);
    struct stat before, after;
    stat(scratch_path("j"), &before);
    char *const third = numbered_line(2, 8);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY}, narrow = limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    for (size_t room = 0; room <= strlen(third); room += 7) { /* the newline has no room in the last either */
        struct attn_error error = {0};
        narrow = (struct rlimit){(rlim_t)before.st_size + room, limit.rlim_max};
        setrlimit(RLIMIT_FSIZE, &narrow);
        const enum attn_status status = append_numbered(journal, 2, &error);
        setrlimit(RLIMIT_FSIZE, &limit);
        cr_expect_eq(status, ATTN_IO);
        cr_expect(strstr(error.message, "File too large") != NULL, "%s", error.message);
        stat(scratch_path("j"), &after);
        cr_expect_eq(after.st_size, before.st_size, "%d bytes stayed", (int)(after.st_size - before.st_size));
    }
    cr_expect_eq(append_numbered(journal, 2, NULL), ATTN_OK); /* room again: the same journal goes on */
    record_journal_close(journal, NULL);
    expect_lines("j", 3);
    free(third);
}

/* A writer killed while it appends: every line it has acknowledged is there, and the journal goes on. */
Test(journal, kills_lose_no_acknowledged_line, .timeout = 60) {
    for (int round = 0; round < 20; ++round) {
        int acknowledged[2];
        cr_assert_eq(pipe(acknowledged), 0);
        const pid_t child = fork();
        if (child == 0) {
            struct record_journal *journal;
            if (record_journal_open(scratch_path("k"), &journal, NULL) != ATTN_OK)
                _exit(1);
            for (;;)
                if (append_numbered(journal, 0, NULL) != ATTN_OK || write(acknowledged[1], "x", 1) != 1)
                    _exit(1);
        }
        close(acknowledged[1]);
        static int64_t total;
        char byte;
        total += read(acknowledged[0], &byte, 1) == 1; /* it has begun */
        usleep(500 * (useconds_t)round);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(acknowledged[0], &byte, 1) == 1)
            ++total;
        close(acknowledged[0]);
        size_t bytes, lines = 0;
        char *const text = scratch_read("k", &bytes);
        for (size_t i = 0; i < bytes; ++i)
            lines += text[i] == '\n';
        free(text);
        cr_expect((int64_t)lines >= total && (int64_t)lines <= total + round + 1, "%zu lines, %d acknowledged", lines,
                  (int)total);
    }
    struct record_journal *const journal = opened("k");
    record_journal_close(journal, NULL);
}

Test(journal, what_is_no_file_is_refused) {
    struct record_journal *journal;
    struct attn_error error = {0};
    cr_expect_eq(record_journal_open(scratch_path("no/such/j"), &journal, &error), ATTN_IO);
    cr_expect(strstr(error.message, "No such file") != NULL, "%s", error.message);
    cr_expect(journal == NULL);
    cr_expect_eq(record_journal_open("/dev/null", &journal, &error), ATTN_IO);
    cr_expect(strstr(error.message, "not a regular file") != NULL, "%s", error.message);
    cr_expect_eq(record_journal_read(scratch_path("j"), remember, NULL, &error), ATTN_IO);
    cr_expect_eq(record_journal_close(NULL, NULL), ATTN_OK);
}

Test(journal, random_bytes_never_crash_the_reader) {
    unsigned short state[3] = {5, 5, 5};
    for (int round = 0; round < 500; ++round) {
        char noise[300];
        const size_t bytes = (size_t)nrand48(state) % sizeof noise;
        for (size_t i = 0; i < bytes; ++i)
            noise[i] = nrand48(state) % 4 ? "{}[]\",:1\n\0"[nrand48(state) % 10] : (char)nrand48(state);
        scratch_write("j", noise, bytes);
        struct seen seen = {.count = 0};
        record_journal_read(scratch_path("j"), remember, &seen, NULL);
        cr_expect_eq(seen.count, 0);
        record_journal_close(opened("j"), NULL);
    }
}
