/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of one KV head as AMX wants the right factor of a product: in pairs along the summed direction, a
 * tile of 16 pairs by 16 columns after the other. A panel is AMX_BLOCK keys; what a panel or a feature lacks is zero.
 */
#ifndef KERNELS_AMX_PACK_H
#define KERNELS_AMX_PACK_H

#include "contract/tensor.h"
#include "kernels/amx.h"

/* Elements of a panel of keys: [step of 32 features][16 keys, then the other 16][pair][key][2]. */
static inline int64_t amx_key_panel_elements(int64_t head_dim) {
    return amx_tiles(head_dim, AMX_DEPTH) * 2 * AMX_ELEMENTS;
}

/* Packs keys [first, first + AMX_BLOCK) of a bf16 tensor. */
static inline void amx_pack_keys(const struct attn_tensor *keys, int64_t b, int64_t h, int64_t first, uint16_t *panel) {
    const int64_t key_len = keys->shape[2], head_dim = keys->shape[3];
    memset(panel, 0, (size_t)amx_key_panel_elements(head_dim) * sizeof *panel);
    for (int64_t n = 0; n < AMX_BLOCK && first + n < key_len; ++n) {
        const uint16_t *const key = attn_tensor_row(keys, b, h, first + n);
        for (int64_t step = 0; step * AMX_DEPTH < head_dim; ++step) {
            const int64_t left = head_dim - step * AMX_DEPTH, features = left < AMX_DEPTH ? left : AMX_DEPTH;
            uint16_t *const tile = panel + (2 * step + n / AMX_ROWS) * AMX_ELEMENTS + n % AMX_ROWS * 2;
            for (int64_t pair = 0; pair < features / 2; ++pair)
                memcpy(tile + pair * AMX_DEPTH, key + step * AMX_DEPTH + 2 * pair, 2 * sizeof *key);
            if (features % 2)
                tile[features / 2 * AMX_DEPTH] = key[head_dim - 1];
        }
    }
}

/* Columns of 16 values each, rounded to whole 2 x 2 blocks. */
static inline int64_t amx_value_columns(int64_t value_dim) {
    return amx_tiles(value_dim, AMX_BLOCK) * 2;
}

/* Elements of a panel of values: [column of 16 values][pair of keys][value][2]. */
static inline int64_t amx_value_panel_elements(int64_t value_dim) {
    return amx_value_columns(value_dim) * AMX_ELEMENTS;
}

/* Packs values [first, first + AMX_BLOCK) of a bf16 tensor. */
static inline void amx_pack_values(const struct attn_tensor *values, int64_t b, int64_t h, int64_t first,
                                   uint16_t *panel) {
    const int64_t key_len = values->shape[2], value_dim = values->shape[3];
    memset(panel, 0, (size_t)amx_value_panel_elements(value_dim) * sizeof *panel);
    for (int64_t n = 0; n < AMX_BLOCK && first + n < key_len; n += 2) {
        const bool alone = first + n + 1 == key_len;
        const uint16_t *const even = attn_tensor_row(values, b, h, first + n);
        const uint16_t *const odd = alone ? even : attn_tensor_row(values, b, h, first + n + 1);
        for (int64_t c = 0; c < value_dim; c += 16) {
            uint16_t *const pairs = panel + (c / 16 * 16 + n / 2) * AMX_DEPTH;
            for (int64_t m = 0; m < 16 && c + m < value_dim; ++m) {
                pairs[2 * m] = even[c + m];
                pairs[2 * m + 1] = alone ? 0 : odd[c + m];
            }
        }
    }
}

#endif
