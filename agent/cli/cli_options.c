/*
 * cli_options: options by getopt, with our own words for what is wrong.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli_options.h"

#include <stdio.h>

#include "cli/cli_exit.h"

void cli_options_begin(void)
{
    optind = 0; /* GNU: begin anew, forget where the last command was */
    opterr = 0;
}

int cli_options_next(int argc, char **argv, const struct option *longs)
{
    int at = optind == 0 ? 1 : optind;
    char shorts[64] = ":";
    size_t n = 1;
    int c;

    /* A row whose val is a letter has a short form. */
    for (const struct option *row = longs; row->name != NULL && n + 3 < sizeof(shorts); row++) {
        if (row->val <= ' ' || row->val > '~')
            continue;
        shorts[n++] = (char)row->val;
        if (row->has_arg == required_argument)
            shorts[n++] = ':';
    }
    shorts[n] = '\0';
    c = getopt_long(argc, argv, shorts, longs, NULL);

    if (c == ':') {
        (void)cli_usage_error(argv[0], "option %s needs a value", argv[optind - 1]);
        return CLI_OPTION_BAD;
    }
    if (c != '?')
        return c;
    /* In the middle of a cluster like -ab getopt stays where it is. */
    if (optopt != 0 && (optind == at || argv[optind - 1][1] != '-'))
        (void)cli_usage_error(argv[0], "unknown option -%c", optopt);
    else if (optopt != 0)
        (void)cli_usage_error(argv[0], "%s: the option takes no value", argv[optind - 1]);
    else
        (void)cli_usage_error(argv[0], "unknown option %s", argv[optind - 1]);
    return CLI_OPTION_BAD;
}

int cli_options_end(int option, const char *usage)
{
    if (option != CLI_OPTION_HELP)
        return CLI_USAGE;
    fputs(usage, stdout);
    return CLI_OK;
}
