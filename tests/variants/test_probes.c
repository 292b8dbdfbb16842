/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the peak probes do what they count and nothing else: their instructions are counted, not timed, by stepping
 * through them. A loop that was deleted takes fewer than its operations need, one whose sums live in memory more. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract/variant.h"
#include "machine/isa.h"

enum { BLOCK = 4096, NOT_PERMITTED = 77 };
static char data[2 * BLOCK] __attribute__((aligned(64)));

/* One call: of a probe, or of a reading one over `bytes` bytes. */
struct call {
    double (*plain)(int64_t rounds, double *sink);
    double (*read)(const void *data, size_t bytes, int64_t rounds, double *sink);
    size_t bytes;
    int64_t rounds;
};

static double make(const struct call *call) {
    double sink;
    return call->read ? call->read(data, call->bytes, call->rounds, &sink) : call->plain(call->rounds, &sink);
}

/* Instructions of a process that makes the call, those of its beginning and end included. */
static long instructions_of(const struct call *call) {
    const pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(NOT_PERMITTED);
        raise(SIGSTOP);
        make(call);
        _exit(0);
    }
    int state;
    long steps = 0;
    cr_assert_eq(waitpid(child, &state, 0), child);
    for (; WIFSTOPPED(state); ++steps) {
        cr_assert_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
        cr_assert_eq(waitpid(child, &state, 0), child);
    }
    if (WIFEXITED(state) && WEXITSTATUS(state) == NOT_PERMITTED)
        cr_skip_test("this system lets no process be traced");
    cr_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0, "the probe ended with %d", state);
    return steps;
}

/* Instructions of each further round: what is done once cancels out. */
static double per_round(double (*plain)(int64_t, double *)) {
    enum { ROUNDS = 50 };
    const struct call once = {.plain = plain, .rounds = ROUNDS}, twice = {.plain = plain, .rounds = 2 * ROUNDS};
    return (double)(instructions_of(&twice) - instructions_of(&once)) / ROUNDS;
}

/* f32 numbers in a register: the limit is two units, each a multiplication and an addition a cycle. */
static int lanes_of(const struct attn_probes *probes) {
    return probes->fma_per_cycle_limit / 4;
}

/* Instructions that the work of one round takes when everything stays in registers; 0: the level has no such probe. */
typedef double needs(const struct attn_probes *probes, bool fused);

static double fma_needs(const struct attn_probes *probes, bool fused) {
    return make(&(struct call){.plain = probes->fma_f32, .rounds = 1}) / lanes_of(probes) / (fused ? 2 : 1);
}

static double cycles_need(const struct attn_probes *probes, bool fused) {
    (void)fused;
    return make(&(struct call){.plain = probes->cycles, .rounds = 1});
}

static double tiles_need(const struct attn_probes *probes, bool fused) {
    (void)fused;
    return probes->tiles_bf16 ? make(&(struct call){.plain = probes->tiles_bf16, .rounds = 1}) / (2 * 16 * 16 * 32)
                              : 0.0;
}

static bool fused_at(const char *level) {
#if defined(__x86_64__)
    return strcmp(level, "baseline") != 0;
#else
    return level != NULL;
#endif
}

static const struct attn_probes *probes_here(int level) {
    return machine_isa_objection(attn_registry.levels[level]) ? NULL : attn_registry.probes[level];
}

static const double loop = 5; /* counting, comparing, jumping, with room for a compiler's taste */

Test(probes, work_stays_in_registers) {
    for (int level = 0; level < attn_registry.level_count; ++level) {
        const struct attn_probes *const probes = probes_here(level);
        if (!probes)
            continue;
        const struct {
            const char *name;
            double (*plain)(int64_t rounds, double *sink);
            needs *needs;
        } cases[] = {{"multiply-add", probes->fma_f32, fma_needs},
                     {"cycle", probes->cycles, cycles_need},
                     {"tile", probes->tiles_bf16, tiles_need}};
        for (size_t n = 0; n < sizeof cases / sizeof *cases; ++n) {
            const double needed = cases[n].needs(probes, fused_at(attn_registry.levels[level]));
            const double taken = needed > 0.0 ? per_round(cases[n].plain) : 0.0;
            cr_expect(taken >= needed && taken <= needed + loop, "%s at %s: %g instructions, %g are needed",
                      cases[n].name, attn_registry.levels[level], taken, needed);
        }
    }
}

/* A load and an addition for each register, or both in one; a store would be a third. Read ahead, one more for each
 * line. */
Test(probes, every_byte_is_loaded_once_and_none_stored) {
    for (int level = 0; level < attn_registry.level_count; ++level) {
        const struct attn_probes *const probes = probes_here(level);
        if (!probes)
            continue;
        const double loads = (double)BLOCK / (4 * lanes_of(probes)), lines = (double)BLOCK / 64;
        for (int ahead = 0; ahead < 2; ++ahead) {
            const struct call half = {.read = ahead ? probes->read_ahead : probes->read, .bytes = BLOCK, .rounds = 1},
                              whole = {.read = half.read, .bytes = 2 * BLOCK, .rounds = 1};
            const double taken = (double)(instructions_of(&whole) - instructions_of(&half));
            const double least = loads + ahead * lines; /* eight loads to a round of the loop */
            const double most = least + loads + loop * loads / 8;
            cr_expect(taken >= least && taken <= most, "%s: %g instructions for %g registers%s",
                      attn_registry.levels[level], taken, loads, ahead ? ", read ahead" : "");
        }
    }
}
