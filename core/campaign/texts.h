/* SPDX-License-Identifier: Apache-2.0 */
/* An arena: everything that lives as long as a plan, or as a config being read, and is freed with it. */
#ifndef CAMPAIGN_TEXTS_H
#define CAMPAIGN_TEXTS_H

#include <stddef.h>

struct campaign_texts;

struct campaign_texts *campaign_texts_create(void); /* NULL: out of memory */
void campaign_texts_free(struct campaign_texts *texts);

/* `bytes` zeroed bytes, aligned for any object; NULL when out of memory. */
void *campaign_texts_allocate(struct campaign_texts *texts, size_t bytes);
/* A copy of the first `length` bytes of `text`, terminated; NULL when out of memory. */
const char *campaign_texts_copy(struct campaign_texts *texts, const char *text, size_t length);
/* printf into the arena; NULL when out of memory. */
const char *campaign_texts_format(struct campaign_texts *texts, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* One copy of every different text: equal texts give equal addresses. NULL when out of memory. */
const char *campaign_texts_intern(struct campaign_texts *texts, const char *text);

#endif
