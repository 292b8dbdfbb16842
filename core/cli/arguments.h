/* SPDX-License-Identifier: Apache-2.0 */
/* Options and words of a verb, read with getopt_long; one spelling for all verbs. */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* Which options a verb takes. */
enum cli_option {
    CLI_SET = 1 << 0,      /* --set KEY=VALUE, repeatable */
    CLI_ONLY = 1 << 1,     /* --only REGEX */
    CLI_OUTPUT = 1 << 2,   /* -o DIR */
    CLI_QUICK = 1 << 3,    /* --quick */
    CLI_LONG = 1 << 4,     /* --long */
    CLI_FORMAT = 1 << 5,   /* --format csv|jsonl */
    CLI_SAMPLES = 1 << 6,  /* --samples */
    CLI_TIMEOUT = 1 << 7,  /* --timeout SECONDS */
    CLI_ACCEPT = 1 << 8,   /* --accept-changes */
    CLI_FROM = 1 << 9,     /* --from N: workers only */
    CLI_PEAKS = 1 << 10,   /* --peaks */
    CLI_LOOP = 1 << 11,    /* --loop SECONDS */
    CLI_SEED = 1 << 12,    /* --seed N */
    CLI_THREADS = 1 << 13, /* --threads N */
    CLI_PROFILE = 1 << 14, /* --profile */
    CLI_OPTION_COUNT = 15,
};

#define CLI_MAX_SETS 64

struct cli_arguments {
    const char *sets[CLI_MAX_SETS];
    size_t set_count;
    const char *only, *output, *format;
    bool quick, long_form, samples, accept_changes, peaks, profile, help;
    double timeout_s, loop_s; /* 0: not given */
    long from, seed, threads; /* threads 0: not given */
    char **words;             /* what is no option */
    int word_count;
};

/* argv[0] is the verb. False: wrong usage, told on standard error. */
bool cli_arguments_read(int argc, char **argv, unsigned options, struct cli_arguments *arguments);

/* One line of help for each of `options`, on standard output. */
void cli_arguments_help(unsigned options);

#endif
