/*
 * Claims about attach and discover on the simulated host: whatever operation fails, they say so,
 * keep nothing open, and go on when the fault is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/attach.h"
#include "ring/discover.h"
#include "support/sim.h"
#include "support/sim_producer.h"

#define DIR_PATH "/shm/hydrant"
#define RING "a.1.ring"

static struct sim_producer producer;

static void host_reset(void)
{
    sim_reset(1);
    assert_int_equal(sim_mkdir(DIR_PATH), 0);
    assert_int_equal(sim_producer_open(&producer, DIR_PATH, RING, SHM_RING_BYTES_MIN), 0);
    assert_int_equal(sim_producer_write(&producer, "orders", "{\"a\":1}"), 0);
}

struct seen {
    unsigned count;
    bool late;
    char last[SHM_RING_NAME_MAX + 1];
};

static void on_ring(void *ctx, const char *name, bool closed)
{
    struct seen *seen = ctx;

    if (closed)
        return;
    seen->count++;
    seen->late |= strcmp(name, "late.ring") == 0;
    snprintf(seen->last, sizeof(seen->last), "%s", name);
}

static int on_def(void *ctx, const struct ring_def *def)
{
    (void)def;
    ++*(unsigned *)ctx;
    return 0;
}

static struct discover *discover_ok(void)
{
    struct discover *d;
    struct errmsg err;

    assert_int_equal(discover_open(DIR_PATH, NULL, &d, &err), 0);
    return d;
}

static void opening_a_directory_survives_the_failure_of_any_operation(void **state)
{
    unsigned failures = 0;
    uint64_t nth, before;

    (void)state;
    for (nth = 1;; nth++) {
        struct discover *d;
        struct errmsg err = { "" };
        int res;

        host_reset();
        before = sim_op_count(SIM_ANY);
        sim_fail(SIM_ANY, nth, 1, -EIO);
        res = discover_open(DIR_PATH, NULL, &d, &err);
        if (res < 0) {
            failures++;
            assert_null(d);
            assert_true(err.text[0] != '\0');
            assert_int_equal(sim_open_descriptors(), 0);
            sim_fail_clear();
            d = discover_ok();
        }
        discover_close(d);
        assert_int_equal(sim_open_descriptors(), 0);
        if (res == 0 && sim_op_count(SIM_ANY) - before < nth)
            break;
    }
    assert_true(failures >= 6);
}

static void attaching_survives_the_failure_of_any_operation(void **state)
{
    unsigned failures = 0;
    uint64_t nth, before;

    (void)state;
    for (nth = 1;; nth++) {
        struct discover *d;
        enum shm_quarantine reason = SHM_QUARANTINE_COUNT;
        struct ring_file ring;
        unsigned open_before, defs = 0;
        uint64_t head;
        int res;

        host_reset();
        d = discover_ok();
        open_before = sim_open_descriptors();
        before = sim_op_count(SIM_ANY);
        sim_fail(SIM_ANY, nth, 1, -EIO);
        res = ring_file_open(discover_dir(d), RING, -1, &ring, &reason, NULL);
        assert_int_equal(res == -EBADMSG, reason != SHM_QUARANTINE_NONE);
        if (res < 0) {
            failures++;
            assert_int_equal(ring.fd < 0, res != -EBADMSG);
            ring_file_close(&ring);
            assert_int_equal(sim_open_descriptors(), open_before);
        } else {
            assert_int_equal(ring_file_head(&ring, 0, &head, &reason), 0);
            assert_int_equal(head, producer.head_pos);
            /* The last one to fail is the read of the definitions: they are read again. */
            if (ring_file_defs(&ring, on_def, &defs, &reason) < 0) {
                assert_int_equal(reason, SHM_QUARANTINE_FAULT);
                failures++;
                assert_int_equal(ring_file_defs(&ring, on_def, &defs, &reason), 0);
            }
            assert_int_equal(defs, 1);
        }
        ring_file_close(&ring);
        assert_int_equal(sim_open_descriptors(), open_before);
        discover_close(d);
        if (res == 0 && sim_op_count(SIM_ANY) - before < nth)
            break;
    }
    assert_true(failures >= 4);
}

static void a_scan_that_failed_stays_due(void **state)
{
    struct seen seen = { 0, false, "" };
    struct discover *d;

    (void)state;
    host_reset();
    d = discover_ok();
    sim_fail_next(SIM_LIST, -EIO);
    assert_int_equal(discover_step(d, 0, 8, on_ring, &seen), -EIO);
    assert_int_equal(seen.count, 0);
    assert_int_equal(discover_step(d, 0, 8, on_ring, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.last, RING);
    discover_close(d);
}

static void lost_events_lead_to_a_scan(void **state)
{
    struct seen seen = { 0, false, "" };
    struct sim_producer late;
    struct discover *d;
    char path[64];

    (void)state;
    host_reset();
    sim_set_watch_queue(4);
    d = discover_ok();
    assert_int_equal(discover_step(d, 0, 8, on_ring, &seen), 0);
    for (unsigned i = 0; i < 16; i++) {
        snprintf(path, sizeof(path), DIR_PATH "/junk%u", i);
        assert_int_equal(sim_write_file(path, "", 0), 0);
    }
    assert_int_equal(sim_producer_open(&late, DIR_PATH, "late.ring", SHM_RING_BYTES_MIN), 0);
    seen.count = 0;
    while (discover_step(d, 0, 1, on_ring, &seen) > 0)
        continue;
    assert_int_equal(seen.count, 2);
    assert_true(seen.late);
    discover_close(d);
}

static void a_killed_agents_directory_is_opened_again(void **state)
{
    struct discover *d;

    (void)state;
    host_reset();
    d = discover_ok();
    discover_close(d);
    assert_false(sim_exists(DIR_PATH "/" SHM_BELL_NAME));
    assert_false(sim_exists(DIR_PATH "/" SHM_LOCK_NAME));
    d = discover_ok();
    sim_kill();
    free(d);
    assert_true(sim_exists(DIR_PATH "/" SHM_LOCK_NAME));
    discover_close(discover_ok());
}

static void liveness_and_waking_follow_the_producer(void **state)
{
    enum shm_quarantine reason;
    struct ring_file ring;
    struct discover *d;
    uint64_t wakes;

    (void)state;
    host_reset();
    d = discover_ok();
    assert_int_equal(ring_file_open(discover_dir(d), RING, 0, &ring, &reason, NULL), 0);
    assert_int_equal(ring_file_alive(&ring), 1);
    wakes = sim_futex_wakes();
    ring_file_publish(&ring, SHM_POS_ACCEPTED, 8);
    assert_int_equal(sim_futex_wakes(), wakes);
    atomic_store(&producer.page->waiter, 1);
    ring_file_publish(&ring, SHM_POS_ACCEPTED, 16);
    assert_int_equal(sim_futex_wakes(), wakes + 1);
    sim_producer_die(&producer);
    assert_int_equal(ring_file_alive(&ring), 0);
    assert_int_equal(ring_file_remove(discover_dir(d), &ring), 0);
    assert_false(sim_exists(DIR_PATH "/" RING));
    ring_file_close(&ring);
    discover_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_a_directory_survives_the_failure_of_any_operation),
        cmocka_unit_test(attaching_survives_the_failure_of_any_operation),
        cmocka_unit_test(a_scan_that_failed_stays_due),
        cmocka_unit_test(lost_events_lead_to_a_scan),
        cmocka_unit_test(a_killed_agents_directory_is_opened_again),
        cmocka_unit_test(liveness_and_waking_follow_the_producer),
    };

    return cmocka_run_group_tests_name("ring on the simulated host", tests, NULL, NULL);
}
