/* SPDX-License-Identifier: Apache-2.0 */
/* A toy network trained with layer norm, batch norm and none, before and after every block, at several batch sizes.
 * What holds by definition is asserted: layer norm treats an item alike whatever else is in the batch, so the gradient
 * of a batch is the mean of its items' own; batch norm of a batch of one item returns its bias, so nothing can be
 * learned. How fast each learns is recorded. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "layer/readout.h"
#include "norm_network.h"
#include "study/sample.h"

enum { FEATURES = 16, HIDDEN = 32, CLASSES = 4, CLUSTERS = 16, MOST_ROWS = 64, PROBED = 8, WINDOW = 512 };
enum { CENTRES, ITEMS, PROBES, OTHERS, WEIGHTS };

static const char *const norms[] = {"none", "layer norm", "batch norm"};
static const char *const places[] = {"post-norm", "pre-norm"};
static const int64_t batches[] = {1, 2, 8, 64};
static const double rates[] = {0.01, 0.03, 0.1, 0.3};
enum { BATCHES = 4, RATES = 4, USUAL_BATCH = 8 };
#define USUAL_RATE 0.03
#define LEARNED    0.2 /* nats; a guess has ln 4 */

struct norm_training {
    struct study_run *run;
    struct norm_network network;
    int64_t items; /* of a training */
    double centres[CLUSTERS * FEATURES], drawn[FEATURES * HIDDEN];
    double x[MOST_ROWS * FEATURES], slopes[MOST_ROWS * CLASSES];
    int64_t labels[MOST_ROWS];
    double *mean_gradient; /* of single items */
    int trainings, done;
};

/* Items [first, first + count) of a stream: a cluster's centre and N(0, 1/4); four clusters far apart make a class. */
static void draw_items(struct norm_training *own, uint64_t stream, int64_t first, int64_t count) {
    const uint64_t seed = study_seed(own->run);
    for (int64_t n = 0; n < count; ++n) {
        const int64_t cluster = study_below(seed, stream, (uint64_t)(first + n), CLUSTERS);
        double *const x = own->x + n * FEATURES;
        study_normals(seed, (stream + 1) << 32 | (uint64_t)(first + n), FEATURES, 0.5, x);
        for (int64_t c = 0; c < FEATURES; ++c)
            x[c] += own->centres[cluster * FEATURES + c];
        own->labels[n] = cluster % CLASSES;
    }
}

/* The loss of own->x, and its gradient added to the network's. */
static enum attn_status learn_from(struct norm_training *own, int64_t rows, const double *x, const int64_t *labels,
                                   double *loss, struct attn_error *error) {
    norm_network_forward(&own->network, rows, x);
    const enum attn_status status =
        layer_softmax_loss(rows, CLASSES, own->network.logits, labels, loss, own->slopes, error);
    if (!status)
        norm_network_backward(&own->network, rows, own->slopes);
    return status;
}

/* ---- what holds by definition ---- */

/* How far the first item's logits move when the other items of its batch are drawn anew, or are padding. */
static void judge_mates(struct norm_training *own, enum network_norm norm, enum layer_norm_place place) {
    struct study_run *const run = own->run;
    double alone[CLASSES], change[2];
    draw_items(own, PROBES, 0, PROBED);
    norm_network_forward(&own->network, PROBED, own->x);
    memcpy(alone, own->network.logits, sizeof alone);
    double first[FEATURES];
    memcpy(first, own->x, sizeof first);
    draw_items(own, OTHERS, 0, PROBED);
    memcpy(own->x, first, sizeof first);
    for (int padded = 0; padded < 2; ++padded) {
        if (padded)
            memset(own->x + FEATURES, 0, (PROBED - 1) * FEATURES * sizeof *own->x);
        norm_network_forward(&own->network, PROBED, own->x);
        change[padded] = study_largest_difference(CLASSES, own->network.logits, alone);
    }
    char bar[2][64];
    snprintf(bar[0], sizeof bar[0], "%s, %s, other items", norms[norm], places[place]);
    snprintf(bar[1], sizeof bar[1], "%s, %s, padding", norms[norm], places[place]);
    for (int padded = 0; padded < 2; ++padded)
        if (norm == NETWORK_BATCH_NORM)
            study_record(run, "C23", "change of an item's logits with its batch", STUDY_BAR(bar[padded]),
                         change[padded]);
        else
            study_expect(run, "C23", "change of an item's logits with its batch", STUDY_BAR(bar[padded]),
                         change[padded], 0, 0);
}

/* The gradient of a batch against the mean of its items' own, and against a central difference along itself: of step
 * 1e-5 that errs by some 1e-10 of the loss (its square; the loss' rounding by it). */
static enum attn_status judge_gradient(struct norm_training *own, enum network_norm norm, enum layer_norm_place place,
                                       struct attn_error *error) {
    const struct norm_network *const network = &own->network;
    const int64_t count = network->parameter_count;
    const double step = 1e-5;
    double loss[2], ignored;
    enum attn_status status = ATTN_OK;
    char bar[64];
    snprintf(bar, sizeof bar, "%s, %s", norms[norm], places[place]);
    draw_items(own, PROBES, 0, PROBED);
    for (int64_t n = 0; n < PROBED && !status; ++n)
        status = learn_from(own, 1, own->x + n * FEATURES, own->labels + n, &ignored, error);
    for (int64_t n = 0; n < count; ++n) {
        own->mean_gradient[n] = network->gradient[n] / PROBED;
        network->gradient[n] = 0;
    }
    if (!status)
        status = learn_from(own, PROBED, own->x, own->labels, &ignored, error);
    const double length = study_norm(count, network->gradient);
    for (int side = 0; side < 2 && !status; ++side) {
        for (int64_t n = 0; n < count; ++n)
            network->parameters[n] += (side ? -2 : 1) * step * network->gradient[n] / length;
        norm_network_forward(&own->network, PROBED, own->x);
        status = layer_softmax_loss(PROBED, CLASSES, network->logits, own->labels, &loss[side], NULL, error);
    }
    if (status)
        return status;
    study_expect(own->run, "C23", "gradient against a central difference, relative", STUDY_BAR(bar),
                 fabs((loss[0] - loss[1]) / (2 * step) / length - 1), 0, 1e-7);
    for (int64_t n = 0; n < count; ++n)
        own->mean_gradient[n] -= network->gradient[n];
    const double apart = study_norm(count, own->mean_gradient) / length;
    if (norm == NETWORK_BATCH_NORM)
        study_record(own->run, "C23", "gradient of a batch against the mean of its items'", STUDY_BAR(bar), apart);
    else /* sums of at most 100 products, in another order, through 12 layers */
        study_expect(own->run, "C23", "gradient of a batch against the mean of its items'", STUDY_BAR(bar), apart, 0,
                     1e-12);
    return ATTN_OK;
}

/* A batch of one item: do its logits know which, and does its loss reach back to it? */
static enum attn_status judge_one(struct norm_training *own, enum layer_norm_place place, struct attn_error *error) {
    double before[CLASSES], loss;
    draw_items(own, PROBES, 0, 2);
    norm_network_forward(&own->network, 1, own->x + FEATURES);
    memcpy(before, own->network.logits, sizeof before);
    const enum attn_status status = learn_from(own, 1, own->x, own->labels, &loss, error);
    if (status)
        return status;
    study_expect(own->run, "C23", "batch norm of one item: change of its logits with the item",
                 STUDY_BAR(places[place]), study_largest_difference(CLASSES, own->network.logits, before), 0, 0);
    study_expect(own->run, "C23", "batch norm of one item: gradient of the item", STUDY_BAR(places[place]),
                 study_norm(FEATURES, own->network.dz), 0, 0);
    return ATTN_OK;
}

static enum attn_status judge_definitions(struct norm_training *own, struct attn_error *error) {
    enum attn_status status = ATTN_OK;
    for (int norm = 0; norm < NETWORK_NORM_COUNT && !status; ++norm)
        for (int place = 0; place < (norm == NETWORK_NO_NORM ? 1 : 2) && !status; ++place) {
            norm_network_begin(&own->network, (enum network_norm)norm, (enum layer_norm_place)place,
                               study_seed(own->run), WEIGHTS, own->drawn);
            judge_mates(own, (enum network_norm)norm, (enum layer_norm_place)place);
            if (norm == NETWORK_BATCH_NORM)
                status = judge_one(own, (enum layer_norm_place)place, error);
            memset(own->network.gradient, 0, (size_t)own->network.parameter_count * sizeof *own->network.gradient);
            if (!status)
                status = judge_gradient(own, (enum network_norm)norm, (enum layer_norm_place)place, error);
        }
    return status;
}

/* ---- training ---- */

struct course {
    double items_to_learn; /* until the loss of WINDOW items is below LEARNED; NaN: never */
    double mean, last;     /* loss of all items, and of the last WINDOW */
    double variation;      /* of the gradient's norm over steps: standard deviation / mean */
};

static enum attn_status train(struct norm_training *own, enum network_norm norm, enum layer_norm_place place,
                              int64_t batch, double rate, const char *curve, struct course *course,
                              struct attn_error *error) {
    struct norm_network *const network = &own->network;
    enum attn_status status = ATTN_OK;
    double sum = 0, window = 0, norm_sum = 0, norm_squares = 0;
    *course = (struct course){.items_to_learn = NAN};
    norm_network_begin(network, norm, place, study_seed(own->run), WEIGHTS, own->drawn);
    for (int64_t seen = 0; seen < own->items && !status; seen += batch) {
        double loss;
        draw_items(own, ITEMS, seen, batch);
        status = learn_from(own, batch, own->x, own->labels, &loss, error);
        const double length = study_norm(network->parameter_count, network->gradient);
        layer_sgd_step(network->parameter_count, rate, network->parameters, network->gradient);
        sum += loss * (double)batch;
        window += loss * (double)batch / WINDOW;
        norm_sum += length;
        norm_squares += length * length;
        if (status || (seen + batch) % WINDOW != 0)
            continue;
        if (curve)
            study_record(own->run, "C23", curve, STUDY_AT(norms[norm], "items", (double)(seen + batch)), window);
        if (isnan(course->items_to_learn) && window < LEARNED)
            course->items_to_learn = (double)(seen + batch);
        course->last = window;
        window = 0;
        if (study_stopping(own->run))
            status = ATTN_INTERRUPTED;
    }
    const double steps = (double)(own->items / batch), mean = norm_sum / steps;
    course->mean = sum / (double)own->items;
    course->variation = sqrt(norm_squares / steps - mean * mean) / mean;
    study_progress(own->run, (double)++own->done / own->trainings, "%s, %s, batch %d, rate %g: loss %.3f", norms[norm],
                   places[place], (int)batch, rate, course->last);
    return status;
}

/* Labels of later items cannot be guessed from earlier ones, so what does not see its item has at least ln 4 on
 * average; six standard deviations of a mean of losses that vary by less than 0.5. */
static void judge_guess(struct norm_training *own, int place, const struct course *course) {
    study_expect(own->run, "C23", "batch norm of one item: mean loss of training, nats", STUDY_BAR(places[place]),
                 course->mean, log(CLASSES) - 6 * 0.5 / sqrt((double)own->items), INFINITY);
}

/* Quantities of one place, against the batch and against the rate. */
static enum attn_status sweep(struct norm_training *own, int place, struct course courses[NETWORK_NORM_COUNT][BATCHES],
                              struct attn_error *error) {
    char curve[96], learned[96], varied[96], last[96];
    snprintf(curve, sizeof curve, "loss, nats, at batch %d, %s", USUAL_BATCH, places[place]);
    snprintf(learned, sizeof learned, "items until the loss is below %g nats, %s", LEARNED, places[place]);
    snprintf(varied, sizeof varied, "variation of the gradient's norm over steps, %s", places[place]);
    snprintf(last, sizeof last, "loss at the end, nats, at batch %d, %s", USUAL_BATCH, places[place]);
    for (int norm = place; norm < NETWORK_NORM_COUNT; ++norm) { /* none has no place: it is trained once */
        for (int n = 0; n < BATCHES; ++n) {
            struct course *const course = &courses[norm][n];
            const struct study_place at = STUDY_AT(norms[norm], "items in a batch", (double)batches[n]);
            const enum attn_status status =
                train(own, (enum network_norm)norm, (enum layer_norm_place)place, batches[n], USUAL_RATE,
                      batches[n] == USUAL_BATCH ? curve : NULL, course, error);
            if (status)
                return status;
            study_record(own->run, "C23", learned, at, course->items_to_learn);
            study_record(own->run, "C23", varied, at, course->variation);
            if (norm == NETWORK_BATCH_NORM && batches[n] == 1)
                judge_guess(own, place, course);
        }
        for (int n = 0; n < RATES; ++n) {
            struct course course;
            const enum attn_status status = train(own, (enum network_norm)norm, (enum layer_norm_place)place,
                                                  USUAL_BATCH, rates[n], NULL, &course, error);
            if (status)
                return status;
            study_record(own->run, "C23", last, STUDY_AT(norms[norm], "rate", rates[n]), course.last);
        }
    }
    return ATTN_OK;
}

static const char *items_text(const struct course *course, char text[32]) {
    if (isnan(course->items_to_learn))
        return isnan(course->last) ? "never (it diverges)" : "never";
    snprintf(text, 32, "%.0f", course->items_to_learn);
    return text;
}

/* Supported when at every batch layer norm learns, and neither of the others does in fewer items. */
static void conclude(struct study_run *run, struct course courses[NETWORK_NORM_COUNT][BATCHES]) {
    char text[384] = "", numbers[3][32];
    bool best = true;
    for (int n = 0; n < BATCHES; ++n) {
        const struct course *const layer = &courses[NETWORK_LAYER_NORM][n],
                                   *const batch = &courses[NETWORK_BATCH_NORM][n],
                                   *const none = &courses[NETWORK_NO_NORM][n];
        best = best && layer->items_to_learn <= fmin(INFINITY, fmin(batch->items_to_learn, none->items_to_learn));
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "; batch %d: %s, %s, %s", (int)batches[n],
                 items_text(layer, numbers[0]), items_text(batch, numbers[1]), items_text(none, numbers[2]));
    }
    study_conclude(run, "C23", best ? STUDY_SUPPORTED : STUDY_DEPENDS,
                   "items until the loss is below %g, with layer norm, batch norm, none, post-norm%s", LEARNED, text);
}

static enum attn_status run(struct study_run *run, struct attn_error *error) {
    const struct network_sizes sizes = {FEATURES, HIDDEN, CLASSES, MOST_ROWS};
    struct norm_training *const own = STUDY_ARRAY(run, 1, struct norm_training, error);
    if (!own)
        return ATTN_NO_MEMORY;
    own->run = run;
    own->items = (study_setting_integer(run, "items") + WINDOW - 1) / WINDOW * WINDOW;
    own->trainings = (2 * NETWORK_NORM_COUNT - 1) * (BATCHES + RATES);
    enum attn_status status = norm_network_create(run, &sizes, &own->network, error);
    own->mean_gradient = STUDY_ARRAY(run, own->network.parameter_count, double, error);
    if (status || !own->mean_gradient)
        return ATTN_NO_MEMORY;
    study_normals(study_seed(run), CENTRES, CLUSTERS * FEATURES, 1, own->centres);
    struct course courses[2][NETWORK_NORM_COUNT][BATCHES];
    status = judge_definitions(own, error);
    for (int place = 0; place < 2 && !status; ++place)
        status = sweep(own, place, courses[place], error);
    if (status)
        return status;
    conclude(run, courses[LAYER_POST_NORM]);
    return ATTN_OK;
}

static const struct study_setting settings[] = {{"items", "16384", NULL, "that a training sees"}};

STUDY(norm_training) = {
    .name = "norm_training",
    .claims = "C23",
    .source = "S2",
    .statement =
        "Layer norm stabilises and speeds up training; batch norm struggles with small batches and with sequences "
        "of varying length.",
    .law = "with layer norm an item is treated alike whatever its batch, and a batch's gradient is the mean of its "
           "items'; "
           "batch norm of one item returns its bias and learns nothing",
    .settings = settings,
    .setting_count = sizeof settings / sizeof *settings,
    .run = run,
};
