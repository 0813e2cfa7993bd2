/*
 * cli_bench: what `hydrant bench` measures and keeps.
 *
 * Every transport in turn, round after round, so that what else the host does meets all of them;
 * a figure is the median of its rounds. Each measurement has its own two processes: a producer, and
 * a reader that never sleeps.
 *
 * Owns:   nothing.
 * Thread: main, and a child process for each measurement.
 * Units:  nanoseconds, events a second.
 */
#ifndef CLI_CLI_BENCH_H
#define CLI_CLI_BENCH_H

#include <stdbool.h>

#include "base/errmsg.h"
#include "cli/cli_bench_measure.h"
#include "cli/cli_bench_wire.h"

enum { BENCH_TRANSPORTS = 5, BENCH_SIZES = 3, BENCH_ROUNDS = 3 };

struct bench_transport {
    const char *name; /* "ring", "unix", ... */
    const char *what; /* a few words for people */
    enum wire_kind kind;
    bool answers; /* a round trip makes sense */
};

extern const struct bench_transport bench_transports[BENCH_TRANSPORTS];    /* the ring is first */
extern const uint32_t bench_sizes[BENCH_SIZES];

struct bench_row {
    double burst_ns[BENCH_SIZES];           /* an event, in the producer */
    double sustained_per_s[BENCH_SIZES];    /* events */
    double trip_p50_ns, trip_p99_ns;        /* 0: not measured */
};

struct bench_result {
    struct machine machine;
    struct jitter jitter;
    struct bench_row rows[BENCH_TRANSPORTS];
    double floor_p50_ns, floor_p99_ns; /* of waits of BENCH_FLOOR_NS for nobody */
};

#define BENCH_FLOOR_NS 500.0

/* Looks between measurements: true ends them with -EINTR. */
typedef bool (*bench_stop_fn)(void);

/*
 * Takes about so many seconds, a little more for starting processes. shm_dir: a tmpfs directory of
 * the caller's, in which nothing stays.
 */
int bench_measure(const char *shm_dir, double seconds, bench_stop_fn stop,
                  struct bench_result *ret_result, struct errmsg *err);

#endif
