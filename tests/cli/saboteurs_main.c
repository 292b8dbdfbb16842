/* SPDX-License-Identifier: Apache-2.0 */
/* The whole program with variants that are wrong on purpose. */
#include "cli/cli.h"
#include "saboteurs.h"

static const struct study_registry no_studies;

int main(int argc, char **argv) {
    return cli_main(argc, argv, &saboteur_registry, &no_studies);
}
