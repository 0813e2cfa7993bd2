/*
 * cli_bench_ring: both ways to read bring every event through a ring that wraps; its file has no
 * name once it is read; bad frames and a directory that is not there are errors.
 */
#include "cli/bench_wires.h"

#include <errno.h>

#include "io/file.h"

static const enum wire_kind kinds[] = { WIRE_RING_MAP, WIRE_RING_READ };

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void events_arrive_whole_while_the_ring_wraps(void **state)
{
    uint8_t event[200];

    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct wire_options opt = bench_options(kinds[k], sizeof(event));
        struct bench_ends ends;
        const uint8_t *first;
        uint64_t events;

        bench_ends_open(&ends, &opt);
        /* One by one, so that each payload is looked at; some ten times around. */
        for (uint32_t i = 0; i < 3000; i++) {
            memset(event, (int)i, sizeof(event));
            memcpy(event, &i, sizeof(i));
            assert_int_equal(wire_put(&ends.writer, event, 1), 0);
            assert_int_equal(wire_take(&ends.reader, &events, &first), 0);
            assert_int_equal(events, 1);
            assert_memory_equal(first, event, sizeof(event));
        }
        assert_true(ends.reader.pos > 8 * opt.ring_bytes);
        assert_int_equal(ends.reader.released, ends.reader.pos); /* it has caught up */
        bench_ends_close(&ends);
    }
}

static void a_look_takes_an_eighth_of_the_ring_at_the_most(void **state)
{
    enum { PUT = 500 };
    uint8_t event[64] = { 0 };

    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct wire_options opt = bench_options(kinds[k], sizeof(event));
        uint64_t events, total = 0, looks = 0, pos = 0;
        struct bench_ends ends;
        const uint8_t *first;

        bench_ends_open(&ends, &opt);
        assert_int_equal(wire_put(&ends.writer, event, PUT), 0);
        for (; total < PUT; total += events, looks++) {
            assert_int_equal(wire_take(&ends.reader, &events, &first), 0);
            assert_true(events > 0);
            assert_true(ends.reader.pos - pos <= opt.ring_bytes / 8);
            pos = ends.reader.pos;
        }
        assert_int_equal(total, PUT);
        assert_true(looks > 1);
        bench_ends_close(&ends);
    }
}

static void its_file_has_a_name_until_it_is_read(void **state)
{
    struct wire_options opt = bench_options(WIRE_RING_READ, 64);
    struct errmsg err = { "" };
    struct wire writer, reader;

    (void)state;
    assert_int_equal(wire_prepare(&writer, &opt, &err), 0);
    assert_int_equal(wire_ring_make(&writer, &err), 0);
    assert_int_equal(wire_writer_open(&writer, &err), 0);
    assert_int_equal(bench_base_names(), 1);
    assert_int_equal(wire_prepare(&reader, &opt, &err), 0);
    assert_int_equal(wire_reader_open(&reader, writer.ring_name, &err), 0);
    assert_int_equal(bench_base_names(), 0);
    wire_close(&reader);
    wire_close(&writer);
}

static void bad_frames_are_refused(void **state)
{
    uint8_t event[64] = { 0 };

    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        struct wire_options opt = bench_options(kinds[k], sizeof(event));
        const uint32_t len = 0xfffffff0;
        struct bench_ends ends;
        const uint8_t *first;
        uint64_t events;

        bench_ends_open(&ends, &opt);
        assert_int_equal(wire_put(&ends.writer, event, 1), 0);
        assert_int_equal(file_write(ends.reader.file.fd, &len, sizeof(len),
                                    ends.reader.file.super.data_offset +
                                        offsetof(struct shm_frame, len)), 0);
        assert_int_equal(wire_take(&ends.reader, &events, &first), -EBADMSG);
        assert_int_equal(events, 0);
        bench_ends_close(&ends);
    }
}

static void a_place_without_rings_is_an_error_with_its_name(void **state)
{
    struct wire_options opt = bench_options(WIRE_RING_READ, 64);
    struct errmsg err = { "" };
    struct wire w;

    (void)state;
    assert_int_equal(wire_prepare(&w, &opt, &err), 0);
    assert_int_equal(wire_reader_open(&w, "bench.0.0.ring", &err), -ENOENT);
    wire_close(&w);
    opt.shm_dir = "/proc/nowhere";
    assert_int_equal(wire_prepare(&w, &opt, &err), 0);
    assert_int_equal(wire_reader_open(&w, "bench.0.0.ring", &err), -ENOENT);
    assert_non_null(strstr(err.text, "'/proc/nowhere'"));
    assert_int_equal(wire_ring_make(&w, &err), -ENOENT); /* it would make it elsewhere */
    assert_non_null(strstr(err.text, "/proc/nowhere"));
    wire_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_arrive_whole_while_the_ring_wraps),
        cmocka_unit_test(a_look_takes_an_eighth_of_the_ring_at_the_most),
        cmocka_unit_test(its_file_has_a_name_until_it_is_read),
        cmocka_unit_test(bad_frames_are_refused),
        cmocka_unit_test(a_place_without_rings_is_an_error_with_its_name),
    };

    return cmocka_run_group_tests(tests, bench_base_make, bench_base_remove);
}
