/*
 * Claims about the books that the log's items make: they balance after each item, no figure but
 * `pending` ever goes down, and an event counts as dropped only when no output has delivered it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "wal/state_builder.h"

static void books_fold_over_versions(void **state)
{
    struct wal_state s;
    struct wal_item it;
    struct wal_books b;
    uint64_t number = 0;

    (void)state;
    state_small(&s);
    for (uint32_t version = 1; version <= 20; version++) {
        state_span(&s, (version - 1) * 80ULL, 80, 10, version * 8192ULL);
        it = built_seal(++number, 1, version, 0, 10);
        state_applied(&s, &it, 0);
        it = built_stream(1, version + 1, "orders", 1);
        state_applied(&s, &it, 0);
        /* The old version is pending: it stays. */
        assert_int_equal(wal_state_stream(&s, 1)->versions_count, 2);
        it = built_ack(number, 0, WAL_ACK_DELIVERED);
        state_applied(&s, &it, 0);
        b = wal_stream_books(wal_state_stream(&s, 1));
        assert_int_equal(b.pending, 10);
        it = built_ack(number, 1, WAL_ACK_ABANDONED);
        state_applied(&s, &it, 0);
        assert_int_equal(wal_state_stream(&s, 1)->versions_count, 1);
        b = wal_stream_books(wal_state_stream(&s, 1));
        assert_int_equal(b.accepted, version * 10);
        assert_int_equal(b.delivered, version * 10);
        assert_int_equal(b.pending, 0);
    }
    assert_int_equal(wal_state_stream(&s, 1)->sinks_count, 1);
    assert_int_equal(wal_state_stream(&s, 1)->sinks[0].events, 200);
    assert_int_equal(wal_state_stream(&s, 1)->sinks[0].batches, 20);
    wal_state_fini(&s);
}

static void a_batch_counts_as_dropped_only_when_no_sink_took_it(void **state)
{
    struct wal_state s;
    struct wal_item it;
    struct wal_books b;

    (void)state;
    state_small(&s);
    state_span(&s, 0, 80, 10, 8192);
    it = built_seal(1, 1, 1, 0, 10);
    state_applied(&s, &it, 0);
    it = built_ack(1, 0, WAL_ACK_ABANDONED);
    state_applied(&s, &it, 0);
    it = built_ack(1, 1, WAL_ACK_ABANDONED);
    state_applied(&s, &it, 0);
    b = wal_stream_books(wal_state_stream(&s, 1));
    assert_int_equal(b.dropped, 10);
    assert_int_equal(b.delivered, 0);
    assert_int_equal(b.pending, 0);
    assert_int_equal(wal_state_stream(&s, 1)->sinks_count, 0);
    assert_int_equal(s.seals_count, 0);
    assert_ptr_equal(s.seals_last, &s.seals);
    wal_state_fini(&s);
}

static void an_event_is_pending_until_every_output_has_resolved_it(void **state)
{
    struct wal_state s;
    struct wal_item it;

    (void)state;
    state_small(&s);
    it = built_stream(1, 2, "orders", 2);
    state_applied(&s, &it, 0);
    state_span(&s, 0, 80, 10, 8192);
    for (uint16_t output = 0; output < 2; output++) {
        it = built_seal(output + 1U, 1, 2, output, 10);
        state_applied(&s, &it, 0);
        assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).pending, 10);
        for (uint16_t target = 0; target < 2; target++) {
            it = built_ack(output + 1U, target, WAL_ACK_DELIVERED);
            state_applied(&s, &it, 0);
        }
    }
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).pending, 0);
    assert_int_equal(wal_stream_books(wal_state_stream(&s, 1)).delivered, 10);
    wal_state_fini(&s);
}

/* ---- Several outputs ---- */

struct field {
    struct wal_state s;
    struct wal_books before;
    uint64_t seals, pos;
};

static struct wal_books books_of(const struct wal_state *s)
{
    return wal_stream_books(wal_state_stream(s, 1));
}

/* After each item: balanced, and nothing but `pending` has gone down. */
static void look(struct field *f)
{
    struct wal_books b = books_of(&f->s);

    assert_int_equal(b.accepted, b.delivered + b.dropped + b.lost + b.pending);
    assert_true(b.pending <= b.accepted);
    assert_true(b.accepted >= f->before.accepted && b.delivered >= f->before.delivered);
    assert_true(b.dropped >= f->before.dropped && b.lost >= f->before.lost);
    f->before = b;
}

static void field_init(struct field *f, uint16_t outputs)
{
    struct wal_item it;

    memset(f, 0, sizeof(*f));
    state_small(&f->s);
    it = built_stream(1, 2, "orders", outputs);
    state_applied(&f->s, &it, 0);
}

static void accept(struct field *f, uint32_t events)
{
    state_span(&f->s, f->pos, events * 8, events, 8192);
    f->pos += events * 8;
    look(f);
}

/* One target took the batch or it was abandoned; the other was abandoned. */
static void resolve(struct field *f, uint32_t version, uint16_t output, uint64_t events,
                    bool delivered)
{
    struct wal_item it = built_seal(++f->seals, 1, version, output, events);

    state_applied(&f->s, &it, 0);
    look(f);
    it = built_ack(f->seals, 0, WAL_ACK_ABANDONED);
    state_applied(&f->s, &it, 0);
    look(f);
    it = built_ack(f->seals, 1, delivered ? WAL_ACK_DELIVERED : WAL_ACK_ABANDONED);
    state_applied(&f->s, &it, 0);
    look(f);
}

static void booked(const struct field *f, uint64_t delivered, uint64_t dropped, uint64_t pending)
{
    struct wal_books b = books_of(&f->s);

    assert_int_equal(b.delivered, delivered);
    assert_int_equal(b.dropped, dropped);
    assert_int_equal(b.pending, pending);
}

static void what_one_output_delivers_is_delivered(void **state)
{
    struct field f;

    (void)state;
    field_init(&f, 2);
    accept(&f, 30);
    resolve(&f, 2, 0, 20, false);
    booked(&f, 0, 0, 30);
    resolve(&f, 2, 1, 15, true);
    booked(&f, 15, 0, 15);
    resolve(&f, 2, 1, 15, true);
    booked(&f, 20, 0, 10);
    resolve(&f, 2, 0, 10, false);
    booked(&f, 30, 0, 0);
    wal_state_fini(&f.s);
}

/* Both sinks go, one after the other: what neither had taken by then is dropped. */
static void what_every_output_drops_is_dropped(void **state)
{
    struct field f;

    (void)state;
    field_init(&f, 2);
    accept(&f, 40);
    resolve(&f, 2, 0, 10, true);
    resolve(&f, 2, 0, 30, false);
    resolve(&f, 2, 1, 25, true);
    booked(&f, 25, 0, 15);
    resolve(&f, 2, 1, 15, false);
    booked(&f, 25, 15, 0);
    assert_int_equal(wal_state_stream(&f.s, 1)->dropped[WAL_DROP_SINK_REMOVED], 15);
    wal_state_fini(&f.s);
}

/* Different events: which ones is not known, so nothing that was counted is taken back. */
static void outputs_that_drop_different_events_take_nothing_back(void **state)
{
    struct field f;

    (void)state;
    field_init(&f, 2);
    accept(&f, 30);
    resolve(&f, 2, 0, 10, true);
    resolve(&f, 2, 0, 5, false);
    resolve(&f, 2, 1, 15, true);
    booked(&f, 15, 0, 15);
    resolve(&f, 2, 1, 5, false);
    booked(&f, 15, 0, 15);
    resolve(&f, 2, 0, 15, true);
    booked(&f, 15, 5, 10);
    resolve(&f, 2, 1, 10, true);
    booked(&f, 25, 5, 0);
    wal_state_fini(&f.s);
}

static void versions_are_counted_apart(void **state)
{
    struct field f;
    struct wal_item it;

    (void)state;
    field_init(&f, 2);
    accept(&f, 10);
    it = built_stream(1, 3, "orders", 3);
    state_applied(&f.s, &it, 0);
    accept(&f, 10);
    it = built_stream(1, 4, "orders", 1);
    state_applied(&f.s, &it, 0);
    accept(&f, 10);
    resolve(&f, 4, 0, 10, true);
    booked(&f, 10, 0, 20);
    for (uint16_t i = 0; i < 3; i++)
        resolve(&f, 3, i, 10, false);
    booked(&f, 10, 10, 10);
    resolve(&f, 2, 0, 10, false);
    resolve(&f, 2, 1, 10, true);
    booked(&f, 20, 10, 0);
    assert_int_equal(wal_state_stream(&f.s, 1)->versions_count, 1);
    wal_state_fini(&f.s);
}

/* A damaged log may have lost the word that events were accepted, and not that of their end. */
static void what_was_resolved_was_accepted(void **state)
{
    struct wal_item it = {.type = WAL_LOST};
    struct field f;

    (void)state;
    field_init(&f, 1);
    accept(&f, 5);
    resolve(&f, 2, 0, 20, true);
    booked(&f, 20, 0, 0);
    it.u.lost.stream = 1;
    it.u.lost.version = 2;
    it.u.lost.events = 7;
    state_applied(&f.s, &it, 0);
    look(&f);
    assert_int_equal(books_of(&f.s).accepted, 27);
    wal_state_fini(&f.s);
}

static void no_order_of_answers_unsettles_the_books(void **state)
{
    enum { OUTPUTS = 3, EVENTS = 400 };

    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        uint64_t random = seed, left[OUTPUTS] = {EVENTS, EVENTS, EVENTS};
        struct field f;

        field_init(&f, OUTPUTS);
        accept(&f, EVENTS);
        while (left[0] + left[1] + left[2] > 0) {
            uint16_t o = (uint16_t)(built_random(&random) % OUTPUTS);
            uint64_t n = 1 + built_random(&random) % 30;

            n = n < left[o] ? n : left[o];
            if (n > 0)
                resolve(&f, 2, o, n, built_random(&random) % 3 != 0);
            left[o] -= n;
        }
        assert_int_equal(books_of(&f.s).pending, 0);
        wal_state_fini(&f.s);
    }
}

/* ---- Partitions ---- */

static struct wal_item partition_seal(uint64_t number, uint16_t output, const char *partition,
                                      uint64_t first_lsn, uint64_t last_lsn)
{
    struct wal_item it = built_seal(number, 1, 2, output, 1);

    it.u.seal.partition = built_str(partition);
    it.u.seal.first_lsn = first_lsn;
    it.u.seal.last_lsn = last_lsn;
    return it;
}

static void sealed(const struct field *f, uint16_t output, const char *partition, uint64_t lsn)
{
    const struct wal_version *v = wal_stream_version(wal_state_stream(&f->s, 1), 2);

    assert_int_equal(wal_version_sealed_lsn(v, output, partition, strlen(partition)), lsn);
}

static void acked(struct field *f, uint64_t number)
{
    for (uint16_t target = 0; target < 2; target++) {
        struct wal_item it = built_ack(number, target, WAL_ACK_DELIVERED);

        state_applied(&f->s, &it, 0);
    }
}

static void trimmed(struct field *f, uint64_t lsn)
{
    struct wal_item it = {.type = WAL_TRIM};

    it.u.trim.lsn = lsn;
    state_applied(&f->s, &it, 0);
}

/* Two partitions are open side by side: what one has sealed says nothing of the other. */
static void partitions_are_sealed_apart(void **state)
{
    struct wal_item late, early;
    struct field f;

    (void)state;
    field_init(&f, 2);
    accept(&f, 30);
    late = partition_seal(2, 0, "country=DE/", 150, 900);
    early = partition_seal(1, 0, "country=FR/", 100, 300);
    state_applied(&f.s, &late, 0);
    state_applied(&f.s, &early, 0);
    assert_int_equal(f.s.seals_count, 2);
    assert_memory_equal(f.s.seals->partition, "country=DE/", 12);
    assert_int_equal(f.s.seals->partition_len, 11);
    sealed(&f, 0, "country=DE/", 900);
    sealed(&f, 0, "country=FR/", 300);
    sealed(&f, 0, "country=F", 0);
    sealed(&f, 0, "", 0);
    sealed(&f, 1, "country=DE/", 0);
    /* Of the other output, and of none: as many partitions more. */
    late = partition_seal(3, 1, "country=DE/", 100, 200);
    early = partition_seal(4, 0, "", 100, 110);
    state_applied(&f.s, &late, 0);
    state_applied(&f.s, &early, 0);
    assert_int_equal(f.s.seals_count, 4);
    sealed(&f, 1, "country=DE/", 200);
    sealed(&f, 0, "", 110);
    sealed(&f, 0, "country=DE/", 900);
    wal_state_fini(&f.s);
}

/* However late it is said again, before TRIM has passed it and after. */
static void an_acknowledged_batch_said_again_stays_acknowledged(void **state)
{
    struct wal_item de, fr;
    struct field f;

    (void)state;
    field_init(&f, 1);
    accept(&f, 30);
    de = partition_seal(2, 0, "country=DE/", 150, 900);
    fr = partition_seal(1, 0, "country=FR/", 100, 300);
    state_applied(&f.s, &de, 0);
    acked(&f, 2);
    state_applied(&f.s, &de, 0);
    assert_int_equal(f.s.seals_count, 0);
    state_applied(&f.s, &fr, 0);
    acked(&f, 1);
    trimmed(&f, 301);
    sealed(&f, 0, "country=FR/", 0);
    sealed(&f, 0, "country=DE/", 900);
    state_applied(&f.s, &fr, 0);
    state_applied(&f.s, &de, 0);
    assert_int_equal(f.s.seals_count, 0);
    trimmed(&f, 5000);
    state_applied(&f.s, &fr, 0);
    state_applied(&f.s, &de, 0);
    assert_int_equal(f.s.seals_count, 0);
    assert_int_equal(books_of(&f.s).delivered, 2);
    wal_state_fini(&f.s);
}

/* An event at the TRIM may be sealed in one output and open in another. */
static void a_partition_is_remembered_until_trim_has_passed_it(void **state)
{
    struct wal_item it;
    struct field f;

    (void)state;
    field_init(&f, 1);
    accept(&f, 30);
    it = partition_seal(1, 0, "a", 100, 300);
    state_applied(&f.s, &it, 0);
    acked(&f, 1);
    trimmed(&f, 300);
    sealed(&f, 0, "a", 300);
    trimmed(&f, 301);
    sealed(&f, 0, "a", 0);
    assert_int_equal(wal_state_stream(&f.s, 1)->versions[1].partitions.count, 0);
    wal_state_fini(&f.s);
}

static void partitions_go_with_their_version(void **state)
{
    struct wal_item it;
    struct field f;

    (void)state;
    field_init(&f, 1);
    accept(&f, 1);
    it = partition_seal(1, 0, "a", 100, 300);
    state_applied(&f.s, &it, 0);
    it = built_stream(1, 3, "orders", 1);
    state_applied(&f.s, &it, 0);
    sealed(&f, 0, "a", 300);
    acked(&f, 1);
    assert_int_equal(wal_state_stream(&f.s, 1)->versions_count, 1);
    assert_int_equal(wal_state_stream(&f.s, 1)->versions[0].version, 3);
    assert_int_equal(wal_state_stream(&f.s, 1)->versions[0].partitions.count, 0);
    wal_state_fini(&f.s);
}

static void sources_are(const struct wal_state *s, uint64_t ring, uint64_t udp, uint64_t relay)
{
    const struct wal_stream *st = wal_state_stream(s, 1);
    uint64_t sum = 0;

    assert_int_equal(wal_stream_accepted_from(st, WAL_FROM_RING), ring);
    assert_int_equal(wal_stream_accepted_from(st, WAL_FROM_UDP), udp);
    assert_int_equal(wal_stream_accepted_from(st, WAL_FROM_RELAY), relay);
    for (int i = 0; i < WAL_SOURCE_COUNT; i++)
        sum += wal_stream_accepted_from(st, (enum wal_source)i);
    assert_int_equal(wal_stream_books(st).accepted, sum);
}

/* Another ring of the stream, read a little. */
static void ring_of(struct wal_state *s, uint32_t ring, const char *name, uint32_t events)
{
    static const uint8_t data[64];
    struct wal_item it = built_attach(ring, 0);

    it.u.attach.name = built_str(name);
    state_applied(s, &it, 4096);
    it = built_def(ring, 1, 1);
    state_applied(s, &it, 4096);
    it = built_span(ring, 0, data, sizeof(data), 0, events);
    state_applied(s, &it, 8192);
}

static void an_entrance_is_told_by_its_ring_and_kept_in_checkpoints(void **state)
{
    struct wal_state s, again;
    struct bytes b = BYTES_INIT;
    const uint8_t *at;
    uint32_t sources = 0;

    (void)state;
    state_small(&s);
    state_span(&s, 0, 64, 5, 8192);
    sources_are(&s, 5, 0, 0);
    ring_of(&s, 2, "hydrant-udp.7.0123456789abcdef.ring", 3);
    ring_of(&s, 3, "hydrant-relay.7.0123456789abcdef.ring", 2);
    sources_are(&s, 5, 3, 2);

    assert_int_equal(wal_state_checkpoint(&s, &b), 0);
    for (int turn = 0; turn < 2; turn++) {      /* it is read twice, as in the log */
        struct wal_item it;

        if (turn == 0)
            assert_int_equal(wal_state_init(&again), 0);
        for (at = b.data; at < b.data + b.len;) {
            assert_int_equal(wal_item_next(&at, b.data + b.len, &it), 0);
            assert_int_equal(wal_state_apply(&again, &it, 12288), 0);
            sources += it.type == WAL_STREAM_SOURCES;
        }
        sources_are(&again, 5, 3, 2);
    }
    assert_int_equal(sources, 2);
    ring_of(&again, 4, "hydrant-udp.8.0123456789abcdef.ring", 4);
    sources_are(&again, 5, 7, 2);
    wal_state_fini(&again);

    /* A log from before there was this item: all that it counted came by rings. */
    assert_int_equal(wal_state_init(&again), 0);
    for (at = b.data; at < b.data + b.len;) {
        struct wal_item it;

        assert_int_equal(wal_item_next(&at, b.data + b.len, &it), 0);
        if (it.type != WAL_STREAM_SOURCES)
            assert_int_equal(wal_state_apply(&again, &it, 12288), 0);
    }
    sources_are(&again, 10, 0, 0);
    ring_of(&again, 4, "hydrant-udp.8.0123456789abcdef.ring", 4);
    sources_are(&again, 10, 4, 0);
    wal_state_fini(&again);
    wal_state_fini(&s);
    bytes_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(books_fold_over_versions),
        cmocka_unit_test(an_entrance_is_told_by_its_ring_and_kept_in_checkpoints),
        cmocka_unit_test(a_batch_counts_as_dropped_only_when_no_sink_took_it),
        cmocka_unit_test(an_event_is_pending_until_every_output_has_resolved_it),
        cmocka_unit_test(what_one_output_delivers_is_delivered),
        cmocka_unit_test(what_every_output_drops_is_dropped),
        cmocka_unit_test(outputs_that_drop_different_events_take_nothing_back),
        cmocka_unit_test(versions_are_counted_apart),
        cmocka_unit_test(what_was_resolved_was_accepted),
        cmocka_unit_test(no_order_of_answers_unsettles_the_books),
        cmocka_unit_test(partitions_are_sealed_apart),
        cmocka_unit_test(an_acknowledged_batch_said_again_stays_acknowledged),
        cmocka_unit_test(a_partition_is_remembered_until_trim_has_passed_it),
        cmocka_unit_test(partitions_go_with_their_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
