/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/texts.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    struct chunk *next;
    size_t used, capacity;
    alignas(max_align_t) unsigned char bytes[];
};

struct interned {
    struct interned *next;
    const char *text;
};

#define INTERN_BUCKETS 256

struct campaign_texts {
    struct chunk *chunks;
    struct interned *buckets[INTERN_BUCKETS];
};

struct campaign_texts *campaign_texts_create(void) {
    return calloc(1, sizeof(struct campaign_texts));
}

void campaign_texts_free(struct campaign_texts *texts) {
    if (!texts)
        return;
    for (struct chunk *chunk = texts->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(texts);
}

void *campaign_texts_allocate(struct campaign_texts *texts, size_t bytes) {
    const size_t alignment = alignof(max_align_t), ordinary = 16384;
    const size_t padded = (bytes + alignment - 1) / alignment * alignment;
    struct chunk *chunk = texts->chunks;
    if (!chunk || chunk->capacity - chunk->used < padded) {
        const size_t capacity = padded > ordinary ? padded : ordinary;
        chunk = calloc(1, sizeof *chunk + capacity);
        if (!chunk)
            return NULL;
        *chunk = (struct chunk){.next = texts->chunks, .capacity = capacity};
        texts->chunks = chunk;
    }
    void *const memory = chunk->bytes + chunk->used;
    chunk->used += padded;
    return memory;
}

const char *campaign_texts_copy(struct campaign_texts *texts, const char *text, size_t length) {
    char *const copy = campaign_texts_allocate(texts, length + 1);
    if (copy)
        memcpy(copy, text, length); /* the terminator is there already */
    return copy;
}

const char *campaign_texts_format(struct campaign_texts *texts, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *const text = length < 0 ? NULL : campaign_texts_allocate(texts, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

const char *campaign_texts_intern(struct campaign_texts *texts, const char *text) {
    size_t hash = 5381;
    for (const char *byte = text; *byte; ++byte)
        hash = hash * 33 + (unsigned char)*byte;
    struct interned **const bucket = &texts->buckets[hash % INTERN_BUCKETS];
    for (const struct interned *entry = *bucket; entry; entry = entry->next)
        if (strcmp(entry->text, text) == 0)
            return entry->text;
    struct interned *const entry = campaign_texts_allocate(texts, sizeof *entry);
    const char *const copy = entry ? campaign_texts_copy(texts, text, strlen(text)) : NULL;
    if (!copy)
        return NULL;
    *entry = (struct interned){.next = *bucket, .text = copy};
    *bucket = entry;
    return copy;
}
