/*
 * ack: which batches hold the low-water mark down, in whatever order they end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/ack.h"

enum { STREAMS = 3, BATCHES = 40 };

#define ROUTED 1000000ULL

struct field {
    struct ack_list all;
    struct stream stream[STREAMS];
    struct batch batch[BATCHES];
    bool in[BATCHES];
};

static void add(struct field *f, int i, int stream, uint64_t first_lsn)
{
    f->batch[i].stream = &f->stream[stream];
    f->batch[i].first_lsn = first_lsn;
    ack_add(&f->all, &f->batch[i]);
    f->in[i] = true;
}

static void take(struct field *f, int i)
{
    ack_remove(&f->all, &f->batch[i]);
    f->in[i] = false;
}

/* What the marks should be, by looking at every batch. NULL: of all streams. */
static uint64_t low_water_by_hand(const struct field *f, const struct stream *s, uint64_t routed)
{
    uint64_t low = routed;

    for (int i = 0; i < BATCHES; i++)
        if (f->in[i] && (!s || f->batch[i].stream == s) && f->batch[i].first_lsn < low)
            low = f->batch[i].first_lsn;
    return low;
}

static void check(const struct field *f)
{
    const struct batch *before = NULL;
    int count = 0, of_streams = 0, wanted = 0;

    for (const struct batch *b = f->all.first; b; b = b->all.next, count++) {
        assert_ptr_equal(b->all.prev, before);
        assert_true(!before || before->first_lsn <= b->first_lsn);
        before = b;
    }
    assert_ptr_equal(f->all.last, before);
    for (int s = 0; s < STREAMS; s++) {
        before = NULL;
        for (const struct batch *b = f->stream[s].unfinished_first; b; b = b->of_stream.next) {
            assert_ptr_equal(b->of_stream.prev, before);
            assert_ptr_equal(b->stream, &f->stream[s]);
            assert_true(!before || before->first_lsn <= b->first_lsn);
            before = b;
            of_streams++;
        }
        assert_ptr_equal(f->stream[s].unfinished_last, before);
        assert_true(ack_stream_low_water(&f->stream[s], ROUTED)
                    == low_water_by_hand(f, &f->stream[s], ROUTED));
    }
    for (int i = 0; i < BATCHES; i++)
        wanted += f->in[i];
    assert_int_equal(count, wanted);
    assert_int_equal(of_streams, wanted);
    assert_true(ack_low_water(&f->all, ROUTED) == low_water_by_hand(f, NULL, ROUTED));
}

static void without_batches_all_that_was_routed_is_delivered(void **state)
{
    struct field f = { 0 };

    (void)state;
    assert_true(ack_low_water(&f.all, 4711) == 4711);
    assert_true(ack_stream_low_water(&f.stream[0], 4711) == 4711);
    assert_true(ack_low_water(&f.all, 0) == 0);
}

static void trims_only_the_delivered_prefix(void **state)
{
    struct field f = { 0 };

    (void)state;
    add(&f, 0, 0, 100);
    add(&f, 1, 0, 200);
    add(&f, 2, 0, 300);
    take(&f, 1);
    assert_true(ack_low_water(&f.all, ROUTED) == 100);
    take(&f, 0);
    assert_true(ack_low_water(&f.all, ROUTED) == 300);
    take(&f, 2);
    assert_true(ack_low_water(&f.all, ROUTED) == ROUTED);
}

static void nothing_above_the_routing_cursor_counts_as_delivered(void **state)
{
    struct field f = { 0 };

    (void)state;
    add(&f, 0, 0, 500);
    assert_true(ack_low_water(&f.all, 499) == 499);
    assert_true(ack_low_water(&f.all, 501) == 500);
    assert_true(ack_stream_low_water(&f.stream[0], 499) == 499);
    assert_true(ack_stream_low_water(&f.stream[1], 501) == 501);
}

static void a_stream_waits_for_its_own_batches_alone(void **state)
{
    struct field f = { 0 };

    (void)state;
    add(&f, 0, 0, 100);
    add(&f, 1, 1, 150);
    add(&f, 2, 0, 200);
    assert_true(ack_stream_low_water(&f.stream[0], ROUTED) == 100);
    assert_true(ack_stream_low_water(&f.stream[1], ROUTED) == 150);
    take(&f, 0);
    assert_true(ack_stream_low_water(&f.stream[0], ROUTED) == 200);
    assert_true(ack_low_water(&f.all, ROUTED) == 150);
    check(&f);
}

/* As at a start, when sealed batches are taken over in any order. */
static void batches_added_out_of_order_are_sorted(void **state)
{
    static const uint64_t lsn[] = { 500, 100, 300, 300, 700, 1, 600 };
    struct field f = { 0 };

    (void)state;
    for (int i = 0; i < 7; i++) {
        add(&f, i, i % STREAMS, lsn[i]);
        check(&f);
    }
    assert_ptr_equal(f.all.first, &f.batch[5]);
    assert_ptr_equal(f.all.last, &f.batch[4]);
}

static void any_order_of_beginnings_and_ends_keeps_the_marks_right(void **state)
{
    static const unsigned seeds[] = { 1, 2, 3, 4, 5 };

    (void)state;
    for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
        struct field f = { 0 };
        unsigned random = seeds[s];

        for (int step = 0; step < 2000; step++) {
            int i = rand_r(&random) % BATCHES;

            if (f.in[i])
                take(&f, i);
            else
                add(&f, i, rand_r(&random) % STREAMS, (uint64_t)(rand_r(&random) % 1000));
            check(&f);
        }
        for (int i = 0; i < BATCHES; i++)
            if (f.in[i])
                take(&f, i);
        check(&f);
        assert_null(f.all.first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_batches_all_that_was_routed_is_delivered),
        cmocka_unit_test(trims_only_the_delivered_prefix),
        cmocka_unit_test(nothing_above_the_routing_cursor_counts_as_delivered),
        cmocka_unit_test(a_stream_waits_for_its_own_batches_alone),
        cmocka_unit_test(batches_added_out_of_order_are_sorted),
        cmocka_unit_test(any_order_of_beginnings_and_ends_keeps_the_marks_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
