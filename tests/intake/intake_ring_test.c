/*
 * intake_ring: what is written into the intake's ring, what limits refuse, and what becomes of a
 * ring that is spoilt, full, or has no definition left.
 */
#include "libshm-client/ring_reader.h"

#include "encode/refused.h"
#include "intake/intake_ring.h"

static unsigned asked, streams_left;
static bool refused;
static _Atomic uint32_t configurations;

static int stream_take(void *ctx, const char *stream)
{
    (void)ctx;
    assert_true(stream_name_valid(stream, strlen(stream)));
    asked++;
    if (refused)
        return -ENOENT;
    if (streams_left == 0)
        return -EDQUOT;
    streams_left--;
    return 0;
}

static void ring_init(struct intake_ring *r, const struct scratch *s)
{
    asked = 0;
    streams_left = 3000;
    assert_int_equal(intake_ring_init(r, "intake", s->dir, stream_take, NULL,
                                      &configurations), 0);
}

static int put(struct intake_ring *r, const char *stream, const char *text)
{
    int rc = intake_ring_write(r, 0, stream, strlen(stream), SHM_KIND_TEXT, (const uint8_t *)text,
                               strlen(text));

    intake_ring_publish(r);
    return rc;
}

static void events_are_seen_together_when_they_are_published(void **state)
{
    static const uint8_t text[] = "text";
    static uint8_t big[1 << 20];
    struct scratch *s = *state;
    struct intake_ring r;
    struct ring_reader reader;
    struct shm_frame frame;
    uint64_t count = 0;

    ring_init(&r, s);
    assert_int_equal(intake_ring_write(&r, 0, "a", 1, SHM_KIND_TEXT, text, 4), 0);
    assert_int_equal(intake_ring_write(&r, 0, "a", 1, SHM_KIND_TEXT, text, 4), 0);
    reader_open(&reader, s->dir, shmc_name(r.ring));
    assert_false(reader_next(&reader, &frame));
    /* A new name's definition goes in front of its event, and so do the events before it. */
    assert_int_equal(intake_ring_write(&r, 0, "b", 1, SHM_KIND_TEXT, text, 3), 0);
    assert_true(reader_next(&reader, &frame));
    assert_true(reader_next(&reader, &frame));
    assert_false(reader_next(&reader, &frame));
    /* A refused line comes behind what was taken before it. */
    assert_int_equal(intake_ring_refuse(&r, 0, "a", LINE_CUT, text, 4), 0);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.len, 3);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.kind, SHM_KIND_RECORD);
    /* What fits is published where there is no room for more, */
    while (intake_ring_write(&r, 0, "b", 1, SHM_KIND_BYTES, big, sizeof(big)) == 0)
        count++;
    assert_int_equal(count, INTAKE_RING_BYTES / sizeof(big) - 1);
    assert_int_equal(intake_ring_ready(&r, 0, sizeof(big)), -EAGAIN);
    for (uint64_t i = 0; i < count; i++)
        assert_true(reader_next(&reader, &frame));
    assert_false(reader_next(&reader, &frame));
    /* and nothing is when the ring goes. */
    assert_int_equal(intake_ring_write(&r, 0, "b", 1, SHM_KIND_TEXT, text, 4), 0);
    intake_ring_fini(&r);
    assert_false(reader_next(&reader, &frame));
    reader_close(&reader);
}

/* What may be there is asked again when there is another configuration, and its number stays. */
static void a_stream_is_asked_for_in_each_configuration(void **state)
{
    struct scratch *s = *state;
    struct intake_ring r;
    uint16_t id;

    ring_init(&r, s);
    assert_int_equal(put(&r, "a", "one"), 0);
    assert_int_equal(put(&r, "b", "two"), 0);
    atomic_fetch_add(&configurations, 1);
    refused = true;
    assert_int_equal(put(&r, "a", "three"), -ENOENT);
    assert_int_equal(put(&r, "c", "four"), -ENOENT);
    refused = false;
    assert_int_equal(put(&r, "a", "five"), 0);
    assert_int_equal(asked, 5);
    assert_int_equal(put(&r, "a", "six"), 0);
    assert_int_equal(asked, 5);
    assert_int_equal(shmc_stream(r.ring, "a", &id), 0);
    assert_int_equal(id, 1);
    intake_ring_fini(&r);
}

static void events_go_into_a_ring_that_is_made_at_first_use(void **state)
{
    struct scratch *s = *state;
    struct intake_ring r;
    struct ring_reader reader;
    struct shm_frame frame;
    char name[SHM_RING_NAME_MAX + 1];

    ring_init(&r, s);
    assert_null(r.ring);
    assert_int_equal(put(&r, "a", "one"), 0);
    assert_int_equal(put(&r, "b", "two"), 0);
    assert_int_equal(put(&r, "a", ""), 0);
    assert_int_equal(asked, 2);             /* once for each name */
    (void)snprintf(name, sizeof(name), "%s", shmc_name(r.ring));
    reader_open(&reader, s->dir, name);
    assert_int_equal(reader.super.data_bytes, INTAKE_RING_BYTES);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 1);
    assert_int_equal(frame.kind, SHM_KIND_TEXT);
    assert_memory_equal(reader.payload, "one", 3);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 2);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 1);
    assert_int_equal(frame.len, 0);
    assert_false(reader_next(&reader, &frame));
    /* It stays when it is let go. */
    intake_ring_fini(&r);
    assert_false(reader_producer_lives(&reader));
    reader_close(&reader);
}

static void a_stream_that_limits_refuse_takes_no_definition(void **state)
{
    struct intake_ring r;

    ring_init(&r, *state);
    streams_left = 1;
    assert_int_equal(put(&r, "a", "x"), 0);
    assert_int_equal(put(&r, "b", "x"), -EDQUOT);
    assert_int_equal(put(&r, "a", "x"), 0);
    streams_left = 1;
    assert_int_equal(put(&r, "b", "x"), 0);
    intake_ring_fini(&r);
}

static void refused_lines_are_records_of_a_schema_that_readers_know(void **state)
{
    static uint8_t text[2 * INTAKE_REFUSED_BYTES_MAX];
    struct scratch *s = *state;
    struct intake_ring r;
    struct ring_reader reader;
    struct shm_frame frame;
    struct shm_def def;
    uint8_t body[256];
    const char *why = line_fault_words[LINE_TOO_LONG];

    ring_init(&r, s);
    memset(text, 'x', sizeof(text));
    assert_int_equal(intake_ring_refuse(&r, 0, "default", LINE_TOO_LONG, text, sizeof(text)), 0);
    assert_int_equal(intake_ring_refuse(&r, 0, "default", LINE_CUT, text, 1), 0);
    assert_int_equal(intake_ring_refuse(&r, 0, "other", LINE_CUT, text, 1), 0);
    reader_open(&reader, s->dir, shmc_name(r.ring));
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.kind, SHM_KIND_RECORD);
    assert_int_equal(frame.def, 2);
    /* Two references, the reason, and the line as far as it is kept. */
    assert_int_equal(frame.len, 16 + strlen(why) + INTAKE_REFUSED_BYTES_MAX);
    assert_memory_equal(reader.payload + 16, why, strlen(why));
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 2);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 4);

    /* Behind the stream's name, padded: the schema. */
    assert_int_equal(pread(reader.fd, &def, sizeof(def), (off_t)reader.super.defs_offset + 24),
                     sizeof(def));
    assert_int_equal(def.type, SHM_DEF_SCHEMA);
    assert_in_range(def.body_len, 1, sizeof(body));
    assert_int_equal(pread(reader.fd, body, def.body_len, (off_t)reader.super.defs_offset + 40),
                     def.body_len);
    assert_true(refused_schema(body, def.body_len));
    reader_close(&reader);
    intake_ring_fini(&r);
}

static void a_full_ring_takes_it_later(void **state)
{
    static uint8_t large[1 << 20];
    struct scratch *s = *state;
    struct intake_ring r;
    struct ring_reader reader;
    unsigned count = 0;

    ring_init(&r, s);
    while (intake_ring_write(&r, 0, "a", 1, SHM_KIND_BYTES, large, sizeof(large)) == 0)
        count++;
    assert_int_equal(count, INTAKE_RING_BYTES / sizeof(large) - 1);     /* headers take some */
    assert_int_equal(intake_ring_write(&r, 0, "a", 1, SHM_KIND_BYTES, large, sizeof(large)),
                     -EAGAIN);
    reader_open(&reader, s->dir, shmc_name(r.ring));
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader_head(&reader));
    assert_int_equal(intake_ring_write(&r, 0, "a", 1, SHM_KIND_BYTES, large, sizeof(large)), 0);
    reader_close(&reader);
    intake_ring_fini(&r);
}

static void without_definitions_left_another_follows_once_it_is_drained(void **state)
{
    struct scratch *s = *state;
    struct intake_ring r;
    struct ring_reader reader;
    char name[16], first[SHM_RING_NAME_MAX + 1];

    ring_init(&r, s);
    for (unsigned i = 0; i < SHM_DEFS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(put(&r, name, "x"), 0);
    }
    (void)snprintf(first, sizeof(first), "%s", shmc_name(r.ring));
    reader_open(&reader, s->dir, first);
    assert_int_equal(put(&r, "more", "x"), -EAGAIN);
    assert_int_equal(put(&r, "s0", "x"), 0);            /* the others go on */
    (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader_head(&reader));
    assert_int_equal(put(&r, "more", "x"), -EAGAIN);    /* it is let go, */
    assert_false(reader_producer_lives(&reader));
    assert_int_equal(intake_ring_write(&r, 2000000000U, "more", 4, SHM_KIND_TEXT,
                                       (const uint8_t *)"x", 1), 0);    /* and followed */
    assert_string_not_equal(shmc_name(r.ring), first);
    reader_close(&reader);
    intake_ring_fini(&r);
}

static void a_ring_that_is_cut_short_does_not_kill_and_is_followed(void **state)
{
    struct scratch *s = *state;
    struct intake_ring r;
    char path[256];
    uint64_t now_ns = 10000000000ULL;
    int rc;

    ring_init(&r, s);
    assert_int_equal(put(&r, "a", "x"), 0);
    (void)snprintf(path, sizeof(path), "%s/%s", s->dir, shmc_name(r.ring));
    assert_int_equal(truncate(path, 4096), 0);
    rc = intake_ring_write(&r, now_ns, "a", 1, SHM_KIND_TEXT, (const uint8_t *)"x", 1);
    assert_int_equal(rc, -EAGAIN);
    assert_null(r.ring);
    assert_int_equal(intake_ring_write(&r, 2 * now_ns, "a", 1, SHM_KIND_TEXT,
                                       (const uint8_t *)"x", 1), 0);
    intake_ring_fini(&r);
}

static void without_a_place_for_a_ring_it_waits(void **state)
{
    struct scratch *s = *state;
    struct intake_ring r;

    ring_init(&r, s);
    r.shm_dir = "/proc";
    assert_int_equal(put(&r, "a", "x"), -EAGAIN);
    r.shm_dir = s->dir;
    assert_int_equal(put(&r, "a", "x"), -EAGAIN);       /* for a second */
    assert_int_equal(intake_ring_write(&r, 1000000000U, "a", 1, SHM_KIND_TEXT,
                                       (const uint8_t *)"x", 1), 0);
    intake_ring_fini(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* The first: cmocka takes SIGBUS anew for each, and the guard takes it once. */
        TEST(a_ring_that_is_cut_short_does_not_kill_and_is_followed),
        TEST(events_are_seen_together_when_they_are_published),
        TEST(events_go_into_a_ring_that_is_made_at_first_use),
        TEST(a_stream_is_asked_for_in_each_configuration),
        TEST(a_stream_that_limits_refuse_takes_no_definition),
        TEST(refused_lines_are_records_of_a_schema_that_readers_know),
        TEST(a_full_ring_takes_it_later),
        TEST(without_definitions_left_another_follows_once_it_is_drained),
        TEST(without_a_place_for_a_ring_it_waits),
    };

    return cmocka_run_group_tests_name("intake_ring", tests, NULL, NULL);
}
