/*
 * cli_help: `hydrant help`, and what to say to a command that does not exist.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_help.h"

#include <string.h>

#include "base/version.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "control/http_metrics.h"

static const struct cli_command commands[] = {
    { "agent", cli_agent, "[-c FILE]", "take events from rings, keep a log, write files" },
    { "send", cli_send, "STREAM [FILE...]", "each line is one event, by ring" },
    { "status", cli_status, "[--json]", "what the agent is doing" },
    { "flush", cli_flush, "[STREAM]", "seal now and wait for delivery" },
    { "ring", cli_ring, "ls | show NAME", "the rings of this host, with or without an agent" },
    { "check", cli_check, "FILE", "every mistake of a configuration" },
    { "top", cli_top, "", "what the agent is doing, live" },
    { "wal", cli_wal, "ls | dump | verify", "read a log, also while an agent writes it" },
    { "bench", cli_bench, "[--json]", "this host: ring against Unix socket, TCP, pipe" },
    { "help", cli_help, "[COMMAND]", "this, or a command in full; help metrics: /metrics" },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

const struct cli_command *cli_command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* Letters to insert, remove or replace; for short words. */
static size_t distance(const char *a, const char *b)
{
    enum { WORD_MAX = 16 };
    size_t row[WORD_MAX + 1];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = corner + (a[i - 1] != b[j - 1]);

            corner = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b_len];
}

const struct cli_command *cli_command_suggest(const char *name)
{
    const struct cli_command *nearest = NULL;
    size_t least = 3;

    for (size_t i = 0; i < COMMANDS; i++) {
        size_t d = distance(name, commands[i].name);

        /* Two letters of a word of two would be any word. */
        if (d < least && d < strlen(commands[i].name)) {
            least = d;
            nearest = &commands[i];
        }
    }
    return nearest;
}

int cli_command_unknown(const char *name)
{
    const struct cli_command *near = cli_command_suggest(name);

    fprintf(stderr, "hydrant: '%s' is no command", name);
    if (near != NULL)
        fprintf(stderr, "; did you mean '%s'?", near->name);
    fputs(" ('hydrant help' lists all)\n", stderr);
    return CLI_USAGE;
}

void cli_help_print(FILE *out)
{
    fputs("usage: hydrant COMMAND [ARGUMENT...]\n\n"
          "Carries events from the processes of a host to files and to the cloud.\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-7s %-20s %s\n", commands[i].name, commands[i].arguments,
                commands[i].summary);
    fputs("\n'hydrant help COMMAND' or 'hydrant COMMAND --help' explains one, 'hydrant --version'\n"
          "prints the version (" HYDRANT_VERSION ").\n\n"
          "Exit codes: 0 done, 1 failed, 2 wrong usage.\n\n"
          "  hydrant agent &\n"
          "  echo '{\"hello\": \"world\"}' | hydrant send greetings --durable\n"
          "  hydrant status\n", out);
}

int cli_help(int argc, char **argv)
{
    const struct cli_command *command;
    char option[] = "--help";
    char *help[3];

    if (argc > 2)
        return cli_usage_error(argv[0], "one command at a time");
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        cli_help_print(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "metrics") == 0) {
        fputs("What GET /metrics of the agent shows:\n\n", stdout);
        http_metrics_print_doc(stdout);
        return CLI_OK;
    }
    command = cli_command_find(argv[1]);
    if (command == NULL)
        return cli_command_unknown(argv[1]);
    help[0] = argv[1];
    help[1] = option;
    help[2] = NULL;
    return command->run(2, help);
}
