/*
 * cli_check: `hydrant check FILE`: every mistake of a configuration with its line.
 * Owns:   nothing.
 * Thread: main.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"

static const char check_usage[] =
    "usage: hydrant check FILE\n"
    "       hydrant check --defaults\n"
    "\n"
    "Reads a configuration as `hydrant agent -c FILE` would, and prints every mistake as\n"
    "FILE:LINE: what is wrong. Nothing is started, written or created.\n"
    "\n"
    "  --defaults   print a configuration with every key, its default and its meaning\n"
    "  --help       print this\n"
    "\n"
    "exit code: 0 the file is fine, 1 it is not, 2 wrong usage\n";

static int check_file(const char *path)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *config;

    if (config_load(path, NULL, &config, &errs) < 0) {
        config_errors_print(&errs, stderr);
        config_errors_fini(&errs);
        return 1;
    }
    printf("%s: ok (%zu stream%s, %zu sink%s)\n", path, config->streams_count,
           config->streams_count == 1 ? "" : "s", config->sinks_count,
           config->sinks_count == 1 ? "" : "s");
    config_free(config);
    config_errors_fini(&errs);
    return 0;
}

/* A full disk or a closed pipe must not look like success. */
static int check_flush(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("hydrant check: cannot write to standard output");
        return 1;
    }
    return code;
}

int cli_check(int argc, char **argv)
{
    const char *path = NULL;
    bool options = true;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];

        if (options && (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)) {
            fputs(check_usage, stdout);
            return check_flush(0);
        }
        if (options && strcmp(arg, "--defaults") == 0 && argc == 2) {
            config_print_defaults(stdout);
            return check_flush(0);
        }
        if (options && strcmp(arg, "--") == 0) {
            options = false;
        } else if (options && arg[0] == '-') {
            fprintf(stderr, "hydrant check: unknown option '%s'\n\n%s", arg, check_usage);
            return 2;
        } else if (path != NULL) {
            fprintf(stderr, "hydrant check: one file at a time\n\n%s", check_usage);
            return 2;
        } else {
            path = arg;
        }
    }
    if (path == NULL) {
        fprintf(stderr, "hydrant check: which file?\n\n%s", check_usage);
        return 2;
    }
    return check_flush(check_file(path));
}
