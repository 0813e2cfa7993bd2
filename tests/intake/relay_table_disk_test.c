/*
 * The relay's journal on a disk that fails, fills up and loses power, at every operation: whatever
 * becomes of the host, the journal and the ring's end say to the byte what was taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "intake/relay_table.h"
#include "io/file.h"
#include "support/sim.h"

enum { BATCHES = 12, STEPS = 40, CHUNK = 24 };

/* What the host's other half knows: the ring, and how far it got. */
static struct {
    uint64_t taken[BATCHES];            /* by rings that are over */
    bool over[BATCHES];                 /* never to be sent again */
    struct { unsigned batch; uint64_t from; } chunk[STEPS];
    unsigned chunks;
    uint64_t durable;
    uint8_t ring[16];                   /* the first byte counts them */
    uint64_t end[256];                  /* of those that are over */
    unsigned failures;
} world;

static struct relay_key key(unsigned batch)
{
    return (struct relay_key){.peer = "peer", .id = {3, 0, batch}};
}

/* The ring ends at pos: what is behind it never was. */
static void ring_ends(uint64_t pos)
{
    for (unsigned i = 0; i < world.chunks; i++) {
        uint64_t from = world.chunk[i].from;

        if (pos > from)
            world.taken[world.chunk[i].batch] += pos - from < CHUNK ? pos - from : CHUNK;
    }
    world.end[world.ring[0]++] = pos;
    world.chunks = 0;
    world.durable = 0;
}

static uint64_t ring_head(void)
{
    return (uint64_t)world.chunks * CHUNK;
}

static void written(struct relay_table *t, bool sync)
{
    while (relay_table_write(t, sync) != 0)
        world.failures++;               /* as the listener does: until it is written */
}

/* One more chunk: journal, then ring; now and then one is durable or over. */
static void step(struct relay_table *t, unsigned i)
{
    unsigned batch = (unsigned)(sim_random() % BATCHES);
    struct relay_key k = key(batch);

    if (!world.over[batch]) {
        assert_int_equal(relay_table_add(t, &k, world.ring, ring_head(), CHUNK), 0);
        written(t, true);
        world.chunk[world.chunks].batch = batch;
        world.chunk[world.chunks].from = ring_head();
        world.chunks++;
    }
    if (i % 5 == 4) {
        world.durable = ring_head();
        relay_table_durable(t, world.ring, world.durable);
        world.over[batch] = true;       /* its sender has told, so it has never more to say */
        assert_int_equal(relay_table_forget(t, &k, &(struct batch_id){0}), 0);
        written(t, false);
    }
    if (i % 9 == 8)
        while (relay_table_rewrite(t) != 0)
            world.failures++;
}

static int life(void *ctx)
{
    uint8_t ring[16] = {0};
    struct relay_table t;
    int dir = file_open(FILE_CWD, "/state", O_RDONLY | O_DIRECTORY, 0);

    (void)ctx;
    assert_true(dir >= 0);
    ring_ends(ring_head());
    while (relay_table_open(dir, &t) != 0)
        world.failures++;
    for (; ring[0] < world.ring[0]; ring[0]++)
        relay_table_settle(&t, ring, world.end[ring[0]]);
    for (unsigned b = 0; b < BATCHES; b++) {
        struct relay_key k = key(b);

        if (!world.over[b])
            assert_int_equal(relay_table_taken(&t, &k), world.taken[b]);
    }
    while (relay_table_rewrite(&t) != 0)
        world.failures++;
    for (unsigned i = 0; i < STEPS; i++)
        step(&t, i);
    relay_table_close(&t);
    file_close(dir);
    return 0;
}

static void world_make(void)
{
    memset(&world, 0, sizeof(world));
    sim_reset(77);
    assert_int_equal(sim_mkdir("/state"), 0);
}

/* After a power cut the log may have less of the ring than was written, but all that is durable. */
static void crashed_at(uint64_t point, bool power)
{
    if (power) {
        uint64_t more = ring_head() - world.durable;

        sim_power_cut(point);
        world.chunks = (unsigned)((world.durable + (more ? sim_random() % (more + 1) : 0)) / CHUNK);
    } else {
        sim_kill();
    }
}

static void cut_everywhere(bool power)
{
    uint64_t point = 0;

    for (;;) {
        world_make();
        sim_crash_at(++point);
        if (sim_run(life, NULL) != SIM_CRASHED)
            break;
        crashed_at(point, power);
        sim_crash_at(point % 50 + 1);   /* once more, early in the next life */
        if (sim_run(life, NULL) == SIM_CRASHED) {
            crashed_at(point, power);
            sim_crash_at(0);
            assert_int_equal(sim_run(life, NULL), 0);
        }
    }
    assert_true(point > 100);
}

static void a_kill_at_any_operation(void **state)
{
    (void)state;
    cut_everywhere(false);
}

static void a_power_cut_at_any_operation(void **state)
{
    (void)state;
    cut_everywhere(true);
}

static void a_disk_that_fails_now_and_then(void **state)
{
    (void)state;
    world_make();
    sim_fail_some(SIM_WRITE, 200, -ENOSPC);
    sim_fail_some(SIM_SYNC, 200, -EIO);
    for (unsigned i = 0; i < 20; i++) {
        memset(world.over, 0, sizeof(world.over));
        memset(world.taken, 0, sizeof(world.taken));
        assert_int_equal(sim_remove_tree("/state"), 0);
        assert_int_equal(sim_mkdir("/state"), 0);
        assert_int_equal(sim_run(life, NULL), 0);
        sim_power_cut(i);
        world.chunks = (unsigned)(world.durable / CHUNK);
        assert_int_equal(sim_run(life, NULL), 0);
        ring_ends(0);
    }
    assert_true(world.failures > 20);
    sim_fail_clear();
}

static void a_full_disk_is_said_and_over_when_there_is_room(void **state)
{
    struct relay_key k = key(1);
    struct relay_table t;
    int dir;

    (void)state;
    world_make();
    dir = file_open(FILE_CWD, "/state", O_RDONLY | O_DIRECTORY, 0);
    assert_int_equal(relay_table_open(dir, &t), 0);
    assert_int_equal(relay_table_add(&t, &k, world.ring, 0, CHUNK), 0);
    sim_set_free("/state", 0);
    assert_int_equal(relay_table_write(&t, true), -ENOSPC);
    assert_int_equal(relay_table_write(&t, true), -ENOSPC);
    sim_set_free("/state", UINT64_MAX);
    assert_int_equal(relay_table_write(&t, true), 0);
    relay_table_close(&t);
    assert_int_equal(relay_table_open(dir, &t), 0);
    assert_int_equal(relay_table_taken(&t, &k), CHUNK);
    relay_table_close(&t);
    file_close(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_operation),
        cmocka_unit_test(a_power_cut_at_any_operation),
        cmocka_unit_test(a_disk_that_fails_now_and_then),
        cmocka_unit_test(a_full_disk_is_said_and_over_when_there_is_room),
    };

    return cmocka_run_group_tests_name("relay_table_disk", tests, NULL, NULL);
}
