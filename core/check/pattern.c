/* SPDX-License-Identifier: Apache-2.0 */
/* What each pattern puts into q, k and v. "Along" patterns place queries and keys on one direction of signs per KV
 * head, with amplitudes that give a wanted score whatever head_dim and scale are; q and k share the amplitude, so that
 * f16 reaches it too. */
#include "check/pattern.h"

#include <math.h>

#include "check/random.h"

enum stream { STREAM_DIRECTION = 200, STREAM_ROW, STREAM_DOMINANT, STREAM_NEEDLE };

/* Scores that the patterns aim at. */
static const double huge_score = 1e4;      /* far beyond the 88.7 at which expf overflows */
static const double negative_score = -2e4; /* below the sentinels that some codes start a maximum from */
static const double huge_spread = 3.0;     /* standard deviation around them */
static const double order_score = 8.0;     /* ascending keys run from -8 to 8 */
static const double needle_noise = 0.02;   /* of everything that is not a needle, relative to one */
static const double query_noise = 0.1;     /* sets rows apart, relative to the direction */

/* One row to fill, and what the patterns derive from it. */
struct place {
    const struct check_source *source;
    enum check_array tensor;
    int64_t b, h, i;
    int64_t group;  /* KV head, counted over batches */
    uint64_t key;   /* stream of this tensor */
    uint64_t first; /* counter of the row's first element */
    int64_t features;
};

static double normal_at(const struct place *place, int64_t c) {
    return check_normal(check_bits(place->key, place->first + (uint64_t)c));
}

/* Feature c of the KV head's direction: +1 or -1. */
static double direction_at(const struct place *place, int64_t c) {
    const uint64_t counter = (uint64_t)(place->group * place->source->problem->head_dim + c);
    return check_bits(check_stream(place->source->seed, STREAM_DIRECTION), counter) & 1 ? 1.0 : -1.0;
}

/* Queries and keys of this amplitude along the direction score `score`. */
static double amplitude_for(const struct attn_problem *problem, double score) {
    return sqrt(fabs(score) / (fabs((double)problem->scale) * (double)problem->head_dim));
}

/* Key noise that spreads scores by `spread` against queries of that amplitude. */
static double noise_for(const struct attn_problem *problem, double amplitude, double spread) {
    return spread / (fabs((double)problem->scale) * amplitude * sqrt((double)problem->head_dim));
}

static double scale_sign(const struct attn_problem *problem) {
    return problem->scale < 0 ? -1.0 : 1.0;
}

static void fill_normal(const struct place *place, double factor, float *row) {
    for (int64_t c = 0; c < place->features; ++c)
        row[c] = (float)(factor * normal_at(place, c));
}

static void fill_uniform(const struct place *place, float *row) {
    for (int64_t c = 0; c < place->features; ++c)
        row[c] = (float)(2.0 * check_unit(check_bits(place->key, place->first + (uint64_t)c)) - 1.0);
}

/* N(0, 1) + N(0, 100) * Bernoulli(1e-3). */
static void fill_outliers(const struct place *place, float *row) {
    for (int64_t c = 0; c < place->features; ++c) {
        const uint64_t more = check_bits(~place->key, place->first + (uint64_t)c);
        const double outlier = check_below(more, 1000) == 0 ? 10.0 * check_normal(check_mix(more)) : 0.0;
        row[c] = (float)(normal_at(place, c) + outlier);
    }
}

/* One row for all positions of the KV head. */
static void fill_shared(const struct place *place, float *row) {
    for (int64_t c = 0; c < place->features; ++c)
        row[c] = (float)check_normal(check_bits(place->key, (uint64_t)(place->group * place->features + c)));
}

/* amplitude * direction + noise * normal */
static void fill_along(const struct place *place, double amplitude, double noise, float *row) {
    for (int64_t c = 0; c < place->features; ++c) {
        const double drawn = noise > 0 ? noise * normal_at(place, c) : 0.0;
        row[c] = (float)(amplitude * direction_at(place, c) + drawn);
    }
}

static void fill_around(const struct place *place, double score, float *row) {
    const struct attn_problem *const problem = place->source->problem;
    const double amplitude = amplitude_for(problem, score);
    if (place->tensor == CHECK_Q)
        fill_along(place, scale_sign(problem) * amplitude, query_noise * amplitude, row);
    else
        fill_along(place, score < 0 ? -amplitude : amplitude, noise_for(problem, amplitude, huge_spread), row);
}

static void fill_dominant(const struct place *place, float *row) {
    const struct attn_problem *const problem = place->source->problem;
    const double amplitude = amplitude_for(problem, log((double)problem->key_len) + 30.0);
    if (place->tensor == CHECK_Q)
        fill_along(place, scale_sign(problem) * amplitude, query_noise * amplitude, row);
    else if (place->i == place->source->dominant[place->group])
        fill_along(place, amplitude, 0.0, row);
    else
        fill_normal(place, noise_for(problem, amplitude, 1.0), row);
}

/* Keys on a line, evenly spaced; each query stretches it by a factor of its own. `sign` -1: descending. */
static void fill_ordered(const struct place *place, double sign, float *row) {
    const struct attn_problem *const problem = place->source->problem;
    const double amplitude = amplitude_for(problem, order_score);
    const double counter = (double)(problem->key_len > 1 ? problem->key_len - 1 : 1);
    double along;
    if (place->tensor == CHECK_Q)
        along = scale_sign(problem) *
                (1.0 + 0.25 * check_unit(check_bits(check_stream(place->source->seed, STREAM_ROW), place->first)));
    else
        along = sign * (2.0 * (double)place->i / counter - 1.0);
    fill_along(place, along * amplitude, 0.0, row);
}

/* The feature that needle n lies along: another one for another seed. */
static int64_t needle_feature(const struct place *place, int n) {
    const uint64_t head_dim = (uint64_t)place->source->problem->head_dim;
    return (int64_t)((place->source->seed % head_dim + (uint64_t)n) % head_dim);
}

static void fill_needles(const struct place *place, float *row) {
    const struct attn_problem *const problem = place->source->problem;
    const struct check_needles *const needles = &place->source->needles[place->group];
    const double score = check_needle_score(problem);
    /* The last bit of the seed also turns the needles round, so that with a single feature, too, the keys of one
     * seed are no use to another. */
    const double turn = place->source->seed & 1 ? -1.0 : 1.0;
    const double strength = turn * sqrt(score / fabs((double)problem->scale));
    fill_normal(place, needle_noise * strength, row);
    if (place->tensor == CHECK_Q) {
        const uint64_t bits = check_bits(check_stream(place->source->seed, STREAM_NEEDLE), place->first);
        const int n = check_needle_choose(problem, needles, place->b, place->h, place->i, score, bits);
        if (n >= 0)
            row[needle_feature(place, n)] += (float)(scale_sign(problem) * strength);
        return;
    }
    const bool outside = place->i == needles->live_begin - 1 || place->i == needles->live_end;
    for (int n = 0; n < needles->count; ++n) {
        if (place->i == needles->far[n] || outside)
            row[needle_feature(place, n)] = (float)(CHECK_FAR_STRENGTH * strength);
        else if (place->i == needles->near[n])
            row[needle_feature(place, n)] = (float)strength;
    }
}

/* Numbers below the smallest normal one of the type, nearly all of them. */
static double denormal_factor(enum attn_type type) {
    return type == ATTN_F16 ? 0x1p-16 : 0x1p-128;
}

static void fill_unread(const struct place *place, float *row) {
    const enum check_pattern pattern = place->source->form->pattern;
    for (int64_t c = 0; c < place->features; ++c)
        row[c] = pattern == CHECK_MASKED_NAN ? NAN : normal_at(place, c) < 0 ? -INFINITY : INFINITY;
}

static void fill_values(const struct place *place, float *row) {
    switch (place->source->form->pattern) {
    case CHECK_CONSTANT_VALUES: fill_shared(place, row); break;
    case CHECK_ZERO_VALUES: fill_normal(place, 0.0, row); break;
    case CHECK_UNIFORM: fill_uniform(place, row); break;
    case CHECK_OUTLIERS: fill_outliers(place, row); break;
    case CHECK_DENORMALS: fill_normal(place, denormal_factor(place->source->problem->type), row); break;
    default: fill_normal(place, 1.0, row); break;
    }
}

static void fill_query_or_key(const struct place *place, float *row) {
    switch (place->source->form->pattern) {
    case CHECK_UNIFORM: fill_uniform(place, row); break;
    case CHECK_EQUAL_LOGITS:
        if (place->tensor == CHECK_K)
            fill_shared(place, row);
        else
            fill_normal(place, 1.0, row);
        break;
    case CHECK_DOMINANT: fill_dominant(place, row); break;
    case CHECK_HUGE_LOGITS: fill_around(place, huge_score, row); break;
    case CHECK_NEGATIVE_LOGITS: fill_around(place, negative_score, row); break;
    case CHECK_ASCENDING: fill_ordered(place, 1.0, row); break;
    case CHECK_DESCENDING: fill_ordered(place, -1.0, row); break;
    case CHECK_OUTLIERS: fill_outliers(place, row); break;
    case CHECK_DENORMALS: fill_normal(place, denormal_factor(place->source->problem->type), row); break;
    case CHECK_NEEDLES: fill_needles(place, row); break;
    default: fill_normal(place, 1.0, row); break;
    }
}

static void fill_captured(const struct place *place, float *row) {
    const struct check_capture *const capture = place->source->form->capture;
    const struct attn_tensor *const tensors[] = {
        [CHECK_Q] = &capture->q, [CHECK_K] = &capture->k, [CHECK_V] = &capture->v};
    if (place->source->seed != place->source->form->seed) {
        fill_normal(place, place->source->capture_rms[place->tensor], row);
        return;
    }
    const float *const captured = attn_tensor_row_f32(tensors[place->tensor], place->b, place->h, place->i, row);
    for (int64_t c = 0; c < place->features; ++c)
        row[c] = captured[c];
}

bool check_pattern_needs_live(enum check_pattern pattern) {
    return pattern == CHECK_MASKED_NAN || pattern == CHECK_MASKED_INF || pattern == CHECK_DOMINANT;
}

void check_pattern_draw_dominant(const struct check_source *source) {
    const int64_t key_len = source->problem->key_len;
    const uint64_t key = check_stream(source->seed, STREAM_DOMINANT);
    for (int64_t group = 0; group < source->problem->batch * source->problem->key_heads; ++group) {
        const int64_t wanted = check_below(check_bits(key, (uint64_t)group), key_len);
        int64_t step = 0; /* the first live key from there on, round the end */
        while (step < key_len && !source->live[group * key_len + (wanted + step) % key_len])
            ++step;
        source->dominant[group] = step < key_len ? (wanted + step) % key_len : -1;
    }
}

void check_pattern_row(const struct check_source *source, enum check_array tensor, int64_t b, int64_t h, int64_t i,
                       float *row) {
    const struct attn_problem *const problem = source->problem;
    const bool of_query = tensor == CHECK_Q || tensor == CHECK_DOUT;
    const int64_t heads = of_query ? problem->query_heads : problem->key_heads;
    const int64_t positions = of_query ? problem->query_len : problem->key_len;
    const int64_t features = tensor == CHECK_Q || tensor == CHECK_K ? problem->head_dim : problem->value_dim;
    const int64_t key_head = of_query ? h / (problem->query_heads / problem->key_heads) : h;
    const struct place place = {
        .source = source,
        .tensor = tensor,
        .b = b,
        .h = h,
        .i = i,
        .group = b * problem->key_heads + key_head,
        .key = check_stream(source->seed, (uint64_t)tensor),
        .first = (uint64_t)(((b * heads + h) * positions + i) * features),
        .features = features,
    };
    const bool may_be_unread = tensor == CHECK_K || tensor == CHECK_V;
    const enum check_pattern pattern = source->form->pattern;
    if (tensor == CHECK_DOUT)
        fill_normal(&place, 1.0, row);
    else if (source->form->capture)
        fill_captured(&place, row);
    else if (may_be_unread && (pattern == CHECK_MASKED_NAN || pattern == CHECK_MASKED_INF) &&
             !source->live[place.group * problem->key_len + i])
        fill_unread(&place, row);
    else if (tensor == CHECK_V)
        fill_values(&place, row);
    else
        fill_query_or_key(&place, row);
}
