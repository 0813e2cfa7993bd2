/*
 * bench_wires: a tmpfs directory for rings, and both ends of a wire in one process, as a fork would
 * leave them.
 */
#ifndef TESTS_CLI_BENCH_WIRES_H
#define TESTS_CLI_BENCH_WIRES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_bench_wire.h"

static char bench_base[64];

static inline int bench_base_make(void **state)
{
    (void)state;
    (void)snprintf(bench_base, sizeof(bench_base), "/dev/shm/hydrant-test-XXXXXX");
    return mkdtemp(bench_base) != NULL ? 0 : -1;
}

static inline int bench_base_remove(void **state)
{
    (void)state;
    return rmdir(bench_base);
}

/* How many names are in the directory; -1: it is gone. */
static inline int bench_base_names(void)
{
    DIR *dir = opendir(bench_base);
    int count = 0;

    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2;
}

static inline struct wire_options bench_options(enum wire_kind kind, uint32_t event_bytes)
{
    return (struct wire_options){ .kind = kind, .event_bytes = event_bytes, .ring_bytes = 65536,
                                  .shm_dir = bench_base };
}

struct bench_ends {
    struct wire writer, reader;
};

static inline void bench_ends_open(struct bench_ends *e, const struct wire_options *opt)
{
    struct errmsg err = { "" };

    assert_int_equal(wire_prepare(&e->writer, opt, &err), 0);
    assert_int_equal(wire_ring_make(&e->writer, &err), 0);
    assert_int_equal(wire_prepare(&e->reader, opt, &err), 0);
    if (e->writer.write_fd >= 0) {
        (void)close(e->reader.read_fd);
        (void)close(e->reader.write_fd);
        e->reader.read_fd = dup(e->writer.read_fd);
        e->reader.write_fd = dup(e->writer.write_fd);
    }
    assert_int_equal(wire_writer_open(&e->writer, &err), 0);
    assert_int_equal(wire_reader_open(&e->reader, e->writer.ring_name, &err), 0);
}

static inline void bench_ends_close(struct bench_ends *e)
{
    wire_close(&e->writer);
    wire_close(&e->reader);
}

/* What is there now, by as many looks as it takes. */
static inline uint64_t bench_take_all(struct wire *reader)
{
    const uint8_t *first;
    uint64_t events, total = 0;

    do {
        assert_int_equal(wire_take(reader, &events, &first), 0);
        total += events;
    } while (events > 0);
    return total;
}

#endif
