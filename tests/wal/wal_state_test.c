/*
 * Claims about the tables that the log's items make: positions are never ahead, what is said again
 * counts once, contradictions change nothing. The books are in wal_books_test.c, what checkpoints
 * stand for in wal_state_replay_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wal/state_builder.h"

static void what_is_said_again_counts_once(void **state)
{
    struct wal_state s;
    struct wal_item it;

    (void)state;
    state_small(&s);
    state_span(&s, 0, 80, 10, 8192);
    for (int i = 0; i < 3; i++) {
        it = built_seal(1, 1, 1, 0, 10);
        state_applied(&s, &it, 0);
        it = built_ack(1, 0, WAL_ACK_DELIVERED);
        state_applied(&s, &it, 0);
        it = built_def(1, 1, 1);
        state_applied(&s, &it, 0);
    }
    assert_int_equal(s.seals_count, 1);
    assert_int_equal(s.seals->targets_acked, 1);
    assert_int_equal(wal_state_stream(&s, 1)->sinks[0].events, 10);
    assert_int_equal(wal_state_ring(&s, 1)->defs_count, 1);
    wal_state_fini(&s);
}

static void marks_stay_bounded_and_positions_are_never_ahead(void **state)
{
    enum { SPANS = 5000 };
    struct wal_state s;
    struct wal_ring *ring;
    uint64_t taken = 0;

    (void)state;
    state_small(&s);
    ring = wal_state_ring(&s, 1);
    for (uint64_t i = 1; i <= SPANS; i++) {
        state_span(&s, (i - 1) * 8, 8, 1, i * 4096);
        assert_true(ring->marks <= WAL_RING_MARKS);
        assert_int_equal(ring->end_pos, i * 8);
        /* Known exactly at the end; never ahead anywhere, but for what is delivered already. */
        assert_int_equal(wal_ring_pos_at(ring, i * 4096), i * 8);
        for (uint64_t lsn = i > 300 ? (i - 300) * 4096 : 0; lsn <= i * 4096; lsn += 40000)
            assert_true(wal_ring_pos_at(ring, lsn) <= lsn / 4096 * 8
                        || wal_ring_pos_at(ring, lsn) == taken);
        if (i % 700 == 0) {
            uint64_t before = wal_ring_pos_at(ring, (i - 100) * 4096);

            assert_int_equal(wal_ring_pos_take(ring, (i - 100) * 4096), before);
            assert_true(before >= taken);
            taken = before;
            assert_int_equal(wal_ring_pos_at(ring, 0), taken);
        }
    }
    assert_true(taken > 0);
    wal_state_fini(&s);
}

static void spans_of_one_group_share_a_mark(void **state)
{
    struct wal_state s;

    (void)state;
    state_small(&s);
    for (uint64_t i = 0; i < 10; i++)
        state_span(&s, i * 8, 8, 1, 8192);
    assert_int_equal(wal_state_ring(&s, 1)->marks, 1);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 8192), 80);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 8191), 0);
    wal_state_fini(&s);
}

static void positions_wrap(void **state)
{
    struct wal_state s;
    struct wal_item it;

    (void)state;
    state_small(&s);
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 1;
    state_applied(&s, &it, 0);
    it = built_attach(1, UINT64_MAX - 15);
    state_applied(&s, &it, 0);
    it = built_def(1, 1, 1);
    state_applied(&s, &it, 0);
    state_span(&s, UINT64_MAX - 15, 32, 4, 8192);
    assert_int_equal(wal_state_ring(&s, 1)->end_pos, 16);
    state_span(&s, 16, 8, 1, 12288);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 12288), 24);
    wal_state_fini(&s);
}

static void a_restated_ring_is_as_far_as_its_last_mark(void **state)
{
    struct wal_state live, s;
    struct bytes b = BYTES_INIT;

    (void)state;
    state_small(&live);
    state_span(&live, 0, 80, 10, 8192);
    state_span(&live, 80, 80, 10, 16384);
    state_checkpoint(&live, &b);
    assert_int_equal(wal_state_init(&s), 0);
    state_replay(&s, &b, 20480);
    /* What is not known any more is late, not ahead. */
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 16383), 0);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 16384), 160);
    /* Everything delivered: nothing to wait for. */
    wal_ring_pos_take(wal_state_ring(&live, 1), 16384);
    state_checkpoint(&live, &b);
    state_replay(&s, &b, 24576);
    assert_int_equal(wal_ring_pos_at(wal_state_ring(&s, 1), 0), 160);
    bytes_free(&b);
    wal_state_fini(&s);
    wal_state_fini(&live);
}

/* As a group does with what the one before it has said, spans and acknowledgements in between. */
static void what_is_said_again_changes_nothing(void **state)
{
    struct wal_item seal = built_seal(1, 1, 2, 0, 10), ack;
    struct wal_item attach = built_attach(1, 0), def = built_def(1, 1, 1);
    struct wal_item old = built_stream(1, 1, "orders", 1), now = built_stream(1, 2, "orders", 1);
    struct bytes before = BYTES_INIT, after = BYTES_INIT;
    struct wal_state s;

    (void)state;
    state_small(&s);
    state_applied(&s, &now, 4096);
    state_span(&s, 0, 80, 10, 8192);
    state_applied(&s, &seal, 12288);
    for (uint16_t i = 0; i < 2; i++) {
        ack = built_ack(1, i, WAL_ACK_DELIVERED);
        state_applied(&s, &ack, 16384);
    }
    state_checkpoint(&s, &before);
    state_applied(&s, &attach, 20480);
    state_applied(&s, &old, 20480);
    state_applied(&s, &now, 20480);
    state_applied(&s, &def, 20480);
    state_applied(&s, &seal, 20480);
    state_checkpoint(&s, &after);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, before.len);
    assert_int_equal(s.seals_count, 0);
    bytes_free(&before);
    bytes_free(&after);
    wal_state_fini(&s);
}

/* A range without a stream: its bytes are counted, and all within it is known as lost. */
static void a_lost_range_counts_bytes(void **state)
{
    struct wal_item it = {.type = WAL_LOST};
    struct wal_state s;

    (void)state;
    state_small(&s);
    it.u.lost.lsn = 8192;
    it.u.lost.payload_bytes = 4096;
    it.u.lost.reason = WAL_LOST_CORRUPT;
    state_applied(&s, &it, 20480);
    assert_int_equal(s.lost_bytes[WAL_LOST_CORRUPT], 4096);
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).lost, 0);
    assert_false(wal_state_span_lost(&s, 8191));
    assert_true(wal_state_span_lost(&s, 8192));
    assert_true(wal_state_span_lost(&s, 12287));
    assert_false(wal_state_span_lost(&s, 12288));
    it.u.lost.stream = 9;                       /* no such stream */
    assert_int_equal(state_apply(&s, &it, 20480), -EBADMSG);
    wal_state_fini(&s);
}

static void lost_spans_are_remembered_until_they_are_trimmed(void **state)
{
    struct wal_state s;
    struct wal_item it = {.type = WAL_LOST};

    (void)state;
    state_small(&s);
    state_span(&s, 0, 800, 100, 8192);
    it.u.lost.stream = 1;
    it.u.lost.version = 1;
    it.u.lost.events = 1;
    for (uint64_t i = 0; i < 100; i++) {
        it.u.lost.lsn = 4096 + i * 8;
        state_applied(&s, &it, 12288);
        assert_true(wal_state_span_lost(&s, 4096 + i * 8));
    }
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).lost, 100);
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).pending, 0);
    it = (struct wal_item){.type = WAL_TRIM};
    it.u.trim.lsn = 4096 + 50 * 8;
    state_applied(&s, &it, 16384);
    assert_false(wal_state_span_lost(&s, 4096 + 49 * 8));
    assert_true(wal_state_span_lost(&s, 4096 + 50 * 8));
    assert_int_equal(s.lost_spans_count, 50);
    it.u.trim.lsn = 4096;                       /* never backwards */
    state_applied(&s, &it, 16384);
    assert_int_equal(s.trim_lsn, 4096 + 50 * 8);
    wal_state_fini(&s);
}

static void ids_are_not_given_twice(void **state)
{
    struct wal_state live, s;
    struct bytes b = BYTES_INIT;
    struct wal_item it;

    (void)state;
    state_small(&live);
    it = built_attach(9, 0);
    state_applied(&live, &it, 0);
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 9;
    state_applied(&live, &it, 0);
    assert_int_equal(live.next_ring, 10);
    state_checkpoint(&live, &b);
    assert_int_equal(wal_state_init(&s), 0);
    state_replay(&s, &b, 0);
    assert_int_equal(s.next_ring, 10);
    assert_int_equal(s.next_stream, 2);
    bytes_free(&b);
    wal_state_fini(&s);
    wal_state_fini(&live);
}

static void intake_drops(struct wal_state *s, uint32_t ring, uint64_t full)
{
    struct wal_item it = {.type = WAL_INTAKE_DROPS};

    it.u.intake.ring = ring;
    it.u.intake.drops[SHM_DROP_FULL] = full;
    state_applied(s, &it, 0);
}

/* Each ring says what is counted of its own; the sum outlives them and never goes back. */
static void drops_of_rings_add_up_and_stay(void **state)
{
    struct wal_state live, s;
    struct bytes b = BYTES_INIT;
    struct wal_item it;

    (void)state;
    state_small(&live);
    it = built_attach(2, 0);
    state_applied(&live, &it, 0);
    intake_drops(&live, 1, 10);
    intake_drops(&live, 2, 5);
    intake_drops(&live, 1, 12);
    intake_drops(&live, 2, 3);
    assert_int_equal(live.intake_drops[SHM_DROP_FULL], 17);
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 1;
    state_applied(&live, &it, 0);
    assert_int_equal(live.intake_drops[SHM_DROP_FULL], 17);
    state_checkpoint(&live, &b);
    assert_int_equal(wal_state_init(&s), 0);
    for (int i = 0; i < 2; i++) {               /* what is restated is not counted again */
        state_replay(&s, &b, 0);
        assert_int_equal(s.intake_drops[SHM_DROP_FULL], 17);
        assert_int_equal(wal_state_ring(&s, 2)->drops[SHM_DROP_FULL], 5);
    }
    intake_drops(&s, 2, UINT64_MAX);            /* full is full */
    assert_true(s.intake_drops[SHM_DROP_FULL] == UINT64_MAX);
    bytes_free(&b);
    wal_state_fini(&s);
    wal_state_fini(&live);
}

static void tables_are_found_by_every_key(void **state)
{
    static const uint8_t uuid[16] = {3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
    struct wal_state s;
    struct wal_item it;
    char name[16];

    (void)state;
    assert_int_equal(wal_state_init(&s), 0);
    for (uint32_t i = 1; i <= 100; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        it = built_attach(i, 0);
        state_applied(&s, &it, 0);
        it = built_stream(i, 1, name, 1);
        state_applied(&s, &it, 0);
    }
    it = (struct wal_item){.type = WAL_RETIRE};
    for (it.u.retire.ring = 2; it.u.retire.ring <= 100; it.u.retire.ring += 2)
        state_applied(&s, &it, 0);
    for (uint32_t i = 1; i <= 100; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(wal_state_ring(&s, i) != NULL, i % 2);
        assert_int_equal(wal_state_stream(&s, i)->id, i);
        assert_ptr_equal(wal_state_stream_by_name(&s, name), wal_state_stream(&s, i));
    }
    assert_ptr_equal(wal_state_ring_by_uuid(&s, uuid), wal_state_ring(&s, 3));
    assert_null(wal_state_ring(&s, 101));
    assert_null(wal_state_stream(&s, 0));
    assert_null(wal_state_stream_by_name(&s, "s101"));
    wal_state_fini(&s);
}

static void refused(struct wal_state *s, struct wal_item it)
{
    struct bytes before = BYTES_INIT, after = BYTES_INIT;

    state_checkpoint(s, &before);
    assert_int_equal(state_apply(s, &it, 1 << 20), -EBADMSG);
    state_checkpoint(s, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    bytes_free(&before);
    bytes_free(&after);
}

static void a_contradiction_is_refused_and_changes_nothing(void **state)
{
    static const uint8_t data[64];
    static const char long_name[200] = {'a'};
    struct wal_state s;
    struct wal_item it;

    (void)state;
    state_small(&s);
    state_span(&s, 0, 64, 8, 8192);
    refused(&s, built_span(2, 0, data, 8, 0, 1));           /* unknown ring */
    refused(&s, built_span(1, 56, data, 16, 0, 1));         /* the same bytes twice */
    it = built_attach(2, 0);
    state_applied(&s, &it, 0);
    refused(&s, built_span(2, 0, data, 8, 0, 1));           /* undefined stream */
    refused(&s, built_def(3, 1, 1));
    refused(&s, built_def(2, 1, 7));
    refused(&s, built_def(2, 2, 1));                        /* numbers have no gaps */
    refused(&s, built_def(2, 0, 1));
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 5;
    refused(&s, it);
    it = built_attach(3, 0);
    it.u.attach.name = (struct wal_str){long_name, SHM_RING_NAME_MAX + 1};
    refused(&s, it);
    it = built_stream(2, 1, "x", 1);
    it.u.stream.name = (struct wal_str){long_name, SHM_STREAM_NAME_MAX + 1};
    refused(&s, it);
    refused(&s, built_stream(2, 1, "x", 0));                /* no output */
    refused(&s, built_seal(1, 2, 1, 0, 1));                 /* unknown stream, version, output */
    refused(&s, built_seal(1, 1, 2, 0, 1));
    refused(&s, built_seal(1, 1, 1, 1, 1));
    it = built_seal(1, 1, 1, 0, 1);
    it.u.seal.targets = 0;
    refused(&s, it);
    it = built_seal(1, 1, 1, 0, 1);
    it.u.seal.last_lsn = it.u.seal.first_lsn - 1;
    refused(&s, it);
    refused(&s, built_ack(1, 0, WAL_ACK_DELIVERED));        /* no such seal, no such target */
    it = built_seal(1, 1, 1, 0, 1);
    state_applied(&s, &it, 0);
    refused(&s, built_ack(1, 2, WAL_ACK_DELIVERED));
    it = (struct wal_item){.type = WAL_LOST};
    it.u.lost.stream = 9;
    refused(&s, it);
    it.u.lost.stream = 1;
    it.u.lost.reason = WAL_LOST_REASON_COUNT;
    refused(&s, it);
    it = built_ack(1, 1, WAL_ACK_ABANDONED);
    it.u.ack.reason = WAL_DROP_REASON_COUNT;
    refused(&s, it);
    it = (struct wal_item){.type = WAL_INTAKE_DROPS};
    it.u.intake.ring = 5;
    refused(&s, it);
    it = (struct wal_item){.type = WAL_STREAM_TOTALS};
    it.u.stream_totals.stream = 9;
    refused(&s, it);
    it = (struct wal_item){.type = WAL_STREAM_SOURCES};
    it.u.stream_sources.stream = 9;
    refused(&s, it);
    it.u.stream_sources.stream = 1;                         /* more than were accepted */
    it.u.stream_sources.accepted[WAL_FROM_UDP] = UINT64_MAX / 2;
    refused(&s, it);
    it = (struct wal_item){.type = WAL_VERSION_TOTALS};
    it.u.version_totals.stream = 1;                         /* a version without outputs */
    refused(&s, it);
    wal_state_fini(&s);
}

static void schema_is(const struct wal_ring *ring, uint16_t number, const char *body)
{
    const uint8_t *at;
    uint32_t len;

    assert_true(wal_ring_schema(ring, number, &at, &len));
    assert_int_equal(len, strlen(body));
    assert_memory_equal(at, body, len);
}

/* Streams and schemas share one count; a schema's events are those of its stream. */
static void schemas_are_definitions_of_a_stream(void **state)
{
    struct wal_state s, again;
    struct bytes b = BYTES_INIT;
    const struct wal_ring *ring;
    const uint8_t *at;
    struct wal_item it;
    uint32_t len;

    (void)state;
    state_small(&s);
    it = built_stream(2, 1, "clicks", 1);
    state_applied(&s, &it, 0);
    it = built_schema(1, 2, 1, "a long, b text");
    state_applied(&s, &it, 0);
    it = built_def(1, 3, 2);
    state_applied(&s, &it, 0);
    it = built_schema(1, 4, 3, "c bytes");
    state_applied(&s, &it, 0);
    it = built_schema(1, 5, 1, "a long");
    state_applied(&s, &it, 0);
    state_checkpoint(&s, &b);
    assert_int_equal(wal_state_init(&again), 0);
    state_replay(&again, &b, 4096);
    state_replay(&again, &b, 8192);
    for (const struct wal_state *of = &s; of; of = of == &s ? &again : NULL) {
        ring = wal_state_ring(of, 1);
        assert_int_equal(ring->defs_count, 5);
        schema_is(ring, 2, "a long, b text");
        schema_is(ring, 4, "c bytes");
        schema_is(ring, 5, "a long");
        for (uint16_t number = 0; number < 7; number++) {
            static const uint32_t streams[] = {0, 1, 1, 2, 2, 1, 0};
            bool schema = number == 2 || number == 4 || number == 5;

            assert_int_equal(wal_ring_stream(ring, number), streams[number]);
            assert_int_equal(wal_ring_schema(ring, number, &at, &len), schema);
        }
    }
    it = (struct wal_item){.type = WAL_RETIRE};
    it.u.retire.ring = 1;
    state_applied(&s, &it, 0);
    bytes_free(&b);
    wal_state_fini(&again);
    wal_state_fini(&s);
}

/* Said again it changes nothing; said otherwise it is refused, and changes nothing either. */
static void a_definition_never_changes(void **state)
{
    const struct wal_item fine[] = {built_def(1, 1, 1), built_schema(1, 2, 1, "fields"),
                                    built_def(1, 3, 2)};
    const struct wal_item odd[] = {
        built_def(1, 1, 2),                     /* of another stream */
        built_def(1, 2, 1),                     /* a schema so far */
        built_schema(1, 1, 1, "fields"),        /* a stream so far */
        built_schema(1, 2, 1, "fieldz"),        built_schema(1, 2, 1, "field"),
        built_schema(1, 2, 3, "fields"),        /* of another stream */
        built_schema(1, 0, 1, "fields"),        built_schema(1, 5, 1, "fields"),
        built_schema(1, 4, 0, "fields"),        built_schema(1, 4, 4, "fields"),
        built_schema(1, 4, 2, "fields"),        /* of a schema */
        built_schema(2, 4, 1, "fields"),        /* of no ring */
        built_def(1, 5, 1),
    };
    struct bytes before = BYTES_INIT, after = BYTES_INIT;
    struct wal_state s;
    struct wal_item it;

    (void)state;
    state_small(&s);
    it = built_stream(2, 1, "clicks", 1);
    state_applied(&s, &it, 0);
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        state_applied(&s, &fine[i], 0);
    state_checkpoint(&s, &before);
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        state_applied(&s, &fine[i], 0);
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_int_equal(state_apply(&s, &odd[i], 0), -EBADMSG);
    state_checkpoint(&s, &after);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, before.len);
    bytes_free(&before);
    bytes_free(&after);
    wal_state_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_again_counts_once),
        cmocka_unit_test(marks_stay_bounded_and_positions_are_never_ahead),
        cmocka_unit_test(spans_of_one_group_share_a_mark),
        cmocka_unit_test(positions_wrap),
        cmocka_unit_test(a_restated_ring_is_as_far_as_its_last_mark),
        cmocka_unit_test(what_is_said_again_changes_nothing),
        cmocka_unit_test(a_lost_range_counts_bytes),
        cmocka_unit_test(lost_spans_are_remembered_until_they_are_trimmed),
        cmocka_unit_test(ids_are_not_given_twice),
        cmocka_unit_test(drops_of_rings_add_up_and_stay),
        cmocka_unit_test(tables_are_found_by_every_key),
        cmocka_unit_test(a_contradiction_is_refused_and_changes_nothing),
        cmocka_unit_test(schemas_are_definitions_of_a_stream),
        cmocka_unit_test(a_definition_never_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
