/* SPDX-License-Identifier: Apache-2.0 */
/* A config as it was understood: ranges, globs, `max` and defaults written out, values of the environment and the
 * command line in their places. Reading it gives the same plan again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/reading.h"

/* A double-quoted YAML scalar. */
static void write_quoted(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *byte = (const unsigned char *)text; *byte; ++byte) {
        if (*byte == '"' || *byte == '\\')
            fprintf(out, "\\%c", *byte);
        else if (*byte < 0x20)
            fprintf(out, "\\x%02x", *byte);
        else
            fputc(*byte, out);
    }
    fputc('"', out);
}

static void write_value(FILE *out, enum campaign_factor factor, const struct campaign_value *value) {
    char text[4200];
    campaign_value_text(factor, value, text, sizeof text);
    if (factor == FACTOR_PARAMETER || campaign_factor_info(factor)->kind == FACTOR_INTEGER)
        fputs(text, out);
    else
        write_quoted(out, text);
}

static void write_axis(FILE *out, const struct campaign_config *config, const struct campaign_axis *axis, bool list) {
    const char *const label = campaign_axis_label(config, axis);
    if (strpbrk(label, "*?["))
        write_quoted(out, label);
    else
        fputs(label, out);
    fputs(list ? ": [" : ": ", out);
    for (size_t n = 0; n < axis->count; ++n) {
        fputs(n ? ", " : "", out);
        write_value(out, axis->factor, &axis->values[n]);
    }
    fputs(list ? "]" : "", out);
}

static void write_home(FILE *out, const struct campaign_config *config, const struct campaign_case *one,
                       enum campaign_home home) {
    bool first = true;
    for (size_t n = 0; n < one->dimensions.count; ++n) {
        const struct campaign_axis *const axis = &one->dimensions.items[n].axes[0];
        if (campaign_factor_info(axis->factor)->home != home)
            continue;
        fputs(first ? "" : ", ", out);
        first = false;
        write_axis(out, config, axis, axis->factor == FACTOR_TENSOR);
    }
}

static void write_rules(FILE *out, const struct campaign_config *config) {
    static const char *const signs[] = {"", "!=", "<", "<=", ">", ">="};
    for (const struct campaign_rule *rule = config->rules; rule; rule = rule->next) {
        fputs("  - {", out);
        for (size_t n = 0; n < rule->count; ++n) {
            const struct campaign_condition *const condition = &rule->conditions[n];
            fputs(n ? ", " : "", out);
            if (condition->comparison == IS) {
                write_axis(out, config, &condition->wanted, true);
                continue;
            }
            fprintf(out, "\"%s\": \"%s", campaign_axis_label(config, &condition->wanted), signs[condition->comparison]);
            for (size_t m = 0; m < condition->wanted.count; ++m) {
                char text[4200];
                campaign_value_text(condition->wanted.factor, &condition->wanted.values[m], text, sizeof text);
                fprintf(out, "%s%s", m ? "," : "", text);
            }
            fputc('"', out);
        }
        fputs("}\n", out);
    }
}

static void write_real(FILE *out, const char *key, double real, const char *unit) {
    char text[32];
    campaign_real_text(real, text, sizeof text);
    fprintf(out, "  %s: %s%s\n", key, text, unit);
}

static void write_config(FILE *out, const struct campaign_config *config) {
    fputs("name: ", out);
    write_quoted(out, config->name);
    fputs("\nquestion: ", out);
    write_quoted(out, config->question);
    fputs("\ncases:\n", out);
    for (const struct campaign_case *one = config->cases; one; one = one->next) {
        fputs("  - inputs: {", out);
        write_home(out, config, one, HOME_INPUTS);
        fputs("}\n    problem: {", out);
        write_home(out, config, one, HOME_PROBLEM);
        fputs("}\n", out);
    }
    fputs("matrix:\n", out);
    bool tied = false;
    for (size_t n = 0; n < config->dimensions.count; ++n) {
        tied |= config->dimensions.items[n].tied;
        if (config->dimensions.items[n].tied)
            continue;
        fputs("  ", out);
        write_axis(out, config, &config->dimensions.items[n].axes[0], true);
        fputc('\n', out);
    }
    fputs(tied ? "zip:\n" : "", out);
    for (size_t n = 0; n < config->dimensions.count; ++n) {
        const struct campaign_dimension *const dimension = &config->dimensions.items[n];
        for (size_t m = 0; dimension->tied && m < dimension->axis_count; ++m) {
            fputs(m ? ", " : "  - {", out);
            write_axis(out, config, &dimension->axes[m], true);
        }
        fputs(dimension->tied ? "}\n" : "", out);
    }
    fputs(config->rules ? "exclude:\n" : "", out);
    write_rules(out, config);
    fprintf(out, "measure:\n  invocations: %d\n", config->invocations);
    write_real(out, "min_time", config->measure.min_time_ns, " ns");
    write_real(out, "max_time", config->measure.max_time_ns, " ns");
    write_real(out, "timeout", config->timeout_s, " s");
    write_real(out, "target_ci", config->measure.target_ci, "");
    fprintf(out, "  max_iterations: %" PRId64 "\n  seed: %" PRIu64 "\n  peaks: %s\n", config->measure.max_iterations,
            config->seed, config->peaks ? "true" : "false");
    if (config->baseline)
        fprintf(out, "baseline: %s\n", config->baseline);
    if (config->only) {
        fputs("only: ", out);
        write_quoted(out, config->only);
        fputc('\n', out);
    }
}

const char *campaign_resolve_text(const struct campaign_config *config) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *const out = open_memstream(&text, &bytes);
    if (!out)
        return NULL;
    write_config(out, config);
    const bool good = fclose(out) == 0;
    const char *const kept = good ? campaign_texts_copy(config->texts, text, bytes) : NULL;
    free(text);
    return kept;
}
