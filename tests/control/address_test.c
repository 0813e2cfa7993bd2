/*
 * address: ADDR:PORT texts and what counts as loopback.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "control/address.h"

static bool loopback(const char *text)
{
    struct address a;
    struct errmsg err = { "" };

    if (address_parse(text, &a, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return address_is_loopback(&a);
}

static void addresses_become_socket_addresses(void **state)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct address a;

    (void)state;
    assert_int_equal(address_parse("10.1.2.3:8000", &a, NULL), 0);
    assert_int_equal(a.len, sizeof(v4));
    memcpy(&v4, &a.addr, sizeof(v4));
    assert_int_equal(v4.sin_family, AF_INET);
    assert_int_equal(ntohs(v4.sin_port), 8000);
    assert_int_equal(ntohl(v4.sin_addr.s_addr), 0x0a010203);
    assert_int_equal(address_parse("[::1]:0", &a, NULL), 0);
    assert_int_equal(a.len, sizeof(v6));
    memcpy(&v6, &a.addr, sizeof(v6));
    assert_int_equal(v6.sin6_family, AF_INET6);
    assert_int_equal(v6.sin6_port, 0);
    assert_true(IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
}

static void only_this_host_is_loopback(void **state)
{
    (void)state;
    assert_true(loopback("127.0.0.1:1"));
    assert_true(loopback("127.200.0.1:1"));
    assert_true(loopback("localhost:65535"));
    assert_true(loopback("[::1]:1"));
    assert_false(loopback("0.0.0.0:1"));
    assert_false(loopback("128.0.0.1:1"));
    assert_false(loopback("[::]:1"));
    assert_false(loopback("[fe80::1]:1"));
}

static void other_texts_are_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "", ":", ":8000", "8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1",
        "127.0.0.1:65536", "127.0.0.1:999999", "127.0.0.1: 80", "::1:80", "[::1]", "[]:80",
        "[127.0.0.1:80", "example.org:80", "127.1:80", "[::1%lo]:80", "[::g]:1", "*:80",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct errmsg err = { "" };
        struct address a;

        if (address_parse(bad[i], &a, &err) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(err.text[0] != '\0');
    }
}

static void peers_may_have_names_but_need_a_port(void **state)
{
    (void)state;
    assert_int_equal(address_check_peer("central:9400", NULL), 0);
    assert_int_equal(address_check_peer("10.0.0.1:1", NULL), 0);
    assert_int_equal(address_check_peer("[fe80::1]:1", NULL), 0);
    assert_int_equal(address_check_peer("", NULL), -EINVAL);
    assert_int_equal(address_check_peer("central", NULL), -EINVAL);
    assert_int_equal(address_check_peer("central:0", NULL), -EINVAL);
    assert_int_equal(address_check_peer("a b:1", NULL), -EINVAL);
    assert_int_equal(address_check_peer("http://h:1", NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_become_socket_addresses),
        cmocka_unit_test(only_this_host_is_loopback),
        cmocka_unit_test(other_texts_are_refused_with_a_reason),
        cmocka_unit_test(peers_may_have_names_but_need_a_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
