/* SPDX-License-Identifier: Apache-2.0 */
#include "record/utf8.h"

#include <string.h>

size_t record_utf8_sequence(const char *text, size_t bytes) {
    const unsigned char *const s = (const unsigned char *)text;
    if (bytes == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    const size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || bytes < length)
        return 0;
    /* The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF. */
    const unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; ++i)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return length;
}

bool record_utf8_valid(const char *text, size_t bytes) {
    for (size_t i = 0, length; i < bytes; i += length)
        if ((length = record_utf8_sequence(text + i, bytes - i)) == 0)
            return false;
    return true;
}

void record_utf8_copy(char *to, size_t room, const char *from) {
    const size_t bytes = strlen(from);
    size_t used = 0;
    for (size_t i = 0; i < bytes;) {
        const size_t length = record_utf8_sequence(from + i, bytes - i);
        const size_t wanted = length ? length : strlen(RECORD_REPLACEMENT);
        if (used + wanted >= room)
            break;
        memcpy(to + used, length ? from + i : RECORD_REPLACEMENT, wanted);
        used += wanted;
        i += length ? length : 1;
    }
    to[used] = '\0';
}
