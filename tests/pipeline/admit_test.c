/*
 * Claims about which files become rings: who is beyond a limit waits, is named with the reason and
 * is let in by itself, while other users go on; what cannot be read is shown, outlives its producer
 * for a while and goes; copies and second names of a ring are not taken for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

#define SECOND_NS 1000000000ULL

static struct sim_agent agent;
static shard_settings_fn plain_settings;

static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 29);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

static enum status_ring_state state_of(const struct sim_agent_source *src)
{
    struct status_ring ring;

    if (!sim_agent_ring(&agent, src->name, &ring))
        fail_msg("%s is not shown", src->name);
    return ring.state;
}

static uint64_t rings_in(enum status_ring_state state)
{
    struct status *status;
    uint64_t count;

    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    count = status->rings_by_state[state];
    status_free(status);
    return count;
}

static enum shm_wait waits_of(const struct sim_agent_source *src)
{
    return (enum shm_wait)atomic_load(&src->ring.consumer->waits);
}

static struct sim_agent_source *source_of(uint32_t uid, uint64_t ring_bytes)
{
    struct sim_agent_source *src = sim_agent_source_add(&agent, ring_bytes, 0);

    assert_int_equal(sim_chown(src->ring.path, uid, uid), 0);
    return src;
}

static void write_some(struct sim_agent_source *src, uint32_t stream, unsigned events)
{
    while (events-- > 0)
        assert_true(sim_agent_write(&agent, src, stream));
}

static bool accepted(const struct sim_agent_source *src)
{
    return sim_producer_pos(&src->ring, SHM_POS_ACCEPTED) == src->ring.head_pos;
}

/* ---- Rings beyond a limit ---- */

static void rings_beyond_the_limit_wait_for_a_place(void **state)
{
    struct status_ring ring;

    (void)state;
    agent.opt.rings_max = 4;
    agent.leave = true;
    for (unsigned i = 0; i < 10; i++)
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 20);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_RINGS_MAX));
    assert_int_equal(rings_in(STATUS_RING_ATTACHED), 4);
    assert_int_equal(rings_in(STATUS_RING_WAITING), 6);
    for (unsigned i = 0; i < 10; i++) {
        struct sim_agent_source *src = &agent.sources[i];

        assert_true(sim_agent_ring(&agent, src->name, &ring));
        assert_int_equal(ring.waits, waits_of(src));
        assert_int_equal(ring.waits, ring.state == STATUS_RING_WAITING ? SHM_WAIT_RINGS
                                                                       : SHM_WAIT_NONE);
        src->planned = 30;
    }
    sim_agent_until(&agent, sim_agent_taken, "all is written");
    sim_agent_pass(&agent, 10 * SECOND_NS);
    assert_false(sim_agent_pressed(&agent, BACKPRESSURE_RINGS_MAX));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    assert_int_equal(agent.delivered, 300);
}

static void a_user_at_its_limit_keeps_nobody_else_out(void **state)
{
    struct sim_agent_source *greedy[5], *modest;

    (void)state;
    agent.opt.rings_per_uid_max = 2;
    for (unsigned i = 0; i < 5; i++)
        greedy[i] = source_of(1001, SHM_RING_BYTES_MIN);
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 20);
    modest = source_of(1002, SHM_RING_BYTES_MIN);
    write_some(modest, 0, 10);
    sim_agent_pass(&agent, SECOND_NS);
    assert_true(accepted(modest));
    assert_int_equal(rings_in(STATUS_RING_WAITING), 3);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_RINGS_MAX));
    /* Each place that becomes free is taken within a second, until all had one. */
    for (unsigned left = 3; left > 0; left--) {
        unsigned gone = 0;

        while (!greedy[gone]->ring.open || state_of(greedy[gone]) != STATUS_RING_ATTACHED)
            gone++;
        write_some(greedy[gone], 0, 10);
        sim_producer_die(&greedy[gone]->ring);
        sim_agent_pass(&agent, 3 * SECOND_NS);
        assert_int_equal(rings_in(STATUS_RING_WAITING), left - 1);
    }
    for (unsigned i = 0; i < 5; i++)
        if (greedy[i]->ring.open) {
            assert_int_equal(waits_of(greedy[i]), SHM_WAIT_NONE);
            write_some(greedy[i], 0, 10);
        }
    assert_false(sim_agent_pressed(&agent, BACKPRESSURE_RINGS_MAX));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 10 + 50);
}

static void a_users_bytes_are_limited(void **state)
{
    struct sim_agent_source *large;
    struct status_ring ring;

    (void)state;
    agent.opt.ring_bytes_per_uid_max = 3 * SHM_RING_BYTES_MIN;
    for (unsigned i = 0; i < 5; i++)
        source_of(1001, SHM_RING_BYTES_MIN);
    large = source_of(1002, 4 * SHM_RING_BYTES_MIN);
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 20);
    assert_int_equal(rings_in(STATUS_RING_ATTACHED), 3);
    assert_int_equal(rings_in(STATUS_RING_WAITING), 3);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_RINGS_MAX));
    assert_true(sim_agent_ring(&agent, large->name, &ring));
    assert_int_equal(ring.waits, SHM_WAIT_BYTES_UID);
    assert_int_equal(ring.uid, 1002);
    assert_int_equal(ring.ring_bytes, 4 * SHM_RING_BYTES_MIN);
    sim_agent_close(&agent);
}

/* More wait than are listed: they are counted, and taken all the same. */
static void rings_that_wait_unlisted_are_taken_too(void **state)
{
    enum { RINGS = OUTSIDERS_MAX / 2 + 40 };
    static struct sim_producer rings[RINGS];
    char name[32];

    (void)state;
    agent.opt.rings_per_uid_max = 8;
    for (unsigned i = 0; i < RINGS; i++) {
        snprintf(name, sizeof(name), "r%u.ring", i);
        assert_int_equal(sim_producer_open(&rings[i], SIM_AGENT_SHM, name, SHM_RING_BYTES_MIN), 0);
    }
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 50);
    assert_int_equal(rings_in(STATUS_RING_WAITING), RINGS - 8);
    for (unsigned i = 0; i < RINGS; i++)
        sim_producer_close(&rings[i]);
    sim_agent_pass(&agent, 90 * SECOND_NS);
    assert_int_equal(rings_in(STATUS_RING_WAITING), 0);
    for (unsigned i = 0; i < RINGS; i++)
        assert_false(sim_exists(rings[i].path));
    sim_agent_stop(&agent);
}

/* ---- Streams beyond a limit ---- */

/* Stream 3 has a section of its own. */
static int settings_named(void *ctx, const char *stream, struct stream_settings *ret_set,
                          struct errmsg *err)
{
    int res = plain_settings(ctx, stream, ret_set, err);

    ret_set->named = strcmp(stream, "stream-3") == 0;
    return res;
}

static void a_users_streams_are_limited_across_restarts(void **state)
{
    struct sim_agent_source *first, *second, *other;
    struct status_ring ring;
    uint64_t now;

    (void)state;
    plain_settings = agent.opt.settings;
    agent.opt.settings = settings_named;
    agent.streams_count = 8;
    agent.opt.streams_per_uid_max = 2;
    first = source_of(1001, SHM_RING_BYTES_MIN);
    sim_agent_open(&agent);
    for (uint32_t i = 0; i < 2; i++)
        write_some(first, i, 1);
    sim_agent_turns(&agent, 50);
    assert_true(accepted(first));
    sim_producer_close(&first->ring);
    sim_agent_stop(&agent);
    assert_false(sim_exists(first->ring.path));
    /* Its ring is gone, and the agent another: the streams are still the user's. */
    second = source_of(1001, SHM_RING_BYTES_MIN);
    other = source_of(1002, SHM_RING_BYTES_MIN);
    sim_agent_open(&agent);
    write_some(second, 1, 1);           /* one of its own */
    write_some(second, 3, 1);           /* the configuration's */
    sim_agent_turns(&agent, 50);
    assert_true(accepted(second));
    write_some(second, 2, 1);
    write_some(other, 4, 1);
    write_some(other, 0, 1);            /* the first user's: nobody has to pay for it again */
    write_some(other, 5, 1);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_true(accepted(other));
    assert_false(accepted(second));
    assert_true(sim_agent_ring(&agent, second->name, &ring));
    assert_int_equal(ring.state, STATUS_RING_WAITING);
    assert_int_equal(ring.waits, SHM_WAIT_STREAMS_UID);
    assert_int_equal(waits_of(second), SHM_WAIT_STREAMS_UID);
    assert_true(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    /* Neither a flush nor a stop waits for it. */
    assert_int_equal(sim_agent_flush(&agent, ""), 0);
    agent.stop_ns = 3600 * SECOND_NS;
    now = sim_now_ns();
    sim_agent_stop(&agent);
    assert_true(sim_now_ns() - now < 60 * SECOND_NS);
    /* More room in the configuration: it is taken by itself. */
    agent.opt.streams_per_uid_max = 3;
    sim_agent_open(&agent);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_true(accepted(second));
    assert_int_equal(state_of(second), STATUS_RING_ATTACHED);
    assert_int_equal(waits_of(second), SHM_WAIT_NONE);
    assert_false(sim_agent_pressed(&agent, BACKPRESSURE_STREAMS_MAX));
    sim_agent_stop(&agent);
    assert_int_equal(agent.delivered, 8);
}

/* A thousand definitions are taken over several turns. */
static void definitions_are_bounded_by_turn(void **state)
{
    enum { DEFS = 1000, ENTRY = 24 };
    struct sim_agent_source *src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    uint32_t before = 0, most = 0;

    (void)state;
    agent.opt.streams_max = agent.opt.streams_per_uid_max = 2 * DEFS;
    for (uint16_t i = 0; i < DEFS; i++) {
        struct shm_def def = {.bytes = ENTRY, .number = (uint16_t)(i + 1),
                              .type = SHM_DEF_STREAM, .body_len = 8};
        char name[9];

        snprintf(name, sizeof(name), "defs%04u", i);
        memcpy(src->ring.defs + i * ENTRY, &def, sizeof(def));
        memcpy(src->ring.defs + i * ENTRY + sizeof(def), name, 8);
    }
    src->ring.defs_count = DEFS;
    atomic_store(&src->ring.page->defs_bytes, DEFS * ENTRY);
    assert_int_equal(sim_producer_append(&src->ring, DEFS, SHM_KIND_JSON, 0, "{}", 2), 0);
    sim_producer_publish(&src->ring);
    sim_agent_open(&agent);
    for (unsigned i = 0; i < 200 && !accepted(src); i++) {
        uint32_t fresh;

        sim_agent_turn(&agent);
        fresh = agent.shard->streams.count - before;
        before += fresh;
        most = fresh > most ? fresh : most;
    }
    assert_true(accepted(src));
    assert_in_range(most, 1, 256);
    sim_agent_close(&agent);
}

/* ---- Files that cannot be read ---- */

static void superblock_is_damaged(struct sim_agent_source *src)
{
    src->ring.superblock->created_ns++;
}

static void file_is_short(struct sim_agent_source *src)
{
    assert_int_equal(sim_truncate(src->ring.path, src->ring.file_bytes - 4096), 0);
}

static void boot_is_another(struct sim_agent_source *src)
{
    src->ring.superblock->boot_id[3] ^= 1;
    sim_producer_reseal(&src->ring);
}

static void a_file_that_cannot_be_read_is_shown_and_goes_with_its_producer(void **state)
{
    static const struct {
        void (*damage)(struct sim_agent_source *src);
        enum shm_quarantine reason;
    } cases[] = {
        {superblock_is_damaged, SHM_QUARANTINE_SUPERBLOCK},
        {file_is_short, SHM_QUARANTINE_SIZE},
        {boot_is_another, SHM_QUARANTINE_FOREIGN},
    };
    struct sim_agent_source *src[3];
    struct status_ring ring;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        src[i] = source_of(1001, SHM_RING_BYTES_MIN);
        write_some(src[i], 0, 3);
        src[i]->lies = true;
        cases[i].damage(src[i]);
    }
    sim_agent_open(&agent);
    sim_agent_pass(&agent, QUARANTINE_KEPT_NS + 5 * SECOND_NS);     /* they live */
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 3; i++) {
            assert_true(sim_agent_ring(&agent, src[i]->name, &ring));
            assert_int_equal(ring.state, STATUS_RING_QUARANTINED);
            assert_int_equal(ring.quarantine, cases[i].reason);
            assert_int_equal(ring.uid, 1001);
            sim_producer_die(&src[i]->ring);
        }
        if (round == 0)
            sim_agent_pass(&agent, QUARANTINE_KEPT_NS - 5 * SECOND_NS);
    }
    sim_agent_pass(&agent, 10 * SECOND_NS);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(sim_agent_ring(&agent, src[i]->name, &ring));
        assert_false(sim_exists(src[i]->ring.path));
    }
    sim_agent_stop(&agent);
    assert_int_equal(agent.accepted, 0);
}

static void a_file_that_is_mended_is_taken(void **state)
{
    struct sim_agent_source *src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);

    (void)state;
    write_some(src, 0, 5);
    src->ring.superblock->created_ns++;
    sim_agent_open(&agent);
    sim_agent_pass(&agent, SECOND_NS);
    assert_int_equal(state_of(src), STATUS_RING_QUARANTINED);
    src->ring.superblock->created_ns--;
    sim_agent_pass(&agent, SECOND_NS);
    assert_int_equal(state_of(src), STATUS_RING_ATTACHED);
    assert_true(accepted(src));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

static void strangers_in_the_directory_are_left_alone(void **state)
{
    char path[64];

    (void)state;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 50);
    assert_int_equal(sim_mkdir(SIM_AGENT_SHM "/dir.ring"), 0);
    assert_int_equal(sim_mknod(SIM_AGENT_SHM "/fifo.ring", 0010600), 0);
    assert_int_equal(sim_symlink(SIM_AGENT_SHM "/p0.ring", SIM_AGENT_SHM "/link.ring"), 0);
    assert_int_equal(sim_write_file(SIM_AGENT_SHM "/junk.ring", "junk", 4), 0);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(path, sizeof(path), SIM_AGENT_SHM "/junk-%u", i);
        assert_int_equal(sim_write_file(path, "", 0), 0);
    }
    sim_agent_open(&agent);
    sim_agent_pass(&agent, QUARANTINE_KEPT_NS + 5 * SECOND_NS);
    assert_int_equal(rings_in(STATUS_RING_QUARANTINED), 0);
    sim_agent_until(&agent, sim_agent_taken, "all is written");
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_true(sim_exists(SIM_AGENT_SHM "/junk.ring"));
    assert_true(sim_exists(SIM_AGENT_SHM "/fifo.ring"));
}

/* Files that claim to be rings fill their half of the list; who waits still is in it. */
static void a_flood_of_bad_files_hides_no_ring_that_waits(void **state)
{
    struct shm_superblock super = {.magic = SHM_MAGIC};
    struct sim_agent_source *taken, *waits;
    char path[64];

    (void)state;
    agent.opt.rings_max = 1;
    taken = source_of(1001, SHM_RING_BYTES_MIN);
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 10);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(path, sizeof(path), SIM_AGENT_SHM "/bad-%u.ring", i);
        assert_int_equal(sim_write_file(path, &super, sizeof(super)), 0);
    }
    sim_agent_turns(&agent, 100);
    waits = source_of(1002, SHM_RING_BYTES_MIN);
    sim_agent_pass(&agent, SECOND_NS);
    assert_int_equal(rings_in(STATUS_RING_QUARANTINED), OUTSIDERS_MAX / 2);
    assert_int_equal(state_of(taken), STATUS_RING_ATTACHED);
    assert_int_equal(state_of(waits), STATUS_RING_WAITING);
    sim_producer_close(&taken->ring);
    sim_agent_pass(&agent, 3 * SECOND_NS);
    assert_int_equal(state_of(waits), STATUS_RING_ATTACHED);
    sim_agent_close(&agent);
}

/* ---- Copies and names ---- */

static void a_second_ring_of_one_uuid_is_not_read(void **state)
{
    struct sim_agent_source *first, *second;
    struct status_ring ring;

    (void)state;
    first = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_open(&agent);
    write_some(first, 0, 1);
    sim_agent_turns(&agent, 50);
    second = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    second->lies = true;
    memcpy(second->ring.superblock->uuid, first->ring.superblock->uuid, 16);
    sim_producer_reseal(&second->ring);
    write_some(second, 0, 1);
    write_some(first, 0, 1);
    sim_agent_turns(&agent, 50);
    assert_true(sim_agent_ring(&agent, second->name, &ring));
    assert_int_equal(ring.quarantine, SHM_QUARANTINE_DUPLICATE);
    assert_int_equal(state_of(first), STATUS_RING_ATTACHED);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 2);
}

/* Whichever an agent finds first after a start: the log knows which file the ring is. */
static void a_copy_made_between_two_starts_does_not_pass_for_the_ring(void **state)
{
    static const char *const names[] = {"a.ring", "z.ring", "m.ring", "p00.ring", "q.ring"};
    struct sim_agent_source *src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    struct status_ring ring;
    char path[64];
    uint8_t *bytes;
    size_t len;

    (void)state;
    sim_agent_open(&agent);
    write_some(src, 0, 20);
    sim_agent_turns(&agent, 50);
    sim_agent_stop(&agent);
    assert_int_equal(sim_read_file(src->ring.path, &bytes, &len), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), SIM_AGENT_SHM "/%s", names[i]);
        assert_int_equal(sim_write_file(path, bytes, len), 0);
    }
    free(bytes);
    write_some(src, 0, 20);
    sim_agent_open(&agent);
    sim_agent_turns(&agent, 50);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_true(sim_agent_ring(&agent, names[i], &ring));
        assert_int_equal(ring.quarantine, SHM_QUARANTINE_DUPLICATE);
    }
    assert_int_equal(state_of(src), STATUS_RING_ATTACHED);
    assert_true(accepted(src));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
}

/* A second name of a file is no second ring, and nothing is written on the ring for it. */
static void a_hard_link_changes_nothing(void **state)
{
    struct sim_agent_source *src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    struct status_ring ring;
    int dir;

    (void)state;
    sim_agent_open(&agent);
    write_some(src, 0, 10);
    sim_agent_turns(&agent, 50);
    dir = file_open(FILE_CWD, SIM_AGENT_SHM, O_RDONLY | O_DIRECTORY, 0);
    assert_true(dir >= 0);
    assert_int_equal(file_link(dir, src->name, dir, "second.ring"), 0);
    file_close(dir);
    write_some(src, 0, 10);
    sim_agent_pass(&agent, 2 * SECOND_NS);
    assert_int_equal(state_of(src), STATUS_RING_ATTACHED);
    assert_false(sim_agent_ring(&agent, "second.ring", &ring));
    assert_int_equal(atomic_load(&src->ring.consumer->quarantine), SHM_QUARANTINE_NONE);
    assert_true(accepted(src));
    /* Both names go, and nothing is read twice. */
    sim_producer_close(&src->ring);
    sim_agent_pass(&agent, 10 * SECOND_NS);
    assert_false(sim_exists(src->ring.path));
    assert_false(sim_exists(SIM_AGENT_SHM "/second.ring"));
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.delivered, 20);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_beyond_the_limit_wait_for_a_place),
        cmocka_unit_test(a_user_at_its_limit_keeps_nobody_else_out),
        cmocka_unit_test(a_users_bytes_are_limited),
        cmocka_unit_test(rings_that_wait_unlisted_are_taken_too),
        cmocka_unit_test(a_users_streams_are_limited_across_restarts),
        cmocka_unit_test(definitions_are_bounded_by_turn),
        cmocka_unit_test(a_file_that_cannot_be_read_is_shown_and_goes_with_its_producer),
        cmocka_unit_test(a_file_that_is_mended_is_taken),
        cmocka_unit_test(strangers_in_the_directory_are_left_alone),
        cmocka_unit_test(a_flood_of_bad_files_hides_no_ring_that_waits),
        cmocka_unit_test(a_second_ring_of_one_uuid_is_not_read),
        cmocka_unit_test(a_copy_made_between_two_starts_does_not_pass_for_the_ring),
        cmocka_unit_test(a_hard_link_changes_nothing),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
