/* SPDX-License-Identifier: Apache-2.0 */
/* A config as a tree in which every key and value knows where it was written. Made from YAML, then changed by
 * environment variables and the command line; nothing after yaml_reader.c knows that YAML exists. */
#ifndef CAMPAIGN_DOCUMENT_H
#define CAMPAIGN_DOCUMENT_H

#include "campaign/complaints.h"

enum campaign_node_kind { CAMPAIGN_NOTHING, CAMPAIGN_SCALAR, CAMPAIGN_LIST, CAMPAIGN_MAP };

struct campaign_node {
    enum campaign_node_kind kind;
    struct campaign_place place;
    const char *text; /* scalar */
    const char *key;  /* inside a map */
    struct campaign_place key_place;
    struct campaign_node *first; /* children of a list or map, in order */
    struct campaign_node *next;
};

/* "a map", "a list", "text", "nothing": for messages. */
const char *campaign_node_kind_name(const struct campaign_node *node);

/* The value of `key` in a map; NULL when it has none or `map` is no map. */
struct campaign_node *campaign_node_find(const struct campaign_node *map, const char *key);

/* Appends `child` to a list or map. */
void campaign_node_append(struct campaign_node *parent, struct campaign_node *child);
/* Puts `child` under its key, in place of what has that key. */
void campaign_node_put(struct campaign_node *map, struct campaign_node *child);
/* Takes `key` out of `map` (which may be NULL or no map). */
void campaign_node_remove(struct campaign_node *map, const char *key);

/* Reads a config file: NULL after a complaint (unreadable, empty, not UTF-8, YAML that does not parse). */
struct campaign_node *campaign_yaml_read(const char *path, struct campaign_complaints *complaints);
/* The same for a text; `place` is where it came from, its line is 0 when positions inside the text mean nothing. */
struct campaign_node *campaign_yaml_parse(const char *text, size_t bytes, struct campaign_place place,
                                          struct campaign_complaints *complaints);

#endif
