/*
 * relay_table: what the journal and the ends of rings say was taken, over lives, byte by byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "intake/relay_table.h"
#include "io/file.h"

static char place[] = "/tmp/relay_table_test.XXXXXX";
static int dir = -1;
static const uint8_t ring_a[16] = "ring a", ring_b[16] = "ring b";

static struct relay_key key(uint64_t number)
{
    return (struct relay_key){.peer = "peer", .id = {1, 0, number}};
}

static int dir_make(void **state)
{
    (void)state;
    if (!mkdtemp(place))
        return -1;
    dir = open(place, O_RDONLY | O_DIRECTORY);
    return dir < 0 ? -1 : 0;
}

static int dir_remove(void **state)
{
    (void)state;
    close(dir);
    return rmdir(place);
}

static int journal_remove(void **state)
{
    (void)state;
    (void)unlinkat(dir, "relay.new", 0);
    return unlinkat(dir, "relay", 0) && errno != ENOENT ? -1 : 0;
}

static struct relay_table opened(void)
{
    struct relay_table t;

    assert_int_equal(relay_table_open(dir, &t), 0);
    return t;
}

static void add(struct relay_table *t, uint64_t number, const uint8_t *ring, uint64_t from,
                uint64_t len)
{
    struct relay_key k = key(number);

    assert_int_equal(relay_table_add(t, &k, ring, from, len), 0);
}

static uint64_t taken(const struct relay_table *t, uint64_t number)
{
    struct relay_key k = key(number);

    return relay_table_taken(t, &k);
}

static void a_ring_s_end_says_how_much_was_taken(void **state)
{
    /* Two batches in turn: 100 of the first, 50 of the second, 30 of the first. */
    static const struct { uint64_t end, first, second; } cases[] = {
        {0, 0, 0}, {1, 1, 0}, {100, 100, 0}, {120, 100, 20}, {150, 100, 50}, {155, 105, 50},
        {180, 130, 50}, {500, 130, 50},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct relay_table t = opened();

        add(&t, 1, ring_a, 0, 100);
        add(&t, 2, ring_a, 100, 50);
        add(&t, 1, ring_a, 150, 30);
        assert_int_equal(taken(&t, 1), 130);
        assert_int_equal(relay_table_write(&t, true), 0);
        relay_table_close(&t);

        t = opened();
        relay_table_settle(&t, ring_b, 1000);       /* another ring's end says nothing */
        assert_int_equal(taken(&t, 1), 130);
        relay_table_settle(&t, ring_a, cases[i].end);
        assert_int_equal(taken(&t, 1), cases[i].first);
        assert_int_equal(taken(&t, 2), cases[i].second);
        assert_int_equal(relay_table_rewrite(&t), 0);
        relay_table_close(&t);

        t = opened();
        assert_int_equal(t.ranges_end, 0);
        assert_int_equal(taken(&t, 1), cases[i].first);
        relay_table_close(&t);
        assert_int_equal(journal_remove(NULL), 0);
    }
}

static void what_is_durable_is_settled_whatever_the_ring_s_end(void **state)
{
    struct relay_table t = opened();

    (void)state;
    add(&t, 1, ring_a, 0, 100);
    add(&t, 1, ring_a, 100, 100);
    relay_table_durable(&t, ring_a, 150);
    assert_int_equal(relay_table_rewrite(&t), 0);
    relay_table_close(&t);
    t = opened();
    relay_table_settle(&t, ring_a, 0);
    assert_int_equal(taken(&t, 1), 100);
    relay_table_close(&t);
}

static void what_is_forgotten_stays_so(void **state)
{
    struct relay_table t = opened();
    struct relay_key k = key(1);

    (void)state;
    add(&t, 1, ring_a, 0, 100);
    add(&t, 2, ring_a, 100, 100);
    assert_int_equal(relay_table_write(&t, true), 0);
    assert_int_equal(relay_table_forget(&t, &k, &k.id), 0);
    assert_int_equal(relay_table_forget(&t, &k, &k.id), 0);
    assert_int_equal(relay_table_write(&t, false), 0);
    relay_table_close(&t);
    t = opened();
    relay_table_settle(&t, ring_a, 200);
    assert_int_equal(taken(&t, 1), 0);
    assert_int_equal(taken(&t, 2), 100);
    assert_int_equal(t.count, 1);
    relay_table_close(&t);
}

/* What a sender could not say before it died, a later word of it says. */
static void a_floor_forgets_what_is_below_it_of_that_shard_and_sender(void **state)
{
    struct relay_key k = {.peer = "peer", .id = {2, 0, 7}};
    struct relay_key other = {.peer = "other", .id = {1, 0, 1}};
    struct relay_key shard = {.peer = "peer", .id = {1, 1, 1}};
    struct relay_key late = {.peer = "peer", .id = {2, 0, 9}};
    struct relay_table t = opened();

    (void)state;
    for (uint64_t i = 0; i < 100; i++)
        add(&t, i, ring_a, i * 8, 8);
    assert_int_equal(relay_table_add(&t, &k, ring_a, 800, 8), 0);
    assert_int_equal(relay_table_add(&t, &other, ring_a, 808, 8), 0);
    assert_int_equal(relay_table_add(&t, &shard, ring_a, 816, 8), 0);
    assert_int_equal(relay_table_add(&t, &late, ring_a, 824, 8), 0);
    assert_int_equal(relay_table_forget(&t, &k, &(struct batch_id){1, 0, 99}), 0);
    assert_int_equal(t.count, 4);               /* number 99 is the floor, and stays */
    assert_int_equal(taken(&t, 99), 8);
    assert_int_equal(relay_table_forget(&t, &k, &(struct batch_id){2, 0, 7}), 0);
    assert_int_equal(relay_table_write(&t, false), 0);
    relay_table_close(&t);
    t = opened();
    assert_int_equal(t.count, 3);
    assert_int_equal(relay_table_taken(&t, &other), 8);
    assert_int_equal(relay_table_taken(&t, &shard), 8);
    assert_int_equal(relay_table_taken(&t, &late), 8);
    relay_table_close(&t);
}

static void a_sender_has_so_many_to_remember_and_no_more(void **state)
{
    struct relay_key fresh = key(RELAY_KNOWN_MAX), known = key(7);
    struct relay_key other = {.peer = "other", .id = {1, 0, 1}};
    struct relay_table t = opened();

    (void)state;
    for (uint64_t i = 0; i < RELAY_KNOWN_MAX; i++) {
        assert_true(i % 1024 || relay_table_room(&t, &fresh));
        add(&t, i, ring_a, i * 8, 8);
    }
    assert_false(relay_table_room(&t, &fresh));
    assert_true(relay_table_room(&t, &known));
    assert_true(relay_table_room(&t, &other));
    t.count = RELAY_KNOWN_ALL_MAX;              /* as if others had all places */
    assert_false(relay_table_room(&t, &other));
    assert_true(relay_table_room(&t, &known));
    t.count = RELAY_KNOWN_MAX;
    relay_table_close(&t);
}

/* The journal cut at every byte, and each byte of it spoilt: all whole records count. */
static void every_whole_record_counts_wherever_it_was_torn(void **state)
{
    enum { RECORDS = 12, BYTES = 88 };
    uint8_t bytes[RECORDS * BYTES];
    struct relay_table t = opened();
    int fd;

    (void)state;
    for (uint64_t i = 0; i < RECORDS; i++)
        add(&t, i, ring_a, i * 8, 8);
    assert_int_equal(relay_table_write(&t, true), 0);
    assert_int_equal(t.file_bytes, sizeof(bytes));
    relay_table_close(&t);
    fd = openat(dir, "relay", O_RDWR);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (size_t len = sizeof(bytes); len-- > 0;) {
        assert_int_equal(ftruncate(fd, (off_t)len), 0);
        t = opened();
        assert_int_equal(t.count, len / BYTES);
        assert_int_equal(t.damaged, 0);
        relay_table_close(&t);
    }
    for (size_t at = 0; at < sizeof(bytes); at++) {
        uint8_t spoilt = (uint8_t)(bytes[at] ^ 0x20);

        assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
        assert_int_equal(pwrite(fd, &spoilt, 1, (off_t)at), 1);
        t = opened();
        assert_int_equal(t.count, RECORDS - 1);
        assert_int_equal(taken(&t, at / BYTES), 0);
        assert_int_equal(t.damaged, at / BYTES < RECORDS - 1);
        relay_table_close(&t);
    }
    close(fd);
}

static void a_torn_end_is_left_out_and_many_batches_are_kept(void **state)
{
    struct relay_table t = opened();

    (void)state;
    for (uint64_t i = 0; i < 5000; i++)
        add(&t, i, ring_a, i * 8, 8);
    assert_int_equal(relay_table_write(&t, true), 0);
    assert_int_equal(file_truncate(t.fd, t.file_bytes - 1), 0);
    relay_table_close(&t);
    t = opened();
    assert_int_equal(t.count, 4999);
    relay_table_settle(&t, ring_a, UINT64_MAX);
    for (uint64_t i = 0; i < 4999; i++)
        assert_int_equal(taken(&t, i), 8);
    assert_int_equal(taken(&t, 4999), 0);
    relay_table_close(&t);
}

static void the_queue_of_ranges_does_not_grow_with_what_went_through(void **state)
{
    struct relay_table t = opened();

    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        add(&t, 1, ring_a, i * 8, 8);
        if (i > 10)
            relay_table_durable(&t, ring_a, (i - 10) * 8);
    }
    assert_true(t.ranges_cap <= 1024);
    assert_int_equal(taken(&t, 1), 800000);
    relay_table_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_ring_s_end_says_how_much_was_taken, journal_remove),
        cmocka_unit_test_teardown(what_is_durable_is_settled_whatever_the_ring_s_end,
                                  journal_remove),
        cmocka_unit_test_teardown(what_is_forgotten_stays_so, journal_remove),
        cmocka_unit_test_teardown(a_floor_forgets_what_is_below_it_of_that_shard_and_sender,
                                  journal_remove),
        cmocka_unit_test_teardown(a_sender_has_so_many_to_remember_and_no_more, journal_remove),
        cmocka_unit_test_teardown(every_whole_record_counts_wherever_it_was_torn, journal_remove),
        cmocka_unit_test_teardown(a_torn_end_is_left_out_and_many_batches_are_kept,
                                  journal_remove),
        cmocka_unit_test_teardown(the_queue_of_ranges_does_not_grow_with_what_went_through,
                                  journal_remove),
    };

    return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
