/*
 * status_merge: several statuses become one: sums, one entry a name, slices that stay whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/status.h"

/* Streams by letter, each with the sinks of the digits behind it: "a12 b1". */
static struct status *make(const char *text)
{
    struct status *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    s->streams = calloc(16, sizeof(*s->streams));
    s->stream_sinks = calloc(16, sizeof(*s->stream_sinks));
    s->sinks = calloc(1, sizeof(*s->sinks));
    s->rings = calloc(1, sizeof(*s->rings));
    s->shards = calloc(1, sizeof(*s->shards));
    assert_true(s->streams && s->stream_sinks && s->sinks && s->rings && s->shards);
    s->ready = true;
    s->sinks_count = s->rings_count = s->shards_count = 1;
    snprintf(s->sinks[0].name, sizeof(s->sinks[0].name), "1");
    snprintf(s->sinks[0].type, sizeof(s->sinks[0].type), "file");
    s->sinks[0].retries = 3;
    s->wal_bytes = 5;
    s->wal_end_lsn = 100;
    for (; *text; text++) {
        struct status_stream *st = &s->streams[s->streams_count];

        if (*text == ' ')
            continue;
        st->name[0] = *text;
        st->accepted = 10;
        st->delivered = 7;
        st->pending = 3;
        st->refused_by[ENCODING_FORMAT_FAILED] = 2;
        st->first_sink = (uint32_t)s->stream_sinks_count;
        while (text[1] >= '0' && text[1] <= '9') {
            struct status_stream_sink *pair = &s->stream_sinks[s->stream_sinks_count++];

            pair->stream = (uint32_t)s->streams_count;
            pair->sink[0] = *++text;
            pair->delivered = 7;
            st->sinks++;
        }
        s->streams_count++;
    }
    return s;
}

/* As text again, each count as how many sevens or tens it is. */
static void expect(const struct status *s, const char *wanted)
{
    char text[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < s->streams_count; i++) {
        const struct status_stream *st = &s->streams[i];

        assert_int_equal(st->accepted, st->delivered + st->pending);
        assert_int_equal(st->refused_by[ENCODING_FORMAT_FAILED], st->accepted / 5);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s*%d", i ? " " : "", st->name,
                                (int)(st->accepted / 10));
        for (uint32_t k = 0; k < st->sinks; k++) {
            const struct status_stream_sink *pair = &s->stream_sinks[st->first_sink + k];

            assert_int_equal(pair->stream, i);
            len += (size_t)snprintf(text + len, sizeof(text) - len, ",%s*%d", pair->sink,
                                    (int)(pair->delivered / 7));
        }
    }
    assert_string_equal(text, wanted);
}

static void merged(const char *to, const char *from, const char *wanted)
{
    struct status *a = make(to), *b = make(from);

    assert_int_equal(status_merge(a, b), 0);
    expect(a, wanted);
    status_free(b);
    status_free(a);
}

static void streams_of_one_name_are_one_with_the_sinks_of_both(void **state)
{
    (void)state;
    merged("", "", "");
    merged("a1", "", "a*1,1*1");
    merged("", "a1 b2", "a*1,1*1 b*1,2*1");
    merged("a1 b2", "b2 a1", "a*2,1*2 b*2,2*2");
    merged("a12 c", "c3 b1 a23", "a*2,1*1,2*2,3*1 c*2,3*1 b*1,1*1");
}

/* All shards ask the same thread how it stands with a service, wherever in it they send to. */
static void a_remote_sink_is_one_and_counted_once(void **state)
{
    struct status *a = make("a1"), *b = make("a1");

    (void)state;
    snprintf(a->sinks[0].type, sizeof(a->sinks[0].type), "s3");
    snprintf(b->sinks[0].type, sizeof(b->sinks[0].type), "s3");
    snprintf(b->sinks[0].target, sizeof(b->sinks[0].target), "elsewhere");
    b->sinks[0].retries = 5;
    a->sinks[0].duplicates = 2;
    a->sinks[0].batches_waiting = 1;
    b->sinks[0].batches_waiting = 2;
    a->sinks[0].lag_ns = 7;
    b->sinks[0].lag_ns = 9;
    assert_int_equal(status_merge(a, b), 0);
    assert_int_equal(a->sinks_count, 1);
    assert_int_equal(a->sinks[0].retries, 5);
    assert_int_equal(a->sinks[0].duplicates, 2);
    assert_int_equal(a->sinks[0].batches_waiting, 3);
    assert_int_equal(a->sinks[0].lag_ns, 9);
    status_free(a);
    status_free(b);
}

static void counts_are_sums_and_states_those_of_any_or_all(void **state)
{
    struct status *a = make("a1"), *b = make("a1"), *c = make("");

    (void)state;
    b->ready = false;
    b->stopping = true;
    b->backpressure[BACKPRESSURE_MEMORY] = true;
    b->streams[0].oldest_pending_ns = 9;
    b->shards[0].shard = 1;
    b->wal_end_lsn = 200;
    histogram_add(&a->meters[METER_BATCH], HISTOGRAM_BYTES, 10);
    histogram_add(&b->meters[METER_BATCH], HISTOGRAM_BYTES, 20);
    b->sinks[0].batches_waiting = 2;
    snprintf(b->sinks[0].waits_because, sizeof(b->sinks[0].waits_because), "full");
    snprintf(c->sinks[0].target, sizeof(c->sinks[0].target), "/elsewhere");
    assert_int_equal(status_merge(a, b), 0);
    assert_int_equal(status_merge(a, c), 0);
    assert_false(a->ready);
    assert_true(a->stopping);
    assert_true(a->backpressure[BACKPRESSURE_MEMORY]);
    assert_false(a->backpressure[BACKPRESSURE_LOG_FULL]);
    assert_int_equal(a->streams[0].oldest_pending_ns, 9);
    assert_int_equal(a->wal_bytes, 15);
    assert_int_equal(a->meters[METER_BATCH].count[0], 2);
    assert_int_equal(a->meters[METER_BATCH].sum, 30);
    assert_int_equal(a->wal_end_lsn, 100);
    assert_int_equal(a->sinks_count, 2);
    assert_int_equal(a->sinks[0].retries, 6);
    assert_int_equal(a->sinks[0].batches_waiting, 2);
    assert_string_equal(a->sinks[0].waits_because, "full");
    assert_int_equal(a->rings_count, 3);
    assert_int_equal(a->shards_count, 3);
    assert_int_equal(a->shards[1].shard, 1);
    status_free(a);
    status_free(b);
    status_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_of_one_name_are_one_with_the_sinks_of_both),
        cmocka_unit_test(a_remote_sink_is_one_and_counted_once),
        cmocka_unit_test(counts_are_sums_and_states_those_of_any_or_all),
    };

    return cmocka_run_group_tests_name("status_merge", tests, NULL, NULL);
}
