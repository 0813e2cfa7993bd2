/*
 * The relay's listener over real sockets, with the agent's side of its ring played here: what is
 * taken once, what is declined, who waits and is served again, strangers, limits, restarts.
 * (relay_peers.c, relay_peer.c, relay_ring.c and relay_old.c have no other way in.)
 */
#include "libshm-client/ring_reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>

#include "base/log.h"
#include "intake/relay_listener.h"
#include "sink/relay_wire.h"

enum { EVENTS = 8, EVENT_BYTES = 48, BATCH_BYTES = EVENTS * 64 };

struct fixture {
    struct scratch *scratch;
    struct relay_counters counters;
    struct relay_listener *listener;
    struct sockaddr_in at;
    struct ring_reader ring;
    bool ring_open;
    char data_dir[128];
    uint32_t chance;
};

struct sender {
    int fd;
    struct bytes in;
};

static bool stream_take(void *ctx, const char *stream)
{
    (void)ctx;
    return stream[0] != '0';
}

/* Nothing of it in the log. */
static uint64_t ring_end(void *ctx, const uint8_t uuid[16])
{
    (void)ctx;
    (void)uuid;
    return 0;
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void until_counted(const _Atomic uint64_t *counter, uint64_t want)
{
    for (int i = 0; i < 20000 && counted(counter) != want; i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(counted(counter), want);
}

/* --- the listener, and its ring's other side ------------------------------------------------ */

static void start(struct fixture *f, uint32_t connections_max)
{
    struct relay_place place = {.text = "here", .address_len = sizeof(f->at)};
    struct relay_listener_options opt = {
        .places = &place, .places_count = 1, .shm_dir = f->scratch->dir, .data_dir = f->data_dir,
        .tls = {"", "", ""}, .connections_max = connections_max, .idle_timeout_ns = 60000000000ULL,
        .counters = &f->counters, .stream_take = stream_take, .ring_end = ring_end, .ctx = f,
    };
    struct errmsg err = {""};

    memcpy(&place.address, &f->at, sizeof(f->at));
    if (relay_listener_open(&opt, &f->listener, &err)
        || relay_listener_start(f->listener, &err))
        fail_msg("%s", err.text);
}

static void stop(struct fixture *f)
{
    relay_listener_close(f->listener);
    f->listener = NULL;
}

static void ring_open(struct fixture *f)
{
    DIR *dir = opendir(f->scratch->dir);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "hydrant-relay.", 14) == 0) {
            reader_open(&f->ring, f->scratch->dir, entry->d_name);
            f->ring_open = true;
        }
    closedir(dir);
    assert_true(f->ring_open);
}

static void ring_close(struct fixture *f)
{
    reader_close(&f->ring);
    f->ring_open = false;
}

/* As far as the ring is now: durable; how many events there were more. */
static unsigned drain(struct fixture *f)
{
    struct shm_frame frame;
    unsigned events = 0;

    if (!f->ring_open)
        ring_open(f);
    while (reader_next(&f->ring, &frame))
        events += frame.len == EVENT_BYTES;
    reader_publish(&f->ring, SHM_POS_ACCEPTED, f->ring.pos);
    reader_publish(&f->ring, SHM_POS_DURABLE, f->ring.pos);
    return events;
}

/* --- senders -------------------------------------------------------------------------------- */

static int connected(const struct fixture *f)
{
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)&f->at, sizeof(f->at)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

static void say(struct sender *s, struct bytes *b)
{
    assert_int_equal(send(s->fd, b->data, b->len, MSG_NOSIGNAL), b->len);
    bytes_free(b);
}

/* Copies the body, of which the connection's end makes none: then the type is RELAY_TYPE_END. */
static struct relay_message hear_any(struct sender *s, char *ret_text, size_t cap)
{
    struct relay_message m = {.type = RELAY_TYPE_END};

    for (;;) {
        int64_t n = relay_wire_next(s->in.data, s->in.len, &m);
        ssize_t got;

        assert_true(n >= 0);
        if (n > 0) {
            snprintf(ret_text, cap, "%.*s", (int)m.len, (const char *)m.body);
            if (m.type == RELAY_TAKEN)
                memcpy(ret_text, m.body, 8);
            memmove(s->in.data, s->in.data + n, s->in.len - (size_t)n);
            s->in.len -= (size_t)n;
            if (m.type != RELAY_ALIVE)
                return m;
            continue;
        }
        assert_int_equal(bytes_reserve(&s->in, 4096), 0);
        got = recv(s->fd, s->in.data + s->in.len, 4096, 0);
        if (got <= 0) {
            assert_true(got == 0 || errno == ECONNRESET);
            return (struct relay_message){.type = RELAY_TYPE_END};
        }
        s->in.len += (size_t)got;
    }
}

static void hear(struct sender *s, enum relay_type type, char text[300])
{
    assert_int_equal(hear_any(s, text, 300).type, type);
}

static struct sender hello(const struct fixture *f, char who)
{
    uint8_t identity[16] = {(uint8_t)who};
    struct sender s = {.fd = connected(f), .in = BYTES_INIT};
    struct bytes b = BYTES_INIT;

    assert_int_equal(relay_wire_put_hello(&b, identity), 0);
    say(&s, &b);
    return s;
}

static struct sender welcomed(const struct fixture *f, char who)
{
    struct sender s = hello(f, who);
    char text[300];

    hear(&s, RELAY_WELCOME, text);
    return s;
}

static void bye(struct sender *s)
{
    close(s->fd);
    bytes_free(&s->in);
}

static void begin(struct sender *s, uint64_t number, const char *stream)
{
    struct bytes b = BYTES_INIT;

    assert_int_equal(relay_wire_put_begin(&b, number, &(struct batch_id){1, 0, number}, stream), 0);
    say(s, &b);
}

static uint64_t begun(struct sender *s, uint64_t number)
{
    char text[300];
    uint64_t taken;

    begin(s, number, "load");
    hear(s, RELAY_TAKEN, text);
    memcpy(&taken, text, sizeof(taken));
    return taken;
}

/* Events of the batch from the one at this offset on, and its end. */
static void frames(struct sender *s, uint64_t number, uint64_t from, bool end)
{
    uint8_t frame[64] = {0};
    struct shm_frame head = {.len = EVENT_BYTES, .kind = SHM_KIND_TEXT};
    struct bytes b = BYTES_INIT;
    size_t at;

    memcpy(frame, &head, sizeof(head));
    assert_int_equal(shm_frame_bytes(EVENT_BYTES), sizeof(frame));
    assert_int_equal(relay_wire_data_begin(&b, number, from, &at), 0);
    for (; from < BATCH_BYTES; from += sizeof(frame))
        assert_int_equal(bytes_append(&b, frame, sizeof(frame)), 0);
    relay_wire_data_end(&b, at);
    if (end)
        assert_int_equal(relay_wire_put_u64(&b, RELAY_END, number, BATCH_BYTES), 0);
    say(s, &b);
}

/* Sent, and durable. */
static void delivered(struct fixture *f, struct sender *s, uint64_t number, uint64_t taken)
{
    uint64_t events = counted(&f->counters.events) + (BATCH_BYTES - taken) / 64;
    char text[300];

    frames(s, number, taken, true);
    until_counted(&f->counters.events, events);
    drain(f);
    hear(s, RELAY_DONE, text);
}

/* --- setup ---------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int rc = scratch_setup(state), fd;
    socklen_t len = sizeof(f->at);
    char path[160];

    if (f == NULL || rc != 0)
        return -1;
    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    f->scratch = *state;
    f->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&f->at, len)
        || getsockname(fd, (struct sockaddr *)&f->at, &len))
        return -1;
    close(fd);
    snprintf(f->data_dir, sizeof(f->data_dir), "%s/data", f->scratch->dir);
    snprintf(path, sizeof(path), "%s/state", f->data_dir);
    *state = f;
    return mkdir(f->data_dir, 0700) || mkdir(path, 0700) ? -1 : 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *scratch = f->scratch;

    relay_listener_close(f->listener);
    if (f->ring_open)
        ring_close(f);
    free(f);
    return scratch_teardown(&scratch);
}

/* --- claims --------------------------------------------------------------------------------- */

static void a_batch_is_taken_once_by_whatever_connection(void **state)
{
    struct fixture *f = *state;
    struct sender first, second;
    char text[300];

    start(f, 10);
    first = welcomed(f, 'a');
    assert_int_equal(begun(&first, 1), 0);
    frames(&first, 1, 0, false);
    until_counted(&f->counters.events, EVENTS);
    bye(&first);

    second = welcomed(f, 'a');
    assert_int_equal(begun(&second, 1), BATCH_BYTES);
    assert_int_equal(counted(&f->counters.duplicates), 1);
    frames(&second, 1, 0, false);               /* it does not listen */
    hear(&second, RELAY_REFUSED, text);
    assert_non_null(strstr(text, "another connection"));
    hear(&second, RELAY_TYPE_END, text);
    bye(&second);

    second = welcomed(f, 'a');
    assert_int_equal(begun(&second, 1), BATCH_BYTES);
    assert_int_equal(begun(&second, 2), 0);
    delivered(f, &second, 2, 0);                /* the first one's end is not said yet */
    bye(&second);
    second = welcomed(f, 'b');                  /* of somebody else */
    assert_int_equal(begun(&second, 1), 0);
    delivered(f, &second, 1, 0);
    bye(&second);
    until_counted(&f->counters.peers, 0);
    assert_int_equal(counted(&f->counters.events), 3 * EVENTS);
}

static void what_cannot_be_taken_is_declined_and_the_rest_goes_on(void **state)
{
    struct fixture *f = *state;
    struct sender s;
    char text[300];

    start(f, 10);
    s = welcomed(f, 'a');
    begin(&s, 1, "0-no-such-stream");
    hear(&s, RELAY_DECLINED, text);
    assert_non_null(strstr(text, "streams_max"));
    begin(&s, 2, "no/name");
    hear(&s, RELAY_DECLINED, text);
    assert_non_null(strstr(text, "such a name"));
    assert_int_equal(begun(&s, 1), 0);          /* under a name that is one */
    delivered(f, &s, 1, 0);
    assert_int_equal(counted(&f->counters.declined), 2);
    assert_int_equal(counted(&f->counters.refused), 0);
    bye(&s);
}

static void who_finds_the_ring_full_waits_and_is_served_when_it_is_not(void **state)
{
    struct fixture *f = *state;
    const _Atomic uint64_t *full = &f->counters.waiting[RELAY_WAIT_RING_FULL];
    struct sender s, other;
    uint64_t sent = 0;

    start(f, 10);
    s = welcomed(f, 'a');
    other = welcomed(f, 'b');
    for (uint64_t i = 1; i <= 1000; i++)
        begin(&s, i, "load");
    for (uint64_t i = 1; i <= 1000; i++) {
        char text[300];

        hear(&s, RELAY_TAKEN, text);
    }
    /* One event of 1 MiB after the other, in batches of their own. */
    for (uint64_t i = 1; i <= 40 && counted(full) == 0; i++) {
        struct shm_frame head = {.len = SHM_EVENT_BYTES_MAX, .kind = SHM_KIND_BYTES};
        struct bytes b = BYTES_INIT;
        size_t at;

        assert_int_equal(relay_wire_data_begin(&b, i, 0, &at), 0);
        assert_int_equal(bytes_append(&b, &head, sizeof(head)), 0);
        assert_int_equal(bytes_reserve(&b, SHM_EVENT_BYTES_MAX), 0);
        memset(b.data + b.len, 'x', SHM_EVENT_BYTES_MAX);
        b.len += SHM_EVENT_BYTES_MAX;
        relay_wire_data_end(&b, at);
        for (at = 0; at < b.len && counted(full) == 0;) {
            struct pollfd out = {.fd = s.fd, .events = POLLOUT};
            ssize_t n = send(s.fd, b.data + at, b.len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

            at += n > 0 ? (size_t)n : 0;
            (void)poll(&out, 1, 10);
        }
        bytes_free(&b);
        sent = i;
    }
    assert_true(sent >= 31);
    until_counted(&f->counters.waiting[RELAY_WAIT_RING_FULL], 1);
    assert_int_equal(counted(&f->counters.events), 31);
    drain(f);
    until_counted(&f->counters.waiting[RELAY_WAIT_RING_FULL], 0);
    assert_true(counted(&f->counters.events) > 31);
    bye(&s);
    bye(&other);
}

static void strangers_harm_nobody(void **state)
{
    struct fixture *f = *state;
    struct sender s;
    unsigned seed = 1;
    char text[300];

    start(f, 100);
    s = welcomed(f, 'a');
    for (unsigned i = 0; i < 1000; i++) {
        struct sender stranger = i % 2 ? welcomed(f, 's')
                                       : (struct sender){.fd = connected(f), .in = BYTES_INIT};
        uint8_t bytes[256];
        size_t len = 1 + (size_t)rand_r(&seed) % sizeof(bytes);

        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)rand_r(&seed);
        if (i % 4 == 1 && len > 16) {           /* with a header that can be */
            bytes_put_u32(bytes, (uint32_t)len - 16);
            bytes_put_u32(bytes + 4, 2 + i / 4 % 5);
            bytes_put_u64(bytes + 8, 1);
        }
        (void)send(stranger.fd, bytes, len, MSG_NOSIGNAL);
        bye(&stranger);
    }
    until_counted(&f->counters.peers, 1);
    assert_int_equal(begun(&s, 1), 0);
    delivered(f, &s, 1, 0);
    assert_int_equal(counted(&f->counters.events), EVENTS);
    bye(&s);

    s = welcomed(f, 'a');                       /* one that is larger than any */
    bytes_put_u32((uint8_t *)text, RELAY_BODY_BYTES_MAX + 1);
    bytes_put_u32((uint8_t *)text + 4, RELAY_DATA);
    memset(text + 8, 0, 8);
    assert_int_equal(send(s.fd, text, 16, MSG_NOSIGNAL), 16);
    hear(&s, RELAY_REFUSED, text);
    bye(&s);
}

static double cpu_seconds(void)
{
    struct rusage use;

    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec)
           + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void who_finds_no_place_waits_in_the_kernel(void **state)
{
    struct fixture *f = *state;
    struct sender first, second, third;
    struct rlimit before, few;
    double cpu_s;
    char text[300];

    start(f, 2);
    first = welcomed(f, 'a');
    second = welcomed(f, 'b');
    third = hello(f, 'c');                      /* connections_max */
    assert_int_equal(counted(&f->counters.peers_total), 2);
    bye(&first);
    hear(&third, RELAY_WELCOME, text);
    bye(&second);
    until_counted(&f->counters.peers, 1);

    first = (struct sender){.fd = connected(f), .in = BYTES_INIT};
    until_counted(&f->counters.peers_total, 4);
    bye(&first);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    second = (struct sender){.fd = socket(AF_INET, SOCK_STREAM, 0), .in = BYTES_INIT};
    until_counted(&f->counters.peers, 1);
    few = before;
    few.rlim_cur = 3;                           /* EMFILE from here on */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(connect(second.fd, (struct sockaddr *)&f->at, sizeof(f->at)), 0);
    cpu_s = cpu_seconds();
    (void)poll(NULL, 0, 300);
    assert_true(cpu_seconds() - cpu_s < 0.1);   /* nobody spins */
    assert_int_equal(counted(&f->counters.peers_total), 4);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    until_counted(&f->counters.peers_total, 5);
    bye(&second);
    bye(&third);
}

static void after_a_restart_nobody_is_answered_before_old_rings_are_durable(void **state)
{
    struct fixture *f = *state;
    struct shm_frame frame;
    struct sender s;
    char text[300];
    unsigned events = 0;

    start(f, 10);
    s = welcomed(f, 'a');
    assert_int_equal(begun(&s, 1), 0);
    frames(&s, 1, 0, true);
    until_counted(&f->counters.events, EVENTS);
    ring_open(f);
    stop(f);
    hear(&s, RELAY_TYPE_END, text);
    bye(&s);

    start(f, 10);
    s = hello(f, 'a');
    until_counted(&f->counters.waiting[RELAY_WAIT_RECOVERY], 1);
    while (reader_next(&f->ring, &frame))
        events++;
    assert_int_equal(events, EVENTS);
    reader_publish(&f->ring, SHM_POS_ACCEPTED, f->ring.pos);
    assert_int_equal(counted(&f->counters.waiting[RELAY_WAIT_RECOVERY]), 1);
    reader_publish(&f->ring, SHM_POS_DURABLE, f->ring.pos);
    hear(&s, RELAY_WELCOME, text);
    assert_int_equal(begun(&s, 1), BATCH_BYTES);
    bye(&s);
}

/* Its ring was lost with the host, and the log has nothing of it: all is sent again. */
static void what_a_lost_ring_held_is_taken_again(void **state)
{
    struct fixture *f = *state;
    struct dirent *entry;
    struct sender s;
    DIR *dir;

    start(f, 10);
    s = welcomed(f, 'a');
    assert_int_equal(begun(&s, 1), 0);
    frames(&s, 1, 0, true);
    until_counted(&f->counters.events, EVENTS);
    stop(f);
    bye(&s);
    dir = opendir(f->scratch->dir);
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, "hydrant-relay.", 14) == 0)
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    closedir(dir);
    start(f, 10);
    s = welcomed(f, 'a');
    assert_int_equal(begun(&s, 1), 0);
    delivered(f, &s, 1, 0);
    bye(&s);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_taken_once_by_whatever_connection),
        cmocka_unit_test(what_cannot_be_taken_is_declined_and_the_rest_goes_on),
        cmocka_unit_test(who_finds_the_ring_full_waits_and_is_served_when_it_is_not),
        cmocka_unit_test(strangers_harm_nobody),
        cmocka_unit_test(who_finds_no_place_waits_in_the_kernel),
        cmocka_unit_test(after_a_restart_nobody_is_answered_before_old_rings_are_durable),
        cmocka_unit_test(what_a_lost_ring_held_is_taken_again),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        tests[i].setup_func = setup;
        tests[i].teardown_func = teardown;
    }
    return cmocka_run_group_tests_name("relay_listener", tests, NULL, NULL);
}
