/* SPDX-License-Identifier: Apache-2.0 */
/* What a line of a check worker says of a case. */
#ifndef CLI_CHECK_LINE_H
#define CLI_CHECK_LINE_H

enum cli_case_code {
    CLI_CASE_ACCEPTED = 0,
    CLI_CASE_WEAK, /* accepted, by a check without power */
    CLI_CASE_SKIPPED,
    CLI_CASE_REJECTED,
    CLI_CASE_FAILED, /* no exam could be held */
    CLI_CASE_CODE_COUNT,
};

#endif
