/*
 * Crash schedules that have a name, because they have cost others data or are where one would look
 * first. Each is run with its crash at every point (or a part of them, in the usual form).
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

#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_schedule.h"

#define SPOOL SIM_AGENT_DATA "/spool"
#define WAL   SIM_AGENT_DATA "/wal"

static unsigned run(struct sim_schedule s)
{
    return sim_schedule_run(s);
}

static bool long_form(void)
{
    return getenv("HYDRANT_LONG") != NULL;
}

/* ---- 1: two rings, many writes in flight, completions permuted, SIGKILL, two restarts ---- */

static void two_busy_rings(struct sim_agent *a)
{
    a->pad_bytes = 7000;
    a->sinks[0].buffer_count = 40;
    for (int i = 0; i < 2; i++)
        sim_agent_source_add(a, 1 << 20, 250)->burst = 60;
}

static void writes_in_flight_and_completions_in_any_order(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "permuted", .prepare = two_busy_rings,
                                          .disorder = 900, .again = 2, .stride = 17}) > 20);
}

/* ---- 2: the successor starts at once, and writes of the dead one land while it runs ---- */

static void late_writes_of_a_killed_agent_land_under_its_successor(void **state)
{
    (void)state;
    /* Nothing is awaited between the kill and the next life: what is under way lands in it. */
    assert_true(run((struct sim_schedule){.name = "late writes", .prepare = two_busy_rings,
                                          .disorder = 400, .stride = 19}) > 20);
}

/* ---- 3: power cut at every step from spool to acknowledgement and trim ---- */

static void small_batches_and_segments(struct sim_agent *a)
{
    sim_mount("/far", false, 1 << 30);
    a->pad_bytes = 6000;
    a->leave = true;
    a->sinks[0].buffer_count = 60;
    sim_agent_sink_add(a, "far", "/far/out");
    sim_agent_source_add(a, 1 << 20, 700)->burst = 70;
}

static void power_cut_at_every_step_of_sealing_and_trimming(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "power", .prepare = small_batches_and_segments,
                                          .power = true, .disorder = 300, .stride = 23}) > 20);
}

/* ---- 4: a consumer takes the file after the rename, SIGKILL before the ACK ---- */

static void take(struct sim_agent *a, uint64_t turn)
{
    (void)turn;
    sim_agent_take(a);
}

static void taken_at_once(struct sim_agent *a)
{
    a->on_turn = take;
    a->sinks[0].buffer_count = 4;
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 30);
}

static void a_consumer_takes_the_file_before_its_acknowledgement(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "consumer", .prepare = taken_at_once,
                                          .down = sim_agent_take, .again = 1, .disorder = 300,
                                          .stride = 3}) > 60);
}

/* ---- 5: the destination has it, nobody knows, SIGKILL, and the spool is damaged meanwhile ---- */

static void two_sinks(struct sim_agent *a)
{
    sim_mount("/far", false, 1 << 30);
    a->sinks[0].buffer_count = 6;
    sim_agent_sink_add(a, "far", "/far/out");
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 40);
}

static void delivered_unknown_to_the_log_and_the_spool_damaged(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "reply lost", .prepare = two_sinks,
                                          .down = sim_agent_spool_damage, .again = 1,
                                          .stride = 5}) > 60);
}

/* ---- 6: a recycled segment with valid old groups at the same offsets ---- */

static void recycling(struct sim_agent *a)
{
    a->opt.wal_bytes_max = 256 << 20;       /* much room: spares are kept */
    a->pad_bytes = 8000;
    a->sinks[0].buffer_count = 50;
    sim_agent_source_add(a, 1 << 20, 2600)->burst = 60;
}

static void old_groups_in_recycled_segments_never_come_back(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "recycled", .prepare = recycling, .first = 301,
                                          .disorder = 200, .stride = 131}) > 10);
    assert_true(run((struct sim_schedule){.name = "recycled, power", .prepare = recycling,
                                          .first = 350, .power = true, .stride = 139}) > 10);
}

/* ---- 7: while it is down, settings change and one of two sinks is dropped ---- */

static void sink_dropped(struct sim_agent *a)
{
    a->sinks_count = 1;
    a->sinks[0].count_max = 6;
    a->sinks[0].buffer_count = 3;
    a->sinks[0].prefix = "later/";
}

static void settings_change_and_a_sink_is_dropped_while_it_is_down(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "sink dropped", .prepare = two_sinks,
                                          .down = sink_dropped, .stride = 5}) > 60);
}

/* ---- 7: while it is down, the number of shards changes ---- */

static uint32_t shards_next;

static void shards_change(struct sim_agent *a)
{
    a->opt.shards = shards_next;
}

static void many_rings(struct sim_agent *a)
{
    a->leave = true;
    a->streams_count = 2;
    a->sinks[0].buffer_count = 8;
    for (int i = 0; i < 6; i++)
        sim_agent_source_add(a, SHM_RING_BYTES_MIN, 20)->burst = 3;
}

static void four_shards(struct sim_agent *a)
{
    many_rings(a);
    a->opt.shards = 4;
}

static void two_shards(struct sim_agent *a)
{
    many_rings(a);
    a->opt.shards = 2;
}

static void shards_change_while_it_is_down(void **state)
{
    (void)state;
    shards_next = 2;
    assert_true(run((struct sim_schedule){.name = "shards 4 to 2", .prepare = four_shards,
                                          .down = shards_change, .again = 1, .disorder = 300,
                                          .stride = 17}) > 40);
    assert_true(run((struct sim_schedule){.name = "shards 4 to 2, power", .prepare = four_shards,
                                          .down = shards_change, .again = 1, .power = true,
                                          .stride = 23}) > 40);
    shards_next = 3;
    assert_true(run((struct sim_schedule){.name = "shards 1 to 3", .prepare = many_rings,
                                          .down = shards_change, .again = 1, .disorder = 300,
                                          .stride = 11}) > 20);
    shards_next = 1;
    assert_true(run((struct sim_schedule){.name = "shards 2 to 1", .prepare = two_shards,
                                          .down = shards_change, .again = 2, .disorder = 300,
                                          .stride = 13}) > 40);
}

static void partitioned_otherwise(struct sim_agent *a)
{
    a->sinks[0].partition_by = "p";
    a->sinks[0].partitions_max = 1;
    a->sinks[1].partition_by = NULL;
    a->sinks[1].prefix = "then/";
}

static void two_partitioned_sinks(struct sim_agent *a)
{
    two_sinks(a);
    a->sinks[1].partition_by = "s";
    a->sinks[1].partitions_max = 8;
    sim_agent_source_add(a, SHM_RING_BYTES_MIN, 20);
}

static void partitions_change_while_it_is_down(void **state)
{
    (void)state;
    assert_true(run((struct sim_schedule){.name = "partitions", .prepare = two_partitioned_sinks,
                                          .down = partitioned_otherwise, .stride = 5}) > 60);
}

/* ---- 8: data_dir restored from a copy; log deleted while rings and a sealed spool live ---- */

/* A directory tree as it was. */
struct copy {
    char path[64][400];
    uint8_t *data[64];
    size_t len[64], count;
};

static void copy_take(struct copy *c, const char *dir)
{
    char **names, path[400];
    size_t count;

    assert_int_equal(sim_list(dir, &names, &count), 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        assert_true(c->count < 64);
        if (sim_read_file(path, &c->data[c->count], &c->len[c->count]) == 0)
            memcpy(c->path[c->count++], path, sizeof(path));
        else
            copy_take(c, path);
    }
    free(names);
}

static void copy_restore(struct copy *c, const char *dir)
{
    char above[400];

    assert_int_equal(sim_remove_tree(dir), 0);
    for (size_t i = 0; i < c->count; i++) {
        memcpy(above, c->path[i], sizeof(above));
        *strrchr(above, '/') = '\0';
        assert_int_equal(sim_mkdir(above), 0);
        assert_int_equal(sim_write_file(c->path[i], c->data[i], c->len[i]), 0);
        free(c->data[i]);
    }
}

struct file_seen {
    char path[200];
    size_t len;
    uint32_t sum;
};

static size_t files_look(const char *dir, struct file_seen *seen, size_t at)
{
    char **names, path[200];
    size_t count;

    if (sim_list(dir, &names, &count) != 0)
        return at;
    for (size_t i = 0; i < count; i++) {
        uint8_t *data;
        size_t len;

        if (names[i][0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (sim_read_file(path, &data, &len) != 0) {
            at = files_look(path, seen, at);
            continue;
        }
        memcpy(seen[at].path, path, sizeof(path));
        seen[at].len = len;
        seen[at].sum = 0;
        for (size_t k = 0; k < len; k++)
            seen[at].sum = seen[at].sum * 31 + data[k];
        free(data);
        at++;
    }
    free(names);
    return at;
}

static struct sim_agent agent;
static struct copy copy;
static struct file_seen before[512], after[512];

static bool half_taken(struct sim_agent *a)
{
    return sim_producer_pos(&a->sources[0].ring, SHM_POS_ACCEPTED) > a->sources[0].ring.head_pos / 2
           && a->sources[0].events_count > 60;
}

static void life_to_the_middle(void)
{
    sim_agent_open(&agent);
    sim_agent_until(&agent, half_taken, "half of it is accepted");
    sim_agent_close(&agent);
    sim_kill();
}

/* Events that were delivered between copy and restore may come again; no file changes. */
static void a_restored_data_directory_overwrites_nothing(void **state)
{
    size_t files;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        sim_agent_init(&agent, seed);
        agent.sinks[0].directory = "/out";
        sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100)->burst = 1;
        life_to_the_middle();
        memset(&copy, 0, sizeof(copy));
        copy_take(&copy, SIM_AGENT_DATA);
        agent.sources[0].planned = 200;
        assert_int_equal(sim_agent_life(&agent), 0);
        files = files_look("/out", before, 0);
        assert_true(files > 10);
        copy_restore(&copy, SIM_AGENT_DATA);
        agent.sources[0].planned = 300;
        agent.sources[0].lies = true;       /* what is repeated is not held against it */
        sim_agent_open(&agent);
        for (int i = 0; i < 100; i++)
            sim_agent_write(&agent, &agent.sources[0], 0);
        sim_agent_pass(&agent, 5000000000);
        sim_agent_check_books(&agent);
        assert_int_equal(agent.pending, 0);
        /* What this log has not got is told to the producer, and counted. */
        assert_true(atomic_load(&agent.sources[0].ring.consumer->lost_pos) > 0);
        assert_true(agent.shard->state.lost_bytes[WAL_LOST_UNSYNCED] > 0);
        assert_int_equal(sim_producer_pos(&agent.sources[0].ring, SHM_POS_DELIVERED),
                         agent.sources[0].ring.head_pos);
        sim_agent_stop(&agent);
        assert_true(files_look("/out", after, 0) > files);
        for (size_t i = 0, k = 0; i < files; i++, k++) {
            while (strcmp(after[k].path, before[i].path) != 0)
                k++;
            assert_int_equal(after[k].len, before[i].len);
            assert_int_equal(after[k].sum, before[i].sum);
        }
        sim_agent_fini(&agent);
    }
}

/* Without the log nothing of the spool can be delivered; what is in rings goes on from there. */
static void a_deleted_log_is_begun_anew_and_rings_go_on(void **state)
{
    (void)state;
    sim_agent_init(&agent, 3);
    sim_mount("/far", false, 1 << 30);
    agent.sinks[0].directory = "/far/out";
    sim_set_capacity("/far", 0);
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 100)->burst = 1;
    life_to_the_middle();
    assert_int_equal(sim_remove_tree(WAL), 0);
    sim_set_capacity("/far", 1 << 30);
    agent.sources[0].lies = true;
    assert_int_equal(sim_agent_life(&agent), 0);
    sim_agent_check_clean(&agent);
    assert_int_equal(sim_producer_pos(&agent.sources[0].ring, SHM_POS_DELIVERED),
                     agent.sources[0].ring.head_pos);
    sim_agent_fini(&agent);
}

/* ---- 9: the disk is full from any moment on; a one-event stream pins a small log ---- */

static uint64_t full_turn;

static void disk_fills_and_empties(struct sim_agent *a, uint64_t turn)
{
    (void)a;
    if (turn == full_turn)
        sim_set_capacity("/", 0);
    if (turn == full_turn + 3000)
        sim_set_capacity("/", 1ULL << 40);
}

static int full_from_turn(void *ctx)
{
    full_turn = *(const uint64_t *)ctx;
    sim_agent_init(&agent, full_turn);
    agent.leave = true;
    agent.opt.idle = SHARD_IDLE_SLEEP;
    agent.on_turn = disk_fills_and_empties;
    agent.pad_bytes = 3000;
    agent.streams_count = 2;
    agent.sinks[0].buffer_count = 30;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 300)->burst = 3;
    sim_agent_open(&agent);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    SIM_AGENT_CHECK(agent.pending + agent.lost == 0, "not all delivered");
    return 0;
}

static void no_space_from_any_moment_on_until_it_returns(void **state)
{
    (void)state;
    for (uint64_t turn = 1; turn < 200; turn += long_form() ? 1 : 9)
        assert_int_equal(sim_agent_child(full_from_turn, &turn), 0);
}

static bool pinned_alone(struct sim_agent *a)
{
    return a->sources[1].events_count >= a->sources[1].planned && sim_agent_taken(a);
}

static void a_stream_of_one_event_does_not_stop_the_others(void **state)
{
    (void)state;
    sim_agent_init(&agent, 9);
    agent.opt.wal_bytes_max = 24 << 20;
    agent.opt.segment_size = 4 << 20;
    agent.pad_bytes = 8000;
    agent.sinks[0].buffer_count = 1000;
    agent.sinks[0].buffer_time_ns = -1;
    agent.streams_count = 2;
    sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 0);
    sim_agent_source_add(&agent, 1 << 20, 0);
    sim_agent_open(&agent);
    assert_true(sim_agent_write(&agent, &agent.sources[0], 1));
    agent.sources[0].planned = 1;
    agent.streams_count = 1;                /* from here on the other stream alone */
    agent.sources[1].planned = 9000;        /* three times the log */
    agent.sources[1].burst = 60;
    sim_agent_until(&agent, pinned_alone, "the other stream is through");
    agent.streams_count = 2;
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    assert_int_equal(agent.pending + agent.lost + agent.dropped, 0);
    sim_agent_fini(&agent);
}

/* ---- 10: a producer writes and dies in the middle of whatever the agent is doing ---- */

struct death {
    struct sim_agent_source *src;
    uint64_t at, ops;
};

static void die_at_operation(void *ctx, enum sim_kind kind)
{
    struct death *d = ctx;

    (void)kind;
    if (!d->src->ring.open || ++d->ops != d->at)
        return;
    for (int i = 0; i < 3; i++)
        sim_agent_write(&agent, d->src, 0);
    d->src->planned = d->src->events_count;
    sim_producer_die(&d->src->ring);
}

enum { DIED, LATE };

static int last_words(void *ctx)
{
    struct death d = {.at = *(const uint64_t *)ctx};

    sim_agent_init(&agent, d.at);
    agent.leave = true;
    d.src = sim_agent_source_add(&agent, SHM_RING_BYTES_MIN, 120);
    d.src->burst = 2;
    sim_agent_open(&agent);
    sim_on_op(die_at_operation, &d);
    sim_agent_until(&agent, sim_agent_taken, "everything is accepted");
    sim_agent_pass(&agent, 4000000000);     /* probes find it dead, and it is retired */
    sim_on_op(NULL, NULL);
    sim_agent_stop(&agent);
    sim_agent_check_all(&agent);
    sim_agent_check_clean(&agent);
    SIM_AGENT_CHECK(agent.pending + agent.lost == 0, "not all delivered");
    return d.ops >= d.at ? DIED : LATE;
}

/* Also between the agent's look at its head and the one at its lock. */
static void what_a_producer_wrote_last_arrives_whenever_it_dies(void **state)
{
    uint64_t at = 1;

    (void)state;
    while (at < 600 && sim_agent_child(last_words, &at) == DIED)
        at += long_form() ? 1 : 4;
    assert_true(at > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_in_flight_and_completions_in_any_order),
        cmocka_unit_test(late_writes_of_a_killed_agent_land_under_its_successor),
        cmocka_unit_test(power_cut_at_every_step_of_sealing_and_trimming),
        cmocka_unit_test(a_consumer_takes_the_file_before_its_acknowledgement),
        cmocka_unit_test(delivered_unknown_to_the_log_and_the_spool_damaged),
        cmocka_unit_test(old_groups_in_recycled_segments_never_come_back),
        cmocka_unit_test(settings_change_and_a_sink_is_dropped_while_it_is_down),
        cmocka_unit_test(shards_change_while_it_is_down),
        cmocka_unit_test(partitions_change_while_it_is_down),
        cmocka_unit_test(a_restored_data_directory_overwrites_nothing),
        cmocka_unit_test(a_deleted_log_is_begun_anew_and_rings_go_on),
        cmocka_unit_test(no_space_from_any_moment_on_until_it_returns),
        cmocka_unit_test(a_stream_of_one_event_does_not_stop_the_others),
        cmocka_unit_test(what_a_producer_wrote_last_arrives_whenever_it_dies),
    };

    return cmocka_run_group_tests_name("schedules", tests, NULL, NULL);
}
