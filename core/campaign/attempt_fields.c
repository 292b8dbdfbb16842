/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/attempt_fields.h"

struct integer_column {
    const char *name;
    int64_t value;
};

struct real_column {
    const char *name;
    double value;
};

static enum attn_status add_integers(struct record_fields *fields, const struct integer_column *columns, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const enum attn_status status = record_add_integer(fields, columns[i].name, columns[i].value);
        if (status != ATTN_OK)
            return status;
    }
    return ATTN_OK;
}

static enum attn_status add_reals(struct record_fields *fields, const struct real_column *columns, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        const enum attn_status status = record_add_real(fields, columns[i].name, columns[i].value);
        if (status != ATTN_OK)
            return status;
    }
    return ATTN_OK;
}

enum attn_status campaign_fields_parameters(const struct attn_variant *variant, const struct attn_execution *execution,
                                            struct record_fields *fields) {
    for (int i = 0; i < variant->parameter_count; ++i) {
        const enum attn_status status =
            record_add_integer(fields, variant->parameters[i].name, execution->parameters[i]);
        if (status != ATTN_OK)
            return status;
    }
    return ATTN_OK;
}

enum attn_status campaign_fields_summary(const struct measure_trial *trial, const struct attn_problem *problem,
                                         struct record_fields *fields) {
    const struct measure_estimate *const within = &trial->within_process;
    const struct real_column reals[] = {
        {"median_ns", within->median},
        {"within_process_low_ns", within->low},
        {"within_process_high_ns", within->high},
        {"within_process_coverage", within->coverage},
        {"min_ns", trial->sorted_ns[0]},
        {"max_ns", trial->sorted_ns[trial->count - 1]},
        {"first_call_ns", trial->first_call_ns},
        {"flops", attn_problem_flops(problem)},
        {"min_bytes", attn_problem_min_bytes(problem)},
    };
    return add_reals(fields, reals, sizeof reals / sizeof *reals);
}

enum attn_status campaign_fields_roof(const struct machine_peaks *peaks, const struct attn_problem *problem, bool cold,
                                      double median_ns, struct record_fields *fields) {
    const struct machine_roof roof = machine_roof_over(
        peaks, attn_problem_flops(problem), attn_problem_min_bytes(problem), cold, problem->type == ATTN_BF16);
    const struct real_column reals[] = {
        {"gflops", roof.gflops},
        {"gbs", roof.gbs},
        {"clock_ghz", peaks->clock_ghz},
        {"ns", roof.time_ns},
        {"fraction", roof.time_ns / median_ns},
    };
    enum attn_status status = record_add_text(fields, "arithmetic", roof.tiles ? "tiles" : "multiply-add");
    if (status == ATTN_OK)
        status = record_add_text(fields, "memory", machine_memory_names[roof.memory]);
    return status == ATTN_OK ? add_reals(fields, reals, sizeof reals / sizeof *reals) : status;
}

enum attn_status campaign_fields_check(const struct check_verdict *verdict, struct record_fields *fields) {
    const struct integer_column integers[] = {
        {"weak", verdict->weak},
        {"checked_rows", verdict->checked_rows},
        {"nonfinite", verdict->nonfinite},
        {"unwritten", verdict->unwritten},
        {"worst_batch", verdict->worst[0]},
        {"worst_head", verdict->worst[1]},
        {"worst_position", verdict->worst[2]},
        {"worst_feature", verdict->worst[3]},
    };
    const struct real_column reals[] = {
        {"bound_fraction", verdict->bound_fraction},
        {"max_abs", verdict->max_abs},
        {"max_rel", verdict->max_rel},
        {"rms", verdict->rms},
        {"frobenius_ulps", verdict->frobenius_ulps},
        {"lse_error", verdict->lse_error},
        {"lse_bound_fraction", verdict->lse_bound_fraction},
        {"worst_got", verdict->worst_got},
        {"worst_want", verdict->worst_want},
        {"worst_allowed", verdict->worst_allowed},
        {"power_heaviest_best", verdict->power_heaviest_best},
        {"power_heaviest_median", verdict->power_heaviest_median},
        {"power_last_best", verdict->power_last_best},
        {"power_last_median", verdict->power_last_median},
    };
    const enum attn_status status = add_integers(fields, integers, sizeof integers / sizeof *integers);
    return status == ATTN_OK ? add_reals(fields, reals, sizeof reals / sizeof *reals) : status;
}
