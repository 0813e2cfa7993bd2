/*
 * cli_status: `hydrant status`: what the agent is doing, as tables or as the agent's own JSON.
 *
 * Owns:   nothing.
 * Thread: main.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_ask.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_table.h"
#include "cli/cli_value.h"
#include "pipeline/status.h"

enum { TIMEOUT_MS = 10000 };

static const char usage[] =
    "usage: hydrant status [--json] [--http ADDR:PORT]\n"
    "\n"
    "Prints what the running agent is doing: its log and memory, why it pushes back if it does,\n"
    "what was lost or dropped and what helps, what sockets and other agents bring, the books of\n"
    "each stream, sinks, and rings.\n"
    "\n"
    "  accepted = delivered + dropped + lost + pending, for each stream at any moment\n"
    "\n"
    "  --json             the same as JSON, as GET /v1/status has it; numbers are integers\n"
    "  --http ADDR:PORT   where the agent is, or unix:PATH (HYDRANT_HTTP; default\n"
    "                     127.0.0.1:8000)\n"
    "\n"
    "HYDRANT_TOKEN holds the agent's token, if it has one. NO_COLOR turns colours off.\n"
    "\n"
    "Exit code: 0 printed, 1 no agent or an error from it, 2 wrong usage.\n"
    "\n"
    "  hydrant status\n"
    "  hydrant status --json | jq '.streams[] | {name, pending}'\n";

/* A reason as the agent names it, and what it means to people. */
struct reason_words {
    const char *name, *words;
};

static const char *words_of(const struct reason_words *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return table[i].words;
    return "";
}

/* A line for each reason that is on. */
static void print_backpressure(const json_t *reasons, bool colour)
{
    struct reason_words table[BACKPRESSURE_COUNT];
    const char *name;
    json_t *value;

    for (size_t i = 0; i < BACKPRESSURE_COUNT; i++)
        table[i] = (struct reason_words){ backpressure_names[i], backpressure_words[i] };
    json_object_foreach((json_t *)reasons, name, value) {
        char clean[128];

        if (!json_is_true(value))
            continue;
        printf("%spushes back: %s: %s%s\n", colour ? CLI_RED : "",
               cli_printable(name, clean, sizeof(clean)),
               words_of(table, BACKPRESSURE_COUNT, name), colour ? CLI_PLAIN : "");
    }
}

static const struct reason_words lost_words[] = {
    { "corrupt", "damaged on disk; look at the disk, `hydrant wal verify` shows where" },
    { "unsynced", "not synced before the host went down; [wal] sync bounds how much that can be" },
};
static const struct reason_words dropped_words[] = {
    { "sink_removed", "they waited for a sink that has left the configuration" },
};
static const struct reason_words refused_words[] = {
    { "processing-failed", "no JSON, a bad line of a socket, or with values that name no "
                           "partition" },
    { "format-conversion-failed", "they do not fit the columns" },
};

/* Of one stream what is lost, dropped or refused, a line for each reason. */
static void print_reasons(const char *stream, const char *what, const json_t *counts,
                          const struct reason_words *table, size_t table_count)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)counts, name, value) {
        char clean[128], of[SHM_STREAM_NAME_MAX + 1];

        if (json_integer_value(value) > 0)
            printf("stream %s: %" PRIu64 " accepted events %s: %s: %s\n",
                   cli_printable(stream, of, sizeof(of)), (uint64_t)json_integer_value(value),
                   what, cli_printable(name, clean, sizeof(clean)),
                   words_of(table, table_count, name));
    }
}

/* What people should know of without asking. */
static void print_losses(const json_t *status, bool colour)
{
    enum { LOST = sizeof(lost_words) / sizeof(lost_words[0]),
           DROPPED = sizeof(dropped_words) / sizeof(dropped_words[0]),
           REFUSED = sizeof(refused_words) / sizeof(refused_words[0]) };
    char human[CLI_HUMAN_BYTES], clean[128];
    const char *name;
    json_t *value, *stream;
    size_t i;

    printf("%s", colour ? CLI_YELLOW : "");
    json_object_foreach(json_object_get(status, "lost_bytes"), name, value)
        if (json_integer_value(value) > 0)
            printf("the log had %s that cannot be read: %s: %s\n",
                   cli_human_bytes((uint64_t)json_integer_value(value), human),
                   cli_printable(name, clean, sizeof(clean)), words_of(lost_words, LOST, name));
    json_array_foreach(json_object_get(status, "streams"), i, stream) {
        print_reasons(cli_string(stream, "name"), "are lost",
                      json_object_get(stream, "lost_by_reason"), lost_words, LOST);
        print_reasons(cli_string(stream, "name"), "were dropped",
                      json_object_get(stream, "dropped_by_reason"), dropped_words, DROPPED);
        print_reasons(cli_string(stream, "name"), "went to the error output since the start",
                      json_object_get(stream, "refused_by_reason"), refused_words, REFUSED);
    }
    printf("%s", colour ? CLI_PLAIN : "");
}

static const struct reason_words *fault_words(void)
{
    static struct reason_words table[LINE_FAULT_COUNT];

    for (size_t i = 0; i < LINE_FAULT_COUNT; i++)
        table[i] = (struct reason_words){ line_fault_names[i], line_fault_words[i] };
    return table;
}

static void print_head(const json_t *status, bool colour)
{
    const json_t *wal = json_object_get(status, "wal");
    const json_t *memory = json_object_get(status, "memory");
    char a[CLI_HUMAN_BYTES], b[CLI_HUMAN_BYTES], c[128], d[128];
    bool ready = json_is_true(json_object_get(status, "ready"));
    bool stopping = json_is_true(json_object_get(status, "stopping"));

    printf("hydrant %s, agent %s, pid %" PRIu64 ", up %s, %s%s%s\n",
           cli_printable(cli_string(status, "version"), c, sizeof(c)),
           cli_printable(cli_string(status, "agent"), d, sizeof(d)), cli_number(status, "pid"),
           cli_human_time(cli_number(status, "uptime_ns"), a),
           !colour             ? ""
           : ready && !stopping ? CLI_GREEN
                                : CLI_YELLOW,
           stopping ? "stopping" : ready ? "ready" : "recovering", colour ? CLI_PLAIN : "");
    if (!ready)
        printf("recovery: %s of the log left\n",
               cli_human_bytes(cli_number(status, "recovery_left_bytes"), a));
    printf("log:    %s of %s", cli_human_bytes(cli_number(wal, "bytes")
                                                     + cli_number(wal, "spool_bytes"), a),
           cli_human_bytes(cli_number(wal, "bytes_max"), b));
    printf(", %" PRIu64 " segments, %" PRIu64 " commits, %" PRIu64 " syncs\n",
           cli_number(wal, "segments"), cli_number(wal, "commits"), cli_number(wal, "syncs"));
    printf("memory: %s of %s\n", cli_human_bytes(cli_number(memory, "bytes"), a),
           cli_human_bytes(cli_number(memory, "bytes_max"), b));
    print_backpressure(json_object_get(status, "backpressure"), colour);
}

/* Sockets, a line when all is well. */
static void print_intake(const json_t *intake, bool colour)
{
    const json_t *bad = json_object_get(intake, "bad_lines");
    const char *name, *warn = colour ? CLI_YELLOW : "", *plain = colour ? CLI_PLAIN : "";
    const json_t *open = json_object_get(intake, "connections");
    const json_t *events = json_object_get(intake, "events");
    json_t *value;

    if (!json_is_object(intake))
        return;
    printf("sockets: %" PRIu64 " TCP and %" PRIu64 " Unix connections, %" PRIu64 " of them wait; %"
           PRIu64 " events by TCP, %" PRIu64 " by Unix sockets, %" PRIu64 " by UDP\n",
           cli_number(open, "tcp"), cli_number(open, "unix"),
           cli_number(intake, "connections_waiting"), cli_number(events, "tcp"),
           cli_number(events, "unix"), cli_number(events, "udp"));
    json_object_foreach((json_t *)bad, name, value) {
        char clean[128];

        if (json_integer_value(value) > 0)
            printf("%s%" PRIu64 " bad lines since the start: %s: %s%s\n", warn,
                   (uint64_t)json_integer_value(value), cli_printable(name, clean, sizeof(clean)),
                   words_of(fault_words(), LINE_FAULT_COUNT, name), plain);
    }
    if (cli_number(intake, "bad_lines_dropped") > 0)
        printf("%s%" PRIu64 " of them are not in the error output of default_stream%s\n", warn,
               cli_number(intake, "bad_lines_dropped"), plain);
    if (cli_number(intake, "datagrams_dropped") > 0)
        printf("%s%" PRIu64 " datagrams were dropped by the kernel: its receive buffer was full"
               "%s\n", warn, cli_number(intake, "datagrams_dropped"), plain);
}

/* Other agents that send here, and why some of them wait. */
static void print_relay(const json_t *relay, bool colour)
{
    struct reason_words table[RELAY_WAIT_COUNT];
    char human[CLI_HUMAN_BYTES];
    const char *name;
    json_t *value;

    if (!json_is_object(relay))
        return;
    printf("relay:   %" PRIu64 " peers, %" PRIu64 " connections since the start, %" PRIu64
           " of them refused; %" PRIu64 " events of %" PRIu64 " batches, %" PRIu64
           " of them again, whole or in part; %" PRIu64 " declined\n",
           cli_number(relay, "peers"), cli_number(relay, "connections_total"),
           cli_number(relay, "connections_refused"), cli_number(relay, "events"),
           cli_number(relay, "batches"), cli_number(relay, "duplicates_skipped"),
           cli_number(relay, "declined"));
    printf("         journal: %s, %" PRIu64 " syncs\n",
           cli_human_bytes(cli_number(relay, "journal_bytes"), human),
           cli_number(relay, "journal_syncs"));
    for (size_t i = 0; i < RELAY_WAIT_COUNT; i++)
        table[i] = (struct reason_words){ relay_wait_names[i], relay_wait_texts[i] };
    json_object_foreach(json_object_get(relay, "peers_waiting"), name, value) {
        char clean[128];

        if (json_integer_value(value) > 0)
            printf("%s%" PRIu64 " peers wait: %s: %s%s\n", colour ? CLI_YELLOW : "",
                   (uint64_t)json_integer_value(value), cli_printable(name, clean, sizeof(clean)),
                   words_of(table, RELAY_WAIT_COUNT, name), colour ? CLI_PLAIN : "");
    }
}

static void cell_count(struct cli_table *table, const json_t *object, const char *name)
{
    cli_table_cell(table, "%" PRIu64, cli_number(object, name));
}

static void cells(struct cli_table *table, const char *const *names)
{
    for (; *names != NULL; names++)
        cli_table_cell(table, "%s", *names);
}

static void table_end(struct cli_table *table, bool colour)
{
    printf("\n");
    cli_table_print(table, colour, stdout);
    cli_table_fini(table);
}

static void print_streams(const json_t *status, bool colour)
{
    static const char *const heads[] = { "STREAM", "ACCEPTED", "DELIVERED", "PENDING", "DROPPED",
                                         "LOST", "BYTES", "OLDEST", NULL };
    const json_t *streams = json_object_get(status, "streams");
    struct cli_table table;
    char human[CLI_HUMAN_BYTES];
    json_t *stream;
    size_t i;

    cli_table_init(&table, "lrrrrrrr");
    cells(&table, heads);
    json_array_foreach((json_t *)streams, i, stream) {
        uint64_t oldest_ns = cli_number(stream, "oldest_pending_ns");

        cli_table_cell(&table, "%s", cli_string(stream, "name"));
        cell_count(&table, stream, "accepted");
        cell_count(&table, stream, "delivered");
        cell_count(&table, stream, "pending");
        cell_count(&table, stream, "dropped");
        cell_count(&table, stream, "lost");
        cli_table_cell(&table, "%s", cli_human_bytes(cli_number(stream, "accepted_bytes"), human));
        cli_table_cell(&table, "%s", oldest_ns == 0 ? "-" : cli_human_time(oldest_ns, human));
    }
    table_end(&table, colour);
}

static void print_sinks(const json_t *status, bool colour)
{
    static const char *const heads[] = { "SINK", "TYPE", "WAITING", "RETRIES", "TARGET",
                                         "WAITS BECAUSE", NULL };
    const json_t *sinks = json_object_get(status, "sinks");
    struct cli_table table;
    json_t *sink;
    size_t i;

    cli_table_init(&table, "llrrll");
    cells(&table, heads);
    json_array_foreach((json_t *)sinks, i, sink) {
        cli_table_cell(&table, "%s", cli_string(sink, "name"));
        cli_table_cell(&table, "%s", cli_string(sink, "type"));
        cell_count(&table, sink, "batches_waiting");
        cell_count(&table, sink, "retries");
        cli_table_cell(&table, "%s", cli_string(sink, "target"));
        cli_table_cell(&table, "%s%s",
                       json_is_true(json_object_get(sink, "draining")) ? "(draining) " : "",
                       json_is_null(json_object_get(sink, "waits_because"))
                           ? "-" : cli_string(sink, "waits_because"));
    }
    table_end(&table, colour);
}

static void print_rings(const json_t *status, bool colour)
{
    static const char *const heads[] = { "RING", "STATE", "PID", "UID", "SIZE", "WAITING",
                                         "ACCEPTED", "DROPPED", NULL };
    const json_t *rings = json_object_get(status, "rings");
    struct cli_table table;
    char human[CLI_HUMAN_BYTES];
    json_t *ring;
    size_t i;

    cli_table_init(&table, "llrrrrrr");
    cells(&table, heads);
    json_array_foreach((json_t *)rings, i, ring) {
        const char *reason = json_is_null(json_object_get(ring, "waits_because"))
                                 ? cli_string(ring, "quarantine")
                                 : cli_string(ring, "waits_because");
        uint64_t head = cli_number(ring, "head");
        uint64_t accepted = cli_number(ring, "accepted");

        cli_table_cell(&table, "%s", cli_string(ring, "name"));
        cli_table_cell(&table, "%s%s%s", cli_string(ring, "state"), reason[0] != '\0' ? ": " : "",
                       reason);
        cell_count(&table, ring, "pid");
        cell_count(&table, ring, "uid");
        cli_table_cell(&table, "%s", cli_human_bytes(cli_number(ring, "ring_bytes"), human));
        cli_table_cell(&table, "%s", cli_human_bytes(head > accepted ? head - accepted : 0,
                                                     human));
        cli_table_cell(&table, "%s", cli_human_bytes(accepted, human));
        cli_table_cell(&table, "%" PRIu64, cli_sum(json_object_get(ring, "drops")));
    }
    table_end(&table, colour);
}

static int print_tables(const char *command, const struct http_answer *answer)
{
    json_t *status = json_loadb((const char *)answer->body.data, answer->body.len, 0, NULL);
    bool colour = cli_colour(stdout);
    uint64_t drops;

    if (!json_is_object(status) || json_object_get(status, "streams") == NULL) {
        json_decref(status);
        return cli_fail(command, "what answers there is not a hydrant agent");
    }
    print_head(status, colour);
    drops = cli_sum(json_object_get(status, "intake_drops"));
    if (drops > 0)
        printf("%sdropped by producers before acceptance: %" PRIu64 "%s\n",
               colour ? CLI_YELLOW : "", drops, colour ? CLI_PLAIN : "");
    print_intake(json_object_get(status, "intake"), colour);
    print_relay(json_object_get(status, "relay"), colour);
    print_losses(status, colour);
    print_streams(status, colour);
    print_sinks(status, colour);
    if (json_array_size(json_object_get(status, "rings")) > 0)
        print_rings(status, colour);
    json_decref(status);
    return CLI_OK;
}

int cli_status(int argc, char **argv)
{
    enum { OPTION_JSON = 256, OPTION_HTTP };
    static const struct option longs[] = {
        { "json", no_argument, NULL, OPTION_JSON },
        { "http", required_argument, NULL, OPTION_HTTP },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    const char *http = NULL;
    bool json = false;
    struct http_answer answer;
    int c, res;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_HTTP:
            http = optarg;
            break;
        default:
            return cli_options_end(c, usage);
        }
    }
    if (optind < argc)
        return cli_usage_error(argv[0], "takes no arguments");
    res = cli_ask(argv[0], cli_ask_address(http), "GET", "/v1/status", TIMEOUT_MS, &answer);
    if (res != CLI_OK)
        return res;
    if (json)
        (void)fwrite(answer.body.data, 1, answer.body.len, stdout);
    else
        res = print_tables(argv[0], &answer);
    http_answer_free(&answer);
    return res;
}
