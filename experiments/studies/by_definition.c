/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources say besides, and no measurement here can decide. */
#include "study/study.h"

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    (void)error;
    study_conclude(run, "C42", STUDY_OUT_OF_SCOPE,
                   "translation and summarisation are tasks of whole models; none is trained here");
    study_conclude(run, "C42b", STUDY_OUT_OF_SCOPE, "situation and tone: nothing here has labels for them");
    study_conclude(run, "C42c", STUDY_OUT_OF_SCOPE, "GPUs: this instrument measures CPUs");
    study_conclude(run, "C42d", STUDY_REFUTED,
                   "by definition: scaled dot-product attention is a function of any Q, K and V; self-attention is its "
                   "use with all three from one sequence");
    return ATTN_OK;
}

STUDY(by_definition) = {
    .name = "by_definition",
    .claims = "C42 C42b C42c C42d",
    .source = "S1 S2 S4",
    .statement =
        "Self-attention serves translation and summarisation, grasps situation and tone, suits GPUs, and is also "
        "known as scaled dot-product attention.",
    .law = "none: out of scope, or a matter of words",
    .run = run,
};
