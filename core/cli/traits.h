/* SPDX-License-Identifier: Apache-2.0 */
/* Traits in words. */
#ifndef CLI_TRAITS_H
#define CLI_TRAITS_H

#include <stddef.h>

/* "parallel, repeatable"; "none". */
void cli_traits_text(unsigned traits, char *text, size_t text_bytes);

#endif
