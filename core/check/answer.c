/* SPDX-License-Identifier: Apache-2.0 */
/* A few rows of one KV head in float64. Keys are taken in panels of PANEL_KEYS, transposed: features outer,
 * keys inner, so every score is summed in the order of its features and the lanes are different keys.
 * Values likewise: keys outer, the lanes are different features. Nothing is reassociated. */
#include "check/answer.h"

#include <math.h>

#include "check/bound.h"
#include "check/panel.h"

enum { VALUE_TILE = 64 }; /* keys whose values are read together */

static int64_t round_up(int64_t n, int64_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

/* One row while it is computed. */
struct row_work {
    struct live_row live;
    double *weights;                /* [span], by key - origin: score, then p_j; negative: masked */
    double *growths;                /* [span]: sum_c |q_c k_jc|, then A_j, then the bound's factor of |v_j| */
    double *rest;                   /* [padded value_dim]: sum of p_j v_j without the heaviest key */
    double *value_bound;            /* [padded value_dim]: sum of factor_j |v_j| */
    double *value_sums;             /* [padded value_dim]: sum of p_j |v_j|; NULL unless the type is 16-bit */
    int64_t heaviest, second, last; /* keys; -1: none */
    double rest_weight;             /* 1 - p of the heaviest, without cancellation; the sink included */
    double answer_bound;            /* the bound's factor of |o| */
};

struct layout {
    int64_t head_dim, value_dim, padded_value_dim, span;
};

static struct layout layout_of(const struct attn_problem *problem) {
    return (struct layout){
        .head_dim = problem->head_dim,
        .value_dim = problem->value_dim,
        .padded_value_dim = round_up(problem->value_dim, PANEL_FEATURES),
        .span = round_up(problem->key_len, PANEL_KEYS),
    };
}

size_t answer_scratch_count(const struct attn_problem *problem) {
    const struct layout layout = layout_of(problem);
    const int64_t per_row = layout.head_dim + 2 * layout.span + 3 * layout.padded_value_dim;
    return (size_t)(ANSWER_ROWS * per_row + PANEL_KEYS * layout.head_dim + VALUE_TILE * layout.padded_value_dim);
}

/* Turns dots into scores and their growths into G_j; masked pairs become -inf. Returns how many live. */
static int64_t finish_scores(const struct attn_problem *problem, struct row_work *row, int64_t origin) {
    const double scale = problem->scale, softcap = problem->mask.softcap, walk = 2.0 * sqrt((double)problem->head_dim);
    int64_t live_keys = 0;
    for (int64_t j = row->live.first; j < row->live.last; ++j) {
        double *const score = &row->weights[j - origin], *const growth = &row->growths[j - origin];
        if (!check_pair_lives(problem, &row->live, j)) {
            *score = -INFINITY;
            continue;
        }
        double bias, alibi;
        check_pair_terms(problem, &row->live, j, &bias, &alibi);
        *score *= scale;
        *growth *= fabs(scale);
        if (softcap > 0.0) {
            *growth = check_bound_capped(softcap, *score, *growth);
            *score = softcap * tanh(*score / softcap);
        }
        *score += bias;
        *score += alibi;
        *growth += walk * (fabs(bias) + fabs(alibi));
        ++live_keys;
    }
    return live_keys;
}

/* The two heaviest live keys and the last. */
static void find_extremes(struct row_work *row, int64_t origin) {
    row->heaviest = row->second = row->last = -1;
    for (int64_t j = row->live.first; j < row->live.last; ++j) {
        const double score = row->weights[j - origin];
        if (score == -INFINITY)
            continue;
        row->last = j;
        if (row->heaviest < 0 || score > row->weights[row->heaviest - origin]) {
            row->second = row->heaviest;
            row->heaviest = j;
        } else if (row->second < 0 || score > row->weights[row->second - origin])
            row->second = j;
    }
}

/* Scores become exp(score - max), not yet divided; masked pairs become -1. Returns the sum with the sink. */
static double exponentiate(struct row_work *row, int64_t origin, double sink, double max) {
    double sum_of_rest = sink == -INFINITY ? 0.0 : exp(sink - max), heaviest_term = 0.0;
    for (int64_t j = row->live.first; j < row->live.last; ++j) {
        double *const weight = &row->weights[j - origin];
        if (*weight == -INFINITY) {
            *weight = -1.0;
            continue;
        }
        *weight = exp(*weight - max);
        if (j == row->heaviest)
            heaviest_term = *weight;
        else
            sum_of_rest += *weight;
    }
    const double sum = sum_of_rest + heaviest_term;
    row->rest_weight = sum_of_rest / sum;
    return sum;
}

/* Scores become weights; lse, its bound and the bound's factors follow. */
static void finish_weights(const struct attn_problem *problem, struct row_work *row, int64_t origin,
                           struct oracle_row *result) {
    find_extremes(row, origin);
    const double sink = problem->mask.sinks ? (double)problem->mask.sinks[row->live.head] : -INFINITY;
    const double key_max = row->heaviest < 0 ? -INFINITY : row->weights[row->heaviest - origin];
    const double max = sink > key_max ? sink : key_max;
    const double sum = exponentiate(row, origin, sink, max);
    const struct bound bound = check_bound(result->live_keys);
    double tiny_weights = 0.0, largest_growth = 0.0, drift = 0.0, rescaled = 0.0, previous = NAN;
    double sum_so_far = sink == -INFINITY ? 0.0 : exp(sink - max) / sum, top = sum_so_far;
    row->answer_bound = 0.0;
    for (int64_t j = row->live.first; j < row->live.last; ++j) {
        double *const weight = &row->weights[j - origin], *const growth = &row->growths[j - origin];
        if (*weight < 0.0)
            continue;
        *weight /= sum;
        if (*weight > top) {
            top = *weight;
            rescaled += sum_so_far;
        }
        sum_so_far += *weight;
        if (*weight >= bound.tiny && fabs(*weight - previous) < BOUND_ROUNDOFF)
            drift += BOUND_ROUNDOFF * sum_so_far;
        previous = *weight;
        if (*weight < bound.tiny)
            tiny_weights += *weight;
        largest_growth = fmax(largest_growth, *growth);
        row->answer_bound += bound_of_answer(&bound, *weight, *growth);
        *growth = bound_of_value(&bound, *weight, *growth); /* from here on the factor of |v_j| */
    }
    row->answer_bound += 2.0 * (drift + BOUND_ROUNDOFF * rescaled);
    result->lse = sum == 0.0 ? -INFINITY : max + log(sum);
    result->lse_allowed =
        check_bound_lse(result->live_keys, largest_growth, result->lse, drift + BOUND_RESCALE * rescaled, tiny_weights);
}

/* Adds the live keys of one tile of values [VALUE_TILE][padded value_dim] to the row's sums. */
static void add_values(struct row_work *row, const double *restrict tile, int64_t tile_first, int64_t tile_last,
                       int64_t origin, int64_t padded_value_dim) {
    const double *keys[VALUE_TILE];
    double weights[VALUE_TILE], rest_weights[VALUE_TILE], factors[VALUE_TILE];
    int count = 0;
    for (int64_t j = tile_first > row->live.first ? tile_first : row->live.first; j < tile_last && j < row->live.last;
         ++j) {
        const double weight = row->weights[j - origin];
        if (weight < 0.0) /* masked: its value is not used; a NaN is not negative and goes on */
            continue;
        keys[count] = tile + (j - tile_first) * padded_value_dim;
        weights[count] = weight;
        rest_weights[count] = j == row->heaviest ? 0.0 : weight;
        factors[count++] = row->growths[j - origin];
    }
    const struct panel_weights live = {count, keys, rest_weights, factors, weights};
    panel_add_values(&live, padded_value_dim, row->rest, row->value_bound, row->value_sums);
}

/* Answers, bounds and the check's power of a row whose sums are complete. */
static void finish_row(const struct check_oracle *oracle, const struct attn_operands *operands,
                       const struct row_work *row, int64_t origin, int64_t index) {
    const struct attn_problem *const problem = &oracle->problem;
    struct oracle_row *const result = &oracle->rows[index];
    const struct bound bound = check_bound(result->live_keys);
    const double rounding = attn_type_roundoff(problem->type);
    const int64_t key_head = row->live.head / (problem->query_heads / problem->key_heads);
    const struct attn_tensor *const v = &operands->v;
    for (int64_t c = 0; c < problem->value_dim; ++c) {
        double answer = 0.0, without_heaviest = 0.0, without_last = 0.0;
        if (row->heaviest >= 0) {
            const void *const base = attn_tensor_row(v, row->live.batch, key_head, row->heaviest);
            answer = row->rest[c] + row->weights[row->heaviest - origin] * check_element(base, v->type, c);
        }
        if (result->live_keys >= 2) {
            const double last_weight = row->weights[row->last - origin];
            const void *const second = attn_tensor_row(v, row->live.batch, key_head, row->second);
            const void *const last = attn_tensor_row(v, row->live.batch, key_head, row->last);
            without_heaviest =
                row->rest_weight > 0.0 ? row->rest[c] / row->rest_weight : check_element(second, v->type, c);
            without_last = row->last == row->heaviest
                               ? without_heaviest
                               : (answer - last_weight * check_element(last, v->type, c)) / (1.0 - last_weight);
        }
        const double allowed = row->value_bound[c] + fabs(answer) * row->answer_bound + bound.floor +
                               check_bound_storage(problem->type, answer);
        const int64_t element = index * problem->value_dim + c;
        oracle->answers[element] = answer;
        oracle->allowed[element] = allowed;
        if (oracle->value_sums)
            oracle->value_sums[element] = row->value_sums[c];
        for (int n = 0; n < ANSWER_JUDGEMENTS; ++n) {
            const bool rounded = n == ANSWER_ROUNDED_WEIGHTS && row->value_sums;
            const double limit = rounded ? allowed + rounding * row->value_sums[c] : allowed;
            result->heaviest_power[n] = fmax(result->heaviest_power[n], fabs(without_heaviest - answer) / limit);
            result->last_power[n] = fmax(result->last_power[n], fabs(without_last - answer) / limit);
        }
    }
}

/* Scores of all rows, panel by panel; each panel is transposed once for all of them. */
static void score_rows(const struct attn_problem *problem, const struct attn_operands *operands, struct row_work *rows,
                       int64_t row_count, int64_t first_key, int64_t last_key, const double *queries, double *panel) {
    const int64_t head_dim = problem->head_dim;
    const int64_t key_head = rows[0].live.head / (problem->query_heads / problem->key_heads);
    for (int64_t key = first_key; key < last_key; key += PANEL_KEYS) {
        memset(panel, 0, (size_t)(PANEL_KEYS * head_dim) * sizeof *panel);
        for (int64_t l = 0; l < PANEL_KEYS && key + l < last_key; ++l)
            check_read_row(&operands->k, rows[0].live.batch, key_head, key + l, panel + l, PANEL_KEYS);
        for (int64_t r = 0; r < row_count; ++r)
            if (rows[r].live.first < key + PANEL_KEYS && rows[r].live.last > key)
                panel_scores(queries + r * head_dim, panel, head_dim, rows[r].weights + (key - first_key),
                             rows[r].growths + (key - first_key));
    }
}

static void weigh_values(const struct attn_problem *problem, const struct attn_operands *operands,
                         struct row_work *rows, int64_t row_count, int64_t first_key, int64_t last_key,
                         int64_t padded_value_dim, double *tile) {
    const int64_t key_head = rows[0].live.head / (problem->query_heads / problem->key_heads);
    memset(tile, 0, (size_t)(VALUE_TILE * padded_value_dim) * sizeof *tile);
    for (int64_t key = first_key; key < last_key; key += VALUE_TILE) {
        const int64_t end = key + VALUE_TILE < last_key ? key + VALUE_TILE : last_key;
        for (int64_t j = key; j < end; ++j)
            check_read_row(&operands->v, rows[0].live.batch, key_head, j, tile + (j - key) * padded_value_dim, 1);
        for (int64_t r = 0; r < row_count; ++r)
            add_values(&rows[r], tile, key, end, first_key, padded_value_dim);
    }
}

void answer_rows(const struct check_oracle *oracle, const struct attn_operands *operands, int64_t first, int64_t last,
                 double *scratch) {
    const struct attn_problem *const problem = &oracle->problem;
    const struct layout layout = layout_of(problem);
    const int64_t row_count = last - first;
    struct row_work rows[ANSWER_ROWS];
    double *const queries = scratch;
    double *const panel = queries + ANSWER_ROWS * layout.head_dim;
    double *const tile = panel + PANEL_KEYS * layout.head_dim;
    double *free_memory = tile + VALUE_TILE * layout.padded_value_dim;

    int64_t first_key = problem->key_len, last_key = 0;
    for (int64_t r = 0; r < row_count; ++r) {
        const int64_t *const place = oracle->rows[first + r].place;
        rows[r].live = check_live_row(problem, place[0], place[1], place[2]);
        rows[r].weights = free_memory;
        rows[r].growths = rows[r].weights + layout.span;
        rows[r].rest = rows[r].growths + layout.span;
        rows[r].value_bound = rows[r].rest + layout.padded_value_dim;
        rows[r].value_sums = rows[r].value_bound + layout.padded_value_dim;
        free_memory = rows[r].value_sums + layout.padded_value_dim;
        memset(rows[r].rest, 0, (size_t)(3 * layout.padded_value_dim) * sizeof *rows[r].rest);
        if (!oracle->value_sums)
            rows[r].value_sums = NULL;
        check_read_row(&operands->q, place[0], place[1], place[2], queries + r * layout.head_dim, 1);
        if (rows[r].live.first < rows[r].live.last) {
            first_key = rows[r].live.first < first_key ? rows[r].live.first : first_key;
            last_key = rows[r].live.last > last_key ? rows[r].live.last : last_key;
        }
    }
    score_rows(problem, operands, rows, row_count, first_key, last_key, queries, panel);
    for (int64_t r = 0; r < row_count; ++r) {
        struct oracle_row *const result = &oracle->rows[first + r];
        result->live_keys = finish_scores(problem, &rows[r], first_key);
        finish_weights(problem, &rows[r], first_key, result);
    }
    weigh_values(problem, operands, rows, row_count, first_key, last_key, layout.padded_value_dim, tile);
    for (int64_t r = 0; r < row_count; ++r)
        finish_row(oracle, operands, &rows[r], first_key, first + r);
}
