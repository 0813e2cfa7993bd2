/*
 * cli_options: what commands take on the command line.
 *
 *     cli_options_begin();
 *     while ((c = cli_options_next(argc, argv, longs)) != -1)
 *         switch (c) { ... default: return cli_options_end(c, usage); }
 *     ... argv[optind] and on are the arguments
 *
 * Owns:   nothing; getopt's state is the process's.
 * Thread: main.
 */
#ifndef CLI_CLI_OPTIONS_H
#define CLI_CLI_OPTIONS_H

#include <getopt.h>

enum { CLI_OPTION_BAD = '?', CLI_OPTION_HELP = 'h' };

/* The row that every command has. */
#define CLI_OPTION_HELP_ROW { "help", no_argument, NULL, CLI_OPTION_HELP }

/*
 * A row whose `val` is a character is a short option too. Several commands may run in one process
 * (tests do).
 */
void cli_options_begin(void);

/* The `val` of the next option's row, -1 at the end, CLI_OPTION_BAD after it has said why. */
int cli_options_next(int argc, char **argv, const struct option *longs);

/* For what is no option of the command's own: prints the usage if asked for; the exit code. */
int cli_options_end(int option, const char *usage);

#endif
