/* SPDX-License-Identifier: Apache-2.0 */
/* A study: one claim of the sources, or a small family, as an experiment. It measures quantities, says for each what
 * the law expects, and concludes what the source's sentence is worth. One file each in experiments/studies/.
 *
 * Two verdicts a claim. Law: HOLDS when every quantity expected under the claim lies in its interval, DEPARTS when one
 * does not (or is NaN), RECORDED when none was expected. Claim: whether the source's sentence is right. */
#ifndef STUDY_STUDY_H
#define STUDY_STUDY_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/variant.h"
#include "layer/variant_attention.h"

struct study_run; /* one study under way; opaque */

/* A word that `--set name=value` changes, `--set a=1,b=2` several. Values are checked before the study runs. */
struct study_setting {
    const char *name;
    const char *fallback; /* the value when it is not set */
    const char *choices;  /* the allowed words, separated by blanks; NULL: a positive integer below 2^31 */
    const char *meaning;
};

struct study {
    const char *name;      /* its file's: lower-case words joined by underscores */
    const char *claims;    /* "C12", or "C12 L1": every claim that it concludes; see experiments/studies/README.md */
    const char *source;    /* "S0 S2 S4" */
    const char *statement; /* the claim in a sentence */
    const char *law;       /* what the numbers should show */
    const struct study_setting *settings;
    int setting_count;
    /* Measures and concludes every one of its claims. ATTN_OK whatever the verdicts; ATTN_NO_MEMORY, or what the layer
     * or the attention refused; ATTN_INTERRUPTED once study_stopping() said so. */
    enum attn_status (*run)(struct study_run *run, struct attn_error *error);
};

#define STUDY(name) const struct study study_##name

/* All studies in the order of their claims; the table is written by Meson from experiments/studies/meson.build. */
struct study_registry {
    const struct study *const *studies;
    int count;
};
extern const struct study_registry study_registry;

/* ---- what is measured ---- */

/* Where in the study's figure a quantity stands: a point of a curve. {0}: a single number; series alone: a bar. A curve
 * of one recorded point beside others is a mark on their axis, drawn as a line. */
struct study_place {
    const char *series; /* the curve's name, "scale=none"; NULL: the quantity has one */
    const char *axis;   /* the quantity along x, with its unit if any: "head_dim"; NULL: none */
    double at;
};
#define STUDY_AT(series_, axis_, at_) ((struct study_place){.series = (series_), .axis = (axis_), .at = (at_)})
#define STUDY_BAR(series_)            ((struct study_place){.series = (series_)})
#define STUDY_ALONE                   ((struct study_place){0})

/* A quantity that the law expects within [low, high]; either may be infinite. `quantity` is a noun phrase with its unit
 * if it has one ("entropy / ln keys"). Texts are copied. */
void study_expect(struct study_run *run, const char *claim, const char *quantity, struct study_place place,
                  double measured, double low, double high);
/* A quantity that is recorded without an expectation. */
void study_record(struct study_run *run, const char *claim, const char *quantity, struct study_place place,
                  double measured);

enum study_verdict {
    STUDY_SUPPORTED,    /* the sentence is right */
    STUDY_REFUTED,      /* it is wrong as stated */
    STUDY_DEPENDS,      /* it is right under some conditions: `because` names them */
    STUDY_OUT_OF_SCOPE, /* nothing here can measure it */
};

/* The claim's verdict, once per claim, from what was measured; `because` is one sentence with the numbers in it. */
void study_conclude(struct study_run *run, const char *claim, enum study_verdict verdict, const char *because, ...)
    __attribute__((format(printf, 4, 5)));
/* The law verdict of the claim up to here: every expectation so far lies in its interval. */
bool study_holds(const struct study_run *run, const char *claim);

/* ---- what a study works with ---- */

/* The value of a setting: the text; or the integer of one without choices. */
const char *study_setting_text(const struct study_run *run, const char *name);
int64_t study_setting_integer(const struct study_run *run, const char *name);
bool study_setting_is(const struct study_run *run, const char *name, const char *value);

uint64_t study_seed(const struct study_run *run);
int study_threads(const struct study_run *run); /* >= 1 */

/* Attention on f64 or f32 operands, both directions, exact to rounding: the float64 oracle, unless the caller of the
 * runner gave another, to see the law depart. */
struct layer_attention study_attention(const struct study_run *run);

/* A registered variant as the attention of float layers, at the machine's highest level, on study_threads(), unless the
 * caller of the runner gave another, as above. Lasts as long as the run. ATTN_INVALID names the nearest. */
enum attn_status study_variant(struct study_run *run, const char *name, struct layer_attention *attention,
                               struct attn_error *error);
/* The registered variant itself, whatever attention the runner was given: for what it asks of memory. */
enum attn_status study_registered(struct study_run *run, const char *name, const struct layer_variant **layer,
                                  struct attn_error *error);
const struct attn_registry *study_variants(const struct study_run *run);

/* Zeroed memory that is freed when the study ends. NULL, with ATTN_NO_MEMORY in `error`, when there is none. */
void *study_memory(struct study_run *run, int64_t count, int64_t element_bytes, struct attn_error *error);
#define STUDY_ARRAY(run, count, type, error) ((type *)study_memory((run), (count), sizeof(type), (error)))

/* Tells how far a long study is, 0 to 1, with a note ("loss 0.31, accuracy 0.92"). */
void study_progress(struct study_run *run, double done, const char *note, ...) __attribute__((format(printf, 3, 4)));
/* Somebody asked to stop: the study returns ATTN_INTERRUPTED soon. */
bool study_stopping(const struct study_run *run);

#endif
