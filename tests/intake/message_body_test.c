/*
 * message_body: which messages are taken, and as what.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "intake/message_body.h"

static struct message_reader r;

static int setup(void **state)
{
    (void)state;
    return message_reader_init(&r);
}

static int teardown(void **state)
{
    (void)state;
    message_reader_fini(&r);
    return 0;
}

static int read_body(const char *body, const uint8_t **ret_data, size_t *ret_len,
                     struct errmsg *err)
{
    return message_reader_read(&r, (const uint8_t *)body, strlen(body), ret_data, ret_len, err);
}

static void texts_and_objects_are_taken(void **state)
{
    static const char *const rows[][2] = {
        {"{\"message\": \"text\"}", "text"},
        {"{\"message\": \"\"}", ""},
        {"{\"message\": \"\\n\"}", ""},
        {"{\"message\": \"a\\r\\n\"}", "a"},
        {"{\"message\": \"a\\n\\n\"}", "a\n"},
        {"{\"message\": \"\\u00e9\\\"\"}", "\xc3\xa9\""},
        {"{\"x\": 1, \"message\": { \"n\" : 1.50e3 } }", "{ \"n\" : 1.50e3 }"},
        {"{\"message\": {}}", "{}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint8_t *data;
        struct errmsg err;
        size_t len;

        if (read_body(rows[i][0], &data, &len, &err) != 0)
            fail_msg("%s: %s", rows[i][0], err.text);
        assert_int_equal(len, strlen(rows[i][1]));
        assert_memory_equal(data, rows[i][1], len);
    }
}

static void all_else_is_refused_with_its_reason(void **state)
{
    static const char *const rows[][2] = {
        {"", "not a JSON object"},          {"[]", "not a JSON object"},
        {"{\"message\": ", "not a JSON"},   {"{\"message\": \"\xff\"}", "not a JSON object"},
        {"{}", "field required"},           {"{\"Message\": \"a\"}", "field required"},
        {"{\"message\": null}", "wanted"},  {"{\"message\": 1}", "wanted"},
        {"{\"message\": [{}]}", "wanted"},  {"{\"message\": true}", "wanted"},
        {"{\"message\": {}} x", "not a JSON object"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const uint8_t *data;
        struct errmsg err;
        size_t len;

        assert_int_equal(read_body(rows[i][0], &data, &len, &err), -EBADMSG);
        if (strstr(err.text, rows[i][1]) == NULL)
            fail_msg("%s: %s", rows[i][0], err.text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_and_objects_are_taken),
        TEST(all_else_is_refused_with_its_reason),
    };

    return cmocka_run_group_tests_name("message_body", tests, NULL, NULL);
}
