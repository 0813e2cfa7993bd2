/*
 * cli_help: the list of commands and what is said about them.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_HELP_H
#define CLI_CLI_HELP_H

#include <stdio.h>

struct cli_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments;
    const char *summary;
};

/* NULL: no such command. */
const struct cli_command *cli_command_find(const char *name);

/* The command most like a misspelt one, or NULL: none is near. */
const struct cli_command *cli_command_suggest(const char *name);

void cli_help_print(FILE *out);

/* `hydrant help [COMMAND]`. */
int cli_help(int argc, char **argv);

/* Reports an unknown command; returns the exit code. */
int cli_command_unknown(const char *name);

#endif
