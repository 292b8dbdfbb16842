/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/document.h"

#include <string.h>

const char *campaign_node_kind_name(const struct campaign_node *node) {
    static const char *const names[] = {"nothing", "text", "a list", "a map"};
    return names[node ? node->kind : CAMPAIGN_NOTHING];
}

struct campaign_node *campaign_node_find(const struct campaign_node *map, const char *key) {
    if (!map || map->kind != CAMPAIGN_MAP)
        return NULL;
    for (struct campaign_node *child = map->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

void campaign_node_append(struct campaign_node *parent, struct campaign_node *child) {
    struct campaign_node **link = &parent->first;
    while (*link)
        link = &(*link)->next;
    child->next = NULL;
    *link = child;
}

void campaign_node_put(struct campaign_node *map, struct campaign_node *child) {
    campaign_node_remove(map, child->key);
    campaign_node_append(map, child);
}

void campaign_node_remove(struct campaign_node *map, const char *key) {
    if (!map || map->kind != CAMPAIGN_MAP)
        return;
    for (struct campaign_node **link = &map->first; *link;) {
        if (strcmp((*link)->key, key) == 0)
            *link = (*link)->next;
        else
            link = &(*link)->next;
    }
}
