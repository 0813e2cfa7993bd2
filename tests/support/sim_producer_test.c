/*
 * sim_producer_test: the simulated producer's ring is the one that shm_wire.h draws, and the host
 * treats it as the kernel would: liveness, events, bell, lost pages.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "support/sim.h"
#include "support/sim_fixture.h"
#include "support/sim_producer.h"

/* ---- Producers ---- */

static void a_ring_is_published_whole_and_says_who_lives(void **state)
{
    struct sim_producer p;
    int dir = open_dir("/shm"), watch = file_watch_open("/shm"), fd;
    struct shm_superblock sb;
    struct file_stat st;
    struct events events;
    char **names;
    size_t count;

    (void)state;
    memset(&events, 0, sizeof(events));
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    assert_true(file_watch_read(watch, on_event, &events) > 0);
    assert_string_equal(events.last_added, "p.ring");
    assert_int_equal(sim_list("/shm", &names, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "p.ring");
    free(names);
    fd = file_open_beneath(dir, "p.ring");
    assert_true(fd >= 0);
    assert_int_equal(file_stat(fd, &st), 0);
    assert_int_equal(st.size_bytes, 3 * 4096 + SHM_DEFS_BYTES + 65536);
    assert_int_equal(st.allocated_bytes, st.size_bytes);
    assert_int_equal(file_read(fd, &sb, sizeof(sb), 0), sizeof(sb));
    assert_true(sb.magic == SHM_MAGIC);
    assert_int_equal(sb.data_bytes, 65536);
    assert_int_equal(sb.file_bytes, st.size_bytes);
    assert_int_equal(file_lock_probe(fd), 1);
    memset(&events, 0, sizeof(events));
    sim_producer_die(&p);
    assert_int_equal(file_lock_probe(fd), 0);
    assert_int_equal(file_watch_read(watch, on_event, &events), 1);
    assert_int_equal(events.closed, 1);
}

static void frames_lie_in_the_file_as_the_layout_says(void **state)
{
    struct sim_producer p;
    struct shm_frame frame;
    struct shm_def def;
    char text[16] = "";
    unsigned written = 0;
    int fd, rc;

    (void)state;
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    assert_int_equal(sim_producer_write(&p, "web", "{\"a\":1}"), 0);
    fd = file_open(FILE_CWD, "/shm/p.ring", O_RDWR, 0);
    assert_int_equal(file_read(fd, &def, sizeof(def), p.superblock->defs_offset), sizeof(def));
    assert_int_equal(def.number, 1);
    assert_int_equal(def.body_len, 3);
    assert_int_equal(file_read(fd, text, 3, p.superblock->defs_offset + sizeof(def)), 3);
    assert_string_equal(text, "web");
    assert_int_equal(file_read(fd, &frame, sizeof(frame), p.superblock->data_offset),
                     sizeof(frame));
    assert_int_equal(frame.len, 7);
    assert_int_equal(frame.def, 1);
    assert_int_equal(frame.kind, SHM_KIND_JSON);
    do {
        rc = sim_producer_write(&p, "web", "{\"a\":1}");
        written += rc == 0;
    } while (rc == 0);
    assert_int_equal(rc, -EAGAIN);
    assert_int_equal(written + 1, 65536 / shm_frame_bytes(7));
    atomic_store(&p.consumer->mark[SHM_POS_ACCEPTED].pos, p.head_pos);
    assert_int_equal(sim_producer_write(&p, "web", "{\"b\":2}"), 0);
    /* The agent may unlink a ring whose producer still holds it. */
    assert_int_equal(file_unlink(FILE_CWD, "/shm/p.ring"), 0);
    file_close(fd);
    assert_int_equal(sim_producer_write(&p, "web", "{\"c\":3}"), 0);
    sim_producer_close(&p);
}

static void a_bell_rings_while_its_agent_lives(void **state)
{
    struct io_loop *loop = make_loop(4);
    struct sim_producer p;
    struct result r;
    int bell = file_bell_open("/shm", SHM_BELL_NAME);

    (void)state;
    assert_true(bell >= 0);
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    io_poll(loop, op_of(&r), bell, on_result);
    assert_int_equal(loop_turn(loop, 0), 0);
    sim_producer_want(&p, SHM_POS_DURABLE);
    assert_int_equal(wait_for(loop, &r), 0);
    assert_int_equal(file_bell_drain(bell), 1);
    sim_kill();
    assert_int_equal(sim_ring_bell("/shm/.bell"), -ECONNREFUSED);
    bell = file_bell_open("/shm", SHM_BELL_NAME);
    assert_true(bell >= 0);
    assert_int_equal(sim_ring_bell("/shm/.bell"), 0);
    sim_producer_close(&p);
}

static void a_stranger_s_truncation_faults_the_guards_it_hits(void **state)
{
    struct sim_producer p;
    struct file_guard control, defs;
    int fd;

    (void)state;
    assert_int_equal(sim_producer_open(&p, "/shm", "p.ring", 65536), 0);
    fd = file_open(FILE_CWD, "/shm/p.ring", O_RDWR, 0);
    assert_int_equal(file_guard_map(fd, 0, 3 * 4096, &control), 0);
    assert_int_equal(file_guard_map(fd, 3 * 4096, SHM_DEFS_BYTES, &defs), 0);
    assert_int_equal(sim_truncate("/shm/p.ring", 3 * 4096), 0);
    assert_false(file_guard_faulted(&control));
    assert_true(file_guard_faulted(&defs));
    assert_int_equal(sim_guard_fault("/shm/p.ring"), 0);
    assert_true(file_guard_faulted(&control));
    file_guard_unmap(&control);
    file_guard_unmap(&defs);
    sim_producer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOST(a_ring_is_published_whole_and_says_who_lives),
        HOST(frames_lie_in_the_file_as_the_layout_says),
        HOST(a_bell_rings_while_its_agent_lives),
        HOST(a_stranger_s_truncation_faults_the_guards_it_hits),
    };

    blocks_fill();
    return cmocka_run_group_tests_name("sim_producer", tests, NULL, NULL);
}
