/*
 * cli_agent: `hydrant agent`: runs the agent in the foreground.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "control/address.h"
#include "control/lifecycle.h"

static const char usage[] =
    "usage: hydrant agent [-c FILE] [--data-dir DIR] [--shm-dir DIR] [--http ADDR:PORT]\n"
    "\n"
    "Takes events from every ring in the shared-memory directory, keeps them in a log on disk,\n"
    "gathers them into batches per stream and delivers each batch as a file. Runs in the\n"
    "foreground. Without a configuration it writes JSON lines below ./hydrant-data/out.\n"
    "\n"
    "  -c, --config FILE  the configuration (`hydrant check FILE` reads it, etc/hydrant.ini shows\n"
    "                     every key)\n"
    "  --data-dir DIR     log, spool, output and state (default ./hydrant-data)\n"
    "  --shm-dir DIR      where producers put their rings (HYDRANT_SHM_DIR; default\n"
    "                     /dev/shm/hydrant for root and system users, else /dev/shm/hydrant-UID)\n"
    "  --http ADDR:PORT   where it answers /v1/status, /metrics and the rest; unix:PATH, off\n"
    "                     (HYDRANT_HTTP; default 127.0.0.1:8000)\n"
    "\n"
    "SIGTERM, SIGINT  drain every ring, seal, deliver within shutdown_timeout, keep the rest in\n"
    "                 the log, exit\n"
    "SIGHUP           reload the configuration; a bad file keeps the old settings and says why\n"
    "\n"
    "Exit code: 0 stopped as asked, 1 it could not start or go on, 2 wrong usage.\n"
    "\n"
    "  hydrant agent &\n"
    "  journalctl -o json | hydrant send journal\n"
    "  hydrant status\n";

/* A variable that is set and empty says nothing, as everywhere. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* What no configuration could make right, or -1: go on. */
static int overrides_check(const struct config_overrides *over)
{
    const char *http = over->http;
    struct address address;
    struct errmsg err;

    if (over->data_dir != NULL && over->data_dir[0] == '\0')
        return cli_usage_error("agent", "--data-dir: the value is empty");
    if (over->shm_dir != NULL && over->shm_dir[0] == '\0')
        return cli_usage_error("agent", "--shm-dir: the value is empty");
    if (http != NULL && strcmp(http, "off") != 0 && !(strncmp(http, "unix:", 5) == 0 && http[5]) &&
        address_parse(http, &address, &err) != 0)
        return cli_usage_error("agent", "--http: %s", err.text);
    return -1;
}

int cli_agent(int argc, char **argv)
{
    enum { OPT_DATA_DIR = 256, OPT_SHM_DIR, OPT_HTTP };
    static const struct option longs[] = {
        { "config", required_argument, NULL, 'c' },
        { "data-dir", required_argument, NULL, OPT_DATA_DIR },
        { "shm-dir", required_argument, NULL, OPT_SHM_DIR },
        { "http", required_argument, NULL, OPT_HTTP },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    struct config_overrides over = {.shm_dir = environment("HYDRANT_SHM_DIR"),
                                    .http = environment("HYDRANT_HTTP")};
    const char *path = NULL;
    int c;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1)
        switch (c) {
        case 'c':
            path = optarg;
            break;
        case OPT_DATA_DIR:
            over.data_dir = optarg;
            break;
        case OPT_SHM_DIR:
            over.shm_dir = optarg;
            break;
        case OPT_HTTP:
            over.http = optarg;
            break;
        default:
            return cli_options_end(c, usage);
        }
    if (optind < argc)
        return cli_usage_error("agent", "unexpected argument '%s'", argv[optind]);
    c = overrides_check(&over);
    return c >= 0 ? c : lifecycle_run(path, &over);
}
