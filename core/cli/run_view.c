/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_view.h"

#include <math.h>
#include <string.h>

#include "campaign/rundir.h"

void cli_factor_text(const struct campaign_point *point, enum campaign_factor factor, char *text, size_t text_bytes) {
    const struct campaign_value value = campaign_factor_get(point, factor);
    campaign_value_text(factor, &value, text, text_bytes);
}

static bool factor_varies(const struct campaign_plan *plan, enum campaign_factor factor) {
    char first[512], other[512];
    cli_factor_text(&plan->points[0], factor, first, sizeof first);
    for (size_t i = 1; i < plan->point_count; ++i) {
        cli_factor_text(&plan->points[i], factor, other, sizeof other);
        if (strcmp(first, other) != 0)
            return true;
    }
    return false;
}

/* A size that is its partner's in every point says nothing more. */
static bool follows_partner(const struct campaign_plan *plan, enum campaign_factor factor) {
    if (factor != FACTOR_KEY_HEADS && factor != FACTOR_KEY_LEN && factor != FACTOR_VALUE_DIM)
        return false;
    for (size_t i = 0; i < plan->point_count; ++i) {
        const struct check_form *const form = &plan->points[i].form;
        if ((factor == FACTOR_KEY_HEADS && form->key_heads != form->query_heads) ||
            (factor == FACTOR_KEY_LEN && form->key_len != form->query_len) ||
            (factor == FACTOR_VALUE_DIM && form->value_dim != form->head_dim))
            return false;
    }
    return true;
}

enum attn_status cli_run_view_open(const char *run_directory, const struct attn_registry *registry,
                                   struct cli_run_view *view, struct attn_error *error) {
    *view = (struct cli_run_view){.registry = registry};
    enum attn_status status = campaign_plan_of_run(run_directory, registry, &view->plan, error);
    if (status != ATTN_OK)
        return status;
    char path[4096];
    campaign_rundir_path(run_directory, CAMPAIGN_JOURNAL_FILE, path);
    status = campaign_ledger_read(path, view->plan, &view->ledger, error);
    if (status != ATTN_OK) {
        campaign_plan_free(view->plan);
        return status;
    }
    for (int factor = 0; factor < FACTOR_COUNT; ++factor)
        view->varies[factor] = campaign_factor_info(factor)->home != HOME_MASK && factor_varies(view->plan, factor) &&
                               !follows_partner(view->plan, factor);
    for (size_t i = 0; i < view->plan->point_count; ++i)
        for (int n = 0; n < ATTN_MAX_PARAMETERS; ++n)
            view->parameters_vary |= view->plan->points[i].overrides[n] != 0;
    return ATTN_OK;
}

void cli_run_view_close(struct cli_run_view *view) {
    campaign_ledger_release(&view->ledger);
    campaign_plan_free(view->plan);
}

struct cli_result cli_run_view_result(const struct cli_run_view *view, size_t point) {
    const struct campaign_row *const row = &view->ledger.rows[point];
    struct cli_result result = {
        .status = row->worst,
        .pending = !row->seen,
        .time_ns = {.median = NAN, .low = NAN, .high = NAN, .coverage = NAN},
        .gflops = NAN,
        .of_roof = NAN,
        .speedup = NAN,
        .baseline_ns = NAN,
    };
    if (result.pending || row->worst != RECORD_MEASURED ||
        !campaign_ledger_estimate(&view->ledger, point, &result.time_ns))
        return result;
    result.gflops = row->flops / result.time_ns.median;
    result.of_roof = campaign_ledger_of_roof(&view->ledger, point);
    const int baseline = view->plan->points[point].baseline;
    struct measure_estimate base;
    if (baseline >= 0 && view->ledger.rows[baseline].worst == RECORD_MEASURED &&
        campaign_ledger_estimate(&view->ledger, (size_t)baseline, &base)) {
        result.baseline_ns = base.median;
        result.speedup = base.median / result.time_ns.median;
    }
    return result;
}
