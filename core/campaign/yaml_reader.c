/* SPDX-License-Identifier: Apache-2.0 */
/* YAML to a campaign_node tree. The only file that knows libfyaml. */
#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/document.h"

#define MAX_CONFIG_BYTES (1 << 20)

/* libfyaml returns no document and no diagnostic for text that is not UTF-8, so this is asked first. */
static bool check_utf8(const char *text, size_t bytes, struct campaign_place place,
                       struct campaign_complaints *complaints) {
    const unsigned char *const byte = (const unsigned char *)text;
    place.line = place.column = 1;
    for (size_t n = 0; n < bytes;) {
        const unsigned char lead = byte[n];
        const size_t length = lead < 0x80                   ? 1
                              : lead >= 0xC2 && lead < 0xE0 ? 2
                              : lead >= 0xE0 && lead < 0xF0 ? 3
                              : lead >= 0xF0 && lead < 0xF5 ? 4
                                                            : 0;
        bool good = length > 0 && length <= bytes - n && lead != 0;
        for (size_t tail = 1; good && tail < length; ++tail)
            good = (byte[n + tail] & 0xC0) == 0x80;
        if (good && length == 3) /* neither overlong nor a surrogate */
            good = !(lead == 0xE0 && byte[n + 1] < 0xA0) && !(lead == 0xED && byte[n + 1] >= 0xA0);
        if (good && length == 4)
            good = !(lead == 0xF0 && byte[n + 1] < 0x90) && !(lead == 0xF4 && byte[n + 1] >= 0x90);
        if (!good) {
            campaign_complain(complaints, place, "byte 0x%02x is not UTF-8 text; save the file as UTF-8", lead);
            return false;
        }
        place.column = lead == '\n' ? 1 : place.column + 1;
        place.line += lead == '\n';
        n += length;
    }
    return true;
}

struct reading {
    struct campaign_complaints *complaints;
    struct campaign_place place; /* of the text as a whole */
};

/* Maps and lists have no mark of their own: they stand where their first scalar stands. */
static struct campaign_place place_of(const struct reading *reading, struct fy_node *node,
                                      struct campaign_place otherwise) {
    while (node && !fy_node_is_scalar(node)) {
        void *cursor = NULL;
        struct fy_node_pair *const pair = fy_node_is_mapping(node) ? fy_node_mapping_iterate(node, &cursor) : NULL;
        node = pair                        ? fy_node_pair_key(pair)
               : fy_node_is_sequence(node) ? fy_node_sequence_iterate(node, &cursor)
                                           : NULL;
    }
    struct fy_token *const token = node ? fy_node_get_scalar_token(node) : NULL;
    const struct fy_mark *const mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark || reading->place.line == 0)
        return otherwise;
    return (struct campaign_place){reading->place.source, mark->line + 1, mark->column + 1};
}

static struct campaign_node *convert(const struct reading *reading, struct fy_node *from,
                                     struct campaign_place otherwise);

static void convert_list(const struct reading *reading, struct fy_node *from, struct campaign_node *list) {
    void *cursor = NULL;
    for (struct fy_node *item; (item = fy_node_sequence_iterate(from, &cursor));) {
        struct campaign_node *const child = convert(reading, item, list->place);
        if (child)
            campaign_node_append(list, child);
    }
}

static void convert_map(const struct reading *reading, struct fy_node *from, struct campaign_node *map) {
    void *cursor = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(from, &cursor));) {
        struct fy_node *const key = fy_node_pair_key(pair);
        const struct campaign_place place = place_of(reading, key, map->place);
        size_t length = 0;
        const char *const text = key && fy_node_is_scalar(key) ? fy_node_get_scalar(key, &length) : NULL;
        if (!text || length == 0) {
            campaign_complain(reading->complaints, place, "a key must be a name");
            continue;
        }
        struct campaign_node *const child = convert(reading, fy_node_pair_value(pair), place);
        const char *const name = campaign_texts_copy(reading->complaints->texts, text, length);
        if (!child || !name)
            continue;
        const struct campaign_node *const twin = campaign_node_find(map, name);
        if (twin) {
            campaign_complain(reading->complaints, place, "key '%s' is already given at %s; keep one", name,
                              campaign_place_text(reading->complaints->texts, twin->key_place));
            continue;
        }
        child->key = name;
        child->key_place = place;
        if (child->kind == CAMPAIGN_MAP || child->kind == CAMPAIGN_LIST)
            child->place = place;
        campaign_node_append(map, child);
    }
}

/* NULL after a complaint. What has no mark (nothing, an empty map) stands at `otherwise`. */
static struct campaign_node *convert(const struct reading *reading, struct fy_node *from,
                                     struct campaign_place otherwise) {
    struct campaign_node *const node = campaign_texts_allocate(reading->complaints->texts, sizeof *node);
    if (!node) {
        campaign_complain(reading->complaints, otherwise, "out of memory");
        return NULL;
    }
    node->place = place_of(reading, from, otherwise);
    if (from && fy_node_is_sequence(from)) {
        node->kind = CAMPAIGN_LIST;
        convert_list(reading, from, node);
    } else if (from && fy_node_is_mapping(from)) {
        node->kind = CAMPAIGN_MAP;
        convert_map(reading, from, node);
    } else if (from && fy_node_is_alias(from)) {
        campaign_complain(reading->complaints, node->place,
                          "anchors and aliases are not part of this grammar; write the value out, and quote a text "
                          "that begins with '*'");
        return NULL;
    } else if (from) {
        size_t length = 0;
        const char *const text = fy_node_get_scalar(from, &length);
        struct fy_token *const token = fy_node_get_scalar_token(from);
        const bool plain = !token || fy_token_scalar_style(token) == FYSS_PLAIN;
        const bool nothing = plain && (length == 0 || (length == 1 && *text == '~') ||
                                       (length == 4 && strncmp(text, "null", length) == 0));
        node->kind = nothing ? CAMPAIGN_NOTHING : CAMPAIGN_SCALAR;
        node->text = nothing ? NULL : campaign_texts_copy(reading->complaints->texts, text, length);
        if (!nothing && !node->text)
            node->kind = CAMPAIGN_NOTHING;
    }
    return node;
}

static void tell_diagnostics(struct fy_diag *diagnostics, const struct reading *reading) {
    void *cursor = NULL;
    bool told = false;
    for (const struct fy_diag_error *found; (found = fy_diag_errors_iterate(diagnostics, &cursor)); told = true) {
        struct campaign_place place = reading->place;
        if (place.line) {
            place.line = found->line > 0 ? found->line : 1;
            place.column = found->column > 0 ? found->column : 1;
        }
        const bool alias = strstr(found->msg, "alias") != NULL;
        campaign_complain(reading->complaints, place, "not valid YAML: %s%s", found->msg,
                          alias ? "; quote a text that begins with '*'" : "");
    }
    if (!told)
        campaign_complain(reading->complaints, reading->place,
                          "nothing but blanks and comments; see experiments/README.md for what a config holds");
}

struct campaign_node *campaign_yaml_parse(const char *text, size_t bytes, struct campaign_place place,
                                          struct campaign_complaints *complaints) {
    const struct reading reading = {complaints, place};
    if (!check_utf8(text, bytes, place, complaints))
        return NULL;
    struct fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = NULL; /* libraries never print */
    struct fy_diag *const diagnostics = fy_diag_create(&quiet);
    fy_diag_set_collect_errors(diagnostics, true);
    const struct fy_parse_cfg settings = {
        .flags =
            FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_ALLOW_DUPLICATE_KEYS | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_2,
        .diag = diagnostics,
    };
    struct campaign_node *root = NULL;
    struct fy_parser *const parser = diagnostics ? fy_parser_create(&settings) : NULL;
    if (parser && fy_parser_set_string(parser, text, bytes) == 0) {
        struct fy_document *const document = fy_parse_load_document(parser);
        struct fy_node *const top = document ? fy_document_root(document) : NULL;
        if (top)
            root = convert(&reading, top, place);
        else
            tell_diagnostics(diagnostics, &reading);
        struct fy_document *const second = document ? fy_parse_load_document(parser) : NULL;
        if (second)
            campaign_complain(complaints, place_of(&reading, fy_document_root(second), place),
                              "a second document; a file holds one config");
        else if (top && fy_parser_get_stream_error(parser))
            tell_diagnostics(diagnostics, &reading);
        fy_parse_document_destroy(parser, second);
        fy_parse_document_destroy(parser, document);
    } else {
        campaign_complain(complaints, place, "out of memory while reading YAML");
    }
    fy_parser_destroy(parser);
    fy_diag_destroy(diagnostics);
    return root;
}

struct campaign_node *campaign_yaml_read(const char *path, struct campaign_complaints *complaints) {
    const struct campaign_place whole = {path, 0, 0};
    FILE *const file = fopen(path, "re");
    char *const text = malloc(MAX_CONFIG_BYTES + 1);
    struct campaign_node *root = NULL;
    const size_t bytes = file && text ? fread(text, 1, MAX_CONFIG_BYTES + 1, file) : 0;
    if (!file || (text && ferror(file)))
        campaign_complain(complaints, whole, "cannot read the config: %s", strerror(errno));
    else if (!text)
        campaign_complain(complaints, whole, "out of memory while reading the config");
    else if (bytes > MAX_CONFIG_BYTES)
        campaign_complain(complaints, whole, "more than 1 MiB; this is no config");
    else if (bytes == 0)
        campaign_complain(complaints, (struct campaign_place){path, 1, 1},
                          "the file is empty; see experiments/README.md for what a config holds");
    else
        root = campaign_yaml_parse(text, bytes, (struct campaign_place){path, 1, 1}, complaints);
    if (root && root->kind != CAMPAIGN_MAP) {
        campaign_complain(complaints, root->place, "a config is a map of keys; this is %s",
                          campaign_node_kind_name(root));
        root = NULL;
    }
    free(text);
    if (file)
        fclose(file);
    return root;
}
