/*
 * Claims about writing the log within lives that end well: what is committed, synced, kept, said
 * again, and when. On simulated I/O.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "support/sim.h"
#include "wal/log_life.h"

static void every_span_is_committed_and_synced(void **state)
{
    struct world world;

    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        world_init(&world, seed);
        for (int lives = 0; lives < 4; lives++)
            assert_int_equal(sim_run(life_main, &world), 0);
        assert_int_equal(world.spans, 32);
        assert_int_equal(sim_open_descriptors(), 0);
    }
}

static void order_holds_when_completions_and_lengths_do_not(void **state)
{
    struct world world;
    unsigned flight_max = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world_init(&world, seed);
        world.spans_per_life = 30;
        world.follow = seed % 2;
        sim_set_disorder(700);
        sim_set_short(300);
        sim_set_direct(seed % 3 != 0);
        assert_int_equal(sim_run(life_main, &world), 0);
        assert_int_equal(sim_run(life_main, &world), 0);
        flight_max = world.flight_max > flight_max ? world.flight_max : flight_max;
    }
    assert_true(flight_max >= 3);       /* or nothing could have been out of order */
}

static void full_segments_are_followed_by_others(void **state)
{
    struct world world;

    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        world_init(&world, seed);
        world_rolls(&world);
        world.spans_per_life = 9;
        world.follow = true;
        sim_set_disorder(500);
        assert_int_equal(sim_run(life_main, &world), 0);
        assert_true(world.rolls >= 2);
        assert_int_equal(sim_run(life_main, &world), 0);
    }
}

/* --- within a single life ----------------------------------------------------------------- */

static void opened(struct life *life, struct world *world)
{
    world_init(world, 1);
    assert_int_equal(life_open(life, world), 0);
    life->writer.opt.sync = WAL_SYNC_NEVER;
}

static void add_trim(struct life *life, uint64_t lsn)
{
    struct wal_item it = {.type = WAL_TRIM};

    it.u.trim.lsn = lsn;
    assert_int_equal(wal_writer_item(&life->writer, &it, NULL), 0);
}

static void turns_until_idle(struct life *life)
{
    do
        assert_int_equal(life_turn(life, false), 0);
    while (!wal_writer_idle(&life->writer));
}

static void a_barrier_is_synced_when_somebody_wants_it(void **state)
{
    struct world world;
    struct life life;
    uint64_t first, second, syncs;

    (void)state;
    opened(&life, &world);
    first = wal_writer_barrier(&life.writer);
    add_trim(&life, 0);
    assert_int_equal(wal_writer_barrier(&life.writer), first);
    turns_until_idle(&life);
    second = wal_writer_barrier(&life.writer);
    assert_int_equal(second, first + 1);
    assert_false(wal_writer_barrier_synced(&life.writer, first));
    assert_true(wal_writer_deadline_ns(&life.writer) == UINT64_MAX);
    /* Wanted before it is written: the sync follows the COMMIT. */
    syncs = life.writer.syncs;
    wal_writer_want_sync(&life.writer, second);
    turns_until_idle(&life);
    assert_int_equal(life.writer.syncs, syncs);
    assert_false(wal_writer_barrier_synced(&life.writer, first));
    add_trim(&life, 0);
    turns_until_idle(&life);
    turns_until_idle(&life);
    assert_true(wal_writer_barrier_synced(&life.writer, first));
    assert_true(wal_writer_barrier_synced(&life.writer, second));
    assert_false(wal_writer_barrier_synced(&life.writer, second + 1));
    assert_int_equal(life.writer.syncs, syncs + 1);
    /* Wanted again: it is already. */
    wal_writer_want_sync(&life.writer, first);
    turns_until_idle(&life);
    assert_int_equal(life.writer.syncs, syncs + 1);
    life_close(&life);
}

static void a_sync_covers_only_what_was_committed_when_it_began(void **state)
{
    struct world world;
    struct life life;
    uint64_t first, second;

    (void)state;
    opened(&life, &world);
    first = wal_writer_barrier(&life.writer);
    add_trim(&life, 0);
    turns_until_idle(&life);
    wal_writer_want_sync(&life.writer, first);
    second = wal_writer_barrier(&life.writer);
    add_trim(&life, 0);
    wal_writer_step(&life.writer, true);        /* the sync begins beside the second COMMIT */
    assert_true(life.writer.sync_in_flight);
    turns_until_idle(&life);
    assert_true(wal_writer_barrier_synced(&life.writer, first));
    assert_false(wal_writer_barrier_synced(&life.writer, second));
    life_close(&life);
}

static void a_commit_that_ends_after_a_failed_sync_is_written_again(void **state)
{
    unsigned late = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        struct life life;

        opened(&life, &world);
        sim_set_disorder(500);
        for (uint64_t i = 0; i < seed; i++)
            sim_random();
        add_trim(&life, 0);
        turns_until_idle(&life);
        wal_writer_want_sync(&life.writer, 1);
        add_trim(&life, 7);
        sim_fail_next(SIM_SYNC, -EIO);
        wal_writer_step(&life.writer, true);
        while (!life.writer.failed)
            assert_true(loop_turn(life.loop, loop_now_ns(life.loop) + 1000) >= 0);
        late += life.writer.flight_count > 0;
        while (loop_in_flight(life.loop) > 0)
            assert_true(loop_turn(life.loop, loop_now_ns(life.loop) + 1000) >= 0);
        if (life.writer.flight_count > 0)
            assert_int_equal(life.writer.commits, 1);
        assert_false(wal_writer_barrier_synced(&life.writer, 1));
        turns_until_idle(&life);
        assert_int_equal(life.writer.commits, 2);
        assert_int_equal(life.state.trim_lsn, 7);
        assert_true(wal_writer_barrier_synced(&life.writer, 2));
        life_close(&life);
    }
    assert_true(late > 0);
}

static void what_is_kept_is_synced_whatever_the_policy(void **state)
{
    struct world world;
    struct life life;
    uint64_t most = 0, max = 256 << 10;

    (void)state;
    world_init(&world, 1);
    world.kept_bytes_max = max;
    assert_int_equal(life_open(&life, &world), 0);
    life.writer.opt.sync = WAL_SYNC_NEVER;
    while (world.spans < 100) {
        life_span(&life);
        assert_int_equal(life_turn(&life, true), 0);
        if (life.writer.groups.kept_bytes > most)
            most = life.writer.groups.kept_bytes;
    }
    assert_true(most > max / 4 && most < max);
    assert_true(life.writer.syncs > 1 && life.writer.syncs < 8);
    turns_until_idle(&life);
    life_close(&life);
}

static void data_waits_while_the_memory_for_what_is_not_synced_is_used(void **state)
{
    struct world world;
    struct life life;
    unsigned spans;

    (void)state;
    world_init(&world, 1);
    world.len_min = world.len_max = 1 << 20;
    world.kept_bytes_max = 2 * WAL_CHUNK_BYTES;
    assert_int_equal(life_open(&life, &world), 0);
    life.writer.opt.sync = WAL_SYNC_NEVER;
    /* Without a turn of the loop nothing ends. */
    while (wal_writer_data_group(&life.writer)) {
        assert_true(life.writer.groups.kept_bytes < world.kept_bytes_max);
        if (life_span(&life) != 0 || world.spans > 20)
            break;
        wal_writer_step(&life.writer, true);
    }
    spans = world.spans;
    assert_true(spans > 0 && spans <= 4);
    assert_null(wal_writer_data_group(&life.writer));
    turns_until_idle(&life);
    assert_non_null(wal_writer_data_group(&life.writer));
    life_close(&life);
}

static void a_large_checkpoint_is_told_and_may_shrink_again(void **state)
{
    struct world world;
    struct life life;
    struct wal_item it;
    uint32_t ring = 0;

    (void)state;
    opened(&life, &world);
    while (!wal_writer_checkpoint_full(&life.writer)) {
        it = built_attach(++ring, 0);
        memcpy(it.u.attach.uuid, &ring, sizeof(ring));
        while (wal_writer_item(&life.writer, &it, NULL) == -EAGAIN)
            assert_int_equal(life_turn(&life, true), 0);
        assert_true(ring < 100000);
    }
    turns_until_idle(&life);
    wal_writer_ask_roll(&life.writer);
    turns_until_idle(&life);
    assert_true(wal_writer_checkpoint_full(&life.writer));      /* it was counted well */
    for (uint32_t i = 1; i <= ring / 2; i++) {
        it = (struct wal_item){.type = WAL_RETIRE};
        it.u.retire.ring = i;
        while (wal_writer_item(&life.writer, &it, NULL) == -EAGAIN)
            assert_int_equal(life_turn(&life, true), 0);
    }
    turns_until_idle(&life);
    assert_false(wal_writer_checkpoint_full(&life.writer));
    life_close(&life);
}

/* Adds a ring with one schema of the largest size; true: a group had to be written in between. */
static bool typed_ring(struct life *life, uint32_t ring)
{
    static char body[WAL_SCHEMA_BYTES_MAX];
    struct wal_item said[3] = {built_attach(ring, 0), built_def(ring, 1, 1),
                               {.type = WAL_SCHEMA}};
    bool waited = false;

    memcpy(said[0].u.attach.uuid, &ring, sizeof(ring));
    said[2].u.schema.ring = ring;
    said[2].u.schema.number = 2;
    said[2].u.schema.stream_def = 1;
    said[2].u.schema.body = (struct wal_str){body, sizeof(body)};
    for (int i = 0; i < 3; i++)
        while (wal_writer_item(&life->writer, &said[i], NULL) == -EAGAIN) {
            waited = true;
            assert_int_equal(life_turn(life, true), 0);
        }
    assert_true(!life->writer.filling || life->writer.filling->items.len < (2U << 20));
    return waited;
}

/* They fill groups and checkpoints, which have their limits; a ring that ends gives room back. */
static void schemas_count_as_what_they_take(void **state)
{
    struct wal_item it = {.type = WAL_RETIRE};
    struct world world;
    struct life life;
    unsigned waits = 0;
    uint32_t ring = 100;

    (void)state;
    opened(&life, &world);
    assert_int_equal(life_span(&life), 0);      /* the stream */
    while (!wal_writer_checkpoint_full(&life.writer)) {
        waits += typed_ring(&life, ++ring);
        assert_true(ring < 10000);
    }
    assert_int_equal(ring - 100, life.writer.opt.segment_size / 4 / WAL_SCHEMA_BYTES_MAX + 1);
    turns_until_idle(&life);
    wal_writer_ask_roll(&life.writer);
    turns_until_idle(&life);
    assert_true(wal_writer_checkpoint_full(&life.writer));
    it.u.retire.ring = ring;
    assert_int_equal(wal_writer_item(&life.writer, &it, NULL), 0);
    turns_until_idle(&life);
    assert_false(wal_writer_checkpoint_full(&life.writer));
    for (uint32_t more = 1; more <= 40; more++)         /* whoever does not ask is written anyhow */
        waits += typed_ring(&life, ring + more);
    assert_true(waits > 1);
    turns_until_idle(&life);
    assert_int_equal(wal_state_ring(&life.state, ring + 40)->defs[1].schema_len,
                     WAL_SCHEMA_BYTES_MAX);
    life_close(&life);
    world.spans_per_life = 1;
    assert_int_equal(sim_run(life_main, &world), 0);
}

static void later_wishes_do_not_starve_an_earlier_one(void **state)
{
    struct world world;
    struct life life;
    uint64_t first;
    int turns = 0;

    (void)state;
    opened(&life, &world);
    first = wal_writer_barrier(&life.writer);
    while (!wal_writer_barrier_synced(&life.writer, first)) {
        wal_writer_want_sync(&life.writer, wal_writer_barrier(&life.writer));
        add_trim(&life, 0);
        assert_int_equal(life_turn(&life, true), 0);
        assert_true(++turns < 20);
    }
    life_close(&life);
}

static void each_policy_syncs_when_it_says(void **state)
{
    struct world world;
    struct life life;

    (void)state;
    opened(&life, &world);
    life.writer.opt.sync = WAL_SYNC_ALWAYS;
    add_trim(&life, 0);
    turns_until_idle(&life);
    turns_until_idle(&life);
    assert_int_equal(life.writer.synced_commits, 1);
    life.writer.opt.sync = WAL_SYNC_INTERVAL;
    add_trim(&life, 0);
    while (life.writer.commits != 2)
        assert_int_equal(life_turn(&life, true), 0);
    assert_true(wal_writer_deadline_ns(&life.writer) <= loop_now_ns(life.loop) + 1000000);
    while (life.writer.synced_commits != 2)
        assert_int_equal(life_turn(&life, false), 0);
    assert_true(wal_writer_deadline_ns(&life.writer) == UINT64_MAX);
    life_close(&life);
}

/* Items of a type in the log of the segment, by group. */
static unsigned items_in_log(struct wal_dir *dir, enum wal_item_type type,
                             unsigned *ret_groups)
{
    struct wal_group_view g;
    struct wal_reader r;
    unsigned items = 0;

    *ret_groups = 0;
    wal_reader_init(&r, dir);
    while (wal_reader_next(&r, UINT64_MAX, &g) > 0) {
        const uint8_t *at = g.items;
        unsigned before = items;
        struct wal_item it;

        while (at < g.items_end) {
            assert_int_equal(wal_item_next(&at, g.items_end, &it), 0);
            items += it.type == type;
        }
        *ret_groups += items > before;
    }
    wal_reader_fini(&r);
    return items;
}

/* Once in each of two groups, whatever else there is to say; what is counted is said once. */
static void definitions_are_said_again_by_the_next_group(void **state)
{
    struct wal_item stream = built_stream(7, 1, "other", 1), drops = {.type = WAL_INTAKE_DROPS};
    struct wal_item attach = built_attach(9, 0), def = built_def(9, 1, 7);
    struct wal_item schema = built_schema(9, 2, 1, "fields");
    struct world world;
    struct life life;
    uint64_t barrier;
    unsigned groups;

    (void)state;
    opened(&life, &world);
    assert_int_equal(wal_writer_item(&life.writer, &stream, NULL), 0);
    assert_int_equal(wal_writer_item(&life.writer, &drops, NULL), 0);
    assert_int_equal(wal_writer_item(&life.writer, &attach, NULL), 0);
    assert_int_equal(wal_writer_item(&life.writer, &def, NULL), 0);
    assert_int_equal(wal_writer_item(&life.writer, &schema, NULL), 0);
    barrier = wal_writer_barrier(&life.writer);
    assert_int_equal(barrier, life.writer.commits + 2);
    wal_writer_want_sync(&life.writer, barrier);
    turns_until_idle(&life);
    assert_int_equal(life.writer.commits, barrier);
    turns_until_idle(&life);
    assert_true(wal_writer_barrier_synced(&life.writer, barrier));
    assert_int_equal(items_in_log(&life.dir, WAL_STREAM, &groups), 2);
    assert_int_equal(groups, 2);
    assert_int_equal(items_in_log(&life.dir, WAL_SCHEMA, &groups), 2);
    assert_int_equal(groups, 2);
    assert_int_equal(items_in_log(&life.dir, WAL_INTAKE_DROPS, &groups), WAL_CHECKPOINTS + 1);
    assert_int_equal(items_in_log(&life.dir, WAL_CHECKPOINT_END, &groups), WAL_CHECKPOINTS);
    life_close(&life);
}

static void groups_are_left_for_items_while_routing_waits(void **state)
{
    struct wal_item stream = built_stream(1, 1, "orders", 1);
    struct world world;
    struct life life;
    unsigned held = 0;

    (void)state;
    opened(&life, &world);
    /* Nothing is released: data and streams come to an end, and that is not the end of groups. */
    while (life_span(&life) == 0) {
        held++;
        do {
            wal_writer_step(&life.writer, true);
            assert_true(loop_turn(life.loop, loop_now_ns(life.loop) + 1000) >= 0);
        } while (life.writer.flight_count > 0);
    }
    assert_int_equal(held, WAL_GROUPS - WAL_GROUPS_CONTROL);
    assert_int_equal(wal_writer_item(&life.writer, &stream, NULL), -EAGAIN);
    for (int i = 0; i < 50; i++) {
        add_trim(&life, 0);
        assert_int_equal(wal_writer_item(&life.writer, &stream, NULL), -EAGAIN);
        assert_null(wal_writer_data_group(&life.writer));
        wal_writer_step(&life.writer, true);
        assert_true(loop_turn(life.loop, loop_now_ns(life.loop) + 1000) >= 0);
    }
    while (!wal_writer_idle(&life.writer)) {
        wal_writer_step(&life.writer, true);
        assert_true(loop_turn(life.loop, loop_now_ns(life.loop) + 1000) >= 0);
    }
    wal_writer_release(&life.writer, wal_writer_done(&life.writer));
    assert_int_equal(life_span(&life), 0);
    life_close(&life);
}

static void a_long_list_of_items_takes_no_more_spans_and_still_fits(void **state)
{
    struct world world;
    struct life life;
    uint64_t n = 0;

    (void)state;
    opened(&life, &world);
    assert_int_equal(life_span(&life), 0);
    while (wal_writer_data_group(&life.writer))
        add_trim(&life, ++n);
    assert_true(life.writer.filling->items.len < (2U << 20));
    /* Items that nobody can put off make it longer than any segment. */
    while (life.writer.filling->items.len < (9U << 20))
        add_trim(&life, ++n);
    turns_until_idle(&life);
    assert_int_equal(life.writer.rolls, 1);
    assert_int_equal(life.state.trim_lsn, n);
    life_close(&life);
    world.spans_per_life = 1;
    assert_int_equal(sim_run(life_main, &world), 0);
}

/* Reads the log from segment `first` on into a state of its own, and compares. */
static void same_from(struct life *life, uint32_t first)
{
    struct bytes live = BYTES_INIT, read = BYTES_INIT;
    struct wal_dir part = life->dir;
    struct wal_group_view g;
    struct wal_reader r;
    struct wal_state s;
    struct wal_item item;

    part.segments += first;
    part.count -= first;
    assert_int_equal(wal_state_init(&s), 0);
    wal_reader_init(&r, &part);
    while (wal_reader_next(&r, life->writer.committed_lsn, &g) == 1) {
        const uint8_t *at = g.items;

        if (g.body_lsn == r.dir->segments[0].header.start_lsn + WAL_BLOCK)
            assert_int_equal(bytes_get_u16(at), WAL_CHECKPOINT);
        while (at < g.items_end) {
            assert_int_equal(wal_item_next(&at, g.items_end, &item), 0);
            assert_int_equal(wal_state_apply(&s, &item, g.end_lsn), 0);
        }
    }
    assert_int_equal(wal_state_checkpoint(&life->state, &live), 0);
    assert_int_equal(wal_state_checkpoint(&s, &read), 0);
    assert_int_equal(live.len, read.len);
    assert_memory_equal(live.data, read.data, live.len);
    wal_reader_fini(&r);
    wal_state_fini(&s);
    bytes_free(&live);
    bytes_free(&read);
}

static void the_log_from_any_segment_on_gives_the_live_state(void **state)
{
    struct world world;
    struct life life;

    (void)state;
    world_init(&world, 3);
    world_rolls(&world);
    world.follow = true;
    assert_int_equal(life_open(&life, &world), 0);
    while (world.spans < 12) {
        life_span(&life);
        assert_int_equal(life_turn(&life, true), 0);
    }
    turns_until_idle(&life);
    assert_true(life.dir.count >= 4);
    for (uint32_t i = 0; i < life.dir.count; i++)
        same_from(&life, i);
    life_close(&life);
}

static void a_checkpoint_may_be_larger_than_a_segment(void **state)
{
    static char settings[20000];
    struct world world;
    struct life life;
    char name[16];

    (void)state;
    opened(&life, &world);
    memset(settings, 's', sizeof(settings));
    for (uint32_t i = 1; i <= 300; i++) {
        struct wal_item it;

        snprintf(name, sizeof(name), "s%u", i);
        it = built_stream(i, 1, name, 1);
        it.u.stream.settings = (struct wal_str){settings, sizeof(settings)};
        while (wal_writer_item(&life.writer, &it, NULL) == -EAGAIN)
            assert_int_equal(life_turn(&life, true), 0);
        assert_int_equal(life_turn(&life, false), 0);
    }
    turns_until_idle(&life);
    assert_true(life.writer.rolls >= 1);
    assert_true(life.dir.segments[life.dir.count - 1].size_bytes > 2 * world.segment_size);
    for (uint32_t i = 0; i < life.dir.count; i++)
        same_from(&life, i);
    life_close(&life);
    assert_int_equal(sim_run(life_main, &world), 0);
}

static void a_start_cuts_the_unused_end_off_the_last_segment(void **state)
{
    struct world world;
    struct life life;
    char path[128];
    uint8_t *data;
    size_t len;

    (void)state;
    /* The first point at which something is in the log. */
    for (uint64_t point = 1; point == 1 || !world.span[0].committed; point++) {
        world_init(&world, 1);
        sim_crash_at(point);
        assert_int_equal(sim_run(life_main, &world), SIM_CRASHED);
        sim_kill();
    }
    sim_crash_at(0);
    assert_int_equal(life_open(&life, &world), 0);
    assert_int_equal(life.dir.count, 2);
    assert_int_equal(life.dir.segments[0].size_bytes,
                     life.dir.segments[1].header.start_lsn - life.dir.segments[0].header.start_lsn);
    snprintf(path, sizeof(path), LOG_DIR "/%s", life.dir.segments[0].name);
    assert_int_equal(sim_read_file(path, &data, &len), 0);
    assert_int_equal(life.dir.segments[0].size_bytes, len);
    free(data);
    assert_int_equal(life.dir.segments[0].end_lsn, life.dir.segments[1].header.start_lsn);
    life_close(&life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_span_is_committed_and_synced),
        cmocka_unit_test(order_holds_when_completions_and_lengths_do_not),
        cmocka_unit_test(full_segments_are_followed_by_others),
        cmocka_unit_test(a_barrier_is_synced_when_somebody_wants_it),
        cmocka_unit_test(a_sync_covers_only_what_was_committed_when_it_began),
        cmocka_unit_test(a_commit_that_ends_after_a_failed_sync_is_written_again),
        cmocka_unit_test(what_is_kept_is_synced_whatever_the_policy),
        cmocka_unit_test(data_waits_while_the_memory_for_what_is_not_synced_is_used),
        cmocka_unit_test(a_large_checkpoint_is_told_and_may_shrink_again),
        cmocka_unit_test(schemas_count_as_what_they_take),
        cmocka_unit_test(later_wishes_do_not_starve_an_earlier_one),
        cmocka_unit_test(each_policy_syncs_when_it_says),
        cmocka_unit_test(definitions_are_said_again_by_the_next_group),
        cmocka_unit_test(groups_are_left_for_items_while_routing_waits),
        cmocka_unit_test(a_long_list_of_items_takes_no_more_spans_and_still_fits),
        cmocka_unit_test(the_log_from_any_segment_on_gives_the_live_state),
        cmocka_unit_test(a_checkpoint_may_be_larger_than_a_segment),
        cmocka_unit_test(a_start_cuts_the_unused_end_off_the_last_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
