/*
 * Claims about one relay sink, against a far side played by hand over loopback, in virtual time:
 * how it waits, what it sends, what it makes of the answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "sink/relay_session.h"
#include "sink/relay_wire.h"

#define SECOND_NS 1000000000ULL

enum { EVENTS = 10, FRAME_BYTES = 32, TURNS_MAX = 3000 };

static const uint8_t uuid[16] = "log of a sender";
static char place[] = "/tmp/relay_session_test.XXXXXX";
static int dir = -1;

static struct {
    int listen, fd;
    char address[32];
    struct bytes in;
    size_t in_at;
} far;

static struct relay_session *session;
static uint64_t now_ns;
static uint8_t *buffer;
static unsigned done;

/* --- jobs ----------------------------------------------------------------------------------- */

static void on_done(struct remote_job *job)
{
    done++;
    job->ctx = job;                     /* it is back */
}

/* A file of ten frames in `dir`, and the job for it. */
static struct remote_job job_make(const char *name)
{
    uint8_t bytes[EVENTS * FRAME_BYTES] = {0};
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    for (unsigned i = 0; i < EVENTS; i++) {
        struct shm_frame f = {.len = 9, .kind = SHM_KIND_TEXT};

        memcpy(bytes + i * FRAME_BYTES, &f, sizeof(f));
        memset(bytes + i * FRAME_BYTES + sizeof(f), 'a' + (int)i, 9);
    }
    assert_int_equal(shm_frame_bytes(9), FRAME_BYTES);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    close(fd);
    return (struct remote_job){
        .sink = "central", .stream = "load", .spool_dir = dir, .spool_name = name,
        .file_bytes = sizeof(bytes), .crc32c = crc32c(0, bytes, sizeof(bytes)), .done = on_done,
    };
}

static void add(struct remote_job *job, uint64_t number)
{
    assert_int_equal(relay_session_add(session, job, &(struct batch_id){1, 0, number}), 0);
}

/* --- the far side --------------------------------------------------------------------------- */

static void far_open(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    far.listen = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(far.listen, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(far.listen, 8), 0);
    assert_int_equal(getsockname(far.listen, (struct sockaddr *)&at, &len), 0);
    snprintf(far.address, sizeof(far.address), "127.0.0.1:%u", ntohs(at.sin_port));
}

static void far_hang_up(void)
{
    if (far.fd >= 0)
        close(far.fd);
    far.fd = -1;
    bytes_clear(&far.in);
    far.in_at = 0;
}

static void turn(void)
{
    struct pollfd own = {.events = POLLIN};

    relay_session_turn(session, now_ns, buffer);
    if (far.fd < 0)
        far.fd = accept4(far.listen, NULL, NULL, SOCK_NONBLOCK);
    own.fd = session->link.fd;
    (void)poll(&own, 1, 1);             /* what was said to it may take a moment to come */
}

/* The next message of the sender, which must be of that type. */
static struct relay_message hear(enum relay_type type)
{
    struct relay_message m = {.type = RELAY_TYPE_END};

    for (unsigned i = 0; i < TURNS_MAX; i++) {
        int64_t n = relay_wire_next(far.in.data + far.in_at, far.in.len - far.in_at, &m);
        ssize_t got;

        assert_true(n >= 0);
        if (n > 0) {
            far.in_at += (size_t)n;
            assert_int_equal(m.type, type);
            return m;
        }
        turn();
        assert_int_equal(bytes_reserve(&far.in, 65536), 0);
        got = far.fd >= 0 ? recv(far.fd, far.in.data + far.in.len, 65536, 0) : -1;
        if (got > 0)
            far.in.len += (size_t)got;
    }
    fail_msg("nothing of the kind is said");
    return m;
}

static void say(enum relay_type type, uint64_t ref, const void *body, size_t len)
{
    struct bytes b = BYTES_INIT;

    assert_int_equal(relay_wire_put(&b, type, ref, body, len), 0);
    assert_int_equal(send(far.fd, b.data, b.len, MSG_NOSIGNAL), b.len);
    bytes_free(&b);
}

static void say_taken(uint64_t ref, uint64_t bytes)
{
    say(RELAY_TAKEN, ref, &bytes, sizeof(bytes));
}

static void welcomed(void)
{
    hear(RELAY_HELLO);
    say(RELAY_WELCOME, 0, NULL, 0);
}

static void until_done(unsigned count)
{
    for (unsigned i = 0; i < TURNS_MAX && done < count; i++)
        turn();
    assert_int_equal(done, count);
}

static void until_waits(const char *because)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        if (strstr(relay_session_waits_because(session), because))
            return;
        turn();
    }
    fail_msg("it waits because '%s'", relay_session_waits_because(session));
}

/* So much time, in which the far side gives its signs of life. */
static void pass(uint64_t seconds, const char *why)
{
    for (uint64_t until_ns = now_ns + seconds * SECOND_NS; now_ns < until_ns;) {
        now_ns += until_ns - now_ns < 10 * SECOND_NS ? until_ns - now_ns : 10 * SECOND_NS;
        say(RELAY_ALIVE, 0, why, strlen(why));
        for (unsigned k = 0; k < TURNS_MAX && session->try_ns != now_ns; k++)
            turn();
        if (session->try_ns != now_ns)
            fail_msg("it does not hear: %s", session->why.text);
    }
}

/* --- setup ---------------------------------------------------------------------------------- */

static void session_open(const char *address, struct relay_session **ret_session)
{
    struct relay_sink_settings set = {
        .name = "central", .address = address, .ca_file = "", .cert_file = "", .key_file = "",
        .in_flight_max = 2, .timeout_ns = 20 * SECOND_NS, .backoff_max_ns = 60 * SECOND_NS,
    };
    struct errmsg err;

    assert_int_equal(relay_session_open(&set, uuid, ret_session, &err), 0);
}

static int setup(void **state)
{
    (void)state;
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    far.fd = -1;
    far_open();
    session_open(far.address, &session);
    now_ns = 1000 * SECOND_NS;
    done = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    relay_session_close(session);
    far_hang_up();
    if (far.listen >= 0)
        close(far.listen);
    bytes_free(&far.in);
    far.in = (struct bytes)BYTES_INIT;
    return 0;
}

static int dir_make(void **state)
{
    (void)state;
    buffer = malloc(RELAY_READ_BYTES);
    dir = mkdtemp(place) ? open(place, O_RDONLY | O_DIRECTORY) : -1;
    return buffer && dir >= 0 ? 0 : -1;
}

static int dir_remove(void **state)
{
    (void)state;
    (void)unlinkat(dir, "a", 0);
    (void)unlinkat(dir, "b", 0);
    close(dir);
    free(buffer);
    return rmdir(place);
}

/* --- claims --------------------------------------------------------------------------------- */

/* Nobody listens for a week: every pause is random and bounded, and of two senders not the same. */
static void a_week_of_attempts_is_bounded_and_scattered(void **state)
{
    struct remote_job job = job_make("a"), job_b = job_make("b");
    uint64_t end = now_ns + 7 * 24 * 3600 * SECOND_NS, last = now_ns, same = 0;
    struct relay_session *other;
    unsigned attempts = 0;

    (void)state;
    close(far.listen);
    far.listen = -1;
    add(&job, 1);
    session_open(far.address, &other);
    assert_int_equal(relay_session_add(other, &job_b, &(struct batch_id){1, 0, 1}), 0);
    while (now_ns < end) {
        uint64_t next;

        relay_session_turn(session, now_ns, buffer);
        for (unsigned i = 0; i < TURNS_MAX && session->link.fd >= 0; i++)
            turn();                     /* a refusal takes a moment to be told */
        assert_int_equal(session->link.fd, -1);
        next = relay_session_next_ns(session);
        assert_true(next > now_ns && next - now_ns <= 60 * SECOND_NS);
        assert_true(attempts < 8 || next - now_ns >= 30 * SECOND_NS);
        relay_session_turn(other, now_ns, buffer);
        same += relay_session_next_ns(other) == next;
        last = now_ns;
        now_ns = next;
        attempts++;
    }
    assert_true(last < end);
    assert_in_range(attempts, 7 * 24 * 60, 2 * 7 * 24 * 60 + 20);
    assert_int_equal(session->retries, attempts);
    assert_int_equal(same, 0);
    assert_int_equal(done, 0);
    assert_non_null(strstr(relay_session_waits_because(session), "refused"));
    relay_session_close(other);
}

static void only_what_the_far_side_has_not_is_sent(void **state)
{
    struct remote_job job = job_make("a");
    struct relay_message m;
    uint64_t value;

    (void)state;
    add(&job, 1);
    welcomed();
    m = hear(RELAY_BEGIN);
    say_taken(m.ref, 7 * FRAME_BYTES);
    m = hear(RELAY_DATA);
    assert_int_equal(relay_wire_u64(&m, &value), 0);
    assert_int_equal(value, 7 * FRAME_BYTES);
    assert_int_equal(m.len, 8 + 3 * FRAME_BYTES);
    assert_int_equal(m.body[8 + sizeof(struct shm_frame)], 'a' + 7);
    m = hear(RELAY_END);
    assert_int_equal(relay_wire_u64(&m, &value), 0);
    assert_int_equal(value, EVENTS * FRAME_BYTES);
    assert_int_equal(done, 0);
    say(RELAY_DONE, m.ref, NULL, 0);
    until_done(1);
    assert_int_equal(job.result, SINK_DONE);
    assert_string_equal(relay_session_waits_because(session), "");
}

static void a_declined_batch_waits_by_itself(void **state)
{
    struct remote_job first = job_make("a"), second = job_make("b");
    struct relay_message m;

    (void)state;
    add(&first, 1);
    add(&second, 2);
    welcomed();
    m = hear(RELAY_BEGIN);
    say(RELAY_DECLINED, m.ref, "no such stream\n", 15);
    m = hear(RELAY_BEGIN);
    say_taken(m.ref, EVENTS * FRAME_BYTES);
    hear(RELAY_END);
    say(RELAY_DONE, m.ref, NULL, 0);
    until_done(1);
    assert_ptr_equal(second.ctx, &second);
    until_waits("a batch is declined: no such stream?");
    assert_int_equal(session->retries, 1);

    pass(29, "");                       /* half of retry_max_backoff is not over */
    assert_int_equal(session->declined, 1);
    pass(31, "");
    m = hear(RELAY_BEGIN);
    say_taken(m.ref, EVENTS * FRAME_BYTES);
    hear(RELAY_END);
    say(RELAY_DONE, m.ref, NULL, 0);
    until_done(2);
    assert_string_equal(relay_session_waits_because(session), "");
}

static void a_far_side_that_says_why_it_waits_is_not_given_up(void **state)
{
    struct remote_job job = job_make("a");

    (void)state;
    add(&job, 1);
    hear(RELAY_HELLO);
    pass(1000, "it drains old rings");  /* many times the timeout */
    until_waits("it drains old rings");
    assert_int_equal(session->retries, 0);
    say(RELAY_WELCOME, 0, NULL, 0);
    hear(RELAY_BEGIN);
    now_ns += 21 * SECOND_NS;
    until_waits("no answer for 20 s");
    assert_int_equal(session->retries, 1);
}

static void what_makes_no_sense_ends_the_connection_and_nothing_else(void **state)
{
    static const struct { enum relay_type type; uint64_t ref; const char *why; } cases[] = {
        {RELAY_DONE, 0, "no answer of a relay"}, {RELAY_TAKEN, 99, "no answer of a relay"},
        {RELAY_DECLINED, 99, "no answer of a relay"}, {RELAY_HELLO, 0, "no answer of a relay"},
        {RELAY_REFUSED, 0, "refused: "},
    };
    struct remote_job job = job_make("a");
    uint8_t garbage[64];
    struct relay_message m;

    (void)state;
    add(&job, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        welcomed();
        m = hear(RELAY_BEGIN);
        say(cases[i].type, cases[i].ref + m.ref, NULL, 0);
        until_waits(cases[i].why);
        far_hang_up();
        session->failing = false;
        now_ns = session->try_ns;
    }
    welcomed();
    m = hear(RELAY_BEGIN);
    say_taken(m.ref, 5);                /* in the middle of an event */
    until_waits("other events of this batch");
    far_hang_up();
    now_ns = session->try_ns;
    hear(RELAY_HELLO);
    memset(garbage, 0xff, sizeof(garbage));
    assert_int_equal(send(far.fd, garbage, sizeof(garbage), MSG_NOSIGNAL), sizeof(garbage));
    until_waits("no answer of a relay");
    assert_int_equal(done, 0);
    assert_int_equal(session->jobs_count, 1);
}

static void a_damaged_file_is_given_back_and_others_go_on(void **state)
{
    struct remote_job first = job_make("a"), second = job_make("b");
    struct relay_message m;

    (void)state;
    first.crc32c ^= 1;
    add(&first, 1);
    add(&second, 2);
    welcomed();
    m = hear(RELAY_BEGIN);
    assert_int_equal(done, 1);
    assert_int_equal(first.result, SINK_DAMAGED);
    say_taken(m.ref, 0);
    hear(RELAY_DATA);
    hear(RELAY_END);
    say(RELAY_DONE, m.ref, NULL, 0);
    until_done(2);
    assert_int_equal(second.result, SINK_DONE);
}

/* The log's uuid stays at home, and two sinks are two senders. */
static void it_is_known_by_its_log_and_its_name(void **state)
{
    struct relay_sink_settings set = {
        .name = "other", .address = "h:1", .ca_file = "", .cert_file = "", .key_file = "",
    };
    struct relay_session *same, *other;
    struct errmsg err;

    (void)state;
    session_open(far.address, &same);
    assert_int_equal(relay_session_open(&set, uuid, &other, &err), 0);
    assert_memory_equal(session->identity, same->identity, 16);
    assert_memory_not_equal(session->identity, other->identity, 16);
    assert_memory_not_equal(session->identity, uuid, 16);
    relay_session_close(same);
    relay_session_close(other);
}

/* In order of arrival, also when ends are taken away and the sink is configured anew. */
static void jobs_keep_their_order_over_a_reload(void **state)
{
    struct remote_job first = job_make("a"), second = job_make("b");
    struct relay_session *heir;
    struct relay_message m;
    struct batch_id id;
    char stream[SHM_STREAM_NAME_MAX + 1];

    (void)state;
    add(&first, 1);
    session_open(far.address, &heir);
    relay_session_inherit(heir, session);
    relay_session_close(session);
    session = heir;
    add(&second, 2);
    welcomed();
    for (uint64_t number = 1; number <= 2; number++) {
        m = hear(RELAY_BEGIN);
        assert_int_equal(relay_wire_begin(&m, &id, stream), 0);
        assert_int_equal(id.number, number);
    }
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_week_of_attempts_is_bounded_and_scattered),
        cmocka_unit_test(only_what_the_far_side_has_not_is_sent),
        cmocka_unit_test(a_declined_batch_waits_by_itself),
        cmocka_unit_test(a_far_side_that_says_why_it_waits_is_not_given_up),
        cmocka_unit_test(what_makes_no_sense_ends_the_connection_and_nothing_else),
        cmocka_unit_test(a_damaged_file_is_given_back_and_others_go_on),
        cmocka_unit_test(it_is_known_by_its_log_and_its_name),
        cmocka_unit_test(jobs_keep_their_order_over_a_reload),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("relay_session", tests, dir_make, dir_remove);
}
