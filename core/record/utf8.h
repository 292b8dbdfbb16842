/* SPDX-License-Identifier: Apache-2.0 */
/* Texts come from anywhere (paths, /proc, other programs); what is stored is always UTF-8. */
#ifndef RECORD_UTF8_H
#define RECORD_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#define RECORD_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Bytes of the well-formed sequence (RFC 3629) at `text`, 1..4; 0 when there is none in `bytes` bytes. */
size_t record_utf8_sequence(const char *text, size_t bytes);

bool record_utf8_valid(const char *text, size_t bytes);

/* Copies with every malformed byte as U+FFFD. The result is terminated, and cut between characters when it does not
 * fit `room` bytes; `room` = 3 * strlen(from) + 1 always suffices. */
void record_utf8_copy(char *to, size_t room, const char *from);

#endif
