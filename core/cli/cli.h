/* SPDX-License-Identifier: Apache-2.0 */
/* The whole program behind main(): main.c hands it the real registries, tests hand it broken variants. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "contract/variant.h"
#include "study/study.h"

/* Exit codes. */
enum cli_exit {
    CLI_OK = 0,
    CLI_INTERNAL = 1, /* internal or I/O */
    CLI_USAGE = 2,    /* usage or config; nothing ran, nothing matched, nothing could be measured */
    CLI_POINTS_FAILED = 3,
    CLI_CHECK_FAILED = 4,
    CLI_INTERRUPTED = 130, /* SIGINT; SIGTERM: 143. Resumable */
};

int cli_main(int argc, char **argv, const struct attn_registry *registry, const struct study_registry *studies);

#endif
