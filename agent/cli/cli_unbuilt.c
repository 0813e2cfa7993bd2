/*
 * cli_unbuilt: commands that this version has only the names of. Each says so and fails.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"

static int unbuilt(int argc, char **argv, const char *usage)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("usage: %s\n\nNot built yet: version " HYDRANT_VERSION " does not have it.\n",
               usage);
        return CLI_OK;
    }
    return cli_fail(argv[0], "not built yet");
}

int cli_top(int argc, char **argv)
{
    return unbuilt(argc, argv, "hydrant top: what the agent is doing, live");
}
