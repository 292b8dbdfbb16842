/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the campaign layer: a config between its text and its plan. */
#ifndef CAMPAIGN_READING_H
#define CAMPAIGN_READING_H

#include "campaign/config.h"
#include "campaign/document.h"
#include "campaign/factors.h"

#define CAMPAIGN_MAX_AXIS_VALUES 100000
#define CAMPAIGN_MAX_POINTS      1000000
#define CAMPAIGN_MAX_INVOCATIONS 1000

/* One factor and the values it takes. */
struct campaign_axis {
    enum campaign_factor factor;
    const char *owner, *parameter; /* FACTOR_PARAMETER: name or glob of variants, and the parameter's name */
    struct campaign_place place;   /* of the key */
    struct campaign_value *values;
    size_t count, capacity;
};

/* Axes that are walked together: one, or several of one length. */
struct campaign_dimension {
    struct campaign_axis *axes;
    size_t axis_count, length;
    bool tied; /* from zip */
};

struct campaign_dimensions {
    struct campaign_dimension *items;
    size_t count, capacity;
};

/* One condition of an exclude rule: the factor's value compares so with one of `wanted`. */
enum campaign_comparison { IS, IS_NOT, BELOW, AT_MOST, ABOVE, AT_LEAST };
struct campaign_condition {
    struct campaign_axis wanted;
    enum campaign_comparison comparison;
};
struct campaign_rule { /* excludes a point when all its conditions hold */
    struct campaign_condition *conditions;
    size_t count;
    struct campaign_rule *next;
};

/* Inputs and a problem: what `cases` holds several of. */
struct campaign_case {
    struct campaign_dimensions dimensions;
    struct campaign_place place;
    struct campaign_case *next;
};

/* A capture's tensor: shapes and lengths without data, and the digest of its file, read once. */
struct campaign_capture {
    const char *path, *tensor, *digest;
    struct check_capture view;
    bool good;
    struct campaign_capture *next;
};

struct campaign_config {
    struct campaign_texts *texts;
    struct campaign_complaints complaints;
    const struct attn_registry *registry;
    const struct machine_topology *topology;
    const char *path;      /* as given; "" for words */
    const char *directory; /* paths written in the config are relative to it */
    struct campaign_node *root;

    const char *name, *question;
    struct campaign_case *cases;
    struct campaign_dimensions dimensions; /* matrix, zip and top-level factors */
    struct campaign_rule *rules;
    const char *baseline, *only;
    struct campaign_place baseline_place, only_place;
    struct measure_options measure;
    bool peaks;
    int invocations;
    double timeout_s;
    uint64_t seed;
    struct campaign_capture *captures;
};

/* config_names.c: one item of a list, or a form or pair written as a map or list. */
bool campaign_name_read(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                        struct campaign_place place);
bool campaign_form_read(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                        struct campaign_place place);
bool campaign_form_map_read(struct campaign_config *config, struct campaign_axis *axis,
                            const struct campaign_node *map);
bool campaign_pair_read(struct campaign_config *config, struct campaign_axis *axis, const char *item,
                        struct campaign_place place);
bool campaign_pair_list_read(struct campaign_config *config, struct campaign_axis *axis,
                             const struct campaign_node *list);

/* config_values.c: reads the values of `axis` from `node`. `single`: one value only, lists belong in matrix. False
 * after a complaint. */
bool campaign_axis_read(struct campaign_config *config, struct campaign_axis *axis, const struct campaign_node *node,
                        bool single);
/* Appends a value; false after a complaint. */
bool campaign_value_add(struct campaign_config *config, struct campaign_axis *axis, struct campaign_value value,
                        struct campaign_place place);
/* The axis's name as a config writes it. */
const char *campaign_axis_label(const struct campaign_config *config, const struct campaign_axis *axis);
/* Finds what a key of matrix, zip or exclude names: a factor or VARIANT.PARAMETER. False after a complaint. */
bool campaign_axis_name(struct campaign_config *config, const struct campaign_node *node, struct campaign_axis *axis);
/* A whole number in base 10; `*beyond`: it has more digits than 64 bits hold. */
bool campaign_integer_parse(const char *text, int64_t *value, bool *beyond);
/* true, 1, false or 0. */
bool campaign_flag_parse(const char *text, bool *flag);

/* config_sections.c: inputs, problem, cases, matrix, zip and top-level factors, into axes. */
void campaign_sections_read(struct campaign_config *config);

/* config_measure.c: name, question, measure, baseline, only. */
void campaign_settings_read(struct campaign_config *config);
extern const char *const campaign_measure_keys[]; /* NULL-terminated */
extern const char *const campaign_top_keys[];     /* without the factors; NULL-terminated */

/* config_exclude.c */
void campaign_exclude_read(struct campaign_config *config);
bool campaign_excluded(const struct campaign_config *config, const struct campaign_point *point);

/* overrides.c: changes the tree by environment, --quick and --set, in this order. */
void campaign_overrides_apply(struct campaign_config *config, const struct campaign_options *options);
/* One key=value; with `words`, a bare parameter name means that parameter of every variant asked for. */
void campaign_override(struct campaign_config *config, const char *assignment, struct campaign_place place, bool words);

/* captures.c: NULL after a complaint at `place`. */
const struct campaign_capture *campaign_capture_get(struct campaign_config *config, const char *path,
                                                    const char *tensor, struct campaign_place place);

/* expand.c: the points of a config that read without complaint; more complaints otherwise. */
void campaign_expand(struct campaign_config *config, struct campaign_plan *plan);

/* resolved.c: canonical YAML with every default written out; lives in config->texts. NULL: out of memory. */
const char *campaign_resolve_text(const struct campaign_config *config);

#endif
