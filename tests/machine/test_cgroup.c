/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/cgroup.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A tree of /proc and /sys of some other system, under a directory of its own. */
static void put(const char *root, const char *path, const char *text) {
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = strchr(whole + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    FILE *const file = fopen(whole, "w");
    cr_assert_not_null(file, "%s", whole);
    fputs(text, file);
    fclose(file);
}

static void remove_tree(const char *root) {
    char command[256];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    cr_assert_eq(system(command), 0);
}

static const char *new_root(void) {
    static char root[64];
    snprintf(root, sizeof root, "/tmp/attnbench-cgroup-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    return root;
}

Test(cgroup, nothing_mounted_is_no_limit) {
    const char *const root = new_root();
    cr_assert_eq(machine_cgroup_memory_left_bytes(root), INT64_MAX);
    cr_assert_eq(machine_cgroup_cpu_quota(root), 0);
    remove_tree(root);
}

Test(cgroup, version_2_takes_the_tightest_of_all_ancestors) {
    const char *const root = new_root();
    put(root, "/proc/self/cgroup", "0::/job/step\n");
    put(root, "/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    put(root, "/sys/fs/cgroup/job/memory.max", "1000000\n");
    put(root, "/sys/fs/cgroup/job/memory.current", "400000\n");
    put(root, "/sys/fs/cgroup/job/memory.stat", "anon 1\nfile 9\ninactive_file 150000\n");
    put(root, "/sys/fs/cgroup/job/step/memory.max", "max\n");
    put(root, "/sys/fs/cgroup/job/step/memory.current", "1\n");
    put(root, "/sys/fs/cgroup/job/step/memory.stat", "inactive_file 0\n");
    put(root, "/sys/fs/cgroup/job/cpu.max", "150000 100000\n");
    put(root, "/sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
    cr_assert_eq(machine_cgroup_memory_left_bytes(root), 1000000 - 400000 + 150000);
    cr_assert_float_eq(machine_cgroup_cpu_quota(root), 1.5, 1e-12);
    put(root, "/sys/fs/cgroup/job/step/cpu.max", "50000 100000\n");
    cr_assert_float_eq(machine_cgroup_cpu_quota(root), 0.5, 1e-12);
    remove_tree(root);
}

Test(cgroup, version_1_has_a_tree_for_each_controller) {
    const char *const root = new_root();
    put(root, "/proc/self/cgroup", "5:memory:/box\n3:cpu,cpuacct:/box\n0::/\n");
    put(root, "/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "3000\n");
    put(root, "/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "2000\n");
    put(root, "/sys/fs/cgroup/memory/box/memory.stat", "inactive_file 999\ntotal_inactive_file 500\n");
    put(root, "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "200000\n");
    put(root, "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(machine_cgroup_memory_left_bytes(root), 1500);
    cr_assert_float_eq(machine_cgroup_cpu_quota(root), 2.0, 1e-12);
    put(root, "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
    cr_assert_eq(machine_cgroup_cpu_quota(root), 0);
    remove_tree(root);
}

/* In a container the group's name is the host's while the mount shows the group itself as its root. */
Test(cgroup, a_group_seen_only_as_the_root_of_its_mount_still_limits) {
    const char *const root = new_root();
    put(root, "/proc/self/cgroup", "5:memory:/docker/0123\n");
    put(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "3000\n");
    put(root, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "3500\n");
    put(root, "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 0\n");
    cr_assert_eq(machine_cgroup_memory_left_bytes(root), 0, "more than the limit is used: nothing is left");
    remove_tree(root);
}
