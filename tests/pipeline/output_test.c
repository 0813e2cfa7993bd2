/*
 * Claims about which batch an event joins: its partition's, the error output's, one with wider
 * columns, none when it was sealed before; and that the short way into a batch leads to the same
 * bytes as the long one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "libshm-client/schema_body.h"
#include "pipeline/parts.h"
#include "support/sim.h"
#include "support/sim_agent.h"

#define OUT     SIM_AGENT_OUT "/stream-0"
#define LETTERS OUT "/errors/"

static struct sim_agent agent;
static struct sim_producer *producer;

/* One producer; nothing but the count and what a test brings about seals a batch. */
static int setup(void **state)
{
    (void)state;
    sim_agent_init(&agent, 41);
    agent.sinks[0].buffer_count = agent.sinks[0].buffer_time_ns = -1;
    producer = &sim_agent_source_add(&agent, 1 << 20, 0)->ring;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_agent_fini(&agent);
    return 0;
}

/* All of it is routed, and what is sealed is delivered. */
static void settle(void)
{
    sim_agent_until(&agent, sim_agent_taken, "all is taken");
    sim_agent_turns(&agent, 60);
}

static void put(const char *json)
{
    assert_int_equal(sim_producer_write(producer, "stream-0", json), 0);
}

static void put_all(const char *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(events[i]);
    settle();
}
#define PUT(...) \
    put_all((const char *const[]){__VA_ARGS__}, \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* Appends what the directory's own files hold, in the order of their names, a bar behind each. */
static void files_add(const char *dir, struct bytes *to)
{
    char **names, path[512];
    size_t count;

    if (sim_list(dir, &names, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++) {
        uint8_t *data;
        size_t len;

        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (sim_read_file(path, &data, &len) != 0)
            continue;
        assert_int_equal(bytes_append(to, data, len), 0);
        assert_int_equal(bytes_append_char(to, '|'), 0);
        free(data);
    }
    free(names);
}

static void expect(const char *dir, const char *files)
{
    struct bytes text = BYTES_INIT;

    files_add(dir, &text);
    if (strcmp(bytes_cstr(&text), files) != 0)
        fail_msg("%s has '%s' where '%s' is expected", dir, bytes_cstr(&text), files);
    bytes_free(&text);
}

/* Letters below an error output: how often `what` stands in them. */
static unsigned letters(const char *dir, const char *what)
{
    struct bytes text = BYTES_INIT;
    unsigned count = 0;

    files_add(dir, &text);
    for (const char *at = bytes_cstr(&text); (at = strstr(at, what)) != NULL; at++)
        count++;
    bytes_free(&text);
    return count;
}

/* The stream's books. */
static struct status_stream books(void)
{
    struct status_stream of = {0};
    struct status *status;

    assert_int_equal(snapshot_make(agent.shard, &status), 0);
    for (size_t i = 0; i < status->streams_count; i++)
        if (strcmp(status->streams[i].name, "stream-0") == 0)
            of = status->streams[i];
    status_free(status);
    return of;
}

/* All is delivered. */
static void stop(uint64_t accepted)
{
    struct status_stream of;

    shards_stop(agent.shards, agent.stop_ns);
    while (agent.result == 0)
        sim_agent_turn(&agent);
    of = books();
    assert_true(of.accepted == accepted && of.delivered == accepted);
    assert_true(of.pending + of.dropped + of.lost == 0);
    sim_agent_close(&agent);
}

/* --- partitions --------------------------------------------------------------------------- */

static void an_event_joins_the_batch_of_its_partition(void **state)
{
    (void)state;
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 8;
    agent.sinks[0].buffer_count = 2;
    sim_agent_open(&agent);
    PUT("{\"p\":1,\"n\":1}", "{\"p\":2,\"n\":2}", "{\"n\":3}", "{\"p\":1,\"n\":4}",
        "{\"p\":1,\"n\":5}", "{\"p\":2,\"n\":6}");
    expect(OUT "/p=1", "{\"n\":1}\n{\"n\":4}\n|");
    expect(OUT "/p=2", "{\"n\":2}\n{\"n\":6}\n|");
    expect(OUT "/p=__HIVE_DEFAULT_PARTITION__", "");
    stop(6);
    expect(OUT "/p=1", "{\"n\":1}\n{\"n\":4}\n|{\"n\":5}\n|");
    expect(OUT "/p=__HIVE_DEFAULT_PARTITION__", "{\"n\":3}\n|");
}

/* As MiniFirehose does: what all partitions have is counted, and all are sealed. */
static void partitions_that_are_counted_together_are_sealed_together(void **state)
{
    (void)state;
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 8;
    agent.sinks[0].together = true;
    agent.sinks[0].buffer_count = 4;
    sim_agent_open(&agent);
    PUT("{\"p\":1,\"n\":1}", "{\"p\":2,\"n\":2}", "nothing");
    expect(OUT "/p=1", "");
    PUT("{\"p\":1,\"n\":4}", "{\"p\":2,\"n\":5}", "{\"p\":2,\"n\":6}");
    expect(OUT "/p=1", "{\"n\":1}\n{\"n\":4}\n|");
    expect(OUT "/p=2", "{\"n\":2}\n|");
    assert_int_equal(letters(LETTERS "processing-failed", "it is no JSON object"), 1);
    stop(6);
    expect(OUT "/p=2", "{\"n\":2}\n|{\"n\":5}\n{\"n\":6}\n|");
}

/* Its time is that of the oldest event of all, and what was counted by then counts no more. */
static void partitions_that_are_counted_together_are_due_together(void **state)
{
    (void)state;
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 8;
    agent.sinks[0].together = true;
    agent.sinks[0].buffer_count = 4;
    agent.sinks[0].buffer_time_ns = 10000000000;
    sim_agent_open(&agent);
    PUT("{\"p\":1,\"n\":1}", "{\"p\":1,\"n\":2}");
    sim_agent_pass(&agent, 6000000000);
    PUT("{\"p\":2,\"n\":3}");
    expect(OUT "/p=1", "");
    sim_agent_pass(&agent, 5000000000);
    expect(OUT "/p=1", "{\"n\":1}\n{\"n\":2}\n|");
    expect(OUT "/p=2", "{\"n\":3}\n|");
    PUT("{\"p\":1,\"n\":4}", "{\"p\":2,\"n\":5}", "{\"p\":2,\"n\":6}");
    expect(OUT "/p=2", "{\"n\":3}\n|");
    PUT("{\"p\":1,\"n\":7}");
    expect(OUT "/p=1", "{\"n\":1}\n{\"n\":2}\n|{\"n\":4}\n{\"n\":7}\n|");
    expect(OUT "/p=2", "{\"n\":3}\n|{\"n\":5}\n{\"n\":6}\n|");
    stop(7);
}

static void one_partition_too_many_seals_the_least_recently_used(void **state)
{
    (void)state;
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 2;
    sim_agent_open(&agent);
    PUT("{\"p\":\"a\",\"n\":1}", "{\"p\":\"b\",\"n\":2}", "{\"p\":\"a\",\"n\":3}");
    expect(OUT "/p=b", "");
    PUT("{\"p\":\"c\",\"n\":4}");
    expect(OUT "/p=a", "");
    expect(OUT "/p=b", "{\"n\":2}\n|");
    /* Error outputs come on top: they seal none, and stay open themselves. */
    PUT("nothing");
    expect(OUT "/p=a", "");
    PUT("{\"p\":\"d\",\"n\":5}");
    expect(OUT "/p=a", "{\"n\":1}\n{\"n\":3}\n|");
    expect(OUT "/p=c", "");
    assert_int_equal(letters(LETTERS "processing-failed", "\n"), 0);
    stop(6);
    expect(OUT "/p=c", "{\"n\":4}\n|");
    expect(OUT "/p=d", "{\"n\":5}\n|");
    assert_int_equal(letters(LETTERS "processing-failed", "it is no JSON object"), 1);
}

/* The prefix that the event's own time renders is part of its partition. */
static void the_clock_of_events_parts_them_too(void **state)
{
    static const uint64_t day_ns = 86400000000000ULL, first_ns = 19000 * 86400000000000ULL;
    uint16_t number;

    (void)state;
    agent.sinks[0].event_clock = true;
    agent.sinks[0].prefix = "!{timestamp:yyyy-MM-dd}/";
    agent.sinks[0].partitions_max = 8;
    assert_int_equal(sim_producer_stream(producer, "stream-0", &number), 0);
    for (unsigned i = 0; i < 4; i++) {
        char json[16];
        int len = snprintf(json, sizeof(json), "{\"n\":%u}", i);

        assert_int_equal(sim_producer_append(producer, number, SHM_KIND_JSON,
                                             first_ns + i % 2 * day_ns, json, (size_t)len), 0);
    }
    sim_producer_publish(producer);
    sim_agent_open(&agent);
    settle();
    stop(4);
    expect(OUT "/2022-01-08", "{\"n\":0}\n{\"n\":2}\n|");
    expect(OUT "/2022-01-09", "{\"n\":1}\n{\"n\":3}\n|");
}

/* --- what fits no batch, or not this one -------------------------------------------------- */

static void a_misfit_seals_its_batch_and_goes_on_with_wider_columns(void **state)
{
    (void)state;
    agent.sinks[0].format = "csv";
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 8;
    agent.sinks[0].infer_bytes = 1;
    sim_agent_open(&agent);
    PUT("{\"p\":1,\"a\":1}", "{\"p\":1,\"a\":2}", "{\"p\":2,\"a\":3}", "{\"p\":1,\"b\":\"x\"}");
    expect(OUT "/p=1", "a\n1\n2\n|");
    expect(OUT "/p=2", "");
    PUT("{\"p\":1,\"a\":4}", "{\"p\":2,\"a\":5}");
    stop(6);
    expect(OUT "/p=1", "a\n1\n2\n|a,b\n,x\n4,\n|");
    expect(OUT "/p=2", "a\n3\n5\n|");
}

/* Whether it would be the first of a batch, or joins one that is open. */
static void what_is_refused_goes_to_the_error_output_and_seals_nothing(void **state)
{
    (void)state;
    agent.sinks[0].format = "csv";
    agent.sinks[0].infer_bytes = 1;
    agent.sinks[0].buffer_count = 4;
    sim_agent_open(&agent);
    PUT("{}", "{}", "{\"a\":1}", "{}", "{\"a\":2}", "{\"a\":3}");
    expect(OUT, "");
    assert_int_equal(letters(LETTERS "format-conversion-failed", "\n"), 0);
    PUT("nothing", "{\"a\":4}");
    expect(OUT, "a\n1\n2\n3\n4\n|");
    assert_int_equal(letters(LETTERS "format-conversion-failed", "\"rawData\":\"e30=\"}\n"), 3);
    assert_int_equal(letters(LETTERS "format-conversion-failed",
                             "\"rawData\":\"bm90aGluZw==\"}\n"), 1);
    assert_int_equal(letters(LETTERS "format-conversion-failed", "|"), 1);
    stop(8);
}

/* Neither the batch that is open, which is one of records, nor the next one can take it. */
static void what_no_batch_begins_with_is_refused_behind_records_too(void **state)
{
    static const uint8_t body[] = {1, 0, 0, 0, SHM_FIELD_I64, 0, 1, 0, 'a'};
    static const int64_t value = 7;
    uint16_t stream, typed;

    (void)state;
    agent.sinks[0].format = "csv";
    agent.sinks[0].infer_bytes = 1;
    sim_agent_open(&agent);
    assert_int_equal(sim_producer_stream(producer, "stream-0", &stream), 0);
    assert_int_equal(sim_producer_schema(producer, stream, body, sizeof(body), &typed), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sim_producer_append(producer, typed, SHM_KIND_RECORD, 0, &value,
                                             sizeof(value)), 0);
        sim_producer_publish(producer);
        PUT("{}");
    }
    expect(OUT, "");
    PUT("{\"a\":8}");
    expect(OUT, "a\n7\n7\n|");
    stop(5);
    expect(OUT, "a\n7\n7\n|a\n8\n|");
    assert_int_equal(letters(LETTERS "format-conversion-failed", "\"rawData\":\"e30=\"}\n"), 2);
}

static void each_error_has_an_output_of_its_own(void **state)
{
    char text[PARTITION_VALUE_BYTES_MAX + 40];

    (void)state;
    snprintf(text, sizeof(text), "{\"p\":\"%0*d\"}", PARTITION_VALUE_BYTES_MAX + 1, 0);
    agent.sinks[0].format = "csv";
    agent.sinks[0].columns = "a i64,p string";
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 1;
    sim_agent_open(&agent);
    PUT("{\"a\":1,\"p\":\"x\"}", "{\"a\":\"one\"}", text, "{\"a\":2,\"p\":\"x\"}", text);
    stop(5);
    expect(OUT "/p=x", "a\n1\n2\n|");
    assert_int_equal(letters(LETTERS "format-conversion-failed",
                             "\"errorCode\":\"format-conversion-failed\""), 1);
    assert_int_equal(letters(LETTERS "processing-failed", "\"errorCode\":\"processing-failed\""),
                     2);
    assert_int_equal(letters(LETTERS "processing-failed", "|"), 1);
}

static void the_books_say_how_many_were_refused_and_why(void **state)
{
    (void)state;
    agent.sinks[0].format = "csv";
    agent.sinks[0].columns = "a i64";
    sim_agent_sink_add(&agent, "second", "/data/second")->format = "json";
    agent.sinks[1].columns = NULL;
    agent.sinks[1].validate = true;
    sim_agent_open(&agent);
    PUT("{\"a\":1}", "nothing", "{\"a\":\"one\"}", "{\"b\":1}");
    assert_int_equal(books().refused_by[ENCODING_PROCESSING_FAILED], 1);   /* by the second */
    assert_int_equal(books().refused_by[ENCODING_FORMAT_FAILED], 3);
    stop(4);
    sim_agent_open(&agent);             /* since the start: of what is delivered nothing comes */
    PUT("nothing");
    assert_int_equal(books().refused_by[ENCODING_PROCESSING_FAILED], 1);
    assert_int_equal(books().refused_by[ENCODING_FORMAT_FAILED], 1);
    stop(5);
}

/* --- catching up -------------------------------------------------------------------------- */

static shard_settings_fn plain_settings;

/* Stream 1 is one endless batch; stream 0 changes. */
static int settings_apart(void *ctx, const char *stream, struct stream_settings *ret_set,
                          struct errmsg *err)
{
    int r = plain_settings(ctx, stream, ret_set, err);

    if (strcmp(stream, "stream-1") == 0)
        ret_set->output[0].buffer_count = -1;
    return r;
}

/* So much that three turns of catching up do not read it all; by then a full disk is known. */
static void put_much(void)
{
    enum { EVENT_BYTES = 200000 };
    char *json = malloc(EVENT_BYTES + 1);

    assert_non_null(json);
    snprintf(json, EVENT_BYTES + 1, "{\"p\":9,\"x\":\"%0*d\"}", EVENT_BYTES - 14, 0);
    assert_int_equal(strlen(json), EVENT_BYTES);
    for (uint64_t sum = 0; sum < 3 * REPLAY_BYTES_A_TURN + (4 << 20); sum += EVENT_BYTES) {
        while (sim_producer_write(producer, "stream-1", json) == -EAGAIN)
            sim_agent_turn(&agent);
    }
    free(json);
    settle();
}

/*
 * The books fold a version of settings when its last batch is acknowledged. Here that comes when
 * routing, which reads the log again, has met the version and not yet the last of its events.
 */
static void what_was_sealed_is_skipped_when_its_version_is_folded_meanwhile(void **state)
{
    (void)state;
    sim_mount("/far", false, 1 << 30);
    sim_set_capacity("/far", 0);
    plain_settings = agent.opt.settings;
    agent.opt.settings = settings_apart;
    agent.opt.wal_bytes_max = 256 << 20;
    agent.sinks[0].directory = "/far/out";
    agent.sinks[0].partition_by = "p";
    agent.sinks[0].partitions_max = 8;
    agent.sinks[0].buffer_count = 2;
    sim_agent_open(&agent);
    PUT("{\"p\":1,\"n\":1}");
    put_much();
    PUT("{\"p\":1,\"n\":2}");           /* sealed, with nowhere to go */
    agent.sinks[0].buffer_count = 3;
    shard_reload(agent.shard);
    PUT("{\"p\":1,\"n\":3}");
    assert_int_equal(books().delivered, 0);
    sim_agent_close(&agent);
    sim_kill();

    sim_set_capacity("/far", 1 << 30);
    sim_agent_open(&agent);
    sim_set_free(SIM_AGENT_DATA, 0);    /* routing stops at the other stream's file */
    sim_agent_turns(&agent, 400);
    assert_int_equal(books().delivered, 2);
    assert_true(agent.shard->catching_up);
    sim_set_free(SIM_AGENT_DATA, UINT64_MAX);
    sim_agent_pass(&agent, 5000000000);
    assert_false(agent.shard->catching_up);
    stop(3);
    expect("/far/out/stream-0/p=1", "{\"n\":1}\n{\"n\":2}\n|{\"n\":3}\n|");
}

/* --- the short way ------------------------------------------------------------------------ */

static const struct schema_body *record_schema(void)
{
    static struct schema_body body;

    schema_body_init(&body);
    schema_body_add(&body, SHM_FIELD_I64, 0, "i");
    return &body;
}

/* Events of all kinds and of any size, among them records, good ones and some that are none. */
static void put_mixed(unsigned events)
{
    const struct schema_body *schema = record_schema();
    static uint8_t data[20000];
    uint16_t stream, typed;

    assert_int_equal(sim_producer_stream(producer, "stream-0", &stream), 0);
    assert_int_equal(sim_producer_schema(producer, stream, schema->bytes, schema->len, &typed), 0);
    for (unsigned i = 0; i < events; i++) {
        unsigned what = (unsigned)(sim_random() % 10);
        size_t len = sim_random() % (sizeof(data) - 40);
        enum shm_kind kind = SHM_KIND_JSON;
        int at = snprintf((char *)data, sizeof(data), "{\"n\":%u,\n\"x\":\"", i);

        memset(data + at, 'x', len);
        memcpy(data + (size_t)at + len, "\"}", 2);
        len += (size_t)at + 2;
        if (what == 0) {
            kind = SHM_KIND_TEXT;
        } else if (what == 1) {
            kind = SHM_KIND_BYTES;
        } else if (what == 2) {
            kind = SHM_KIND_RECORD;
            len = i % 3 == 0 ? 5 : 8;   /* 5: shorter than its field */
        }
        while (sim_producer_append(producer, kind == SHM_KIND_RECORD ? typed : stream, kind, 0,
                                   data, len) == -EAGAIN)
            sim_agent_turn(&agent);
        sim_producer_publish(producer);
        if (i % 7 == 0)
            sim_agent_turn(&agent);
    }
    settle();
}

/* Two sinks: one that needs no look at its events, one that looks at each and changes none. */
static void the_short_way_gives_the_bytes_of_the_long_one(void **state)
{
    static const char *const formats[] = {"json", "raw"};

    for (int i = 0; i < 2; i++) {
        struct bytes shorter = BYTES_INIT, longer = BYTES_INIT;

        if (i > 0) {
            teardown(state);
            setup(state);
        }
        agent.sinks[0].format = formats[i];
        agent.sinks[0].buffer_count = 75;
        sim_agent_sink_add(&agent, "long", "/data/long")->validate = true;
        sim_agent_open(&agent);
        put_mixed(400);
        stop(400);
        files_add(OUT, &shorter);
        files_add("/data/long/stream-0", &longer);
        assert_true(shorter.len > 2000000);
        assert_int_equal(shorter.len, longer.len);
        assert_memory_equal(shorter.data, longer.data, longer.len);
        bytes_free(&shorter);
        bytes_free(&longer);
        assert_true(letters(LETTERS "processing-failed", "shorter than the fixed part") > 3);
        assert_int_equal(letters(LETTERS "processing-failed", "\n"),
                         letters("/data/long/stream-0/errors/processing-failed", "\n"));
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_joins_the_batch_of_its_partition),
        cmocka_unit_test(partitions_that_are_counted_together_are_sealed_together),
        cmocka_unit_test(partitions_that_are_counted_together_are_due_together),
        cmocka_unit_test(one_partition_too_many_seals_the_least_recently_used),
        cmocka_unit_test(the_clock_of_events_parts_them_too),
        cmocka_unit_test(a_misfit_seals_its_batch_and_goes_on_with_wider_columns),
        cmocka_unit_test(what_is_refused_goes_to_the_error_output_and_seals_nothing),
        cmocka_unit_test(what_no_batch_begins_with_is_refused_behind_records_too),
        cmocka_unit_test(each_error_has_an_output_of_its_own),
        cmocka_unit_test(the_books_say_how_many_were_refused_and_why),
        cmocka_unit_test(what_was_sealed_is_skipped_when_its_version_is_folded_meanwhile),
        cmocka_unit_test(the_short_way_gives_the_bytes_of_the_long_one),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
