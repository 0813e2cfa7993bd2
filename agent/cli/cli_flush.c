/*
 * cli_flush: `hydrant flush`: seals now, waits for delivery.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_units.h"
#include "flow/name.h"

#define TIMEOUT_DEFAULT_NS (60 * INT64_C(1000000000))
#define TIMEOUT_MAX_NS     (3600 * INT64_C(1000000000))

static const char usage[] =
    "usage: hydrant flush [STREAM] [--timeout T] [--http ADDR:PORT]\n"
    "\n"
    "Asks the agent to seal what it has gathered, of one stream or of all, and waits until\n"
    "every sink has confirmed it. What producers write meanwhile is not waited for.\n"
    "\n"
    "  --timeout T        wait so long at most: 500ms, 5s, 2m, 1h at most (default 60s);\n"
    "                     after that delivery goes on without us\n"
    "  --http ADDR:PORT   where the agent is, or unix:PATH (HYDRANT_HTTP; default\n"
    "                     127.0.0.1:8000)\n"
    "\n"
    "HYDRANT_TOKEN holds the agent's token, if it has one.\n"
    "\n"
    "Exit code: 0 all delivered, 1 not delivered in time, no such stream or no agent,\n"
    "2 wrong usage.\n"
    "\n"
    "  hydrant flush\n"
    "  hydrant flush clicks --timeout 5s\n";

int cli_flush(int argc, char **argv)
{
    enum { OPTION_TIMEOUT = 256, OPTION_HTTP };
    static const struct option longs[] = {
        { "timeout", required_argument, NULL, OPTION_TIMEOUT },
        { "http", required_argument, NULL, OPTION_HTTP },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    int64_t timeout_ns = TIMEOUT_DEFAULT_NS;
    const char *http = NULL;
    const char *stream;
    struct http_answer answer;
    char path[256];
    int c, res;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case OPTION_TIMEOUT:
            if (!cli_parse_time(argv[0], "--timeout", optarg, &timeout_ns))
                return CLI_USAGE;
            break;
        case OPTION_HTTP:
            http = optarg;
            break;
        default:
            return cli_options_end(c, usage);
        }
    }
    if (argc - optind > 1)
        return cli_usage_error(argv[0], "one stream at a time");
    if (timeout_ns > TIMEOUT_MAX_NS)
        return cli_usage_error(argv[0], "--timeout: an hour at most");
    stream = optind < argc ? argv[optind] : NULL;
    if (stream != NULL && !stream_name_valid(stream, strlen(stream)))
        return cli_usage_error(argv[0], "'%s' cannot be a stream's name", stream);

    (void)snprintf(path, sizeof(path), "/v1/%s%s%sflush?timeout=%" PRId64 ".%03" PRId64,
                   stream != NULL ? "streams/" : "", stream != NULL ? stream : "",
                   stream != NULL ? "/" : "", timeout_ns / 1000000000, timeout_ns / 1000000 % 1000);
    res = cli_ask(argv[0], cli_ask_address(http), "POST", path,
                  (uint32_t)(timeout_ns / 1000000) + 5000, &answer);
    if (res != CLI_OK)
        return res;
    http_answer_free(&answer);
    printf("%s: all delivered\n", stream != NULL ? stream : "every stream");
    return CLI_OK;
}
