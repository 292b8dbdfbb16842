/* SPDX-License-Identifier: Apache-2.0 */
/* What this build was made from and how; written by the build itself. */
#ifndef MACHINE_BUILD_IDENTITY_H
#define MACHINE_BUILD_IDENTITY_H

/* "0.1.0" */
extern const char *const machine_build_version;
/* The commit as 40 hexadecimal digits, "-dirty" behind them when tracked files differ from it; "unknown"
 * when the sources are not a checkout. */
extern const char *const machine_build_commit;
/* "gcc 12.2.0" */
extern const char *const machine_build_compiler;
/* Build type, options and the builder's own arguments; the rest stands in meson.build at that commit. */
extern const char *const machine_build_flags;

#endif
