/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/textfile.h"

/* Whether the comma-separated list names the word. */
static bool lists(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* The process's group below the controller's mount, "/a/b"; "" stands for the mount itself. Lines of
 * /proc/self/cgroup read "4:cpu,cpuacct:/a/b"; version 2 is the line "0::/a/b" (controller ""). */
static bool own_group(const char *root, const char *controller, char *group, size_t group_bytes) {
    char text[8192];
    if (!machine_read_text(root, "/proc/self/cgroup", text, sizeof text))
        return false;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        strsep(&line, ":");
        const char *const controllers = line ? strsep(&line, ":") : NULL;
        if (!controllers || !line || !lists(controllers, controller))
            continue;
        snprintf(group, group_bytes, "%s", strcmp(line, "/") == 0 ? "" : line);
        return true;
    }
    return false;
}

static bool read_in_group(const char *root, const char *mount, const char *group, const char *file, char *text,
                          size_t text_bytes) {
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s%s/%s", mount, group, file);
    return length > 0 && (size_t)length < sizeof path && machine_read_text(root, path, text, text_bytes);
}

/* The number after "name " in a memory.stat; 0 when it isn't there. */
static int64_t stat_value(const char *text, const char *name) {
    const size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoll(line + length, NULL, 10);
    return 0;
}

struct memory_files {
    const char *limit, *usage, *droppable;
};

static int64_t memory_left_in(const char *root, const char *mount, const char *group,
                              const struct memory_files *files) {
    char limit[64], usage[64], stat[8192];
    if (!read_in_group(root, mount, group, files->limit, limit, sizeof limit) || strcmp(limit, "max") == 0 ||
        !read_in_group(root, mount, group, "memory.stat", stat, sizeof stat) ||
        !read_in_group(root, mount, group, files->usage, usage, sizeof usage))
        return INT64_MAX;
    const int64_t limit_bytes = strtoll(limit, NULL, 10);
    const int64_t used_bytes = strtoll(usage, NULL, 10) - stat_value(stat, files->droppable);
    return limit_bytes > used_bytes ? limit_bytes - used_bytes : 0;
}

static double cpu_quota_in(const char *root, const char *mount, const char *group, bool second_version) {
    char quota[64], period[64];
    if (second_version) {
        if (!read_in_group(root, mount, group, "cpu.max", quota, sizeof quota))
            return 0;
        char *rest = quota;
        strsep(&rest, " ");
        snprintf(period, sizeof period, "%s", rest ? rest : "");
    } else if (!read_in_group(root, mount, group, "cpu.cfs_quota_us", quota, sizeof quota) ||
               !read_in_group(root, mount, group, "cpu.cfs_period_us", period, sizeof period)) {
        return 0;
    }
    const double quota_us = strtod(quota, NULL), period_us = strtod(period, NULL); /* "max" and -1: no quota */
    return quota_us > 0 && period_us > 0 ? quota_us / period_us : 0;
}

/* Cuts the last component off; false at the mount itself. */
static bool to_parent(char *group) {
    char *const slash = strrchr(group, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

/* Where the second version's tree is: alone, or beside the first's. */
static const char *unified_mount(const char *root) {
    char text[64];
    return machine_read_text(root, "/sys/fs/cgroup/cgroup.controllers", text, sizeof text) ? "/sys/fs/cgroup"
                                                                                           : "/sys/fs/cgroup/unified";
}

int64_t machine_cgroup_memory_left_bytes(const char *root) {
    static const struct memory_files first = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
    static const struct memory_files second = {"memory.max", "memory.current", "inactive_file"};
    char group[PATH_MAX];
    int64_t left = INT64_MAX;
    for (int version = 1; version <= 2; version++) {
        const char *const mount = version == 1 ? "/sys/fs/cgroup/memory" : unified_mount(root);
        bool deeper = own_group(root, version == 1 ? "memory" : "", group, sizeof group);
        while (deeper) {
            const int64_t here = memory_left_in(root, mount, group, version == 1 ? &first : &second);
            left = here < left ? here : left;
            deeper = to_parent(group);
        }
    }
    return left;
}

double machine_cgroup_cpu_quota(const char *root) {
    char group[PATH_MAX];
    double quota = 0;
    for (int version = 1; version <= 2; version++) {
        const char *const mount = version == 1 ? "/sys/fs/cgroup/cpu" : unified_mount(root);
        bool deeper = own_group(root, version == 1 ? "cpu" : "", group, sizeof group);
        while (deeper) {
            const double here = cpu_quota_in(root, mount, group, version == 2);
            quota = here > 0 && (quota <= 0 || here < quota) ? here : quota;
            deeper = to_parent(group);
        }
    }
    return quota;
}
