/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/nearest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 127, SHORTEST_ABBREVIATION = 3 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static int folded(char c) {
    return tolower((unsigned char)c);
}

/* Three rows of the dynamic programme are enough: this one, the last, and the one before for swaps. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *current = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        last[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        current[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            const size_t substituted = last[j - 1] + (folded(a[i - 1]) != folded(b[j - 1]));
            current[j] = least(substituted, least(last[j], current[j - 1]) + 1);
            const int swapped =
                i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) && folded(a[i - 2]) == folded(b[j - 1]);
            if (swapped)
                current[j] = least(current[j], before[j - 2] + 1);
        }
        size_t *const oldest = before;
        before = last;
        last = current;
        current = oldest;
    }
    return last[b_length];
}

const char *attn_nearest(const char *name, const char *const *candidates, size_t count) {
    const size_t length = strlen(name);
    if (length > LONGEST)
        return NULL;
    const char *nearest = NULL;
    size_t shortest = LONGEST + 1;
    for (size_t i = 0; i < count; i++) {
        const size_t candidate_length = strlen(candidates[i]);
        if (candidate_length > LONGEST)
            continue;
        const size_t longer = length > candidate_length ? length : candidate_length;
        const size_t distance = edit_distance(name, length, candidates[i], candidate_length);
        if (distance < shortest && distance <= (longer + 1) / 3) {
            shortest = distance;
            nearest = candidates[i];
        }
    }
    for (size_t i = 0; !nearest && i < count && length >= SHORTEST_ABBREVIATION; i++)
        if (strncasecmp(name, candidates[i], length) == 0)
            nearest = candidates[i];
    return nearest;
}
