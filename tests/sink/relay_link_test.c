/*
 * Claims about a connection between two agents, over loopback: bytes whole and in order however
 * they are cut, who is let in by TLS and who is not, and that one is told why.
 *
 * Owns:   a directory of certificates that the test makes.
 * Thread: the test's, for both sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sink/certificates.h"
#include "sink/relay_link.h"

enum { WAIT_MS = 20000, TRIES_MAX = 100, BIG_BYTES = 8 << 20 };

static const char *const names[] = {"ca", "strange_ca", "far", "elsewhere", "near", "renewed",
                                    "other", "strange"};

static int group_setup(void **state)
{
    struct issuer ca, strange;

    (void)state;
    if (certificates_begin())
        return -1;
    ca = certificate_make("ca", "authority", NULL, NULL);
    strange = certificate_make("strange_ca", "another authority", NULL, NULL);
    issuer_free(certificate_make("far", "far", "IP:127.0.0.1", &ca));
    issuer_free(certificate_make("elsewhere", "far", "IP:127.0.0.2,DNS:localhost", &ca));
    issuer_free(certificate_make("near", "near", "DNS:near", &ca));
    issuer_free(certificate_make("renewed", "near", "DNS:near", &ca));
    issuer_free(certificate_make("other", "other", "DNS:other", &ca));
    issuer_free(certificate_make("strange", "near", "DNS:near", &strange));
    issuer_free(ca);
    issuer_free(strange);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    return certificates_end(names, sizeof(names) / sizeof(names[0]));
}

/* A context of the certificates of these names; NULL: none. */
static struct relay_tls *tls_of(bool listener, const char *cert, const char *ca)
{
    struct relay_tls_files with = {
        .cert_file = cert ? path_of(cert, ".pem") : "",
        .key_file = cert ? path_of(cert, ".key") : "",
        .ca_file = ca ? path_of(ca, ".pem") : "",
    };
    struct relay_tls *tls;
    struct errmsg err = {""};

    if (relay_tls_open(listener, &with, &tls, &err))
        fail_msg("%s", err.text);
    return tls;
}

/* --- two sides ------------------------------------------------------------------------------ */

struct side {
    struct relay_link link;
    struct relay_tls *tls;
    const uint8_t *out;
    size_t out_len, out_at;
    uint8_t *in;
    size_t in_len, in_cap;
    size_t read_max;                    /* at a time; 0: whatever there is */
    int result;                         /* 0, or why it ended */
    struct errmsg err;
};

static int listener;
static char address[32];
static struct side near, far;

static int setup(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    (void)state;
    near = far = (struct side){.link = RELAY_LINK_INIT};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) || listen(listener, 8)
        || getsockname(listener, (struct sockaddr *)&at, &len))
        return -1;
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
    return 0;
}

static void hang_up(void)
{
    relay_link_close(&near.link);
    relay_link_close(&far.link);
}

static int teardown(void **state)
{
    (void)state;
    hang_up();
    relay_tls_close(near.tls);
    relay_tls_close(far.tls);
    free(near.in);
    free(far.in);
    if (listener >= 0)
        close(listener);
    return 0;
}

static void await(const struct relay_link *l, short events)
{
    struct pollfd p = {.fd = l->fd, .events = events};

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

/* Connects both; what they have to say is said in exchange(). */
static void meet(void)
{
    int fd, r = -ECONNREFUSED;

    /* A name has addresses where nobody listens, and which one is taken is left to chance. */
    for (unsigned i = 0; i < TRIES_MAX && r == -ECONNREFUSED; i++) {
        relay_link_close(&near.link);
        r = relay_link_connect(&near.link, address, near.tls, &near.err);
        if (!r && near.link.connecting) {
            await(&near.link, POLLOUT);
            r = relay_link_connected(&near.link, &near.err);
        }
    }
    if (r)
        fail_msg("%s: %s", address, near.err.text);
    assert_false(near.link.connecting);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(relay_link_accept(&far.link, fd, far.tls), 0);
}

static void side_expects(struct side *s, size_t len)
{
    s->in = realloc(s->in, len);
    assert_non_null(s->in);
    s->in_cap = len;
    s->in_len = 0;
}

static void side_says(struct side *s, const void *data, size_t len)
{
    s->out = data;
    s->out_len = len;
    s->out_at = 0;
}

/* One step of it; whether anything has happened. */
static bool side_turn(struct side *s)
{
    size_t cap = s->in_cap - s->in_len;
    bool moved = false;
    uint8_t beyond;
    int64_t n;

    if (s->result)
        return false;
    if (s->out_at < s->out_len) {
        n = relay_link_write(&s->link, s->out + s->out_at, s->out_len - s->out_at, &s->err);
        s->out_at += n > 0 ? (size_t)n : 0;
        moved = n > 0;
        s->result = n < 0 && n != -EAGAIN ? (int)n : 0;
    }
    if (s->result)
        return true;
    if (s->read_max > 0 && cap > s->read_max)
        cap = s->read_max;
    n = relay_link_read(&s->link, cap > 0 ? s->in + s->in_len : &beyond, cap > 0 ? cap : 1,
                        &s->err);
    assert_true(n < 0 || cap > 0);      /* more has come than was said */
    s->in_len += n > 0 ? (size_t)n : 0;
    s->result = n < 0 && n != -EAGAIN ? (int)n : 0;
    return moved || n != -EAGAIN;
}

static bool side_over(const struct side *s)
{
    return s->result || (s->out_at == s->out_len && s->in_len == s->in_cap);
}

/* Until both have said and heard all, or have failed. */
static void exchange(void)
{
    while (!side_over(&near) || !side_over(&far)) {
        bool moved = side_turn(&near);
        struct pollfd polls[] = {
            {.fd = near.result ? -1 : near.link.fd, .events = POLLIN},
            {.fd = far.result ? -1 : far.link.fd, .events = POLLIN},
        };

        moved |= side_turn(&far);
        if (moved)
            continue;
        if (near.out_at < near.out_len)
            polls[0].events |= POLLOUT;
        if (far.out_at < far.out_len)
            polls[1].events |= POLLOUT;
        assert_true(poll(polls, 2, WAIT_MS) > 0);
    }
}

static void assert_says(const struct side *s, const char *part)
{
    assert_int_equal(s->result, -ECONNRESET);
    if (!strstr(s->err.text, part))
        fail_msg("no \"%s\" in \"%s\"", part, s->err.text);
}

/* Both say a word, with these certificates. */
static void greet(const char *near_cert, const char *near_ca, const char *far_cert,
                  const char *far_ca)
{
    near.tls = tls_of(false, near_cert, near_ca);
    far.tls = tls_of(true, far_cert, far_ca);
    meet();
    side_expects(&near, 5);
    side_expects(&far, 5);
    side_says(&near, "hello", 5);
    side_says(&far, "salve", 5);
    exchange();
}

static void assert_greeted(void)
{
    if (near.result || far.result)
        fail_msg("near: %s; far: %s", near.err.text, far.err.text);
    assert_memory_equal(near.in, "salve", 5);
    assert_memory_equal(far.in, "hello", 5);
}

/* --- sockets -------------------------------------------------------------------------------- */

static void a_place_is_a_host_and_a_port(void **state)
{
    static const char *const wrong[] = {"nonsense", ":80", "", "[]:80"};
    struct relay_link l;
    struct errmsg err;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(relay_link_connect(&l, wrong[i], NULL, &err), -EINVAL);
        assert_non_null(strstr(err.text, "is not HOST:PORT"));
        assert_int_equal(l.fd, -1);
        relay_link_close(&l);
    }
    assert_int_equal(relay_link_connect(&l, "127.0.0.1:nonsense", NULL, &err), -EHOSTUNREACH);
    assert_non_null(strstr(err.text, "'127.0.0.1': "));
}

static void nobody_there_is_refused(void **state)
{
    struct errmsg err = {""};
    int r, held = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    (void)state;
    assert_int_equal(bind(held, (struct sockaddr *)&at, len), 0);   /* and nobody listens */
    assert_int_equal(getsockname(held, (struct sockaddr *)&at, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
    r = relay_link_connect(&near.link, address, NULL, &err);
    if (!r) {
        assert_true(near.link.connecting);
        await(&near.link, POLLOUT);
        r = relay_link_connected(&near.link, &err);
    }
    close(held);
    assert_int_equal(r, -ECONNREFUSED);
    assert_non_null(strstr(err.text, "Connection refused"));
}

static void a_silent_peer_is_noticed_by_the_kernel(void **state)
{
    struct side *sides[] = {&near, &far};
    uint8_t byte;

    (void)state;
    meet();
    for (size_t i = 0; i < 2; i++) {
        int on = 0, silent_ms = 0, idle_s = 0;
        socklen_t len = sizeof(int);
        int fd = sides[i]->link.fd;

        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &len), 0);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, &len), 0);
        assert_true(on && idle_s > 0 && idle_s * 1000 < silent_ms);
        /* Meanwhile it waits for nothing. */
        assert_int_equal(relay_link_read(&sides[i]->link, &byte, 1, &sides[i]->err), -EAGAIN);
    }
}

static void an_end_comes_after_all_bytes(void **state)
{
    (void)state;
    meet();
    side_expects(&near, 0);
    side_expects(&far, 5);
    side_says(&near, "hello", 5);
    exchange();
    relay_link_close(&near.link);
    relay_link_close(&near.link);       /* as often as one likes */
    assert_int_equal(near.link.fd, -1);
    await(&far.link, POLLIN);
    side_turn(&far);
    assert_says(&far, "the peer has closed the connection");
    assert_memory_equal(far.in, "hello", 5);
}

static void a_reset_is_said(void **state)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    uint8_t byte;

    (void)state;
    meet();
    assert_int_equal(setsockopt(near.link.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    relay_link_close(&near.link);
    await(&far.link, POLLIN);
    assert_int_equal(relay_link_read(&far.link, &byte, 1, &far.err), -ECONNRESET);
    assert_non_null(strstr(far.err.text, "reset"));
    assert_int_equal(relay_link_write(&far.link, "x", 1, &far.err), -EPIPE);
}

/* More than the sockets hold, so that writes are cut, and reads of an odd size. */
static void big_both_ways(void)
{
    uint8_t *data = malloc(BIG_BYTES + 1);
    int64_t n;

    assert_non_null(data);
    for (size_t i = 0; i <= BIG_BYTES; i++)
        data[i] = (uint8_t)(i * 31 + i / 251);
    meet();
    side_expects(&near, BIG_BYTES);
    side_expects(&far, BIG_BYTES);
    side_says(&near, data, BIG_BYTES);
    side_says(&far, data + 1, BIG_BYTES);
    near.read_max = 4099;
    far.read_max = 70001;
    exchange();
    if (near.result || far.result)
        fail_msg("near: %s; far: %s", near.err.text, far.err.text);
    assert_memory_equal(far.in, data, BIG_BYTES);
    assert_memory_equal(near.in, data + 1, BIG_BYTES);
    /* Where nobody reads, a write is cut, and then there is no room. */
    side_says(&near, data, BIG_BYTES);
    do {
        n = relay_link_write(&near.link, near.out + near.out_at, near.out_len - near.out_at,
                             &near.err);
        near.out_at += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    assert_int_equal(n, -EAGAIN);
    assert_int_equal(near.link.write_wanted, near.link.ssl != NULL);
    assert_in_range(near.out_at, 1, BIG_BYTES - 1);
    side_expects(&far, BIG_BYTES);
    far.out_len = far.out_at = 0;
    near.in_len = near.in_cap;
    exchange();
    assert_memory_equal(far.in, data, BIG_BYTES);
    free(data);
}

static void bytes_arrive_whole_however_they_are_cut(void **state)
{
    (void)state;
    big_both_ways();
}

/* --- TLS ------------------------------------------------------------------------------------ */

static void bytes_arrive_whole_over_tls(void **state)
{
    (void)state;
    near.tls = tls_of(false, "near", "ca");
    far.tls = tls_of(true, "far", "ca");
    big_both_ways();
}

static void both_sides_show_certificates(void **state)
{
    (void)state;
    greet("near", "ca", "far", "ca");
    assert_greeted();
}

static void a_listener_may_ask_nobody(void **state)
{
    (void)state;
    greet(NULL, "ca", "far", NULL);
    assert_greeted();
}

static void an_authority_that_is_not_trusted_is_refused(void **state)
{
    (void)state;
    greet("near", "strange_ca", "far", "ca");
    assert_says(&near, "TLS: the peer's certificate: ");
    assert_says(&far, "TLS: ");
    assert_int_equal(far.in_len, 0);
    assert_int_equal(near.in_len, 0);
}

static void a_certificate_of_another_place_is_refused(void **state)
{
    (void)state;
    greet("near", "ca", "elsewhere", "ca");
    assert_says(&near, "TLS: the peer's certificate: IP address mismatch");
    assert_says(&far, "TLS: ");
    assert_int_equal(far.in_len, 0);
}

static void a_name_is_looked_for_in_the_certificate(void **state)
{
    char port[16];

    (void)state;
    snprintf(port, sizeof(port), "%s", strrchr(address, ':'));
    snprintf(address, sizeof(address), "localhost%s", port);
    greet(NULL, "ca", "elsewhere", NULL);
    assert_greeted();
}

static void who_shows_no_certificate_is_refused(void **state)
{
    (void)state;
    greet(NULL, "ca", "far", "ca");
    assert_says(&far, "TLS: peer did not return a certificate");
    assert_says(&near, "TLS: ");
    assert_non_null(strstr(near.err.text, "certificate required"));
    assert_int_equal(far.in_len, 0);
}

static void a_certificate_of_a_stranger_is_refused(void **state)
{
    (void)state;
    greet("strange", "ca", "far", "ca");
    assert_says(&far, "TLS: the peer's certificate: ");
    assert_says(&near, "TLS: ");
    assert_int_equal(far.in_len, 0);
}

static void who_speaks_no_tls_is_refused(void **state)
{
    (void)state;
    far.tls = tls_of(true, "far", "ca");
    meet();
    side_expects(&near, 0);
    side_expects(&far, 1);
    side_says(&near, "HYDRELAY and so on", 18);
    while (!far.result) {
        side_turn(&near);
        await(&far.link, POLLIN);
        side_turn(&far);
    }
    assert_says(&far, "TLS: ");
    assert_int_equal(far.in_len, 0);
}

static void a_cut_is_not_taken_for_an_end(void **state)
{
    (void)state;
    greet("near", "ca", "far", "ca");
    assert_greeted();
    assert_int_equal(shutdown(near.link.fd, SHUT_WR), 0);   /* no word of TLS before it */
    await(&far.link, POLLIN);
    while (!far.result)
        side_turn(&far);
    assert_says(&far, "TLS: unexpected eof");
}

static void files_that_are_none_are_named(void **state)
{
    struct {
        const char *cert, *key, *ca, *says;
    } wrong[] = {
        {"nothing", "far", "ca", "certificate '"}, {"far", "nothing", "ca", "private key '"},
        {"far", "near", "ca", "private key '"},
        {"far", "far", "nothing", "certificates to trust '"},
    };
    struct relay_tls *tls;
    struct errmsg err;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct relay_tls_files with = {path_of(wrong[i].cert, ".pem"),
                                       path_of(wrong[i].key, ".key"),
                                       path_of(wrong[i].ca, ".pem")};

        assert_int_equal(relay_tls_open(i % 2 == 0, &with, &tls, &err), -EINVAL);
        assert_null(tls);
        assert_ptr_equal(strstr(err.text, wrong[i].says), err.text);
    }
    relay_tls_close(NULL);
}

/* --- who a peer is -------------------------------------------------------------------------- */

/* What the far side knows a peer by that shows this certificate. */
static void identity_of(const char *cert, const char *far_ca, uint8_t identity[16])
{
    memcpy(identity, "what it calls me", 16);
    greet(cert, "ca", "far", far_ca);
    assert_greeted();
    assert_int_equal(relay_link_identity(&far.link, identity), 0);
    hang_up();
    relay_tls_close(near.tls);
    relay_tls_close(far.tls);
    near.tls = far.tls = NULL;
}

static void nobody_takes_the_identity_of_another_subject(void **state)
{
    uint8_t mine[16], renewed[16], other[16];

    (void)state;
    identity_of("near", "ca", mine);
    identity_of("renewed", "ca", renewed);
    identity_of("other", "ca", other);
    assert_memory_not_equal(mine, "what it calls me", 16);
    assert_memory_equal(mine, renewed, 16);     /* another key, the same subject */
    assert_memory_not_equal(mine, other, 16);
}

static void two_senders_of_one_subject_stay_two(void **state)
{
    uint8_t one[16] = "the first", two[16] = "the second";

    (void)state;
    greet("near", "ca", "far", "ca");
    assert_greeted();
    assert_int_equal(relay_link_identity(&far.link, one), 0);
    assert_int_equal(relay_link_identity(&far.link, two), 0);
    assert_memory_not_equal(one, two, 16);
}

static void what_was_not_verified_does_not_count(void **state)
{
    uint8_t identity[16] = "what it calls me";

    (void)state;
    meet();
    assert_int_equal(relay_link_identity(&far.link, identity), 0);
    assert_memory_equal(identity, "what it calls me", 16);
    hang_up();
    identity_of("near", NULL, identity);        /* shown, but nobody has asked */
    assert_memory_equal(identity, "what it calls me", 16);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_place_is_a_host_and_a_port),
        TEST(nobody_there_is_refused),
        TEST(a_silent_peer_is_noticed_by_the_kernel),
        TEST(an_end_comes_after_all_bytes),
        TEST(a_reset_is_said),
        TEST(bytes_arrive_whole_however_they_are_cut),
        TEST(bytes_arrive_whole_over_tls),
        TEST(both_sides_show_certificates),
        TEST(a_listener_may_ask_nobody),
        TEST(an_authority_that_is_not_trusted_is_refused),
        TEST(a_certificate_of_another_place_is_refused),
        TEST(a_name_is_looked_for_in_the_certificate),
        TEST(who_shows_no_certificate_is_refused),
        TEST(a_certificate_of_a_stranger_is_refused),
        TEST(who_speaks_no_tls_is_refused),
        TEST(a_cut_is_not_taken_for_an_end),
        TEST(files_that_are_none_are_named),
        TEST(nobody_takes_the_identity_of_another_subject),
        TEST(two_senders_of_one_subject_stay_two),
        TEST(what_was_not_verified_does_not_count),
    };

    return cmocka_run_group_tests_name("relay_link", tests, group_setup, group_teardown);
}
