/*
 * producer_bench: what an event costs its producer: a burst of 1,000 events into a ring whose
 * reader is awake, by size and clock; beside one write(2) for each event into a Unix stream socket
 * and into a pipe whose reader never sleeps either.
 *
 * Included: the call, the copy, the time stamp, and what it costs that the reader takes the lines
 * away meanwhile. The ring is 1 MiB; a burst begins when everything before it has been taken. A
 * burst of 1,024-byte events is a little more than the ring: where the reader falls behind, the
 * producer's waiting is in the figure. One value is one burst.
 */
#include "benchmarks/link.h"

#include <stdio.h>

static const struct bench_metric metrics[] = {{"", "ns/event", BENCH_LESS}};

struct row {
    const char *name, *clock_name;
    enum wire_kind kind;
    enum shmc_clock clock;
};

static int body(struct bench *b, struct errmsg *err)
{
    static const struct bench_plan plan = {.rounds = 7, .seconds = 0.1};
    static const uint32_t sizes[] = {64, 256, 1024};
    static const struct row rows[] = {
        {"producer/ring", " clock=none", WIRE_RING_READ, SHMC_CLOCK_NONE},
        {"producer/ring", " clock=coarse", WIRE_RING_READ, SHMC_CLOCK_COARSE},
        {"producer/ring", " clock=tsc", WIRE_RING_READ, SHMC_CLOCK_TSC},
        {"producer/ring", " clock=real", WIRE_RING_READ, SHMC_CLOCK_REAL},
        {"producer/unix", "", WIRE_UNIX, SHMC_CLOCK_NONE},
        {"producer/pipe", "", WIRE_PIPE, SHMC_CLOCK_NONE},
    };
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    struct wire_options options[ROWS];
    struct bench_case cases[ROWS];
    char params[ROWS][64];
    int rc = 0;

    for (size_t s = 0; rc == 0 && s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t i = 0; i < ROWS; i++) {
            options[i] = (struct wire_options){.kind = rows[i].kind, .event_bytes = sizes[s],
                                               .ring_bytes = 1 << 20, .clock = rows[i].clock};
            (void)snprintf(params[i], sizeof(params[i]), "bytes=%u burst=%d%s", sizes[s],
                           LINK_BURST_EVENTS, rows[i].clock_name);
            cases[i] = (struct bench_case){rows[i].name, params[i], metrics, 1, link_bursts_run,
                                           &options[i]};
        }
        rc = bench_group(b, &plan, cases, ROWS, err);
    }
    return rc;
}

int main(int argc, char **argv)
{
    return bench_main_pinned("producer_bench", argc, argv, body);
}
