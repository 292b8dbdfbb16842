/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/feasible.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check/exam.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "machine/memory.h"

void campaign_feasibility_open(struct campaign_feasibility *feasibility, struct campaign_config *config) {
    *feasibility = (struct campaign_feasibility){
        .config = config,
        .caches = machine_topology_caches(config->topology),
        .available_bytes = (double)machine_memory_available_bytes(),
        .block = -1,
    };
}

void campaign_feasibility_close(struct campaign_feasibility *feasibility) {
    check_outline_release(&feasibility->outline);
}

/* Whether `message` begins with `name` as a word. */
static bool begins_with(const char *message, const char *name) {
    const size_t length = strlen(name);
    return strncmp(message, name, length) == 0 && strchr(" =[", message[length]);
}

static bool about_mask(const char *message) {
    bool about = begins_with(message, "mask");
    for (int factor = 0; factor < FACTOR_COUNT; ++factor) {
        const struct campaign_factor_info *const info = campaign_factor_info((enum campaign_factor)factor);
        about |= info->home == HOME_MASK && begins_with(message, info->name);
    }
    return about;
}

/* Where the config says what `message` begins with ("batch is ..."), or else the largest size. */
static struct campaign_place blame(const struct campaign_choice *choices, size_t count, const char *message,
                                   struct campaign_place otherwise) {
    const struct campaign_value *largest = NULL, *mask = NULL;
    for (size_t n = 0; n < count; ++n) {
        const enum campaign_factor factor = choices[n].axis->factor;
        if (factor == FACTOR_PARAMETER)
            continue;
        if (begins_with(message, campaign_factor_info(factor)->name))
            return choices[n].value->place;
        if (factor == FACTOR_MASK && about_mask(message))
            mask = choices[n].value;
        if (campaign_factor_is_shape(factor) && (!largest || choices[n].value->integer > largest->integer))
            largest = choices[n].value;
    }
    return mask ? mask->place : largest ? largest->place : otherwise;
}

/* Builds the problem of the point's block, once for all points of it that come in a row. */
static bool enter_block(struct campaign_feasibility *feasibility, const struct campaign_choice *choices,
                        size_t choice_count, struct campaign_place otherwise, const struct campaign_capture *capture,
                        const struct campaign_point *point) {
    if (feasibility->block == point->block)
        return !feasibility->refused;
    check_outline_release(&feasibility->outline);
    feasibility->block = point->block;
    struct attn_error error = {.message = ""};
    struct check_form form = point->form;
    char mask[512];
    check_mask_format(&form.mask, mask, sizeof mask); /* as a text it is also checked for contradictions */
    enum attn_status status = check_mask_parse(mask, &form.mask, &error);
    form.capture = capture ? &capture->view : NULL;
    if (!status)
        status = check_outline_create(&form, feasibility->available_bytes, &feasibility->outline, &error);
    feasibility->refused = status != ATTN_OK;
    if (status)
        campaign_complain(&feasibility->config->complaints, blame(choices, choice_count, error.message, otherwise),
                          "%s", error.message);
    return !feasibility->refused;
}

/* Operand sets that a cold point rotates: as many as exceed the last level cache twice, campaign/station.h. */
static double set_count(const struct campaign_feasibility *feasibility, const struct campaign_point *point) {
    const int64_t last_level =
        feasibility->caches.l3_bytes ? feasibility->caches.l3_bytes : feasibility->caches.l2_bytes;
    const double most = 4096;
    if (!point->cold)
        return 1;
    const double sets = floor(2.0 * (double)last_level / feasibility->outline.instance_bytes) + 2;
    return sets < most ? sets : most;
}

bool campaign_feasible(struct campaign_feasibility *feasibility, const struct campaign_choice *choices,
                       size_t choice_count, struct campaign_place otherwise, const struct campaign_capture *capture,
                       struct campaign_point *point) {
    struct campaign_config *const config = feasibility->config;
    if (!enter_block(feasibility, choices, choice_count, otherwise, capture, point))
        return false;
    const struct attn_problem *const problem = &feasibility->outline.problem;
    point->flops = attn_problem_flops(problem);
    point->min_bytes = attn_problem_min_bytes(problem);
    point->live_pairs = problem->live_pairs;
    point->memory_bytes = set_count(feasibility, point) * feasibility->outline.instance_bytes;

    struct campaign_place place = otherwise;
    for (size_t n = 0; n < choice_count; ++n)
        if (choices[n].axis->factor == FACTOR_PARAMETER || choices[n].axis->factor == FACTOR_VARIANT)
            place = choices[n].value->place;
    struct attn_error error = {.message = ""};
    const struct attn_variant *const variant = attn_registry_find(config->registry, point->variant, point->isa);
    const struct attn_pass *const pass = variant ? attn_variant_pass(variant, problem->direction) : NULL;
    if (!pass || !pass->run ||
        machine_isa_objection(point->isa)) /* SKIPPED when it is run: its code must not run here */
        return true;
    struct attn_execution execution = {
        .threads = point->threads, .caches = feasibility->caches, .sgemm = machine_gemm()};
    if (check_resolve(variant, problem, point->overrides, &execution, &error) != ATTN_OK) {
        campaign_complain(&config->complaints, place, "%s", error.message);
        return false;
    }
    if (pass->objection && pass->objection(problem, &execution))
        return true;
    if (pass->workspace_bytes)
        point->memory_bytes += (double)pass->workspace_bytes(problem, &execution);
    if (point->memory_bytes <= feasibility->available_bytes)
        return true;
    char message[512];
    snprintf(message, sizeof message,
             "%s takes %.1f GB of memory for operands and workspace, %.1f GB are available; make a size smaller or "
             "exclude it",
             point->variant, point->memory_bytes / 1e9, feasibility->available_bytes / 1e9);
    campaign_complain(&config->complaints, blame(choices, choice_count, message, place), "%s", message);
    return false;
}
