/*
 * net_test: sockets as they are opened here, and the receives of loop.h, with the kernel's ring of
 * buffers and without: the loop is compiled in to be told that the kernel has none.
 *
 * Owns:   nothing.
 * Thread: the test's.
 */
#include "io/loop.c"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io/file.h"
#include "io/net.h"

static char root[] = "/tmp/hydrant-net-XXXXXX";

struct result {
    struct io_op op;
    struct io_loop *loop;
    unsigned calls;
    int res;
    uint8_t *buffer;
};

static void on_received(struct io_op *op, int res)
{
    struct result *r = op->ctx;

    r->calls++;
    r->res = res;
    r->buffer = res > 0 ? io_received(r->loop, op) : NULL;
}

static struct io_loop *make_loop(unsigned buffers, bool plain)
{
    struct errmsg err = {""};
    struct io_loop *loop = NULL;

    if (loop_open(8, &loop, &err) != 0)
        fail_msg("loop_open: %s", err.text);
    assert_int_equal(loop_buffers(loop, buffers, 64), 0);
    assert_non_null(loop->provided.ring);       /* on any kernel that this runs on */
    if (plain) {
        struct provided_buffers *p = &loop->provided;

        assert_int_equal(io_uring_unregister_buf_ring(&loop->ring, PROVIDED_GROUP), 0);
        assert_int_equal(munmap(p->ring, p->count * sizeof(struct io_uring_buf)), 0);
        p->ring = NULL;
    }
    return loop;
}

static void receive(struct io_loop *loop, struct result *r, int fd)
{
    *r = (struct result){.loop = loop, .op.ctx = r};
    io_receive(loop, &r->op, fd, on_received);
}

static int wait_for(struct result *r)
{
    while (r->calls == 0)
        assert_true(loop_turn(r->loop, UINT64_MAX) >= 0);
    assert_int_equal(r->calls, 1);
    return r->res;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void receives_take_a_buffer_when_there_are_bytes(bool plain)
{
    struct io_loop *loop = make_loop(2, plain);
    struct result r[3];
    int a[2], b[2], c[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, c), 0);
    /* Three wait, and two buffers are enough as long as one of them is silent. */
    receive(loop, &r[0], a[0]);
    receive(loop, &r[1], b[0]);
    receive(loop, &r[2], c[0]);
    assert_true(loop_turn(loop, 0) >= 0);
    assert_int_equal(loop_in_flight(loop), 3);
    send_text(b[1], "bee");
    assert_int_equal(wait_for(&r[1]), 3);
    assert_memory_equal(r[1].buffer, "bee", 3);
    send_text(c[1], "cee");
    assert_int_equal(wait_for(&r[2]), 3);
    assert_memory_equal(r[2].buffer, "cee", 3);
    assert_ptr_not_equal(r[1].buffer, r[2].buffer);
    /* None is left: what came waits in the socket. */
    send_text(a[1], "ay");
    assert_int_equal(wait_for(&r[0]), -ENOBUFS);
    loop_buffer_give(loop, r[1].buffer);
    receive(loop, &r[0], a[0]);
    assert_int_equal(wait_for(&r[0]), 2);
    assert_memory_equal(r[0].buffer, "ay", 2);
    loop_buffer_give(loop, r[0].buffer);
    loop_buffer_give(loop, r[2].buffer);

    /* The end is no bytes, and holds no buffer. */
    close(a[1]);
    for (int i = 0; i < 3; i++) {
        receive(loop, &r[0], a[0]);
        assert_int_equal(wait_for(&r[0]), 0);
    }
    /* One that waits ends when this side is shut down, */
    receive(loop, &r[1], b[0]);
    assert_true(loop_turn(loop, 0) >= 0);
    net_end_reading(b[0]);
    assert_true(wait_for(&r[1]) <= 0);
    /* and one that waits for ever by the loop's end. */
    receive(loop, &r[2], c[0]);
    assert_true(loop_turn(loop, 0) >= 0);
    loop_close(loop);
    assert_int_equal(r[2].calls, 0);
    close(a[0]);
    close(b[0]);
    close(b[1]);
    close(c[0]);
    close(c[1]);
}

static void a_receive_takes_a_buffer_when_there_are_bytes(void **state)
{
    (void)state;
    receives_take_a_buffer_when_there_are_bytes(false);
}

static void without_a_ring_of_buffers_it_is_the_same(void **state)
{
    (void)state;
    receives_take_a_buffer_when_there_are_bytes(true);
}

static void all_but_the_last_byte_is_taken(void **state)
{
    uint8_t buffer[8];
    bool more;
    int s[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 0);
    assert_false(more);
    send_text(s[1], "one");
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 3);
    assert_memory_equal(buffer, "one", 3);
    /* It is the first of what comes next, */
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 1);
    assert_memory_equal(buffer, "e", 1);
    send_text(s[1], "two and ");
    send_text(s[1], "three");
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 8);
    assert_memory_equal(buffer, "etwo and", 8);
    assert_true(more);
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 7);
    assert_memory_equal(buffer, "d three", 7);
    assert_false(more);
    /* unless it is taken by itself. */
    net_take_last(s[0]);
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 0);
    close(s[0]);
    assert_int_equal(recv(s[1], buffer, 1, 0), 0);
    close(s[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    send_text(s[1], "one");
    assert_int_equal(net_take_but_last(s[0], buffer, sizeof(buffer), &more), 3);
    close(s[0]);
    assert_int_equal(recv(s[1], buffer, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(s[1]);
}

/* A message that brings a descriptor ends a receive. */
static void descriptors_that_come_along_do_not_confuse_it(void **state)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct iovec iov = {"with", 4};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    uint8_t buffer[64];
    size_t at = 0;
    bool more;
    int s[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &s[1], sizeof(int));
    assert_int_equal(sendmsg(s[1], &msg, 0), 4);
    send_text(s[1], "out");
    do {
        int n = net_take_but_last(s[0], buffer + at, sizeof(buffer) - at, &more);

        assert_true(n > 0);
        at += (size_t)n - 1;
    } while (more);
    assert_int_equal(at, 6);
    assert_memory_equal(buffer, "without", 7);
    close(s[0]);
    close(s[1]);
}

static void a_watch_tells_once_what_is_new(void **state)
{
    struct net_event events[NET_EVENTS_MAX];
    int watch = net_watch_open(), a[2], b[2];

    (void)state;
    assert_true(watch >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    send_text(b[1], "before");
    assert_int_equal(net_watch_add(watch, a[0], a), 0);
    assert_int_equal(net_watch_add(watch, b[0], b), 0);
    assert_int_equal(net_watch_take(watch, events), 1);
    assert_ptr_equal(events[0].ctx, b);
    assert_false(events[0].ended);
    assert_int_equal(net_watch_take(watch, events), 0);
    send_text(b[1], "more");
    assert_int_equal(net_watch_take(watch, events), 1);
    assert_ptr_equal(events[0].ctx, b);
    assert_int_equal(shutdown(a[1], SHUT_WR), 0);
    assert_int_equal(net_watch_take(watch, events), 1);
    assert_ptr_equal(events[0].ctx, a);
    assert_true(events[0].ended);
    net_end_reading(b[0]);
    assert_int_equal(net_watch_take(watch, events), 1);
    assert_ptr_equal(events[0].ctx, b);
    assert_true(events[0].ended);
    /* One that is closed is not spoken of any more. */
    send_text(a[0], "x");
    close(a[1]);
    close(a[0]);
    assert_int_equal(net_watch_take(watch, events), 0);
    close(b[0]);
    close(b[1]);
    close(watch);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void a_proxy_is_readable_while_its_socket_is(void **state)
{
    char text[16];
    int s[2], proxy;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s), 0);
    send_text(s[1], "before");
    proxy = net_proxy_open(s[0]);
    assert_true(proxy >= 0);
    for (int i = 0; i < 3; i++) {
        assert_true(readable(proxy));
        send_text(s[1], "more");
        assert_true(recv(s[0], text, sizeof(text), 0) > 0);
        assert_true(readable(proxy));
        assert_true(recv(s[0], text, sizeof(text), 0) > 0);
        assert_false(readable(proxy));
        send_text(s[1], "again");
    }
    close(s[0]);
    assert_false(readable(proxy));
    close(s[1]);
    close(proxy);
    assert_int_equal(net_proxy_open(-1), -EBADF);
}

static struct sockaddr_in loopback(int fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    if (fd >= 0)
        assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return at;
}

static void a_listener_accepts_what_waits_and_blocks_for_nothing(void **state)
{
    struct sockaddr_in at = loopback(-1);
    int fd = net_listen((struct sockaddr *)&at, sizeof(at)), client, got;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(net_accept(fd), -EAGAIN);
    at = loopback(fd);
    client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
    got = net_accept(fd);
    assert_true(got >= 0);
    assert_int_equal(fcntl(got, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(net_listen((struct sockaddr *)&at, sizeof(at)), -EADDRINUSE);
    close(got);
    close(client);
    close(fd);
}

static const char *path_in(const char *name)
{
    static char path[64];

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void a_unix_listener_replaces_a_stale_socket_and_nothing_else(void **state)
{
    const char *path = path_in("socket");
    struct errmsg err;
    struct stat st;
    int first, second;

    (void)state;
    first = net_listen_unix(path, 0660, &err);
    assert_true(first >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(net_listen_unix(path, 0660, &err), -EADDRINUSE);
    assert_non_null(strstr(err.text, "another program listens"));
    close(first);
    second = net_listen_unix(path, 0600, &err);
    assert_true(second >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    net_unlisten_unix(path, second);
    close(second);
    assert_int_equal(stat(path, &st), -1);

    first = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(first >= 0);
    assert_int_equal(net_listen_unix(path, 0660, &err), -EEXIST);
    assert_int_equal(stat(path, &st), 0);
    close(first);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(net_listen_unix(path_in("no/socket"), 0660, &err), -ENOENT);
}

static void a_name_that_another_has_taken_over_stays(void **state)
{
    const char *path = path_in("socket");
    struct errmsg err;
    struct stat st;
    int old = net_listen_unix(path, 0660, &err), young;

    (void)state;
    assert_true(old >= 0);
    assert_int_equal(unlink(path), 0);
    young = net_listen_unix(path, 0660, &err);
    assert_true(young >= 0);
    net_unlisten_unix(path, old);
    assert_int_equal(stat(path, &st), 0);
    close(old);
    net_unlisten_unix(path, young);
    close(young);
    assert_int_equal(stat(path, &st), -1);
}

static void datagrams_come_many_at_once_and_drops_are_told(void **state)
{
    enum { SENT = 4000, CAP = 600 };
    static uint8_t memory[NET_DATAGRAMS_MAX][CAP];
    struct net_datagram d[NET_DATAGRAMS_MAX];
    struct sockaddr_in at = loopback(-1);
    char text[CAP] = "";
    uint32_t drops = 0;
    int fd = net_datagrams_open((struct sockaddr *)&at, sizeof(at), 64 * 1024), client, n, got = 0;

    (void)state;
    assert_true(fd >= 0);
    for (int i = 0; i < NET_DATAGRAMS_MAX; i++)
        d[i] = (struct net_datagram){.data = memory[i], .cap = CAP};
    assert_int_equal(net_datagrams_take(fd, d, NET_DATAGRAMS_MAX, &drops), -EAGAIN);
    at = loopback(fd);
    client = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&at, sizeof(at)), 0);
    for (int i = 0; i < SENT; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(send(client, text, CAP, 0), CAP);
    }
    while ((n = net_datagrams_take(fd, d, NET_DATAGRAMS_MAX, &drops)) > 0) {
        for (int i = 0; i < n; i++) {
            assert_int_equal(d[i].len, CAP);
            assert_false(d[i].cut);
            (void)snprintf(text, sizeof(text), "%d", got + i);      /* the first are kept */
            assert_string_equal(d[i].data, text);
        }
        got += n;
    }
    assert_int_equal(n, -EAGAIN);
    assert_in_range(got, 1, SENT - 1);
    /* The kernel tells with what comes next. */
    assert_int_equal(send(client, memory, CAP - 1, 0), CAP - 1);
    d[0].cap = 100;
    assert_int_equal(net_datagrams_take(fd, d, 1, &drops), 1);
    assert_true(d[0].cut);
    assert_int_equal(got + (int)drops, SENT);
    close(client);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    umask(0);       /* as in the agent */
    return mkdtemp(root) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_receive_takes_a_buffer_when_there_are_bytes),
        cmocka_unit_test(without_a_ring_of_buffers_it_is_the_same),
        cmocka_unit_test(all_but_the_last_byte_is_taken),
        cmocka_unit_test(descriptors_that_come_along_do_not_confuse_it),
        cmocka_unit_test(a_watch_tells_once_what_is_new),
        cmocka_unit_test(a_proxy_is_readable_while_its_socket_is),
        cmocka_unit_test(a_listener_accepts_what_waits_and_blocks_for_nothing),
        cmocka_unit_test(a_unix_listener_replaces_a_stale_socket_and_nothing_else),
        cmocka_unit_test(a_name_that_another_has_taken_over_stays),
        cmocka_unit_test(datagrams_come_many_at_once_and_drops_are_told),
    };

    return cmocka_run_group_tests_name("net", tests, setup, teardown);
}
