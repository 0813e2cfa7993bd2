/*
 * intake: the whole of it over real sockets, with the ring's other side played here: what is
 * committed before a connection is closed, a full ring, limits, stops. (connection.c, datagrams.c
 * and taker.c have no other way in.)
 */
#include "libshm-client/ring_reader.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "intake/intake.h"
#include "intake/intake_ring.h"

struct fixture {
    struct scratch *scratch;
    struct intake_counters counters;
    struct intake *in;
    char path[100];
    uint16_t udp_port;
};

static int stream_take(void *ctx, const char *stream)
{
    (void)ctx;
    if (strcmp(stream, "nobodys") == 0)
        return -ENOENT;
    return stream[0] == '0' ? -EDQUOT : 0;
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Another thread counts: looked at until it is so. */
static void until_counted(const _Atomic uint64_t *counter, uint64_t want)
{
    for (int i = 0; i < 20000 && counted(counter) != want; i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(counted(counter), want);
}

/* A free port: bound once, and let go. */
static struct sockaddr_in udp_address(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    close(fd);
    return at;
}

static void start(struct fixture *f, uint32_t connections_max, uint64_t idle_timeout_ns)
{
    struct sockaddr_in at = udp_address();
    struct intake_place places[2] = {
        {.source = INTAKE_UNIX, .text = f->path},
        {.source = INTAKE_UDP, .text = "udp", .address_len = sizeof(at)},
    };
    struct intake_options opt = {
        .places = places, .places_count = 2, .shm_dir = f->scratch->dir,
        .default_stream = "default", .line_bytes_max = 1024, .connections_max = connections_max,
        .idle_timeout_ns = idle_timeout_ns, .stream_take = stream_take, .counters = &f->counters,
    };
    struct errmsg err = {""};

    memcpy(&places[1].address, &at, sizeof(at));
    f->udp_port = at.sin_port;
    if (intake_start(&opt, &f->in, &err) != 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    /* Shared, for an intake in another process counts, too. */
    struct fixture *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);
    int rc = scratch_setup(state);

    if (f == MAP_FAILED || rc != 0)
        return -1;
    f->scratch = *state;
    (void)snprintf(f->path, sizeof(f->path), "%s/lines.sock", f->scratch->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    void *scratch = f->scratch;

    intake_close(f->in);
    (void)munmap(f, sizeof(*f));
    return scratch_teardown(&scratch);
}

static int connected(const struct fixture *f)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(at.sun_path, f->path, strlen(f->path) + 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

enum { LONG_LINE_BYTES = 1000 };        /* "a ", x to the end, "\n" */

/*
 * Is the ring full of such lines, and then the socket? Nobody reads the ring, so it stays as it is.
 * A socket that takes no more says nothing alone: its reader may only be late.
 */
static bool filled(struct fixture *f, int fd)
{
    uint64_t frame_bytes = shm_frame_bytes(LONG_LINE_BYTES - 3);
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    for (int i = 0; i < 20000; i++) {
        bool full = (counted(&f->counters.events[INTAKE_UNIX]) + 1) * frame_bytes
                    > INTAKE_RING_BYTES;

        if (poll(&p, 1, full ? 0 : 1) == 1)
            return false;
        if (full)
            return true;
    }
    fail_msg("the socket is not read, and the ring is not full");
    return true;
}

/* Ends our side and waits for the other. */
static void closed(int fd)
{
    char byte;

    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* The ring of a kind of socket. */
static void ring_open(const struct fixture *f, const char *prefix, struct ring_reader *reader)
{
    DIR *dir = opendir(f->scratch->dir);
    struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            break;
    assert_non_null(entry);
    reader_open(reader, f->scratch->dir, entry->d_name);
    (void)closedir(dir);
}

static void expect_event(struct ring_reader *reader, enum shm_kind kind, const char *text)
{
    struct shm_frame frame;

    assert_true(reader_next(reader, &frame));
    assert_int_equal(frame.kind, kind);
    assert_int_equal(frame.len, strlen(text));
    assert_memory_equal(reader->payload, text, frame.len);
}

static void what_is_closed_is_committed(void **state)
{
    struct fixture *f = *state;
    struct ring_reader reader;
    struct shm_frame frame;
    int fd;

    start(f, 10, 60000000000U);
    fd = connected(f);
    send_text(fd, "a {\"x\":1}\nb text\n{\"y\":2}\na \xff\nrubbish\n0 no room\na la");
    send_text(fd, "st");
    closed(fd);
    ring_open(f, "hydrant-unix", &reader);
    expect_event(&reader, SHM_KIND_JSON, "{\"x\":1}");
    expect_event(&reader, SHM_KIND_TEXT, "text");
    expect_event(&reader, SHM_KIND_JSON, "{\"y\":2}");
    expect_event(&reader, SHM_KIND_BYTES, "\xff");
    for (int i = 0; i < 2; i++) {
        assert_true(reader_next(&reader, &frame));
        assert_int_equal(frame.kind, SHM_KIND_RECORD);
    }
    expect_event(&reader, SHM_KIND_TEXT, "last");
    assert_false(reader_next(&reader, &frame));
    reader_close(&reader);
    assert_int_equal(counted(&f->counters.events[INTAKE_UNIX]), 5);
    assert_int_equal(counted(&f->counters.bad_lines[LINE_NO_STREAM]), 1);
    assert_int_equal(counted(&f->counters.bad_lines[LINE_NO_ROOM]), 1);
    assert_int_equal(counted(&f->counters.bad_lines_dropped), 0);
    assert_int_equal(counted(&f->counters.connections_total[INTAKE_UNIX]), 1);
    until_counted(&f->counters.connections[INTAKE_UNIX], 0);
}

static void a_full_ring_is_not_read_for_and_goes_on_with_nothing_lost(void **state)
{
    enum { LINE_BYTES = LONG_LINE_BYTES };
    struct fixture *f = *state;
    struct ring_reader reader;
    struct shm_frame frame;
    char line[LINE_BYTES + 1], want[16];
    unsigned sent = 0, taken = 0;
    int fd;

    start(f, 10, 60000000000U);
    fd = connected(f);
    memset(line, 'x', LINE_BYTES);
    line[LINE_BYTES - 1] = '\n';
    while (!filled(f, fd)) {
        (void)snprintf(want, sizeof(want), "a %08u", sent);
        memcpy(line, want, strlen(want));
        assert_int_equal(send(fd, line, LINE_BYTES, 0), LINE_BYTES);
        sent++;
    }
    assert_true((uint64_t)sent * LINE_BYTES > 31 << 20);
    assert_true((uint64_t)sent * LINE_BYTES < 36 << 20);
    until_counted(&f->counters.waiting, 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    ring_open(f, "hydrant-unix", &reader);
    while (taken < sent) {
        if (!reader_next(&reader, &frame)) {
            (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader.pos);
            (void)poll(NULL, 0, 1);
            continue;
        }
        (void)snprintf(want, sizeof(want), "%08u", taken++);
        assert_memory_equal(reader.payload, want, 8);
    }
    assert_int_equal(recv(fd, want, 1, 0), 0);
    assert_false(reader_next(&reader, &frame));
    reader_close(&reader);
    close(fd);
}

/* What the kernel holds of what was sent. */
static int unread(int fd)
{
    int bytes = 0;

    assert_int_equal(ioctl(fd, SIOCOUTQ, &bytes), 0);
    return bytes;
}

static void until_unread(int fd, int want)
{
    for (int i = 0; i < 20000 && unread(fd) != want; i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(unread(fd), want);
}

/* An intake in a process of its own, which listens. */
static pid_t start_process(struct fixture *f)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        start(f, 10, 60000000000U);
        f->in = NULL;           /* not to be closed by the other process */
        (void)!write(ready[1], "", 1);
        for (;;)
            (void)pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void a_kill_is_no_orderly_end_while_a_byte_is_not_committed(void **state)
{
    /* The second of two, as large as the first: half a line, the head of a compressed stream. */
    static const struct { const char *first, *second; size_t len; } sent[] = {
        {"a one\n", "a half", 6}, {"\nab c\nde", " x\nfghijk", 9},
        {"\x1f\x8b\x08\x00\x00", "\x00\x00\x00\x00\x03", 5},
    };
    enum { SMALL = sizeof(sent) / sizeof(sent[0]), CASES = SMALL + 1, LINES = 2000 };
    struct fixture *f = *state;
    pid_t pid = start_process(f);
    char lines[10 * LINES + 6];
    int fds[CASES], status;
    char byte;

    for (int i = 0; i < LINES; i++)
        memcpy(lines + 10 * i, "a 3456789\n", 10);
    memcpy(lines + sizeof(lines) - 6, "a half", 6);
    fds[SMALL] = connected(f);
    assert_int_equal(send(fds[SMALL], lines, sizeof(lines), 0), sizeof(lines));
    until_counted(&f->counters.events[INTAKE_UNIX], LINES);
    for (int i = 0; i < SMALL; i++) {
        int one;

        fds[i] = connected(f);
        assert_int_equal(send(fds[i], sent[i].first, sent[i].len, 0), sent[i].len);
        one = unread(fds[i]);
        assert_int_equal(send(fds[i], sent[i].second, sent[i].len, 0), sent[i].len);
        /* The first is out of the socket when the second was read, and that is not. */
        until_unread(fds[i], one);
        assert_true(one > 0);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (int i = 0; i < CASES; i++) {
        (void)shutdown(fds[i], SHUT_WR);
        assert_int_equal(recv(fds[i], &byte, 1, 0), -1);
        assert_int_equal(errno, ECONNRESET);
        close(fds[i]);
    }
}

/* What the kernel still does for it has no hold of the places that the next one listens at. */
static void a_killed_intake_leaves_its_places_free(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct fixture *f = *state;

    for (int i = 0; i < 20; i++) {
        pid_t pid = start_process(f);
        int fd = socket(AF_INET, SOCK_DGRAM, 0), status;

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        at.sin_port = f->udp_port;
        assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        close(fd);
        start(f, 10, 60000000000U);
        intake_close(f->in);
        f->in = NULL;
    }
}

static void whole_lines_leave_no_large_block_in_the_kernel(void **state)
{
    struct fixture *f = *state;
    char lines[20000];
    int fd;

    start(f, 10, 60000000000U);
    for (size_t i = 0; i < sizeof(lines); i += 10)
        memcpy(lines + i, "a 3456789\n", 10);
    fd = connected(f);
    assert_int_equal(send(fd, lines, sizeof(lines), 0), sizeof(lines));
    until_unread(fd, 0);
    until_counted(&f->counters.events[INTAKE_UNIX], sizeof(lines) / 10);
    send_text(fd, "a next\n");
    closed(fd);
    assert_int_equal(counted(&f->counters.events[INTAKE_UNIX]), sizeof(lines) / 10 + 1);
    assert_int_equal(counted(&f->counters.bad_lines[LINE_NO_STREAM]), 0);
}

static void more_connections_than_buffers_wait_for_a_full_ring(void **state)
{
    enum { CONNECTIONS = 300, LINE_BYTES = LONG_LINE_BYTES };
    struct fixture *f = *state;
    struct ring_reader reader;
    struct shm_frame frame;
    int fds[CONNECTIONS], fd;
    char line[LINE_BYTES], byte;
    uint64_t events = 0, sent = 0;

    start(f, CONNECTIONS + 1, 60000000000U);
    fd = connected(f);
    memset(line, 'x', LINE_BYTES);
    memcpy(line, "a ", 2);
    line[LINE_BYTES - 1] = '\n';
    while (!filled(f, fd)) {
        assert_int_equal(send(fd, line, LINE_BYTES, 0), LINE_BYTES);
        sent++;
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = connected(f);
        assert_int_equal(send(fds[i], line, LINE_BYTES, 0), LINE_BYTES);
        assert_int_equal(shutdown(fds[i], SHUT_WR), 0);
    }
    until_counted(&f->counters.connections[INTAKE_UNIX], CONNECTIONS + 1);
    until_counted(&f->counters.waiting, 256 - 8);       /* 8 are there for TCP */
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    ring_open(f, "hydrant-unix", &reader);
    while (events < sent + CONNECTIONS) {
        if (reader_next(&reader, &frame)) {
            events++;
            continue;
        }
        (void)reader_publish(&reader, SHM_POS_ACCEPTED, reader.pos);
        (void)poll(NULL, 0, 1);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(recv(fds[i], &byte, 1, 0), 0);
        close(fds[i]);
    }
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_false(reader_next(&reader, &frame));
    reader_close(&reader);
    close(fd);
}

static void connections_beyond_the_limit_wait_for_a_place(void **state)
{
    struct fixture *f = *state;
    int fd[3];

    start(f, 2, 60000000000U);
    for (int i = 0; i < 3; i++) {
        fd[i] = connected(f);
        send_text(fd[i], "a x\n");
    }
    until_counted(&f->counters.events[INTAKE_UNIX], 2);
    closed(fd[0]);
    until_counted(&f->counters.events[INTAKE_UNIX], 3);
    closed(fd[1]);
    closed(fd[2]);
}

static void the_silent_are_closed_and_half_a_line_is_a_bad_one(void **state)
{
    struct fixture *f = *state;
    char byte;
    int fd;

    start(f, 10, 1000000000U);
    fd = connected(f);
    send_text(fd, "a x\na ha");
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    assert_int_equal(counted(&f->counters.bad_lines[LINE_CUT]), 1);
    assert_int_equal(counted(&f->counters.ended[INTAKE_ENDED_IDLE]) +
                     counted(&f->counters.ended[INTAKE_ENDED_SLOW]), 1);
}

static void datagrams_have_several_lines_and_end_with_one(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ring_reader reader;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    start(f, 10, 60000000000U);
    at.sin_port = f->udp_port;
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    send_text(fd, "a one\na two");
    send_text(fd, "a three\r\n");
    until_counted(&f->counters.events[INTAKE_UDP], 3);
    ring_open(f, "hydrant-udp", &reader);
    expect_event(&reader, SHM_KIND_TEXT, "one");
    expect_event(&reader, SHM_KIND_TEXT, "two");
    expect_event(&reader, SHM_KIND_TEXT, "three");
    reader_close(&reader);
    close(fd);
}

static void a_stop_commits_what_was_sent_and_takes_the_name_away(void **state)
{
    struct fixture *f = *state;
    struct ring_reader reader;
    struct stat st;
    char byte;
    int fd;

    start(f, 10, 60000000000U);
    fd = connected(f);
    send_text(fd, "a one\na two\n");
    intake_stop(f->in, 5000000000U);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
    while (!intake_stopped(f->in))
        (void)poll(NULL, 0, 1);
    assert_int_equal(stat(f->path, &st), -1);
    ring_open(f, "hydrant-unix", &reader);
    expect_event(&reader, SHM_KIND_TEXT, "one");
    expect_event(&reader, SHM_KIND_TEXT, "two");
    assert_false(reader_producer_lives(&reader));
    reader_close(&reader);
}

static void the_default_stream_may_change(void **state)
{
    struct fixture *f = *state;
    struct ring_reader reader;
    struct shm_frame frame;
    int fd;

    start(f, 10, 60000000000U);
    fd = connected(f);
    send_text(fd, "{}\n");
    closed(fd);
    intake_default_stream(f->in, "other");
    fd = connected(f);
    send_text(fd, "{}\n");
    closed(fd);
    ring_open(f, "hydrant-unix", &reader);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 1);
    assert_true(reader_next(&reader, &frame));
    assert_int_equal(frame.def, 2);
    reader_close(&reader);
}

static void a_place_that_is_taken_is_named(void **state)
{
    struct fixture *f = *state;
    struct intake_place place = {.source = INTAKE_UNIX, .text = f->path};
    struct intake_options opt = {
        .places = &place, .places_count = 1, .shm_dir = f->scratch->dir,
        .default_stream = "default", .line_bytes_max = 1024, .connections_max = 10,
        .idle_timeout_ns = 1000000000U, .stream_take = stream_take, .counters = &f->counters,
    };
    struct intake *second = NULL;
    struct errmsg err = {""};
    struct stat st;

    start(f, 10, 60000000000U);
    assert_int_equal(intake_start(&opt, &second, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "[intake] unix: "));
    assert_non_null(strstr(err.text, f->path));
    assert_null(second);
    assert_int_equal(stat(f->path, &st), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_closed_is_committed),
        TEST(a_full_ring_is_not_read_for_and_goes_on_with_nothing_lost),
        TEST(a_kill_is_no_orderly_end_while_a_byte_is_not_committed),
        TEST(a_killed_intake_leaves_its_places_free),
        TEST(whole_lines_leave_no_large_block_in_the_kernel),
        TEST(more_connections_than_buffers_wait_for_a_full_ring),
        TEST(connections_beyond_the_limit_wait_for_a_place),
        TEST(the_silent_are_closed_and_half_a_line_is_a_bad_one),
        TEST(datagrams_have_several_lines_and_end_with_one),
        TEST(a_stop_commits_what_was_sent_and_takes_the_name_away),
        TEST(the_default_stream_may_change),
        TEST(a_place_that_is_taken_is_named),
    };

    return cmocka_run_group_tests_name("intake", tests, NULL, NULL);
}
