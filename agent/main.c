/*
 * main: the one binary: finds the command and hands over the rest of the line.
 *
 * Signals are the commands' own: the agent's lifecycle and `send` take them.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cli/cli_exit.h"
#include "cli/cli_help.h"

/* What was printed is part of what was asked for: a full disk is a failure. */
static int output_end(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "hydrant: cannot write the output: %s\n", strerror(errno));
    return code == CLI_OK ? CLI_FAILED : code;
}

int main(int argc, char **argv)
{
    const struct cli_command *command;

    if (argc < 2) {
        cli_help_print(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        puts("hydrant " HYDRANT_VERSION);
        return output_end(CLI_OK);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_help_print(stdout);
        return output_end(CLI_OK);
    }
    command = cli_command_find(argv[1]);
    if (command == NULL)
        return output_end(cli_command_unknown(argv[1]));
    return output_end(command->run(argc - 1, argv + 1));
}
