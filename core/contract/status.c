/* SPDX-License-Identifier: Apache-2.0 */
#include "contract/status.h"

#include <stdarg.h>
#include <stdio.h>

enum attn_status attn_fail(struct attn_error *error, enum attn_status status, const char *format, ...) {
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        error->status = status;
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

const char *attn_status_name(enum attn_status status) {
    static const char *const names[] = {"ok",           "invalid",     "unsupported", "no memory",
                                        "input/output", "interrupted", "internal"};
    return (unsigned)status < sizeof names / sizeof *names ? names[status] : "unknown";
}
