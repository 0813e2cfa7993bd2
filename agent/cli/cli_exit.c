/*
 * cli_exit: errors of commands.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_exit.h"

#include <stdarg.h>
#include <stdio.h>

static void __attribute__((format(printf, 2, 0)))
report(const char *command, const char *fmt, va_list args)
{
    fprintf(stderr, "hydrant %s: ", command);
    vfprintf(stderr, fmt, args);
}

int cli_fail(const char *command, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report(command, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    return CLI_FAILED;
}

int cli_usage_error(const char *command, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    report(command, fmt, args);
    va_end(args);
    fprintf(stderr, "; see 'hydrant help %s'\n", command);
    return CLI_USAGE;
}
