/*
 * cli_ring: rings that live, are dead, quarantined or damaged, as `hydrant ring ls` and `ring show`
 * tell of them; nothing that a producer chose reaches the terminal as it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "cli/capture.h"
#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "libshm-client/schema_body.h"
#include "ring/ring_builder.h"

static struct capture capture;
static char dir_path[64];
static int dir;
static struct built ring;
static uint16_t def;

static int setup(void **state)
{
    (void)state;
    dir = built_dir_open(dir_path);
    built_open(&ring, dir, "app.1.ring", SHM_RING_BYTES_MIN);
    def = built_define(&ring, "clicks");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    built_close(&ring);
    built_dir_close(dir, dir_path);
    return 0;
}

static void text(const char *payload)
{
    built_append(&ring, def, SHM_KIND_TEXT, payload, (uint32_t)strlen(payload));
}

/* words: with %s for the directory. */
static void expect(const char *words, int code, const char *out, const char *err)
{
    char line[256];

    (void)snprintf(line, sizeof(line), "%s --shm-dir %s", words, dir_path);
    capture_expect(&capture, cli_ring, line, code, out, err);
}

static void a_ring_is_shown_with_its_producer_and_without(void **state)
{
    (void)state;
    text("hello");
    expect("ring show app.1", CLI_OK, "state          orphan", "");
    built_lock(&ring);
    expect("ring show app.1", CLI_OK, "state          alive", "");
    assert_non_null(strstr(capture.out, "waiting        24 (24 B)"));
    assert_non_null(strstr(capture.out, "agent          none has read it yet"));
    assert_non_null(strstr(capture.out, "stream 1     clicks"));
    atomic_store(&ring.producer->closed, 1);
    expect("ring show app.1.ring", CLI_OK, "state          closed", "");
    expect("ring ls", CLI_OK, "closed", "");
}

static void only_what_waits_is_printed(void **state)
{
    (void)state;
    text("taken");
    atomic_store(&ring.consumer->mark[SHM_POS_ACCEPTED].pos, ring.pos);
    expect("ring show app.1 --events", CLI_OK, "", "");
    assert_string_equal(capture.out, "");
    text("waits");
    expect("ring show app.1 --events", CLI_OK, "\"payload\": \"waits\"", "");
    assert_null(strstr(capture.out, "taken"));
}

static void a_span_that_wraps_is_printed_whole(void **state)
{
    char payload[1001] = "";

    (void)state;
    memset(payload, 'x', 1000);
    while (ring.pos < SHM_RING_BYTES_MIN - 500)
        text(payload);
    atomic_store(&ring.consumer->mark[SHM_POS_ACCEPTED].pos, ring.pos);
    text("before the end");
    text(payload);
    text("behind it");
    expect("ring show app.1 --events", CLI_OK, "before the end", "");
    assert_non_null(strstr(capture.out, payload));
    assert_non_null(strstr(capture.out, "behind it"));
}

static void payloads_do_not_reach_the_terminal_raw(void **state)
{
    static const char json[] = "{\"a\": \"\xc2\x9b" "31m\x7f\xe2\x80\xae\",\n \"b\": 1}";

    (void)state;
    text("\x1b]0;title\x07 \"quoted\" \\ \xc2\x9b");
    built_append(&ring, def, SHM_KIND_JSON, json, sizeof(json) - 1);
    built_append(&ring, def, SHM_KIND_BYTES, "\xff\x9b", 2);
    expect("ring show app.1 --events", CLI_OK,
           "\\u001b]0;title\\u0007 \\\"quoted\\\" \\\\ \\u009b", "");
    assert_non_null(strstr(capture.out, "{\"a\": \"\\u009b31m\\u007f\\u202e\",  \"b\": 1}"));
    assert_non_null(strstr(capture.out, "\"payload_base64\": \"/5s=\""));
    for (const char *c = capture.out; *c != '\0'; c++)
        assert_true((*c >= 0x20 && *c < 0x7f) || *c == '\n');
}

/* A schema of the ring's stream, and one record of it: all types, the last two without a value. */
static void record(uint8_t yes)
{
    static const char *const names[] = {"yes", "small", "large", "count", "coarse", "fine",
                                        "user \"\x1b[0m", "blob", "at"};
    static struct schema_body body;
    struct __attribute__((packed)) {
        int64_t large;
        uint64_t count;
        double fine;
        struct shm_ref user, blob;
        int64_t at, no_at;
        struct shm_ref no_text;
        int32_t small;
        float coarse;
        uint8_t yes, present[2];
        char rest[4];
    } packed = {-5, UINT64_MAX, 0.1, {75, 2}, {77, 2}, 1770091506789123, 0, {0, 0}, -1, 0.1F, yes,
                {0xff, 1}, {'a', '"', '\xff', 0}};
    uint16_t number;

    schema_body_init(&body);
    for (uint8_t i = 0; i < 9; i++)
        schema_body_add(&body, (uint8_t)(i + 1), 0, names[i]);
    schema_body_add(&body, SHM_FIELD_TIMESTAMP, SHM_FIELD_NULLABLE, "no_at");
    schema_body_add(&body, SHM_FIELD_STRING, SHM_FIELD_NULLABLE, "no_text");
    number = built_define_schema(&ring, def, body.bytes, body.len);
    built_append(&ring, number, SHM_KIND_RECORD, &packed, sizeof(packed));
}

static void schemas_are_shown_with_their_fields(void **state)
{
    (void)state;
    record(1);
    expect("ring show app.1", CLI_OK,
           "  schema 2     of stream 1: yes bool, small i32, large i64, count u64, coarse f32, "
           "fine f64, \"user \\\"\\x1b[0m\" string, blob bytes, at timestamp, "
           "no_at timestamp null, no_text string null\n", "");
}

static void records_are_printed_as_objects(void **state)
{
    (void)state;
    record(1);
    record(2);
    expect("ring show app.1 --events", CLI_OK,
           "{\"stream\": \"clicks\", \"kind\": \"record\", \"time\": \"1970-01-01T00:00:00.000Z\", "
           "\"payload\": {\"yes\": true, \"small\": -1, \"large\": -5, "
           "\"count\": 18446744073709551615, \"coarse\": 0.1, \"fine\": 0.1, "
           "\"user \\\"\\u001b[0m\": \"a\\\"\", \"blob\": \"/wA=\", "
           "\"at\": \"2026-02-03T04:05:06.789123Z\", \"no_at\": null, \"no_text\": null}}\n", "");
    assert_non_null(strstr(capture.out, "\"error\": \"record: field 'yes': a bool that is neither "
                                        "0 nor 1\", \"payload_base64\": \""));
}

static void a_record_of_a_stream_is_damage(void **state)
{
    (void)state;
    text("good");
    built_append(&ring, def, SHM_KIND_RECORD, "12345678", 8);
    expect("ring show app.1 --events", CLI_FAILED, "\"payload\": \"good\"",
           "unreadable from position 24 on: definition");
}

static void a_quarantined_ring_says_why_and_where(void **state)
{
    (void)state;
    text("good");
    atomic_store(&ring.consumer->quarantine_pos, 4711);
    atomic_store(&ring.consumer->quarantine, SHM_QUARANTINE_FRAME);
    expect("ring show app.1", CLI_OK, "state          quarantined: frame", "");
    assert_non_null(strstr(capture.out, "quarantined    at 4711"));
    expect("ring ls", CLI_OK, "quarantined: frame", "");
    /* Its head may be the reason. */
    atomic_store(&ring.consumer->quarantine, SHM_QUARANTINE_POSITION);
    atomic_store(&ring.head->head, 1ULL << 40);
    expect("ring show app.1", CLI_OK, "state          quarantined: position", "");
    assert_non_null(strstr(capture.out, "head           impossible"));
    expect("ring ls", CLI_OK, "quarantined: position", "");
    atomic_store(&ring.consumer->quarantine, 99);
    expect("ring ls", CLI_OK, "quarantined: unknown", "");
}

static void an_impossible_head_is_damage(void **state)
{
    (void)state;
    atomic_store(&ring.head->head, SHM_RING_BYTES_MIN + 8);
    expect("ring ls", CLI_FAILED, "damaged: position", "");
    expect("ring show app.1", CLI_OK, "damaged: position", "");
    expect("ring show app.1 --events", CLI_FAILED, "", "what waits cannot be found: position");
}

static void frames_are_printed_up_to_the_bad_one(void **state)
{
    (void)state;
    text("good");
    ring.data[ring.pos + 6] = SHM_KIND_COUNT;       /* kind */
    atomic_store(&ring.head->head, ring.pos + 16);
    expect("ring show app.1 --events", CLI_FAILED, "\"payload\": \"good\"",
           "unreadable from position 24 on: frame");
}

static void a_damaged_file_is_named_with_the_reason(void **state)
{
    (void)state;
    ring.super->data_bytes++;
    expect("ring ls", CLI_FAILED, "unreadable: superblock", "");
    expect("ring show app.1", CLI_FAILED, "", "ring 'app.1.ring': superblock: checksum differs");
    built_seal_superblock(&ring);
    expect("ring show app.1", CLI_FAILED, "", "superblock: impossible ring size");
    assert_int_equal(ftruncate(ring.fd, 100), 0);
    expect("ring show app.1", CLI_FAILED, "", "size: too short to be a ring");
    expect("ring ls", CLI_FAILED, "unreadable: size", "");
}

static void what_cannot_be_a_ring_is_refused(void **state)
{
    (void)state;
    expect("ring show absent", CLI_FAILED, "", "'hydrant ring ls' lists them");
    expect("ring show ../app.1", CLI_USAGE, "", "cannot be a ring's name");
    expect("ring ls --events", CLI_USAGE, "", "'ls' or 'show NAME [--events]'");
    expect("ring", CLI_USAGE, "", "is wanted");
    assert_int_equal(symlinkat("app.1.ring", dir, "link.ring"), 0);
    expect("ring show link", CLI_FAILED, "", "cannot be opened as a plain file");
    assert_int_equal(mkfifoat(dir, "pipe.ring", 0600), 0);
    expect("ring ls", CLI_FAILED, "pipe.ring", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_ring_is_shown_with_its_producer_and_without, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_what_waits_is_printed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_span_that_wraps_is_printed_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(payloads_do_not_reach_the_terminal_raw, setup, teardown),
        cmocka_unit_test_setup_teardown(schemas_are_shown_with_their_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(records_are_printed_as_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_of_a_stream_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(a_quarantined_ring_says_why_and_where, setup, teardown),
        cmocka_unit_test_setup_teardown(an_impossible_head_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_are_printed_up_to_the_bad_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_named_with_the_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_a_ring_is_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
