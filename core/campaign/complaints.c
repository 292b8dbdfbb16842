/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/complaints.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "contract/nearest.h"

struct campaign_complaint {
    struct campaign_complaint *next;
    struct campaign_place place;
    char text[512];
};

/* Files first, by line and column; options, variables and words after them, as they came. */
static bool stands_before(struct campaign_place a, struct campaign_place b) {
    if ((a.line == 0) != (b.line == 0))
        return b.line == 0;
    return a.line != b.line ? a.line < b.line : a.column < b.column;
}

void campaign_complain(struct campaign_complaints *complaints, struct campaign_place place, const char *format, ...) {
    struct campaign_complaint *const complaint = campaign_texts_allocate(complaints->texts, sizeof *complaint);
    ++complaints->count; /* even when memory for its text is gone */
    if (!complaint)
        return;
    complaint->place = place;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint->text, sizeof complaint->text, format, arguments);
    va_end(arguments);

    struct campaign_complaint **link = &complaints->first;
    for (; *link && !stands_before(place, (*link)->place); link = &(*link)->next)
        if ((*link)->place.line == place.line && (*link)->place.column == place.column &&
            strcmp((*link)->text, complaint->text) == 0 && strcmp((*link)->place.source, place.source) == 0) {
            --complaints->count;
            return;
        }
    complaint->next = *link;
    *link = complaint;
}

static bool stands_among(const char *name, const char *const *names, size_t count) {
    for (size_t n = 0; n < count; ++n)
        if (strcmp(name, names[n]) == 0)
            return true;
    return false;
}

void campaign_complain_unknown(struct campaign_complaints *complaints, struct campaign_place place, const char *kind,
                               const char *name, const char *const *known, size_t known_count) {
    const char *const near = attn_nearest(name, known, known_count);
    if (near) {
        campaign_complain(complaints, place, "unknown %s '%s'; did you mean '%s'?", kind, name, near);
        return;
    }
    char list[768] = "";
    size_t used = 0;
    for (size_t n = 0; n < known_count && used < sizeof list; ++n)
        if (!stands_among(known[n], known, n)) /* variants share names of parameters */
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", n ? ", " : "", known[n]);
    campaign_complain(complaints, place, "unknown %s '%s'; known: %s", kind, name, list);
}

const char *campaign_place_text(struct campaign_texts *texts, struct campaign_place place) {
    const char *const text =
        place.line ? campaign_texts_format(texts, "%s:%d:%d", place.source, place.line, place.column) : place.source;
    return text ? text : place.source;
}

enum attn_status campaign_complaints_tell(const struct campaign_complaints *complaints, struct attn_error *error) {
    if (complaints->count == 0)
        return ATTN_OK;
    if (!error)
        return ATTN_INVALID;
    const size_t reserve = 64; /* for the line that counts what did not fit */
    const size_t room = sizeof error->message - reserve;
    size_t used = 0, told = 0;
    error->status = ATTN_INVALID;
    for (const struct campaign_complaint *complaint = complaints->first; complaint; complaint = complaint->next) {
        const char *const place = campaign_place_text(complaints->texts, complaint->place);
        const size_t need = strlen(place) + 2 + strlen(complaint->text) + 1;
        if (used + need > room && told > 0)
            break;
        const int length =
            snprintf(error->message + used, room - used, "%s%s: %s", told ? "\n" : "", place, complaint->text);
        used += (size_t)length < room - used ? (size_t)length : room - used - 1;
        ++told;
    }
    if (told < complaints->count)
        snprintf(error->message + used, sizeof error->message - used, "%s(and %zu more problems)", told ? "\n" : "",
                 complaints->count - told);
    return ATTN_INVALID;
}
