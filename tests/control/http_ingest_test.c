/*
 * http_ingest: what is committed, what waits and for how long, and what becomes of those that wait.
 */
#include "libshm-client/ring_reader.h"

#include "control/http_ingest.h"
#include "intake/intake_ring.h"

#define S 1000000000ULL

struct fixture {
    struct scratch scratch;
    struct http_ingest *in;
    struct intake_counters counters;
    bool full;                  /* of streams */
    struct ring_reader reader;
};

static int stream_take(void *ctx, const char *stream)
{
    const struct fixture *f = ctx;

    (void)stream;
    return f->full ? -EDQUOT : 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct http_ingest_options options = {.stream_take = stream_take, .ctx = f};

    assert_non_null(f);
    (void)snprintf(f->scratch.dir, sizeof(f->scratch.dir), "/dev/shm/shmc-test-XXXXXX");
    assert_non_null(mkdtemp(f->scratch.dir));
    options.shm_dir = f->scratch.dir;
    options.counters = &f->counters;
    assert_int_equal(http_ingest_open(&options, &f->in), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    http_ingest_close(f->in);
    assert_int_equal(nftw(f->scratch.dir, scratch_remove, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

/* The one ring that there is. */
static void reader_find(struct fixture *f)
{
    DIR *dir = opendir(f->scratch.dir);
    struct dirent *entry;
    char name[SHM_RING_NAME_MAX + 1] = "";

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "hydrant-http", 12) == 0)
            (void)snprintf(name, sizeof(name), "%.*s", SHM_RING_NAME_MAX, entry->d_name);
    (void)closedir(dir);
    reader_open(&f->reader, f->scratch.dir, name);
}

static struct http_put put_of(const char *body, bool durable)
{
    return (struct http_put){.stream = "s", .form = HTTP_PUT_JSON, .body = (const uint8_t *)body,
                             .body_len = strlen(body), .durable = durable, .room_by_ns = S,
                             .durable_by_ns = 5 * S};
}

static void events_are_committed_at_once(void **state)
{
    struct fixture *f = *state;
    struct http_put put = put_of("[{\"a\":1},{\"a\":2}]", false);
    struct shm_frame frame;

    assert_int_equal(http_ingest_put(f->in, &put, 0), 0);
    assert_int_equal(put.result, 0);
    assert_int_equal(put.events, 2);
    assert_int_equal(f->counters.events[INTAKE_HTTP], 2);
    assert_true(http_ingest_deadline_ns(f->in, 0) == UINT64_MAX);
    assert_null(http_ingest_next(f->in, 0));
    reader_find(f);
    assert_true(reader_next(&f->reader, &frame));
    assert_int_equal(frame.kind, SHM_KIND_JSON);
    assert_memory_equal(f->reader.payload, "{\"a\":1}", 7);
    assert_true(reader_next(&f->reader, &frame));
    assert_false(reader_next(&f->reader, &frame));
    reader_close(&f->reader);
}

static void one_mistake_and_none_is_taken(void **state)
{
    struct fixture *f = *state;
    struct http_put good = put_of("{}", false), bad = put_of("[{\"a\":1},7]", true);
    struct shm_frame frame;

    assert_int_equal(http_ingest_put(f->in, &bad, 0), 0);
    assert_int_equal(bad.result, -EBADMSG);
    assert_non_null(strstr(bad.err.text, "element 2"));
    assert_int_equal(http_ingest_put(f->in, &good, 0), 0);
    assert_int_equal(f->counters.events[INTAKE_HTTP], 1);
    reader_find(f);
    assert_true(reader_next(&f->reader, &frame));
    assert_int_equal(frame.len, 2);
    assert_false(reader_next(&f->reader, &frame));
    reader_close(&f->reader);
    f->full = true;
    good.stream[0] = 't';
    assert_int_equal(http_ingest_put(f->in, &good, 0), 0);
    assert_int_equal(good.result, -EDQUOT);
}

static void those_that_wait_for_a_sync_share_it(void **state)
{
    struct fixture *f = *state;
    struct http_put a = put_of("{}", true), b = put_of("{}", true), late = put_of("{}", true);
    struct http_put none = put_of("[]", true);
    uint64_t pos;

    assert_int_equal(http_ingest_put(f->in, &none, 0), 0);
    assert_int_equal(none.result, 0);
    assert_int_equal(http_ingest_put(f->in, &a, 0), -EINPROGRESS);
    assert_int_equal(http_ingest_put(f->in, &b, 0), -EINPROGRESS);
    assert_true(http_ingest_deadline_ns(f->in, 7) == 7);        /* the sync is asked for at once */
    assert_null(http_ingest_next(f->in, 0));
    assert_true(http_ingest_deadline_ns(f->in, 7) > 7);
    reader_find(f);
    pos = reader_head(&f->reader);
    assert_int_equal(f->reader.producer->wanted[SHM_POS_DURABLE], pos);
    assert_int_equal(http_ingest_put(f->in, &late, 0), -EINPROGRESS);
    (void)reader_publish(&f->reader, SHM_POS_DURABLE, pos);
    assert_ptr_equal(http_ingest_next(f->in, S), &a);
    assert_int_equal(a.result, 0);
    assert_int_equal(a.events, 1);
    assert_ptr_equal(http_ingest_next(f->in, S), &b);
    assert_null(http_ingest_next(f->in, S));
    assert_ptr_equal(http_ingest_next(f->in, 5 * S), &late);
    assert_int_equal(late.result, -ETIMEDOUT);
    assert_null(http_ingest_next(f->in, 5 * S));
    reader_close(&f->reader);
}

static void what_is_lost_with_the_log_is_told(void **state)
{
    struct fixture *f = *state;
    struct http_put a = put_of("{}", true), b = put_of("{}", true);

    assert_int_equal(http_ingest_put(f->in, &a, 0), -EINPROGRESS);
    assert_int_equal(http_ingest_put(f->in, &b, 0), -EINPROGRESS);
    reader_find(f);
    atomic_store(&f->reader.consumer->lost_pos, reader_head(&f->reader));
    assert_ptr_equal(http_ingest_next(f->in, 0), &a);
    assert_int_equal(a.result, -EIO);
    assert_ptr_equal(http_ingest_next(f->in, 0), &b);
    assert_int_equal(b.result, -EIO);
    /* Quarantined: nobody knows. */
    assert_int_equal(http_ingest_put(f->in, &a, 0), -EINPROGRESS);
    atomic_store(&f->reader.consumer->quarantine, SHM_QUARANTINE_FRAME);
    assert_ptr_equal(http_ingest_next(f->in, 0), &a);
    assert_int_equal(a.result, -ESTALE);
    reader_close(&f->reader);
}

/* Lines of one byte, so many that the ring is nearly half full of them. */
static char *many_lines(size_t *ret_len)
{
    size_t lines = INTAKE_RING_BYTES / 24 / 5 * 2;
    char *body = malloc(2 * lines);

    assert_non_null(body);
    for (size_t i = 0; i < lines; i++)
        memcpy(body + 2 * i, "x\n", 2);
    *ret_len = 2 * lines;
    return body;
}

static void a_full_ring_is_waited_for_in_order(void **state)
{
    struct fixture *f = *state;
    struct http_put put[6];
    struct http_put small = put_of("{}", false);
    size_t len;
    char *body = many_lines(&len);

    for (size_t i = 0; i < 6; i++) {
        put[i] = put_of("", false);
        put[i].form = HTTP_PUT_LINES;
        put[i].body = (const uint8_t *)body;
        put[i].body_len = len;
        assert_int_equal(http_ingest_put(f->in, &put[i], 0), i < 2 ? 0 : -EINPROGRESS);
    }
    assert_int_equal(http_ingest_put(f->in, &small, 0), -EINPROGRESS);  /* behind the others */
    assert_null(http_ingest_next(f->in, 1));
    reader_find(f);
    (void)reader_publish(&f->reader, SHM_POS_ACCEPTED, reader_head(&f->reader));
    assert_ptr_equal(http_ingest_next(f->in, 1), &put[2]);
    assert_int_equal(put[2].result, 0);
    assert_ptr_equal(http_ingest_next(f->in, 1), &put[3]);
    assert_null(http_ingest_next(f->in, S - 1));
    assert_ptr_equal(http_ingest_next(f->in, S), &put[4]);
    assert_int_equal(put[4].result, -EAGAIN);
    assert_ptr_equal(http_ingest_next(f->in, S), &put[5]);
    assert_ptr_equal(http_ingest_next(f->in, S), &small);
    assert_int_equal(small.result, -EAGAIN);
    assert_int_equal(f->counters.events[INTAKE_HTTP], 4 * (len / 2));
    reader_close(&f->reader);
    free(body);
}

static void more_than_a_ring_holds_is_never_taken(void **state)
{
    struct fixture *f = *state;
    struct http_put put = put_of("", false);
    size_t len;
    char *body = many_lines(&len);
    char *more = malloc(3 * len);

    assert_non_null(more);
    for (size_t i = 0; i < 3; i++)
        memcpy(more + i * len, body, len);
    put.form = HTTP_PUT_LINES;
    put.body = (const uint8_t *)more;
    put.body_len = 3 * len;
    assert_int_equal(http_ingest_put(f->in, &put, 0), 0);
    assert_int_equal(put.result, -E2BIG);
    assert_int_equal(f->counters.events[INTAKE_HTTP], 0);
    free(more);
    free(body);
}

static void shut_ends_those_without_room_and_lets_the_ring_go(void **state)
{
    struct fixture *f = *state;
    struct http_put synced = put_of("{}", true), late = put_of("{}", true);
    struct http_put refused = put_of("{}", false);

    assert_int_equal(http_ingest_put(f->in, &synced, 0), -EINPROGRESS);
    reader_find(f);
    (void)reader_publish(&f->reader, SHM_POS_DURABLE, reader_head(&f->reader));
    assert_int_equal(http_ingest_put(f->in, &late, 0), -EINPROGRESS);
    assert_false(http_ingest_shut(f->in, S));
    assert_int_equal(http_ingest_put(f->in, &refused, 0), 0);
    assert_int_equal(refused.result, -ESHUTDOWN);
    assert_ptr_equal(http_ingest_next(f->in, 1), &synced);
    assert_int_equal(synced.result, 0);
    assert_null(http_ingest_next(f->in, S - 1));
    assert_true(reader_producer_lives(&f->reader));
    assert_ptr_equal(http_ingest_next(f->in, S), &late);
    assert_int_equal(late.result, -ETIMEDOUT);
    assert_true(http_ingest_shut(f->in, 2 * S));
    assert_false(reader_producer_lives(&f->reader));
    reader_close(&f->reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_are_committed_at_once),
        TEST(one_mistake_and_none_is_taken),
        TEST(those_that_wait_for_a_sync_share_it),
        TEST(what_is_lost_with_the_log_is_told),
        TEST(a_full_ring_is_waited_for_in_order),
        TEST(more_than_a_ring_holds_is_never_taken),
        TEST(shut_ends_those_without_room_and_lets_the_ring_go),
    };

    return cmocka_run_group_tests_name("http_ingest", tests, NULL, NULL);
}
