/*
 * cli_bench: `hydrant bench`: this host's ring beside its sockets and pipes.
 *
 * Owns:   a directory on tmpfs while it runs.
 * Thread: main.
 */
#include "cli/cli_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_send.h"
#include "cli/cli_table.h"
#include "io/file.h"

#define SECONDS_DEFAULT 12.0
#define SECONDS_MIN     1.0
#define SECONDS_MAX     60.0
#define PATH_BYTES      512

static const char usage[] =
    "usage: hydrant bench [--json] [--seconds S] [--shm-dir DIR]\n"
    "\n"
    "Measures this host: events from one process to another by ring, Unix stream socket, TCP over\n"
    "loopback and pipe, one write an event, and by Unix socket in writes of 64 KiB. The reader\n"
    "never sleeps; each has a processor of its own. Medians of 3 rounds in which all take turns.\n"
    "\n"
    "  producer    what an event costs the process that writes it, in bursts of 1,000\n"
    "  sustained   events that arrive when it writes as fast as it can\n"
    "  round trip  an event there and one back; p99 beside the floor: what the machine alone adds\n"
    "              to a wait of 500 ns\n"
    "  (x N)       N times what the ring takes; for sustained: the ring carries N times as much\n"
    "\n"
    "  --json             the same as one JSON object; times in nanoseconds\n"
    "  --seconds S        measure about so long, 1 to 60 (default 12)\n"
    "  --shm-dir DIR      tmpfs directory in which the ring gets its own one (default /dev/shm)\n"
    "\n"
    "No agent is needed; one that runs is left alone but shares the processors.\n"
    "\n"
    "Exit code: 0 measured, 1 failed, 2 wrong usage, 130 interrupted.\n";

/* --- its directory -------------------------------------------------------------------------- */

static int name_remove(void *ctx, const char *name)
{
    return file_unlink(*(const int *)ctx, name);
}

/* Rings have no names while they are used; one that failed half-way may. */
static int dir_remove(const char *path)
{
    int dir = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0), rc;

    if (dir < 0)
        return dir;
    rc = file_list(dir, name_remove, &dir);
    file_close(dir);
    if (rc == 0 && rmdir(path) != 0)
        rc = -errno;
    return rc;
}

static bool interrupted(void)
{
    return sender_signal() != 0;
}

/* Measures in a directory of its own; the exit code. */
static int measure(const char *command, const char *base, double seconds,
                   struct bench_result *ret_result)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, saved;
    struct errmsg err = {""};
    char path[PATH_BYTES];
    int rc, removed;

    if (snprintf(path, sizeof(path), "%s/hydrant-bench-XXXXXX", base) >= (int)sizeof(path))
        return cli_fail(command, "%s: the name is too long", base);
    sender_catch_signals();
    if (mkdtemp(path) == NULL)
        return cli_fail(command, "%s: %s", path, strerror(errno));
    INVARIANT(sigaction(SIGPIPE, &ignore, &saved) == 0); /* a reader that dies is an error */
    rc = bench_measure(path, seconds, interrupted, ret_result, &err);
    INVARIANT(sigaction(SIGPIPE, &saved, NULL) == 0);
    removed = dir_remove(path);
    if (removed != 0)
        return cli_fail(command, "%s: %s", path, strerror(-removed));
    if (interrupted()) {
        (void)cli_fail(command, "interrupted, nothing is left behind");
        return CLI_INTERRUPTED;
    }
    return rc == 0 ? CLI_OK : cli_fail(command, "%s", err.text);
}

/* --- output --------------------------------------------------------------------------------- */

static void cell_ns(struct cli_table *table, double ns, double of_ring, bool is_ring)
{
    char text[32];

    if (ns >= 10000)
        (void)snprintf(text, sizeof(text), "%.0f us", ns / 1000);
    else
        (void)snprintf(text, sizeof(text), ns < 100 ? "%.1f ns" : "%.0f ns", ns);
    if (is_ring)
        cli_table_cell(table, "%s", text);
    else
        cli_table_cell(table, "%s (x %.3g)", text, ns / of_ring);
}

static void cell_rate(struct cli_table *table, double value, const char *unit, double of_ring,
                      bool is_ring)
{
    if (is_ring)
        cli_table_cell(table, "%.3g %s", value, unit);
    else
        cli_table_cell(table, "%.3g %s (x %.3g)", value, unit, of_ring / value);
}

static void print_costs(const struct bench_result *r, bool colour)
{
    const struct bench_row *ring = &r->rows[0];
    struct cli_table table;

    cli_table_init(&table, "lrrrl");
    cli_table_cell(&table, "PRODUCER, ONE EVENT");
    for (size_t s = 0; s < BENCH_SIZES; s++)
        cli_table_cell(&table, "%u B", bench_sizes[s]);
    cli_table_cell(&table, "BY");
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        cli_table_cell(&table, "%s", bench_transports[t].name);
        for (size_t s = 0; s < BENCH_SIZES; s++)
            cell_ns(&table, r->rows[t].burst_ns[s], ring->burst_ns[s], t == 0);
        cli_table_cell(&table, "%s", bench_transports[t].what);
    }
    cli_table_print(&table, colour, stdout);
    cli_table_fini(&table);
}

static void print_rates(const struct bench_result *r, bool colour)
{
    const struct bench_row *ring = &r->rows[0];
    double largest = bench_sizes[BENCH_SIZES - 1];
    struct cli_table table;

    cli_table_init(&table, "lrrrrr");
    cli_table_cell(&table, "SUSTAINED");
    for (size_t s = 0; s < BENCH_SIZES; s++)
        cli_table_cell(&table, "%u B", bench_sizes[s]);
    cli_table_cell(&table, "ROUND TRIP, %u B, P50", bench_sizes[0]);
    cli_table_cell(&table, "P99");
    for (size_t t = 0; t < BENCH_TRANSPORTS; t++) {
        const struct bench_row *row = &r->rows[t];

        cli_table_cell(&table, "%s", bench_transports[t].name);
        for (size_t s = 0; s + 1 < BENCH_SIZES; s++)
            cell_rate(&table, row->sustained_per_s[s] / 1e6, "M/s", ring->sustained_per_s[s] / 1e6,
                      t == 0);
        cell_rate(&table, row->sustained_per_s[BENCH_SIZES - 1] * largest / 1e9, "GB/s",
                  ring->sustained_per_s[BENCH_SIZES - 1] * largest / 1e9, t == 0);
        if (bench_transports[t].answers) {
            cell_ns(&table, row->trip_p50_ns, ring->trip_p50_ns, t == 0);
            cell_ns(&table, row->trip_p99_ns, ring->trip_p99_ns, t == 0);
        } else {
            cli_table_cell(&table, "-");
            cli_table_cell(&table, "-");
        }
    }
    cli_table_cell(&table, "floor");
    for (size_t s = 0; s < BENCH_SIZES; s++)
        cli_table_cell(&table, "-");
    cell_ns(&table, r->floor_p50_ns, 0, true);
    cell_ns(&table, r->floor_p99_ns, 0, true);
    cli_table_print(&table, colour, stdout);
    cli_table_fini(&table);
}

static void print_text(const struct bench_result *r)
{
    bool colour = cli_colour(stdout);
    char text[MACHINE_TEXT_MAX];

    printf("hydrant %s on %s\n", HYDRANT_VERSION, machine_text(&r->machine, text));
    printf("jitter: %s\n", jitter_text(&r->jitter, text));
    if (r->jitter.lost_percent > JITTER_QUIET_PERCENT)
        printf("others use this host now: only the ratios mean something\n");
    printf("\n");
    print_costs(r, colour);
    printf("\n");
    print_rates(r, colour);
}

static json_t *row_json(const struct bench_result *r, size_t t)
{
    const struct bench_row *row = &r->rows[t], *ring = &r->rows[0];
    json_t *sizes = json_array(), *object;

    for (size_t s = 0; s < BENCH_SIZES; s++)
        (void)json_array_append_new(
            sizes, json_pack("{s:I, s:f, s:f, s:f, s:f, s:f}", "bytes", (json_int_t)bench_sizes[s],
                             "producer_ns", row->burst_ns[s], "producer_times_ring",
                             row->burst_ns[s] / ring->burst_ns[s], "sustained_events_per_s",
                             row->sustained_per_s[s], "sustained_bytes_per_s",
                             row->sustained_per_s[s] * bench_sizes[s], "ring_sustains_times",
                             ring->sustained_per_s[s] / row->sustained_per_s[s]));
    object = json_pack("{s:s, s:s, s:o}", "name", bench_transports[t].name, "by",
                       bench_transports[t].what, "events", sizes);
    if (bench_transports[t].answers)
        (void)json_object_set_new(
            object, "round_trip",
            json_pack("{s:f, s:f, s:f}", "p50_ns", row->trip_p50_ns, "p99_ns", row->trip_p99_ns,
                      "p50_times_ring", row->trip_p50_ns / ring->trip_p50_ns));
    return object;
}

static int print_json(const struct bench_result *r)
{
    const struct machine *m = &r->machine;
    json_t *rows = json_array(), *object;
    int rc;

    for (size_t t = 0; t < BENCH_TRANSPORTS; t++)
        (void)json_array_append_new(rows, row_json(r, t));
    object = json_pack(
        "{s:s, s:{s:s, s:I, s:b, s:s, s:f, s:s, s:s, s:f}, s:{s:f, s:f, s:f}, s:{s:f, s:f}, s:o}",
        "version", HYDRANT_VERSION, "machine", "cpu", m->cpu, "cores", (json_int_t)m->cores,
        "virtual", m->virtual_machine, "kernel", m->kernel, "memory_gib", m->memory_gib, "governor",
        m->governor, "clock", m->clock, "load", m->load[0], "jitter", "gaps_over_100us_per_s",
        r->jitter.over_100us, "lost_percent", r->jitter.lost_percent, "longest_us",
        r->jitter.longest_us, "floor", "p50_ns", r->floor_p50_ns, "p99_ns", r->floor_p99_ns,
        "transports", rows);
    if (object == NULL)
        return -ENOMEM;
    rc = json_dumpf(object, stdout, JSON_INDENT(2)) == 0 ? 0 : -EIO;
    json_decref(object);
    (void)putchar('\n');
    return rc;
}

int cli_bench(int argc, char **argv)
{
    enum { OPTION_JSON = 256, OPTION_SECONDS, OPTION_SHM_DIR };
    static const struct option longs[] = {
        { "json", no_argument, NULL, OPTION_JSON },
        { "seconds", required_argument, NULL, OPTION_SECONDS },
        { "shm-dir", required_argument, NULL, OPTION_SHM_DIR },
        CLI_OPTION_HELP_ROW,
        { NULL, 0, NULL, 0 },
    };
    const char *base = "/dev/shm";
    double seconds = SECONDS_DEFAULT;
    struct bench_result result;
    bool json = false;
    char *end;
    int c, res;

    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        switch (c) {
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_SECONDS:
            seconds = strtod(optarg, &end);
            if (end == optarg || *end != '\0' || !(seconds >= SECONDS_MIN) || seconds > SECONDS_MAX)
                return cli_usage_error(argv[0], "--seconds: '%s' is not 1 to 60", optarg);
            break;
        case OPTION_SHM_DIR:
            base = optarg;
            break;
        default:
            return cli_options_end(c, usage);
        }
    }
    if (optind < argc)
        return cli_usage_error(argv[0], "takes no arguments");
    res = measure(argv[0], base, seconds, &result);
    if (res != CLI_OK)
        return res;
    if (!json)
        print_text(&result);
    else if (print_json(&result) != 0)
        return cli_fail(argv[0], "the output cannot be written");
    return CLI_OK;
}
