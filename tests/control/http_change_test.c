/*
 * http_change: values of JSON as those of a configuration, what failures are answered with, and the
 * steps of a deletion.
 */
#include "control/config_text.h"

#include <errno.h>

#include "control/http_change.h"

static struct http_reply reply;

static int teardown(void **state)
{
    (void)state;
    http_reply_free(&reply);
    return 0;
}

static void values_get_the_units_of_their_keys(void **state)
{
    static const struct {
        const char *key, *json, *text;
    } rows[] = {
        {"buffer_count", "7", "7"},         {"buffer_count", "-1", "-1"},
        {"buffer_count", "1.5", "1.5"},     {"buffer_count", "\"7\"", "7"},
        {"buffer_size", "1024", "1024B"},   {"buffer_size", "-1", "-1"},
        {"buffer_size", "0", "0"},          {"buffer_size", "\"1MiB\"", "1MiB"},
        {"buffer_time", "60", "60s"},       {"buffer_time", "0.25", "250ms"},
        {"buffer_time", "1.0", "1000ms"},   {"buffer_time", "-1", "-1"},
        {"validate", "true", "yes"},        {"validate", "false", "no"},
        {"sinks", "[\"a\", \"b\"]", "a,b"}, {"sinks", "[]", ""},
        {"prefix", "\"p/\"", "p/"},         {"unknown", "5", "5"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *json = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
        struct bytes text = BYTES_INIT;

        assert_int_equal(http_change_value(option_find(SCOPE_stream, rows[i].key), json, &text), 0);
        assert_string_equal(bytes_cstr(&text), rows[i].text);
        bytes_free(&text);
        json_decref(json);
    }
}

static void what_is_no_value_is_refused(void **state)
{
    static const char *const rows[] = {"{}", "null", "[1]", "[[]]", "[\"a\", null]"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *json = json_loads(rows[i], JSON_DECODE_ANY, NULL);
        struct bytes text = BYTES_INIT;

        assert_int_equal(http_change_value(NULL, json, &text), -EINVAL);
        bytes_free(&text);
        json_decref(json);
    }
}

static void each_failure_has_its_status(void **state)
{
    static const struct {
        int result;
        unsigned status;
        const char *part;
    } rows[] = {
        {-EINVAL, 400, "words"},     {-EPERM, 409, "configuration file"}, {-EEXIST, 409, "exists"},
        {-ENOENT, 404, "not found"}, {-ESTALE, 409, "just been changed"}, {-EFBIG, 507, "words"},
        {-ETIMEDOUT, 504, "time"},   {-ESHUTDOWN, 503, "stopping"},       {-EAGAIN, 503, "many"},
        {-ENOMEM, 503, "memory"},    {-EIO, 500, "kept: words"},
    };
    struct http_call call = {.stream = "a"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_answered a = {.result = rows[i].result, .why = "words"};

        http_change_failed(&call, &a, &reply);
        assert_int_equal(reply.status, rows[i].status);
        assert_non_null(strstr(reply.body, rows[i].part));
    }
}

/* Answers what the call has asked; true: it is over. */
static bool answer(struct http_call *call, enum request_kind asked, int result)
{
    static struct status_stream streams[] = {{.name = "b", .accepted = 3},
                                             {.name = "a", .accepted = 5}};
    static struct status status = {.streams = streams, .streams_count = 2};
    struct http_answered a = {result, result == 0 ? &status : NULL, ""};

    assert_int_equal(call->kind, asked);
    return http_delete_next(call, &a, &reply);
}

static void a_deletion_seals_forgets_and_waits(void **state)
{
    static const int late[] = {0, -ETIMEDOUT, -ENOENT, -ESHUTDOWN};

    (void)state;
    for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
        struct http_call call = {.stream = "a"};

        assert_true(http_delete_begin(&call, &reply));
        assert_true(call.deletes && call.holds);
        assert_false(answer(&call, REQUEST_SEAL, i % 2 == 0 ? 0 : -ENOENT));
        assert_false(answer(&call, REQUEST_STATUS, 0));
        assert_int_equal(call.change->accepted, 5);
        assert_int_equal(call.change->operation, REST_DELETE);
        assert_true(call.holds);
        assert_false(answer(&call, REQUEST_CONTROL, 0));
        assert_false(call.holds);
        assert_int_equal(call.timeout_ns, HTTP_DELETE_TIMEOUT_S * 1000000000ULL);
        assert_true(answer(&call, REQUEST_FLUSH, late[i]));
        assert_int_equal(reply.status, 0);
        rest_change_free(call.change);
    }
}

static void what_is_not_sealed_is_not_deleted(void **state)
{
    struct http_call call = {.stream = "a"};

    (void)state;
    assert_true(http_delete_begin(&call, &reply));
    assert_true(answer(&call, REQUEST_SEAL, -ETIMEDOUT));
    assert_int_equal(reply.status, 503);
    assert_non_null(strstr(reply.body, "it was not deleted"));
    rest_change_free(call.change);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_get_the_units_of_their_keys),
        TEST(what_is_no_value_is_refused),
        TEST(each_failure_has_its_status),
        TEST(a_deletion_seals_forgets_and_waits),
        TEST(what_is_not_sealed_is_not_deleted),
    };

    return cmocka_run_group_tests_name("http_change", tests, NULL, NULL);
}
