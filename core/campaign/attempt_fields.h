/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of a result line: parameters, summary and check. Schema: results/README.md. */
#ifndef CAMPAIGN_ATTEMPT_FIELDS_H
#define CAMPAIGN_ATTEMPT_FIELDS_H

#include "check/oracle.h"
#include "machine/peaks.h"
#include "measure/trial.h"
#include "record/field.h"

/* ATTN_NO_MEMORY is the only failure of all of them. */
enum attn_status campaign_fields_parameters(const struct attn_variant *variant, const struct attn_execution *execution,
                                            struct record_fields *fields);
enum attn_status campaign_fields_summary(const struct measure_trial *trial, const struct attn_problem *problem,
                                         struct record_fields *fields);
/* The roof over a problem, and the part of its time in `median_ns`. */
enum attn_status campaign_fields_roof(const struct machine_peaks *peaks, const struct attn_problem *problem, bool cold,
                                      double median_ns, struct record_fields *fields);
enum attn_status campaign_fields_check(const struct check_verdict *verdict, struct record_fields *fields);

#endif
