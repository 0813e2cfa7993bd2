/*
 * http_streams: which streams there are and how they are told of; what a PUT becomes.
 */
#include "control/http_call_fixture.h"

#include <errno.h>
#include <jansson.h>

#include "control/http_streams.h"

static int setup(void **state)
{
    (void)state;
    return call_begin("[stream file]\nformat = csv\nbuffer_time = 1500ms\n",
                      "[stream rest]\nsinks = local\n[deleted gone]\naccepted = 5\n"
                      "[deleted back]\naccepted = 5\n");
}

/* A question, asked and answered. */
static json_t *ask(enum http_endpoint_id endpoint, const char *stream)
{
    struct status_stream streams[] = {{.name = "rest", .accepted = 7, .pending = 2},
                                      {.name = "gone", .accepted = 5},
                                      {.name = "back", .accepted = 6}};
    struct status status = {.streams = streams, .streams_count = 3};
    struct http_answered a = {0, &status, ""};

    http_reply_free(&reply);
    call.endpoint = endpoint;
    (void)snprintf(call.stream, sizeof(call.stream), "%s", stream);
    http_streams_begin(&call, NULL, 0, &look, &reply);
    assert_int_equal(call.kind, REQUEST_STATUS);
    http_streams_next(&call, &a, &look, &reply);
    return json_loads(reply.body, 0, NULL);
}

static const char *text(const json_t *stream, const char *key)
{
    return json_string_value(json_object_get(stream, key));
}

static void a_list_has_what_is_configured_and_what_came(void **state)
{
    static const char *const names[] = {"back", "file", "rest"};
    static const char *const sources[] = {"auto", "file", "rest"};
    json_t *list = ask(HTTP_STREAM_LIST, "");

    (void)state;
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(text(json_array_get(list, i), "name"), names[i]);
        assert_string_equal(text(json_array_get(list, i), "source"), sources[i]);
    }
    json_decref(list);
}

static void a_stream_tells_its_settings_and_books(void **state)
{
    json_t *stream = ask(HTTP_STREAM_GET, "file");
    const json_t *settings = json_object_get(stream, "settings");

    (void)state;
    assert_string_equal(text(settings, "format"), "csv");
    assert_string_equal(text(settings, "buffer_time"), "1500ms");
    assert_int_equal(json_integer_value(json_object_get(settings, "buffer_count")), -1);
    assert_true(json_is_false(json_object_get(settings, "validate")));
    assert_int_equal(json_array_size(json_object_get(settings, "sinks")), 1);
    json_decref(stream);
    stream = ask(HTTP_STREAM_GET, "rest");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(stream, "books"),
                                                        "accepted")), 7);
    json_decref(stream);
    json_decref(ask(HTTP_STREAM_GET, "gone"));
    assert_int_equal(reply.status, 404);
    json_decref(ask(HTTP_STREAM_GET, "never"));
    assert_int_equal(reply.status, 404);
}

static void a_put_becomes_a_change(void **state)
{
    static const char body[] = "{\"buffer_time\": 5, \"validate\": true, \"columns\": null}";
    const struct config_section *s;

    (void)state;
    call.endpoint = HTTP_STREAM_PUT;
    memcpy(call.stream, "new", 4);
    http_streams_begin(&call, (const uint8_t *)body, strlen(body), &look, &reply);
    assert_int_equal(reply.status, 0);
    assert_int_equal(call.kind, REQUEST_CONTROL);
    assert_int_equal(call.change->operation, REST_PUT);
    s = rest_change_stream(call.change);
    assert_int_equal(s->count, 2);
    assert_string_equal(rest_file_get(s, "buffer_time"), "5s");
    assert_string_equal(rest_file_get(s, "validate"), "yes");
}

static void only_what_rest_has_made_can_be_deleted(void **state)
{
    static const struct {
        const char *name;
        unsigned status;
    } rows[] = {{"file", 409}, {"back", 404}, {"never", 404}, {"rest", 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        http_reply_free(&reply);
        call.endpoint = HTTP_STREAM_DELETE;
        (void)snprintf(call.stream, sizeof(call.stream), "%s", rows[i].name);
        http_streams_begin(&call, NULL, 0, &look, &reply);
        assert_int_equal(reply.status, rows[i].status);
        assert_int_equal(call.deletes, rows[i].status == 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, call_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_list_has_what_is_configured_and_what_came),
        TEST(a_stream_tells_its_settings_and_books),
        TEST(a_put_becomes_a_change),
        TEST(only_what_rest_has_made_can_be_deleted),
    };

    return cmocka_run_group_tests_name("http_streams", tests, NULL, NULL);
}
