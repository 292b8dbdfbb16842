/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract/nearest.h"

static const struct {
    const char *name, *value, *meaning;
} descriptions[CLI_OPTION_COUNT] = {
    {"set", "KEY=VALUE", "changes one key of the config; may be repeated"},
    {"only", "REGEX", "keeps the cases whose label matches"},
    {"output", "DIR", "-o DIR: where results go, must not exist; by default a new one below results/raw"},
    {"quick", NULL, "shorter times; of a check, fewer cases"},
    {"long", NULL, "with ideas and traits"},
    {"format", "csv|jsonl", "how rows are written; csv by default"},
    {"samples", NULL, "a row for every timed iteration"},
    {"timeout", "SECONDS", "time that one case may take"},
    {"accept-changes", NULL, "goes on although the program or the plan changed"},
    {"from", "N", "first case"},
    {"peaks", NULL, "measures multiply-add, exponential, read and GEMM rates"},
    {"loop", "SECONDS", "the first point over and over in one process, for a profiler"},
    {"seed", "N", "of everything that is drawn; 0 by default"},
    {"threads", "N", "a core each; all by default"},
    {"profile", NULL, "where the time of the first point goes: packing, scores, softmax, values, merging, waiting"},
};

enum { HELP = 'h' };

static bool complain_unknown(const char *verb, const char *option, const struct option *known, size_t count) {
    const char *names[CLI_OPTION_COUNT + 1];
    for (size_t i = 0; i < count; ++i)
        names[i] = known[i].name;
    const char *const bare = option + strspn(option, "-");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(bare, "="), bare);
    const char *const nearest = attn_nearest(name, names, count);
    if (nearest)
        fprintf(stderr, "attnbench %s: unknown option '%s'; did you mean '--%s'?\n", verb, option, nearest);
    else
        fprintf(stderr, "attnbench %s: unknown option '%s'; see attnbench %s --help\n", verb, option, verb);
    return false;
}

static bool read_seconds(const char *verb, const char *option, const char *text, double *seconds) {
    char *end;
    *seconds = strtod(text, &end);
    end += strspn(end, " ");
    if (end != text && (*end == '\0' || !strcmp(end, "s")) && *seconds > 0 && isfinite(*seconds))
        return true;
    fprintf(stderr, "attnbench %s: --%s %s: not a time; it is a number of seconds, like 20 or '20 s'\n", verb, option,
            text);
    return false;
}

static bool read_count(const char *verb, const char *option, const char *text, long least, long *count) {
    char *end;
    errno = 0;
    *count = strtol(text, &end, 10);
    if (end != text && !*end && !errno && *count >= least && *count <= INT_MAX)
        return true;
    fprintf(stderr, "attnbench %s: --%s %s: it is a whole number from %ld on\n", verb, option, text, least);
    return false;
}

static bool take(const char *verb, unsigned option, const char *value, struct cli_arguments *arguments) {
    switch (option) {
    case CLI_SET:
        if (arguments->set_count == CLI_MAX_SETS) {
            fprintf(stderr, "attnbench %s: more than %d times --set\n", verb, CLI_MAX_SETS);
            return false;
        }
        arguments->sets[arguments->set_count++] = value;
        break;
    case CLI_ONLY: arguments->only = value; break;
    case CLI_OUTPUT: arguments->output = value; break;
    case CLI_QUICK: arguments->quick = true; break;
    case CLI_LONG: arguments->long_form = true; break;
    case CLI_FORMAT: arguments->format = value; break;
    case CLI_SAMPLES: arguments->samples = true; break;
    case CLI_TIMEOUT: return read_seconds(verb, "timeout", value, &arguments->timeout_s);
    case CLI_LOOP: return read_seconds(verb, "loop", value, &arguments->loop_s);
    case CLI_ACCEPT: arguments->accept_changes = true; break;
    case CLI_FROM: arguments->from = atol(value); break;
    case CLI_PEAKS: arguments->peaks = true; break;
    case CLI_PROFILE: arguments->profile = true; break;
    case CLI_SEED: return read_count(verb, "seed", value, 0, &arguments->seed);
    case CLI_THREADS: return read_count(verb, "threads", value, 1, &arguments->threads);
    }
    return true;
}

bool cli_arguments_read(int argc, char **argv, unsigned options, struct cli_arguments *arguments) {
    struct option known[CLI_OPTION_COUNT + 2];
    size_t count = 0;
    for (int i = 0; i < CLI_OPTION_COUNT; ++i)
        if (options & 1u << i)
            known[count++] = (struct option){
                .name = descriptions[i].name,
                .has_arg = descriptions[i].value ? required_argument : no_argument,
                .val = 0x100 + i,
            };
    known[count++] = (struct option){.name = "help", .val = HELP};
    known[count] = (struct option){0};
    *arguments = (struct cli_arguments){0};
    optind = 0; /* glibc: start anew */
    opterr = 0;
    for (;;) {
        const int option = getopt_long(argc, argv, options & CLI_OUTPUT ? ":ho:" : ":h", known, NULL);
        if (option == -1)
            break;
        if (option == ':') {
            fprintf(stderr, "attnbench %s: %s needs a value\n", argv[0], argv[optind - 1]);
            return false;
        }
        if (option == '?')
            return complain_unknown(argv[0], argv[optind - 1], known, count);
        if (option == HELP)
            arguments->help = true;
        else if (!take(argv[0], option == 'o' ? CLI_OUTPUT : 1u << (option - 0x100), optarg, arguments))
            return false;
    }
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return true;
}

void cli_arguments_help(unsigned options) {
    for (int i = 0; i < CLI_OPTION_COUNT; ++i)
        if (options & 1u << i) {
            char left[48];
            snprintf(left, sizeof left, "--%s%s%s", descriptions[i].name, descriptions[i].value ? " " : "",
                     descriptions[i].value ? descriptions[i].value : "");
            printf("  %-24s %s\n", left, descriptions[i].meaning);
        }
}
