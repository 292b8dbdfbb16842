/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/host.h"

#include <ctype.h>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <hwloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "machine/build_identity.h"
#include "machine/cgroup.h"
#include "machine/gemm.h"
#include "machine/isa.h"
#include "machine/memory.h"
#include "machine/textfile.h"

struct fact_list {
    struct machine_fact *facts;
    size_t capacity, count;
};

/* An empty value becomes "unknown"; a fact beyond the capacity is dropped. */
__attribute__((format(printf, 3, 4))) static void add(struct fact_list *list, const char *name, const char *format,
                                                      ...) {
    if (list->count == list->capacity)
        return;
    struct machine_fact *const fact = &list->facts[list->count++];
    va_list arguments;
    va_start(arguments, format);
    snprintf(fact->name, sizeof fact->name, "%s", name);
    vsnprintf(fact->value, sizeof fact->value, format, arguments);
    va_end(arguments);
    if (fact->value[0] == '\0')
        snprintf(fact->value, sizeof fact->value, "unknown");
}

static void add_file(struct fact_list *list, const char *name, const char *path) {
    char text[256];
    machine_read_text("", path, text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    add(list, name, "%s", text);
}

/* The value of the first line "key   : value" of /proc/cpuinfo; empty when there is none. */
static void cpuinfo(const char *text, const char *key, char *value, size_t value_bytes) {
    const size_t length = strlen(key);
    value[0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *at = line + length;
        if (strncmp(line, key, length) != 0)
            continue;
        at += strspn(at, " \t");
        if (*at++ != ':')
            continue;
        at += strspn(at, " \t");
        snprintf(value, value_bytes, "%.*s", (int)strcspn(at, "\n"), at);
        return;
    }
}

/* Arm kernels name no model; implementer and part number identify the core. */
static void add_cpu(struct fact_list *list) {
    char text[16384], model[256], part[64], flags[8192];
    machine_read_text("", "/proc/cpuinfo", text, sizeof text);
    cpuinfo(text, "model name", model, sizeof model);
    if (!model[0]) {
        cpuinfo(text, "CPU part", part, sizeof part);
        cpuinfo(text, "CPU implementer", model, sizeof model);
        add(list, "cpu_model", "%s%s%s%s", model[0] ? "implementer " : "", model, part[0] ? " part " : "", part);
    } else {
        add(list, "cpu_model", "%s", model);
    }
    cpuinfo(text, "microcode", model, sizeof model);
    add(list, "microcode", "%s", model);
    cpuinfo(text, "flags", flags, sizeof flags);
    add(list, "virtual_machine", "%s", !flags[0] ? "" : strstr(flags, " hypervisor") ? "yes" : "no");
}

/* The governor of every online CPU where they agree, "mixed" where they do not. */
static void add_governor(struct fact_list *list) {
    char first[64] = "";
    const long cpus = sysconf(_SC_NPROCESSORS_CONF);
    for (long cpu = 0; cpu < cpus; cpu++) {
        char path[96], governor[64];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%ld/cpufreq/scaling_governor", cpu);
        if (!machine_read_text("", path, governor, sizeof governor))
            continue;
        if (first[0] && strcmp(first, governor) != 0) {
            add(list, "governor", "mixed");
            return;
        }
        snprintf(first, sizeof first, "%s", governor);
    }
    add(list, "governor", "%s", first);
}

/* Two drivers, two spellings; Intel's is the other way round. */
static void add_boost(struct fact_list *list) {
    char text[16];
    if (machine_read_text("", "/sys/devices/system/cpu/cpufreq/boost", text, sizeof text))
        add(list, "boost", "%s", strcmp(text, "1") == 0 ? "on" : "off");
    else if (machine_read_text("", "/sys/devices/system/cpu/intel_pstate/no_turbo", text, sizeof text))
        add(list, "boost", "%s", strcmp(text, "0") == 0 ? "on" : "off");
    else
        add(list, "boost", "unknown");
}

static void add_aslr(struct fact_list *list) {
    char text[16];
    machine_read_text("", "/proc/sys/kernel/randomize_va_space", text, sizeof text);
    const int flags = personality(0xffffffff); /* this argument only asks */
    if (flags != -1 && (flags & ADDR_NO_RANDOMIZE))
        add(list, "aslr", "off for this process");
    else
        add(list, "aslr", "%s",
            strcmp(text, "2") == 0   ? "full"
            : strcmp(text, "1") == 0 ? "without heap"
            : strcmp(text, "0") == 0 ? "off"
                                     : "");
}

static void add_isa_levels(struct fact_list *list) {
    char levels[128] = "";
    for (const char *const *level = machine_isa_levels; *level; level++)
        if (!machine_isa_objection(*level)) {
            const size_t used = strlen(levels);
            snprintf(levels + used, sizeof levels - used, "%s%s", used ? " " : "", *level);
        }
    add(list, "isa_levels", "%s", levels);
}

/* The runtime that really serves this process: a preloaded one counts. */
static void add_openmp(struct fact_list *list) {
    const void *const entry = dlsym(RTLD_DEFAULT, "omp_get_num_threads");
    Dl_info library;
    const bool found = entry && dladdr(entry, &library) && library.dli_fname;
    const char *const slash = found ? strrchr(library.dli_fname, '/') : NULL;
    add(list, "openmp", "%d %s", _OPENMP, slash ? slash + 1 : "");
}

static void add_build(struct fact_list *list) {
    const char *const commit = machine_build_commit;
    const int digits = (int)strcspn(commit, "-");
    const bool known = strcmp(commit, "unknown") != 0;
    add(list, "version", "%s", machine_build_version);
    add(list, "git_commit", "%.*s", digits, commit);
    add(list, "git_dirty", "%s", !known ? "unknown" : commit[digits] ? "yes" : "no");
    add(list, "compiler", "%s", machine_build_compiler);
    add(list, "compiler_flags", "%s", machine_build_flags);
}

static void add_libraries(struct fact_list *list) {
    const unsigned hwloc = hwloc_get_api_version();
    add(list, "libc", "glibc %s", gnu_get_libc_version());
    add_openmp(list);
    add(list, "hwloc", "API %u.%u.%u", hwloc >> 16, hwloc >> 8 & 0xff, hwloc & 0xff);
    add(list, "gemm", "%s", machine_gemm_description());
}

static void add_system(struct fact_list *list) {
    struct utsname system;
    char name[256] = "";
    const bool known = uname(&system) == 0;
    if (gethostname(name, sizeof name - 1) != 0)
        name[0] = '\0';
    add(list, "hostname", "%s", name);
    add(list, "kernel", "%s %s %s", known ? system.sysname : "", known ? system.release : "",
        known ? system.machine : "");
    add_file(list, "load_average", "/proc/loadavg");
    add(list, "page_bytes", "%ld", sysconf(_SC_PAGESIZE));
    add(list, "memory_bytes", "%lld", (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    add(list, "transparent_huge_pages", "%s", machine_huge_page_policy());
    add_aslr(list);
    const double quota = machine_cgroup_cpu_quota("");
    if (quota > 0)
        add(list, "cpu_quota", "%.2f", quota);
    else
        add(list, "cpu_quota", "none");
}

/* What the user's environment tells the runtimes of OpenMP and GEMM. */
static void add_environment(struct fact_list *list) {
    static const char *const prefixes[] = {"OMP_", "GOMP_", "KMP_", "OPENBLAS_"};
    for (char **variable = environ; *variable; variable++)
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
            const char *const equals = strchr(*variable, '=');
            char name[40];
            if (!equals || strncmp(*variable, prefixes[i], strlen(prefixes[i])) != 0)
                continue;
            snprintf(name, sizeof name, "%.*s", (int)(equals - *variable), *variable);
            add(list, name, "%s", equals[1] ? equals + 1 : "(empty)");
        }
}

size_t machine_host_facts(struct machine_fact *facts, size_t capacity) {
    struct fact_list list = {.facts = facts, .capacity = capacity};
    add_cpu(&list);
    add_governor(&list);
    add_boost(&list);
    add_file(&list, "smt", "/sys/devices/system/cpu/smt/control");
    add_isa_levels(&list);
    add_system(&list);
    add_build(&list);
    add_libraries(&list);
    add_environment(&list);
    return list.count;
}
