/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal holds, by point: which (point, invocation) is done, and each point's row of the table. */
#ifndef CAMPAIGN_LEDGER_H
#define CAMPAIGN_LEDGER_H

#include "campaign/run.h"
#include "measure/statistics.h"
#include "record/journal.h"

struct campaign_row {
    bool seen;
    enum record_status worst; /* of all its invocations */
    char *reason;             /* of the worst; NULL: none */
    bool timing_valid;        /* in every invocation */
    char timing_reason[128];  /* the first one given */
    bool weak;                /* in any invocation */
    double bound_fraction;    /* the largest; NaN stays */
    double max_abs;
    double flops;
    size_t measured;       /* invocations that gave a median */
    double *medians_ns;    /* [measured], one of each invocation */
    double *of_roof;       /* [measured], likewise: the fraction of its roof; NaN where no peaks were asked for */
    int64_t threads_least; /* threads delivered in the worst invocation */
};

struct campaign_ledger {
    size_t point_count, invocations;
    struct campaign_row *rows; /* [point_count], in plan order */
    bool *held;                /* [invocations][point_count] */
    size_t lines;
    double *medians_ns, *of_roof;   /* private: what those of the rows point into */
    struct campaign_ledger_id *ids; /* private: sorted */
};

/* Reads the journal. ATTN_INVALID: a line of no point or invocation of the plan, or a second one of the same. */
enum attn_status campaign_ledger_read(const char *journal_path, const struct campaign_plan *plan,
                                      struct campaign_ledger *ledger, struct attn_error *error);
void campaign_ledger_release(struct campaign_ledger *ledger);

/* SKIPPED, REJECTED and FAILED are final: later invocations omit the point. */
bool campaign_ledger_final(const struct campaign_ledger *ledger, size_t point);
/* Notes a line just written to the journal, without its measurements. */
void campaign_ledger_mark(struct campaign_ledger *ledger, size_t point, size_t invocation, enum record_status status);

/* The estimate of a point: the median of its invocation medians with its rank interval. False: nothing measured. */
bool campaign_ledger_estimate(const struct campaign_ledger *ledger, size_t point, struct measure_estimate *estimate);
/* The median of a point's fractions of its roof; NaN: none recorded. */
double campaign_ledger_of_roof(const struct campaign_ledger *ledger, size_t point);
void campaign_ledger_summary(const struct campaign_ledger *ledger, struct campaign_summary *summary);

#endif
