/* SPDX-License-Identifier: Apache-2.0 */
/* The flat functions of libattnbench.so. No preprocessor in here, so that a foreign-function interface
 * can read the declarations as they are; C code includes <stdbool.h> and <stdint.h> first.
 *
 * A session holds one problem at a time and the memory that is kept between calls. Sessions are
 * independent; one session serves one thread at a time.
 *
 *   attnbench_begin(s);                                      forget the last problem
 *   attnbench_operand(s, "q", "f32", q, shape, stride); ...  k, v, out, and lse if wanted
 *   attnbench_causal(s, "bottom_right"); ...                 masks, scale
 *   attnbench_variant(s, "online_tiled", NULL);
 *   if (attnbench_forward(s)) puts(attnbench_error(s));
 *
 * Functions that return int return a status: 0 done; 1 invalid: what was asked can't be; 2 unsupported:
 * well-formed, but this variant, ISA level or machine does not offer it; 3 out of memory. Text is UTF-8.
 * Arrays are borrowed until the next attnbench_begin. No function prints, exits or binds threads. */

struct attnbench;

/* NULL: out of memory. attnbench_destroy(NULL) is allowed. */
struct attnbench *attnbench_create(void);
void attnbench_destroy(struct attnbench *session);

/* What went wrong in the last function that returned a status other than 0, and what would be right. */
const char *attnbench_error(const struct attnbench *session);

/* What the library offers. Variants count in ladder order, ISA levels ascend; names are NULL beyond the last. */
const char *attnbench_version(void);
int attnbench_variant_count(void);
const char *attnbench_variant_name(int variant);
const char *attnbench_variant_idea(int variant);
const char *attnbench_variant_improves_on(int variant); /* the rung below; NULL: the first */
int attnbench_parameter_count(int variant);
const char *attnbench_parameter_name(int variant, int parameter);
const char *attnbench_parameter_meaning(int variant, int parameter);
int attnbench_isa_count(void);
const char *attnbench_isa_name(int level);
const char *attnbench_isa_objection(int level); /* why this machine can't run it; NULL: it can */

/* Forgets operands, masks, variant and parameters; keeps the workspace. One thread, scale 1/sqrt(head_dim). */
void attnbench_begin(struct attnbench *session);

/* `name`: "q", "k", "v", "out" or "lse"; `type`: "f32", "bf16" or "f16" (lse: "f32"). shape and stride have
 * four entries: batch, head, position, feature (lse: feature 1); strides count elements, feature stride 1.
 * The sizes of the problem are those of q, k and v. out and lse are written and overlap nothing. */
int attnbench_operand(struct attnbench *session, const char *name, const char *type, void *data, const int64_t *shape,
                      const int64_t *stride);

void attnbench_scale(struct attnbench *session, float scale);     /* 0: the default */
void attnbench_softcap(struct attnbench *session, float softcap); /* 0: none */

/* "none", "top_left" (query 0 stands at key 0) or "bottom_right" (the last query stands at the last key). */
int attnbench_causal(struct attnbench *session, const char *mode);
/* Where queries stand when windows or ALiBi are used without a causal mask: "top_left" or "bottom_right". */
int attnbench_alignment(struct attnbench *session, const char *alignment);
/* Positions of the first query of each sequence, overriding the alignment, and of the first key. */
void attnbench_positions(struct attnbench *session, const int64_t *query_start, int64_t count, int64_t key_start);
/* Keeps pos(query) - left <= pos(key) <= pos(query) + right; INT64_MAX: no limit on that side. */
void attnbench_window(struct attnbench *session, int64_t left, int64_t right);
/* One entry per batch element: keys beyond it are masked. */
void attnbench_key_lengths(struct attnbench *session, const int64_t *lengths, int64_t count);
/* Packed sequences in a batch of 1: sequence n owns queries and keys [offsets[n], offsets[n + 1]). */
void attnbench_packed(struct attnbench *session, const int64_t *query_offsets, int64_t query_count,
                      const int64_t *key_offsets, int64_t key_count);
/* Shape [batch][query_heads][query_len][key_len]; an entry of 1 broadcasts. False, or a bias of -inf, masks. */
void attnbench_mask(struct attnbench *session, const bool *allowed, const int64_t *shape, const int64_t *stride);
void attnbench_bias(struct attnbench *session, const float *bias, const int64_t *shape, const int64_t *stride);
/* One entry per query head: ALiBi slopes; sink logits. */
void attnbench_alibi(struct attnbench *session, const float *slopes, int64_t count);
void attnbench_sinks(struct attnbench *session, const float *sinks, int64_t count);

/* `isa` NULL: the highest level this machine runs. Parameters belong to the variant chosen before; 0: automatic. */
int attnbench_variant(struct attnbench *session, const char *name, const char *isa);
int attnbench_parameter(struct attnbench *session, const char *name, int64_t value);
/* The most threads a parallel variant may use; a serial variant uses one. */
void attnbench_threads(struct attnbench *session, int threads);

/* The values the parameters have for this problem on this machine, in the variant's order. */
int attnbench_resolve(struct attnbench *session, int64_t *values);
/* Writes out, and lse when given: the natural logarithm of the sum of exp(score), the sink included. */
int attnbench_forward(struct attnbench *session);
/* Bytes of the workspace that the session keeps. */
int64_t attnbench_workspace_bytes(const struct attnbench *session);

/* ---- Problems drawn and judged as the instrument does it: for other programs' answers ---- */

struct attnbench_drawn;

/* Draws a problem. `sizes`: batch, query_heads, key_heads, query_len, key_len, head_dim, value_dim; `type` as above;
 * `mask` and `pattern` in the words of a config ("causal=top_left,lengths=ragged"; "normal"). The arrays are filled
 * from `seed`, the same bits for any number of threads, and the float64 answers are computed, of a sample of rows where
 * the problem is large. Refusals are in the session's error. To be given to attnbench_drawn_destroy (NULL is allowed).
 */
int attnbench_draw(struct attnbench *session, const int64_t *sizes, const char *type, bool backward, const char *mask,
                   const char *pattern, int64_t seed, int threads, struct attnbench_drawn **drawn);
void attnbench_drawn_destroy(struct attnbench_drawn *drawn);

/* The dense array of an operand, "q", "k", "v", "out", "lse", "dout", "dq", "dk" or "dv"; fills its shape. NULL: the
 * problem has none. lse belongs to the backward pass alone, where it and out hold the answers of the forward one. */
void *attnbench_drawn_array(struct attnbench_drawn *drawn, const char *name, int64_t *shape);
/* Live keys of each sequence [batch]; NULL: all. */
const int64_t *attnbench_drawn_key_lengths(const struct attnbench_drawn *drawn);

/* Answers the drawn problem with the session's variant, isa, parameters and threads. */
int attnbench_drawn_answer(struct attnbench *session, struct attnbench_drawn *drawn);

/* How the answers in the arrays compare with the float64 ones; see results/README.md for the quantities. */
struct attnbench_verdict {
    bool accepted, weak;
    int64_t checked_rows, nonfinite, unwritten, worst[4];
    double bound_fraction, max_abs, max_rel, rms, frobenius_ulps, worst_got, worst_want, worst_allowed;
    double power_heaviest_best, power_heaviest_median, power_last_best, power_last_median;
    double live_pairs, flops, min_bytes;
    char reason[256]; /* why it was not accepted */
};

/* `rounds_weights`: the answers may come from softmax weights rounded to the problem's 16-bit type. An input that was
 * written to, or a byte beyond an array, is a rejection too. */
void attnbench_drawn_judge(const struct attnbench_drawn *drawn, bool rounds_weights, struct attnbench_verdict *verdict);
/* Overwrites the answers with a pattern that the judge knows as unwritten. */
void attnbench_drawn_poison(struct attnbench_drawn *drawn);
