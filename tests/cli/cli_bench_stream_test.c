/*
 * cli_bench_stream: a write an event or one for 64 KiB of them; events that reads cut are counted
 * once; an end that is gone is an error.
 */
#include "cli/bench_wires.h"

#include <errno.h>
#include <fcntl.h>

/* So large that a read of 64 KiB ends within one; few enough fit a socket's buffer. */
enum { ODD_BYTES = 1000, EVENTS = 70 };

static const enum wire_kind streams[] = { WIRE_UNIX, WIRE_UNIX_BATCH, WIRE_TCP, WIRE_TCP_BATCH };
static const enum wire_kind batches[] = { WIRE_UNIX_BATCH, WIRE_DGRAM_BATCH, WIRE_TCP_BATCH,
                                          WIRE_PIPE_BATCH };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void events_that_a_read_cuts_count_once(void **state)
{
    static uint8_t event[ODD_BYTES];

    (void)state;
    for (size_t i = 0; i < LENGTH(streams); i++) {
        struct wire_options opt = bench_options(streams[i], sizeof(event));
        struct bench_ends ends;

        bench_ends_open(&ends, &opt);
        assert_int_equal(wire_put(&ends.writer, event, EVENTS), 0);
        assert_int_equal(wire_put_end(&ends.writer), 0);
        assert_int_equal(bench_take_all(&ends.reader), EVENTS);
        assert_int_equal(ends.reader.seen_bytes, EVENTS * ODD_BYTES);
        bench_ends_close(&ends);
    }
}

static void a_batch_goes_when_it_is_full_or_ended(void **state)
{
    static uint8_t event[ODD_BYTES];
    const uint32_t fit = WIRE_BATCH_BYTES / ODD_BYTES;

    (void)state;
    for (size_t i = 0; i < LENGTH(batches); i++) {
        struct wire_options opt = bench_options(batches[i], sizeof(event));
        struct bench_ends ends;

        bench_ends_open(&ends, &opt);
        assert_int_equal(wire_put(&ends.writer, event, fit), 0);
        assert_int_equal(bench_take_all(&ends.reader), 0);
        assert_int_equal(wire_put(&ends.writer, event, 1), 0); /* does not fit any more */
        assert_int_equal(bench_take_all(&ends.reader), fit);
        assert_int_equal(wire_put_end(&ends.writer), 0);
        assert_int_equal(bench_take_all(&ends.reader), 1);
        assert_int_equal(wire_put_end(&ends.writer), 0); /* nothing gathered, nothing sent */
        assert_int_equal(bench_take_all(&ends.reader), 0);
        bench_ends_close(&ends);
    }
}

static void a_datagram_is_an_event(void **state)
{
    struct wire_options opt = bench_options(WIRE_DGRAM, 64);
    uint8_t event[64] = { 1 };
    struct bench_ends ends;
    const uint8_t *first;
    uint64_t events;

    (void)state;
    bench_ends_open(&ends, &opt);
    assert_int_equal(wire_put(&ends.writer, event, 3), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wire_take(&ends.reader, &events, &first), 0);
        assert_int_equal(events, 1);
    }
    assert_int_equal(bench_take_all(&ends.reader), 0);
    bench_ends_close(&ends);
}

static void a_writer_that_is_gone_is_an_error_once_all_is_taken(void **state)
{
    uint8_t event[64] = { 0 };

    (void)state;
    for (size_t i = 0; i < LENGTH(streams); i++) {
        struct wire_options opt = bench_options(streams[i], sizeof(event));
        struct bench_ends ends;
        const uint8_t *first;
        uint64_t events;

        bench_ends_open(&ends, &opt);
        assert_int_equal(wire_put(&ends.writer, event, 2), 0);
        assert_int_equal(wire_put_end(&ends.writer), 0);
        wire_close(&ends.writer);
        assert_int_equal(wire_take(&ends.reader, &events, &first), 0);
        assert_int_equal(events, 2);
        assert_int_equal(wire_take(&ends.reader, &events, &first), -EPIPE);
        assert_int_equal(events, 0);
        bench_ends_close(&ends);
    }
}

/* So that the end of one is seen by the other. */
static void each_end_keeps_its_own_descriptor_alone(void **state)
{
    struct wire_options opt = bench_options(WIRE_PIPE, 64);
    struct bench_ends ends;
    int read_fd, write_fd;

    (void)state;
    bench_ends_open(&ends, &opt);
    assert_int_equal(ends.writer.read_fd, -1);
    assert_int_equal(ends.reader.write_fd, -1);
    read_fd = ends.reader.read_fd;
    write_fd = ends.writer.write_fd;
    assert_true((fcntl(read_fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(write_fd, F_GETFD) & FD_CLOEXEC) != 0);
    bench_ends_close(&ends);
    assert_int_equal(fcntl(read_fd, F_GETFD), -1);
    assert_int_equal(fcntl(write_fd, F_GETFD), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_that_a_read_cuts_count_once),
        cmocka_unit_test(a_batch_goes_when_it_is_full_or_ended),
        cmocka_unit_test(a_datagram_is_an_event),
        cmocka_unit_test(a_writer_that_is_gone_is_an_error_once_all_is_taken),
        cmocka_unit_test(each_end_keeps_its_own_descriptor_alone),
    };

    return cmocka_run_group_tests(tests, bench_base_make, bench_base_remove);
}
