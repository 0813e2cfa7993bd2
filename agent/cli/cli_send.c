/*
 * cli_send: `hydrant send`: each line of files or standard input is one event.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include "cli/cli_send.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_units.h"
#include "control/address.h"
#include "flow/name.h"

static const char usage[] =
    "usage: hydrant send STREAM [FILE...] [--durable] [--delivered] [--timeout T]\n"
    "                    [--ring-bytes SIZE] [--shm-dir DIR]\n"
    "       hydrant send STREAM [FILE...] --tcp ADDR:PORT | --unix PATH [--gzip] [--timeout T]\n"
    "       hydrant send STREAM [FILE...] --http ADDR:PORT [--durable] [--gzip] [--timeout T]\n"
    "\n"
    "Sends each line of the files (none, or -: standard input) as one event to a stream, by a\n"
    "ring in shared memory. One LF or CRLF is cut, empty lines are skipped. A line that is one\n"
    "JSON object is kind json, other valid UTF-8 is text, the rest is bytes.\n"
    "\n"
    "The agent need not run: what was committed waits in the ring. When the ring is full, with\n"
    "an agent or without, it waits.\n"
    "\n"
    "  --durable          wait at the end until all of it has been synced to the agent's log\n"
    "  --delivered        wait at the end until every sink has confirmed all of it\n"
    "  --timeout T        give up when one wait takes longer: 500ms, 5s, 2m (default: for ever)\n"
    "  --ring-bytes SIZE  64KiB to 64MiB (default 1MiB); a line may be a quarter of it long,\n"
    "                     1MiB at most\n"
    "  --shm-dir DIR      where rings are (HYDRANT_SHM_DIR; default /dev/shm/hydrant for root\n"
    "                     and system users, else /dev/shm/hydrant-UID)\n"
    "  --tcp ADDR:PORT    to a listener of [intake] tcp instead; ADDR is numeric or localhost\n"
    "  --unix PATH        to one of [intake] unix\n"
    "  --http ADDR:PORT   to the agent's HTTP server (also unix:PATH), with the token of\n"
    "                     HYDRANT_TOKEN\n"
    "  --gzip             compressed, by socket or HTTP\n"
    "\n"
    "By socket the agent says that it has everything by closing the connection, every 8 MiB and\n"
    "at the end. When one breaks instead, another is made, for as long as --timeout allows; what\n"
    "the broken one had sent may have arrived or not: it is counted, and not sent again. A line\n"
    "longer than the agent's line_bytes_max goes to the error output of its default stream.\n"
    "\n"
    "By HTTP each request is taken whole or not at all, and answered, with --durable after a\n"
    "sync. Where the agent answers 429 or 503, or nobody does, it is sent again; one whose answer\n"
    "is lost is counted as above, and not sent again.\n"
    "\n"
    "Progress on stderr if that is a terminal, and a summary at the end.\n"
    "\n"
    "Exit code: 0 all is committed (durable, delivered, if asked for); 1 not all, or a line was\n"
    "too long (the others are sent); 2 wrong usage; 130 interrupted (143 by SIGTERM): what the\n"
    "summary counts is committed.\n"
    "\n"
    "  journalctl -f -o json | hydrant send journal\n"
    "  hydrant send clicks clicks-1.json clicks-2.json --durable\n";

enum { OPTION_DURABLE = 256, OPTION_DELIVERED, OPTION_TIMEOUT, OPTION_RING_BYTES, OPTION_SHM_DIR,
       OPTION_TCP, OPTION_UNIX, OPTION_GZIP, OPTION_HTTP };

static const struct option longs[] = {
    { "durable", no_argument, NULL, OPTION_DURABLE },
    { "delivered", no_argument, NULL, OPTION_DELIVERED },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "ring-bytes", required_argument, NULL, OPTION_RING_BYTES },
    { "shm-dir", required_argument, NULL, OPTION_SHM_DIR },
    { "tcp", required_argument, NULL, OPTION_TCP },
    { "unix", required_argument, NULL, OPTION_UNIX },
    { "gzip", no_argument, NULL, OPTION_GZIP },
    { "http", required_argument, NULL, OPTION_HTTP },
    CLI_OPTION_HELP_ROW,
    { NULL, 0, NULL, 0 },
};

/* What one option cannot show. -1: go on; else the exit code. */
static int options_check(int argc, char **argv, struct send_options *options)
{
    bool by_socket = options->tcp != NULL || options->unix_path != NULL;
    const char *host, *path;
    struct address address;
    struct errmsg err;

    if ((options->tcp != NULL) + (options->unix_path != NULL) + (options->http != NULL) > 1)
        return cli_usage_error(argv[0], "--tcp, --unix or --http: one of them");
    if (options->gzip && !by_socket && options->http == NULL)
        return cli_usage_error(argv[0], "--gzip is for --tcp, --unix and --http");
    if (by_socket && (options->durable || options->delivered))
        return cli_usage_error(argv[0], "--durable and --delivered need a ring: a socket tells no "
                               "more than that all is committed");
    if (options->http != NULL && options->delivered)
        return cli_usage_error(argv[0], "--delivered needs a ring: HTTP answers what is accepted "
                               "or durable");
    if (options->tcp != NULL && address_parse(options->tcp, &address, &err) != 0)
        return cli_usage_error(argv[0], "--tcp: %s", err.text);
    if (options->http != NULL && cli_ask_host(options->http, &host, &path, &err) != 0)
        return cli_usage_error(argv[0], "--http: %s", err.text);
    if (optind == argc)
        return cli_usage_error(argv[0], "a stream is wanted");
    options->stream = argv[optind++];
    if (!stream_name_valid(options->stream, strlen(options->stream)))
        return cli_usage_error(argv[0], "'%s' cannot be a stream's name (letters, digits and _ . -,"
                               " 64 at most, the first a letter or digit)", options->stream);
    return -1;
}

/* -1: go on with the options; else the exit code. */
static int options_parse(int argc, char **argv, struct send_options *options)
{
    int c;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case OPTION_DURABLE:
            options->durable = true;
            break;
        case OPTION_DELIVERED:
            options->delivered = true;
            break;
        case OPTION_TIMEOUT:
            if (!cli_parse_time(argv[0], "--timeout", optarg, &options->timeout_ns))
                return CLI_USAGE;
            break;
        case OPTION_RING_BYTES:
            if (!cli_parse_bytes(argv[0], "--ring-bytes", optarg, SHM_RING_BYTES_MIN,
                                 SHM_RING_BYTES_MAX, &options->ring_bytes))
                return CLI_USAGE;
            break;
        case OPTION_SHM_DIR:
            options->shm_dir = optarg;
            break;
        case OPTION_TCP:
            options->tcp = optarg;
            break;
        case OPTION_UNIX:
            options->unix_path = optarg;
            break;
        case OPTION_GZIP:
            options->gzip = true;
            break;
        case OPTION_HTTP:
            options->http = optarg;
            break;
        default:
            return cli_options_end(c, usage);
        }
    }
    return options_check(argc, argv, options);
}

/* False: no use in going on. A file that does not open is no reason to leave the others. */
static bool send_name(struct sender *s, const char *name)
{
    bool ok;
    int fd;

    if (strcmp(name, "-") == 0)
        return sender_file(s, STDIN_FILENO, "standard input");
    fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EINTR && sender_signal() != 0)
        return false;
    if (fd < 0) {
        (void)cli_fail(s->command, "%s: %s", name, strerror(errno));
        s->failed = true;
        return true;
    }
    ok = sender_file(s, fd, name);
    (void)close(fd);
    return ok;
}

int cli_send(int argc, char **argv)
{
    static char *standard_input[] = { "-" };
    struct send_options options = { .stream = NULL };
    int code = options_parse(argc, argv, &options);
    char **names = argv + optind;
    int count = argc - optind;
    struct sender sender;
    bool ok = true;

    if (code >= 0)
        return code;
    if (count == 0) {
        names = standard_input;
        count = 1;
    }
    if (!sender_open(&sender, argv[0], &options))
        return CLI_FAILED;
    sender_catch_signals();
    for (int i = 0; ok && i < count; i++)
        ok = send_name(&sender, names[i]);
    if (ok)
        ok = sender_flush(&sender);
    sender_summary(&sender);
    sender_close(&sender);
    if (sender_signal() != 0)
        return sender_signal() == SIGTERM ? 128 + SIGTERM : CLI_INTERRUPTED;
    return ok && !sender.failed ? CLI_OK : CLI_FAILED;
}
