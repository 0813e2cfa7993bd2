/*
 * cli: one function for each command of the binary.
 *
 * argv[0] is the command's name ("check"), argv[1..] are its own arguments. A function prints its
 * own errors on stderr and returns the exit code: 0 done, 1 failed, 2 wrong usage. `--help` prints
 * the command's usage on stdout and returns 0.
 * Owns:   nothing.
 * Thread: main.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

int cli_agent(int argc, char **argv);
int cli_send(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_flush(int argc, char **argv);
int cli_ring(int argc, char **argv);
int cli_wal(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_bench(int argc, char **argv);

#endif
