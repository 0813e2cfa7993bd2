/* endpoint: the parts of what a configuration names, and what is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "sink/endpoint.h"

static void its_parts(void **state)
{
    static const struct {
        const char *text, *host, *path;
        bool tls;
    } cases[] = {
        {"http://127.0.0.1:9000", "127.0.0.1:9000", "", false},
        {"https://host", "host", "", true},
        {"https://host:443/", "host", "", true},
        {"http://host:443//", "host:443", "", false},
        {"http://host:80/a/b/", "host", "/a/b", false},
        {"http://[::1]:8/x", "[::1]:8", "/x", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint e;
        struct errmsg err;

        assert_int_equal(endpoint_parse(cases[i].text, &e, &err), 0);
        assert_string_equal(e.host, cases[i].host);
        assert_int_equal(e.tls, cases[i].tls);
        assert_int_equal(e.path_len, strlen(cases[i].path));
        assert_memory_equal(e.path, cases[i].path, e.path_len);
    }
}

static void what_is_none(void **state)
{
    static const char *const texts[] = {
        "", "host", "ftp://host", "http://", "http:///x", "http://:80", "http://ho st",
        "http://user@host", "http://host/a?b", "http://host/a b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct endpoint e;
        struct errmsg err = {""};

        assert_int_equal(endpoint_parse(texts[i], &e, &err), -EINVAL);
        assert_non_null(strstr(err.text, "endpoint '"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_parts),
        cmocka_unit_test(what_is_none),
    };

    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
