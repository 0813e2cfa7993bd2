/*
 * http_static: what the program carries; how it is served is seen by tests/e2e/test_pages.py.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "base/version.h"
#include "control/http_static.h"

static void every_page_is_found_by_its_path(void **state)
{
    size_t count = 0;

    (void)state;
    for (; http_static_page(count) != NULL; count++) {
        const struct http_page *page = http_static_page(count);

        assert_ptr_equal(http_static_find(page->path), page);
        assert_true(page->end - page->data > 100);
        assert_int_equal(page->end[-1], '\n');  /* the file is whole, and nothing is behind it */
        assert_int_equal(page->end[0], '\0');
    }
    assert_true(count >= 7);
    assert_null(http_static_find("/docs/"));
    assert_null(http_static_find(""));
}

/* What an HTML page asks for is there. */
static void pages_refer_to_pages(void **state)
{
    static const char *const marks[] = { "src=\"", "href=\"" };

    (void)state;
    for (size_t i = 0; http_static_page(i) != NULL; i++) {
        const struct http_page *page = http_static_page(i);

        if (strncmp(page->content_type, "text/html", 9) != 0)
            continue;
        for (size_t m = 0; m < sizeof(marks) / sizeof(marks[0]); m++) {
            for (const char *at = page->data; (at = strstr(at, marks[m])) != NULL; at++) {
                const char *from = at + strlen(marks[m]);
                char path[64] = "";

                assert_true(strcspn(from, "\"") < sizeof(path));
                memcpy(path, from, strcspn(from, "\""));
                if (path[0] != '#' && strcmp(path, "/metrics") != 0 &&
                    strcmp(path, "/v1/status") != 0 && http_static_find(path) == NULL)
                    fail_msg("%s refers to %s", page->path, path);
            }
        }
    }
}

static void the_document_is_of_this_version(void **state)
{
    const struct http_page *page = http_static_find("/openapi.json");
    json_t *api = json_loadb(page->data, (size_t)(page->end - page->data), JSON_REJECT_DUPLICATES,
                             NULL);

    (void)state;
    assert_non_null(api);
    assert_string_equal(json_string_value(json_object_get(json_object_get(api, "info"),
                                                          "version")), HYDRANT_VERSION);
    json_decref(api);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_found_by_its_path),
        cmocka_unit_test(pages_refer_to_pages),
        cmocka_unit_test(the_document_is_of_this_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
