/* SPDX-License-Identifier: Apache-2.0 */
/* A run as its readers see it: the plan, the journal's rows, and what follows from both. */
#ifndef CLI_RUN_VIEW_H
#define CLI_RUN_VIEW_H

#include "campaign/factors.h"
#include "campaign/ledger.h"

struct cli_run_view {
    const struct attn_registry *registry;
    struct campaign_plan *plan;
    struct campaign_ledger ledger;
    bool varies[FACTOR_COUNT]; /* the factor has more than one value in the plan; terms of the mask never */
    bool parameters_vary;
};

enum attn_status cli_run_view_open(const char *run_directory, const struct attn_registry *registry,
                                   struct cli_run_view *view, struct attn_error *error);
void cli_run_view_close(struct cli_run_view *view);

/* What a point achieved. Numbers that there are not are NaN. */
struct cli_result {
    enum record_status status;
    bool pending; /* no line of it yet */
    struct measure_estimate time_ns;
    double gflops;               /* GFLOP/s at the median */
    double of_roof;              /* fraction of the roof it stands under */
    double speedup, baseline_ns; /* against the named baseline on the same inputs */
};
struct cli_result cli_run_view_result(const struct cli_run_view *view, size_t point);

/* A factor of a point as a config writes it. */
void cli_factor_text(const struct campaign_point *point, enum campaign_factor factor, char *text, size_t text_bytes);

#endif
