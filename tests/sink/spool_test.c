/*
 * spool: a batch's file is whole and synced once it is done, whatever fails on the way, and what is
 * not whole is never called done. On the simulated host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "io/file.h"
#include "sink/spool.h"
#include "support/sim.h"

#define DIR_PATH "/data/spool"
#define NAME "batch.spool"
#define PATH DIR_PATH "/" NAME

enum { TURNS_MAX = 2000, MODE = 0640, BLOCKS_MAX = 16 };

static const uint64_t second_ns = 1000000000;

/* One life that writes one batch. */
struct life {
    uint64_t bytes;             /* of the batch */
    struct io_loop *loop;
    struct block_pool pool;
    struct spool_queue queue;
    int dir;
    struct spool spool;
    bool done;
    int result;
};

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 31 + at / 4096 * 7 + at / BLOCK_BYTES + 1);
}

static void host_reset(uint64_t seed)
{
    sim_reset(seed);
    assert_int_equal(sim_mkdir(DIR_PATH), 0);
}

static void on_done(struct spool *s, int result)
{
    struct life *life = (struct life *)((char *)s - offsetof(struct life, spool));

    assert_false(life->done);           /* once */
    life->done = true;
    life->result = result;
}

static void life_open(struct life *life, uint64_t bytes)
{
    struct errmsg err;

    memset(life, 0, sizeof(*life));
    life->bytes = bytes;
    assert_int_equal(loop_open(64, &life->loop, &err), 0);
    block_pool_init(&life->pool, (uint64_t)BLOCKS_MAX * BLOCK_BYTES);
    life->dir = file_open(FILE_CWD, DIR_PATH, O_RDONLY | O_DIRECTORY, 0);
    assert_true(life->dir >= 0);
    spool_queue_init(&life->queue);
    spool_init(&life->spool, life->loop, &life->pool, &life->queue, life->dir, NAME, MODE);
}

static void life_close(struct life *life)
{
    spool_fini(&life->spool);
    assert_int_equal(block_pool_bytes_used(&life->pool), 0);
    file_close(life->dir);
    loop_close(life->loop);
    block_pool_fini(&life->pool);
}

/* Hands over the next block of the batch. */
static void append(struct life *life)
{
    struct block *b = block_take(&life->pool);
    uint64_t at = life->spool.file_bytes, left = life->bytes - at;

    assert_non_null(b);
    b->len = left < BLOCK_BYTES ? (uint32_t)left : BLOCK_BYTES;
    for (uint32_t i = 0; i < b->len; i++)
        b->data[i] = byte_at(at + i);
    /* What is behind the end of a block is whatever was there before. */
    memset(b->data + b->len, 0xee, BLOCK_BYTES - b->len);
    assert_int_equal(spool_append(&life->spool, b), 0);
}

static void append_all(struct life *life)
{
    while (life->spool.file_bytes < life->bytes)
        append(life);
}

static void turn(struct life *life)
{
    assert_true(loop_turn(life->loop, loop_now_ns(life->loop) + second_ns / 10) >= 0);
    spool_step(&life->spool, loop_now_ns(life->loop));
}

/* True: done within so many turns. */
static bool turns(struct life *life, unsigned max)
{
    for (unsigned i = 0; i < max && !life->done; i++)
        turn(life);
    return life->done;
}

/* What is on the host is the batch and no byte more. */
static void check_file(uint64_t bytes)
{
    uint8_t *data;
    size_t len;

    assert_int_equal(sim_read_file(PATH, &data, &len), 0);
    if (len != bytes)
        fail_msg("%zu bytes, not %llu (seed %llu)", len, (unsigned long long)bytes,
                 (unsigned long long)sim_seed());
    for (size_t i = 0; i < len; i++)
        if (data[i] != byte_at(i))
            fail_msg("byte %zu is wrong (seed %llu)", i, (unsigned long long)sim_seed());
    free(data);
}

static uint32_t crc_of(uint64_t bytes)
{
    uint32_t crc = 0;

    for (uint64_t i = 0; i < bytes; i++) {
        uint8_t byte = byte_at(i);

        crc = crc32c(crc, &byte, 1);
    }
    return crc;
}

/* Writes the batch whole, in a life of its own. */
static void write_whole(uint64_t bytes)
{
    struct life life;

    life_open(&life, bytes);
    append_all(&life);
    spool_finish(&life.spool, on_done);
    assert_false(life.done);
    assert_true(turns(&life, TURNS_MAX));
    assert_int_equal(life.result, 0);
    assert_true(life.spool.file_bytes == bytes);
    assert_int_equal(life.spool.crc32c, crc_of(bytes));
    assert_int_equal(block_pool_bytes_used(&life.pool), 0);
    check_file(bytes);
    assert_int_equal(sim_unsynced(PATH), 0);
    assert_int_equal(sim_unsynced(DIR_PATH), 0);
    life_close(&life);
    assert_int_equal(sim_open_descriptors(), 0);
}

static const uint64_t sizes[] = {
    0, 1, 4095, 4096, 4097, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 17
};

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void a_finished_file_holds_every_byte_synced(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        host_reset(1);
        write_whole(sizes[i]);
    }
}

static void it_does_so_where_direct_writes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        host_reset(2);
        sim_set_direct(false);
        write_whole(sizes[i]);
    }
}

static void short_writes_in_any_order_are_made_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        host_reset(seed);
        sim_set_short(500);
        sim_set_disorder(500);
        sim_set_direct(seed % 2 == 0);
        write_whole(sizes[seed % SIZES]);
    }
}

/* A name from before, longer than the batch. */
static void what_was_there_under_its_name_is_replaced(void **state)
{
    static uint8_t old[5 * BLOCK_BYTES];

    (void)state;
    host_reset(3);
    memset(old, 'o', sizeof(old));
    assert_int_equal(sim_write_file(PATH, old, sizeof(old)), 0);
    write_whole(BLOCK_BYTES + 5);
}

static void it_gets_the_mode_it_was_given(void **state)
{
    struct file_stat st;
    struct life life;

    (void)state;
    host_reset(10);
    life_open(&life, 10);
    append_all(&life);
    spool_finish(&life.spool, on_done);
    assert_true(turns(&life, TURNS_MAX));
    assert_int_equal(file_stat_at(life.dir, NAME, &st), 0);
    assert_int_equal(st.mode & 07777, MODE);
    life_close(&life);
}

static void blocks_are_written_while_more_are_filled(void **state)
{
    struct life life;

    (void)state;
    host_reset(4);
    life_open(&life, 4 * BLOCK_BYTES);
    for (int i = 0; i < 3; i++)
        append(&life);
    assert_int_equal(life.spool.in_flight, 1);      /* the space for them */
    turn(&life);
    assert_int_equal(life.spool.in_flight, 3);
    turn(&life);
    assert_int_equal(life.spool.in_flight, 0);
    assert_int_equal(block_pool_bytes_used(&life.pool), 0);
    assert_true(sim_unsynced(PATH) > 0);
    append(&life);
    spool_finish(&life.spool, on_done);
    assert_true(turns(&life, TURNS_MAX));
    check_file(4 * BLOCK_BYTES);
    life_close(&life);
}

static void a_full_disk_keeps_the_blocks_until_there_is_space(void **state)
{
    struct life life;

    (void)state;
    host_reset(5);
    sim_set_capacity("/", BLOCK_BYTES + 64 * 1024);
    life_open(&life, 3 * BLOCK_BYTES + 100);
    append_all(&life);
    spool_finish(&life.spool, on_done);
    assert_false(turns(&life, 100));
    for (int i = 0; i < 3 && life.spool.retry_ns == 0; i++)
        turn(&life);            /* a try was under way */
    assert_true(life.spool.retry_ns != 0);
    assert_non_null(strstr(life.spool.trouble.text, NAME));
    assert_non_null(strstr(life.spool.trouble.text, strerror(ENOSPC)));
    assert_true(block_pool_bytes_used(&life.pool) > 0);
    sim_set_capacity("/", 1ULL << 40);
    assert_true(turns(&life, TURNS_MAX));
    assert_int_equal(life.result, 0);
    assert_int_equal(life.spool.retry_ns, 0);
    check_file(3 * BLOCK_BYTES + 100);
    assert_int_equal(sim_unsynced(PATH), 0);
    life_close(&life);
}

static void trouble_is_retried_once_a_second_and_no_oftener(void **state)
{
    struct life life;
    uint64_t ops, began;

    (void)state;
    host_reset(6);
    sim_fail(SIM_WRITE, 1, 3, -EIO);
    life_open(&life, BLOCK_BYTES);
    append_all(&life);
    began = loop_now_ns(life.loop);
    for (int failure = 1; failure <= 3; failure++) {
        while (life.spool.in_flight > 0)
            loop_turn(life.loop, 0);
        assert_int_equal(sim_op_count(SIM_WRITE), failure);
        ops = sim_op_count(SIM_ANY);
        spool_step(&life.spool, life.spool.retry_ns - 1);
        assert_int_equal(sim_op_count(SIM_ANY), ops);
        assert_int_equal(life.spool.in_flight, 0);
        sim_advance_ns(life.spool.retry_ns - loop_now_ns(life.loop));
        spool_step(&life.spool, loop_now_ns(life.loop));
        assert_int_equal(life.spool.in_flight, 1);
    }
    assert_true(loop_now_ns(life.loop) - began >= 3 * second_ns);
    spool_finish(&life.spool, on_done);
    assert_true(turns(&life, TURNS_MAX));
    check_file(BLOCK_BYTES);
    life_close(&life);
}

static void whatever_fails_but_a_sync_is_made_good(void **state)
{
    static const enum sim_kind kinds[] = { SIM_OPEN, SIM_WRITE, SIM_TRUNCATE };
    static const int errs[] = { -EIO, -ENOSPC, -EDQUOT };
    unsigned failures = 0;

    (void)state;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        for (uint64_t nth = 1;; nth++) {
            uint64_t bytes = 2 * BLOCK_BYTES + 77, before;
            struct life life;

            host_reset(nth);
            life_open(&life, bytes);
            before = sim_op_count(kinds[k]);
            sim_fail(kinds[k], nth, 2, errs[nth % 3]);
            append_all(&life);
            spool_finish(&life.spool, on_done);
            assert_true(turns(&life, TURNS_MAX));
            assert_int_equal(life.result, 0);
            check_file(bytes);
            assert_int_equal(sim_unsynced(PATH), 0);
            before = sim_op_count(kinds[k]) - before;
            life_close(&life);
            if (before < nth)
                break;
            failures++;
        }
    assert_true(failures >= 5);
}

static void a_failed_sync_is_told_and_not_repeated(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth <= 2; nth++) {   /* of the file; of its name */
        struct life life;
        uint64_t syncs;

        host_reset(nth);
        life_open(&life, BLOCK_BYTES + 1);
        append_all(&life);
        syncs = sim_op_count(SIM_SYNC);
        sim_fail(SIM_SYNC, nth, 1, -EIO);
        spool_finish(&life.spool, on_done);
        assert_true(turns(&life, TURNS_MAX));
        assert_int_equal(life.result, -EIO);
        assert_non_null(strstr(life.spool.trouble.text, "sync"));
        for (int i = 0; i < 50; i++)
            turn(&life);
        assert_int_equal(sim_op_count(SIM_SYNC), syncs + nth);
        life_close(&life);
    }
}

static void giving_up_gives_every_block_back(void **state)
{
    struct life life;

    (void)state;
    host_reset(8);
    sim_fail(SIM_WRITE, 2, 0, -ENOSPC);
    life_open(&life, 5 * BLOCK_BYTES);
    append_all(&life);
    for (int i = 0; i < 10; i++)
        turn(&life);
    assert_int_equal(life.spool.in_flight, 0);
    assert_int_equal(block_pool_bytes_used(&life.pool), 4 * (uint64_t)BLOCK_BYTES);
    life_close(&life);      /* asserts that none is left */
}

static void a_file_that_cannot_be_opened_can_be_given_up(void **state)
{
    struct life life;

    (void)state;
    host_reset(11);
    sim_fail(SIM_OPEN, 2, 0, -EMFILE);      /* after the directory's own */
    life_open(&life, BLOCK_BYTES + 1);
    append_all(&life);
    for (int i = 0; i < 30; i++)
        turn(&life);
    assert_non_null(strstr(life.spool.trouble.text, strerror(EMFILE)));
    sim_fail_clear();
    life_close(&life);
    assert_false(sim_exists(PATH));
}

static void nothing_begun_leaves_nothing(void **state)
{
    struct life life;

    (void)state;
    host_reset(9);
    life_open(&life, 0);
    assert_int_equal(life.spool.fd, -1);
    life_close(&life);
    assert_false(sim_exists(PATH));
}

struct crash_life {
    bool done;
};

static int crash_life_run(void *ctx)
{
    struct crash_life *c = ctx;
    struct life life;
    struct file_stat st;

    life_open(&life, BLOCK_BYTES + 4097);
    append_all(&life);
    spool_finish(&life.spool, on_done);
    assert_true(turns(&life, TURNS_MAX));
    assert_int_equal(life.result, 0);
    c->done = true;
    assert_int_equal(file_stat_at(life.dir, NAME, &st), 0);     /* two points more to stop at */
    life_close(&life);
    return 0;
}

/* The promise is one-sided: done means whole for ever; before that nothing is said. */
static void what_was_called_done_survives_any_end(void **state)
{
    unsigned crashes = 0, done = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++)
        for (uint64_t point = 1;; point++) {
            struct crash_life c = { 0 };
            int r;

            host_reset(seed);
            sim_set_short(200);
            sim_set_disorder(seed % 2 ? 300 : 0);
            sim_crash_at(point);
            r = sim_run(crash_life_run, &c);
            if (seed % 4 == 0) {
                sim_kill();
                sim_land();
            } else {
                sim_power_cut(seed * 1000 + point);
            }
            if (c.done) {
                check_file(BLOCK_BYTES + 4097);
                done++;
            }
            if (r != SIM_CRASHED)
                break;
            crashes++;
        }
    assert_true(crashes > 50);
    assert_true(done > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finished_file_holds_every_byte_synced),
        cmocka_unit_test(it_does_so_where_direct_writes_are_refused),
        cmocka_unit_test(short_writes_in_any_order_are_made_whole),
        cmocka_unit_test(what_was_there_under_its_name_is_replaced),
        cmocka_unit_test(it_gets_the_mode_it_was_given),
        cmocka_unit_test(blocks_are_written_while_more_are_filled),
        cmocka_unit_test(a_full_disk_keeps_the_blocks_until_there_is_space),
        cmocka_unit_test(trouble_is_retried_once_a_second_and_no_oftener),
        cmocka_unit_test(whatever_fails_but_a_sync_is_made_good),
        cmocka_unit_test(a_failed_sync_is_told_and_not_repeated),
        cmocka_unit_test(giving_up_gives_every_block_back),
        cmocka_unit_test(a_file_that_cannot_be_opened_can_be_given_up),
        cmocka_unit_test(nothing_begun_leaves_nothing),
        cmocka_unit_test(what_was_called_done_survives_any_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
