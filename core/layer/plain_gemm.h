/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix product in three loops, for float64 and for builds without a GEMM library. */
#ifndef LAYER_PLAIN_GEMM_H
#define LAYER_PLAIN_GEMM_H

#include "layer/real.h"

#define layer_plain_gemm LAYER_NAME(layer_plain_gemm)

/* See layer_gemm. Products are added in the order of k. */
layer_gemm layer_plain_gemm;

#endif
