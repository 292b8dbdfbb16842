/* SPDX-License-Identifier: Apache-2.0 */
/* A ladder that computes nothing and a machine of four cores, so that what a config says can be told exactly. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include "campaign/config.h"

/* Ladder order: naive (serial, stores scores), tiled (serial; block_keys 1..4096), online_tiled (serial; block_queries
 * and block_keys), parallel_heads, parallel_splits (parallel; splits 1..64). Levels: those of machine/isa.h that every
 * build may have, baseline first. */
extern const struct attn_registry fake_registry;
extern struct machine_topology *fake_topology; /* four cores, one thread each */

/* Makes the topology and a folder of its own for "c.yaml"; for .init of a suite. */
void fixture_open(void);
void fixture_close(void);

/* Writes `yaml` to c.yaml and plans it; the test fails when it is refused. Freed by fixture_close. */
struct campaign_plan *planned(const char *yaml);
struct campaign_plan *planned_with(const char *yaml, const struct campaign_options *options);
/* The same for a config that must be refused: its complaints. */
const char *refused(const char *yaml);
const char *refused_with(const char *yaml, const struct campaign_options *options);
/* The words of `time`, NULL-terminated. */
struct campaign_plan *planned_words(const char *variant, const char *const *words);
const char *refused_words(const char *variant, const char *const *words);

/* Fails the test unless `message` is exactly one line, this one. */
void expect_only(const char *message, const char *line);
/* Fails the test unless `message` begins so. */
void expect_begins(const char *message, const char *begin);
/* Fails the test unless one line of `message` is `line`. */
void expect_line(const char *message, const char *line);

/* Points of the plan with this variant ("" any) and this many threads (0 any). */
size_t count_points(const struct campaign_plan *plan, const char *variant, int threads);

/* The smallest complete config around a matrix: problem of 4 heads, 32 positions, 16 features. */
#define WITH_MATRIX(matrix) "problem: {query_heads: 4, query_len: 32, head_dim: 16}\nmatrix: " matrix "\n"

#endif
