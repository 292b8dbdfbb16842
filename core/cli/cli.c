/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"
#include "contract/nearest.h"

static const struct {
    const char *name, *words, *meaning;
    int min_words, max_words; /* max -1: any number */
    unsigned options;
    int (*run)(const struct cli_call *call);
} verbs[] = {
    {"list", "[variants|studies|isa]", "names, one a line", 0, 1, CLI_LONG, cli_list},
    {"describe", "VARIANT", "idea, traits and parameters of a variant", 1, 1, 0, cli_describe},
    {"plan", "CONFIG", "the points of a config, and what they will take; -o makes the run directory", 1, 1,
     CLI_SET | CLI_ONLY | CLI_QUICK | CLI_OUTPUT, cli_plan},
    {"run", "CONFIG", "measures a config into a run directory", 1, 1, CLI_SET | CLI_ONLY | CLI_QUICK | CLI_OUTPUT,
     cli_run},
    {"time", "VARIANT [KEY=VALUE...]", "measures one variant without a config", 1, -1,
     CLI_SET | CLI_ONLY | CLI_QUICK | CLI_OUTPUT | CLI_LOOP | CLI_PROFILE, cli_time},
    {"resume", "RUN", "goes on with an interrupted run", 1, 1, CLI_ACCEPT, cli_resume},
    {"rebuild", "RUN", "derives results.h5 anew from plan and journal", 1, 1, 0, cli_rebuild},
    {"check", "", "checks every variant on every kind of problem, without a clock", 0, 0,
     CLI_ONLY | CLI_QUICK | CLI_TIMEOUT, cli_check},
    {"study", "NAME|all", "claims of the sources as experiments, with two verdicts each", 1, 1,
     CLI_SET | CLI_OUTPUT | CLI_LONG | CLI_SEED | CLI_THREADS, cli_study},
    {"machine", "", "topology, ISA levels, clock and host", 0, 0, CLI_PEAKS, cli_machine},
    {"show", "RUN", "the table of a run", 1, 1, 0, cli_show},
    {"export", "RUN", "the rows of a run for other programs", 1, 1, CLI_FORMAT | CLI_SAMPLES, cli_export},
    {"worker", NULL, NULL, 2, 2, 0, cli_worker},
    {"check-worker", NULL, NULL, 0, 0, CLI_ONLY | CLI_QUICK | CLI_FROM, cli_check_worker},
};
enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

static void print_usage(FILE *stream) {
    fprintf(stream, "attnbench: measures and checks self-attention on CPUs\n\n");
    for (int i = 0; i < VERB_COUNT; ++i)
        if (verbs[i].words) {
            char left[64];
            snprintf(left, sizeof left, "%s %s", verbs[i].name, verbs[i].words);
            fprintf(stream, "  attnbench %-32s %s\n", left, verbs[i].meaning);
        }
    fprintf(stream, "  attnbench VERB --help                      options of a verb\n"
                    "  attnbench --version\n\n"
                    "Exit codes: 0 ok; 1 internal or I/O; 2 usage or config, nothing ran; 3 some points failed;\n"
                    "4 a numerical check failed or a law departed; 130 and 143 interrupted, resumable.\n");
}

static int complain_verb(const char *name) {
    const char *names[VERB_COUNT];
    size_t count = 0;
    for (int i = 0; i < VERB_COUNT; ++i)
        if (verbs[i].words)
            names[count++] = verbs[i].name;
    const char *const nearest = attn_nearest(name, names, count);
    if (nearest)
        fprintf(stderr, "attnbench: unknown verb '%s'; did you mean '%s'?\n", name, nearest);
    else
        fprintf(stderr, "attnbench: unknown verb '%s'; see attnbench --help\n", name);
    return CLI_USAGE;
}

static int call_verb(int index, int argc, char **argv, const struct attn_registry *registry,
                     const struct study_registry *studies) {
    struct cli_call call = {.registry = registry, .studies = studies, .argc = argc, .argv = argv};
    if (!cli_arguments_read(argc - 1, argv + 1, verbs[index].options, &call.arguments))
        return CLI_USAGE;
    if (call.arguments.help && verbs[index].words) {
        printf("attnbench %s %s\n%s\n", verbs[index].name, verbs[index].words, verbs[index].meaning);
        cli_arguments_help(verbs[index].options);
        return CLI_OK;
    }
    const int words = call.arguments.word_count;
    if (words < verbs[index].min_words || (verbs[index].max_words >= 0 && words > verbs[index].max_words)) {
        fprintf(stderr, "usage: attnbench %s %s\n", verbs[index].name, verbs[index].words ? verbs[index].words : "");
        return CLI_USAGE;
    }
    return verbs[index].run(&call);
}

int cli_main(int argc, char **argv, const struct attn_registry *registry, const struct study_registry *studies) {
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    int code = -1;
    if (!strcmp(argv[1], "--version")) {
        cli_version(registry);
        code = CLI_OK;
    } else if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_usage(stdout);
        code = CLI_OK;
    }
    for (int i = 0; i < VERB_COUNT && code < 0; ++i)
        if (!strcmp(argv[1], verbs[i].name))
            code = call_verb(i, argc, argv, registry, studies);
    if (code < 0)
        code = complain_verb(argv[1]);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "attnbench: cannot write to standard output\n");
        return code == CLI_OK ? CLI_INTERNAL : code;
    }
    return code;
}
