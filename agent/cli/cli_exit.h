/*
 * cli_exit: exit codes of all commands, and how they report what is wrong.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_EXIT_H
#define CLI_CLI_EXIT_H

enum {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_INTERRUPTED = 130   /* SIGINT, as a shell reports it */
};

/* "hydrant COMMAND: text" on stderr; returns CLI_FAILED. */
int cli_fail(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same with a hint at the command's help; returns CLI_USAGE. */
int cli_usage_error(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
