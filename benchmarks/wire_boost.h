/*
 * wire_boost: boost's lock-free queue for one producer and one consumer as a wire: slots of the
 * event's size, 1 MiB of them, in memory that both processes map. No frames, no checks, no names,
 * no process that may die in between: what a queue alone costs.
 *
 * Owns:   the mapping.
 * Thread: one in each process.
 */
#ifndef BENCHMARKS_WIRE_BOOST_H
#define BENCHMARKS_WIRE_BOOST_H

#include "cli/cli_bench_wire.h"

/* For wire_options.other; events of 64, 256 and 1,024 bytes. */
extern const struct wire_row wire_boost;

#endif
