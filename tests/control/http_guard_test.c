/*
 * http_guard: header values that must pass and that must not.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/http_guard.h"

static struct http_guard guard_of(const char *listen_at)
{
    struct address address;
    struct http_guard guard;

    assert_int_equal(address_parse(listen_at, &address, NULL), 0);
    http_guard_init(&guard, &address);
    return guard;
}

static void hosts(const struct http_guard *guard, const char *const *list, bool allowed)
{
    for (; *list != NULL; list++)
        if (http_guard_host(guard, *list) != allowed)
            fail_msg("Host: %s is %s", *list, allowed ? "refused" : "let in");
}

static void a_loopback_listener_takes_loopback_names(void **state)
{
    static const char *const good[] = { "localhost", "LocalHost:1", "127.0.0.1", "127.9.9.9:65535",
                                        "[::1]", "[::1]:8000", "[::ffff:127.0.0.1]", NULL };
    static const char *const bad[] = { "", ":", ":80", "evil", "localhost.", "localhost.evil",
                                       "localhost:", "localhost:x", "localhost:123456",
                                       "localhost:80:80", "::1", "[::1", "[::1]x", "[localhost]",
                                       "[127.0.0.1]", "0.0.0.0", "10.0.0.1", "[::]", "[fe80::1]",
                                       "127.0.0.1.evil", "user@localhost", "localhost/", NULL };
    struct http_guard guard = guard_of("127.0.0.1:8000");

    (void)state;
    hosts(&guard, good, true);
    hosts(&guard, bad, false);
    assert_true(http_guard_host(&guard, NULL));
}

static void a_listener_on_one_address_takes_that_address(void **state)
{
    static const char *const good[] = { "10.1.2.3", "10.1.2.3:80", "localhost", "127.0.0.1", NULL };
    static const char *const bad[] = { "10.1.2.4", "10.1.2.3.evil", "[::2]", NULL };
    static const char *const six[] = { "[fd00::1]:8", "[FD00:0:0::1]", NULL };
    struct http_guard guard = guard_of("10.1.2.3:8000");

    (void)state;
    hosts(&guard, good, true);
    hosts(&guard, bad, false);
    guard = guard_of("[fd00::1]:8000");
    hosts(&guard, six, true);
    hosts(&guard, bad, false);
}

static void a_listener_everywhere_takes_addresses_and_its_own_name(void **state)
{
    static const char *const listeners[] = { "0.0.0.0:8000", "[::]:8000" };
    static const char *const good[] = { "10.1.2.3", "[fd00::1]:80", "localhost", NULL };
    static const char *const bad[] = { "evil.example", "localhost.evil", NULL };
    char own[256], domain[300], longer[300];

    (void)state;
    assert_int_equal(gethostname(own, sizeof(own) - 1), 0);
    own[sizeof(own) - 1] = '\0';
    (void)snprintf(domain, sizeof(domain), "%s.example.com:8000", own);
    (void)snprintf(longer, sizeof(longer), "%sx", own);
    for (int i = 0; i < 2; i++) {
        struct http_guard guard = guard_of(listeners[i]);

        hosts(&guard, good, true);
        hosts(&guard, bad, false);
        assert_true(http_guard_host(&guard, own));
        assert_true(http_guard_host(&guard, domain));
        assert_false(http_guard_host(&guard, longer));
    }
}

static void a_very_long_host_is_refused(void **state)
{
    struct http_guard guard = guard_of("0.0.0.0:8000");
    char name[4096];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    assert_false(http_guard_host(&guard, name));
}

static void an_origin_must_be_the_host(void **state)
{
    (void)state;
    assert_true(http_guard_origin(NULL, "localhost"));
    assert_true(http_guard_origin(NULL, NULL));
    assert_true(http_guard_origin("http://localhost:8000", "localhost:8000"));
    assert_true(http_guard_origin("HTTPS://LOCALHOST", "localhost"));
    assert_false(http_guard_origin("http://localhost:8001", "localhost:8000"));
    assert_false(http_guard_origin("http://localhost.evil", "localhost"));
    assert_false(http_guard_origin("ftp://localhost", "localhost"));
    assert_false(http_guard_origin("null", "localhost"));
    assert_false(http_guard_origin("", "localhost"));
    assert_false(http_guard_origin("http://", NULL));
}

/* No page can lead a browser there. */
static void a_unix_socket_takes_any_name(void **state)
{
    static const char *const good[] = { "localhost", "agent", "", "evil:80", NULL };
    struct http_guard guard;

    (void)state;
    http_guard_init(&guard, NULL);
    hosts(&guard, good, true);
}

static void the_token_must_be_whole(void **state)
{
    static const char token[] = "abc def";
    struct http_guard guard = guard_of("127.0.0.1:1");

    (void)state;
    assert_true(http_guard_token(&guard, "", NULL));
    assert_true(http_guard_token(&guard, "", "Basic x"));
    assert_true(http_guard_token(&guard, token, "Bearer abc def"));
    assert_true(http_guard_token(&guard, token, "bearer   abc def"));
    assert_false(http_guard_token(&guard, token, NULL));
    assert_false(http_guard_token(&guard, token, ""));
    assert_false(http_guard_token(&guard, token, "Bearer"));
    assert_false(http_guard_token(&guard, token, "Bearer "));
    assert_false(http_guard_token(&guard, token, "abc def"));
    assert_false(http_guard_token(&guard, token, "Basic abc def"));
    assert_false(http_guard_token(&guard, token, "Bearer abc de"));
    assert_false(http_guard_token(&guard, token, "Bearer abc defa"));
    assert_false(http_guard_token(&guard, token, "Bearer abc defabc def"));
    assert_false(http_guard_token(&guard, token, "Bearer ABC DEF"));
    /* Where others can come by, none at all lets nobody in. */
    guard = guard_of("0.0.0.0:1");
    assert_false(http_guard_token(&guard, "", NULL));
    assert_false(http_guard_token(&guard, "", "Bearer "));
    assert_true(http_guard_token(&guard, token, "Bearer abc def"));
    http_guard_init(&guard, NULL);
    assert_true(http_guard_token(&guard, "", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loopback_listener_takes_loopback_names),
        cmocka_unit_test(a_listener_on_one_address_takes_that_address),
        cmocka_unit_test(a_listener_everywhere_takes_addresses_and_its_own_name),
        cmocka_unit_test(a_very_long_host_is_refused),
        cmocka_unit_test(an_origin_must_be_the_host),
        cmocka_unit_test(a_unix_socket_takes_any_name),
        cmocka_unit_test(the_token_must_be_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
