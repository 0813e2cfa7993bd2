/*
 * http_api: which paths there are, what each answers, and when.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "control/http_fixture.h"

static void healthz_and_readyz_say_ok(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect(f, "GET", "/healthz", 200, "ok");
    hf_expect(f, "GET", "/readyz", 200, "ok");
    hf_expect(f, "HEAD", "/healthz", 200, "");
}

static void readyz_says_why_not(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    atomic_store(&f->shard.ready, false);
    hf_expect(f, "GET", "/readyz", 503, "{\"detail\": \"recovering: 4096 bytes");
    hf_expect(f, "GET", "/healthz", 200, "ok");
    atomic_store(&f->shard.stopping, true);
    hf_expect(f, "GET", "/readyz", 503, "{\"detail\": \"stopping\"}");
}

static void status_is_json_with_integers(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
    struct http_ask ask = hf_ask_of(f, "GET", "/v1/status");
    char *text = hf_ask_for(f, &ask, 200);
    json_t *json = json_loads(text, 0, NULL);
    json_t *stream;

    assert_non_null(json);
    stream = json_array_get(json_object_get(json, "streams"), 0);
    assert_int_equal(json_integer_value(json_object_get(stream, "accepted")), 1000);
    json_decref(json);
    free(text);
}

static void metrics_are_prometheus_text(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect(f, "GET", "/metrics", 200, "# TYPE hydrant_events_accepted_total counter\n");
    hf_expect(f, "GET", "/metrics", 200,
              "\nhydrant_events_accepted_total{stream=\"clicks\",source=\"ring\"} 990\n");
}

static void flush_answers_when_all_is_delivered(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect(f, "POST", "/v1/flush", 200, "{\"flushed\": true}");
    hf_expect(f, "POST", "/v1/streams/clicks/flush?timeout=2.5", 200, "{\"flushed\": true}");
}

static void flush_of_an_unknown_stream_is_404(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect(f, "POST", "/v1/streams/unknown/flush", 404, "{\"detail\": ");
    hf_expect(f, "POST", "/v1/streams/-bad/flush", 404, "{\"detail\": ");
    hf_expect(f, "POST", "/v1/streams/a%2fb/flush", 404, "{\"detail\": ");
    hf_expect(f, "POST", "/v1/streams/a%00/flush", 404, "{\"detail\": ");
    hf_expect(f, "POST", "/v1/streams//flush", 404, "{\"detail\": ");
}

static int setup_configured(void **state)
{
    return hf_setup_with(state, "[stream unknown]\n");
}

static void flush_of_a_stream_that_is_only_configured_has_nothing_to_do(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect(f, "POST", "/v1/streams/unknown/flush", 200, "{\"flushed\": true}");
}

static void flush_that_takes_too_long_is_504(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;

    hf_expect(f, "POST", "/v1/streams/slow/flush?timeout=0.05", 504, "within 0.050 seconds");
    fake_shard_await_kept(&f->shard, 1);
    /* The late answer meets nobody and does no harm. */
    fake_shard_release(&f->shard, 0);
    fake_shard_await_kept(&f->shard, 0);
    hf_expect(f, "GET", "/healthz", 200, "ok");
}

static void bad_timeouts_are_400(void **state)
{
    static const char *const bad[] = { "0", "-1", "x", "", "1x", "1e3", "3601", "0.0001", ".5",
                                       "99999999999999999999", "nan", "0x10", "1.2.3" };
    struct http_fixture *f = (struct http_fixture *)*state;
    char path[128];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(path, sizeof(path), "/v1/flush?timeout=%s", bad[i]);
        hf_expect(f, "POST", path, 400, "{\"detail\": ");
    }
}

static void unknown_paths_are_404_and_methods_405(void **state)
{
    struct http_fixture *f = (struct http_fixture *)*state;
    char text[4096];
    const char *request = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
                          "Connection: close\r\n\r\n";

    hf_expect(f, "GET", "/nothing", 404, "{\"detail\": \"Not Found\"}");
    hf_expect(f, "GET", "/healthz/", 404, "");
    hf_expect(f, "GET", "/v1/streams/nobodys", 404, "");
    hf_expect(f, "POST", "/v1/streams/clicks", 405, "");
    hf_expect(f, "GET", "/v1/flush", 405, "{\"detail\": ");
    hf_expect(f, "DELETE", "/v1/streams/clicks/flush", 405, "");
    hf_talk(f, request, strlen(request), text, sizeof(text));
    assert_non_null(strstr(text, "HTTP/1.1 405 "));
    assert_non_null(strstr(text, "\r\nAllow: GET, HEAD\r\n"));
}

static void events_are_taken_all_or_none(void **state)
{
    static const char json[] = "application/json", lines[] = "application/x-ndjson; charset=utf-8";
    struct http_fixture *f = (struct http_fixture *)*state;
    struct http_ask ask;

    hf_expect_put(f, "", json, "{\"a\":1}", 202, "{\"accepted\": 1}");
    hf_expect_put(f, "?ack=accepted", json, "[{},{}]", 202, "{\"accepted\": 2}");
    hf_expect_put(f, "", lines, "{}\nplain text\n", 202, "{\"accepted\": 2}");
    assert_int_equal(f->counters.events[INTAKE_HTTP], 5);
    hf_expect_put(f, "", json, "[{},7]", 422, "element 2, at byte 5: not a JSON object; no event");
    hf_expect_put(f, "", json, "", 422, "the body is empty");
    hf_expect_put(f, "", "text/plain", "x", 415, "application/x-ndjson");
    hf_expect_put(f, "?ack=perhaps", json, "{}", 400, "ack: accepted or durable");
    hf_expect_put(f, "?ack=durable&timeout=0", json, "{}", 400, "timeout");
    hf_expect_put(f, "?ack=durable&timeout=0.05", json, "{}", 504,
                  "taken, but are not durable yet");
    hf_expect(f, "GET", "/v1/streams/s/events", 405, "");
    hf_expect(f, "POST", "/v1/streams/-/events", 404, "");
    ask = hf_ask_of(f, "POST", "/v1/streams/too-many/events");
    ask.content_type = json;
    ask.body = "{}";
    ask.body_len = 2;
    free(hf_ask_for(f, &ask, 503));
    assert_int_equal(f->counters.events[INTAKE_HTTP], 6);
}

static void what_is_configured_is_answered_when_it_is_done(void **state)
{
    static const char request[] =
        "PUT /v1/streams/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    static const struct {
        int result;
        const char *status, *part;
    } rows[] = {{-EPERM, " 409 ", "another part of the API"},
                {-ENOMEM, " 503 ", "out of memory"},
                {0, " 404 ", "Stream not found"}};     /* done, says whoever did nothing */
    struct http_fixture *f = (struct http_fixture *)*state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = hf_begin(f, request);

        fake_shard_await_ever(&f->shard, (unsigned)i + 1);
        fake_shard_release(&f->shard, rows[i].result);
        hf_end(fd, rows[i].status, rows[i].part);
    }
}

static void a_deletion_asks_one_after_the_other(void **state)
{
    static const char request[] = "DELETE /minifirehoses/mini HTTP/1.1\r\nHost: localhost\r\n"
                                  "Connection: close\r\n\r\n";
    struct http_fixture *f = (struct http_fixture *)*state;
    struct http_ask ask = hf_ask_of(f, "POST", "/minifirehoses/mini/message");
    int fd = hf_begin(f, request);

    ask.body = "{\"message\": \"x\"}";
    ask.body_len = strlen(ask.body);
    ask.content_type = "application/json";
    fake_shard_await_ever(&f->shard, 1);        /* it is being sealed: */
    free(hf_ask_for(f, &ask, 404));                /* nothing comes behind */
    fake_shard_release(&f->shard, 0);
    fake_shard_await_ever(&f->shard, 2);        /* it is being forgotten */
    fake_shard_release(&f->shard, 0);
    hf_end(fd, " 200 ", "MiniFirehose 'mini' deleted");
    free(hf_ask_for(f, &ask, 200));                /* as far as the configuration here says */

    fd = hf_begin(f, request);                 /* its client leaves */
    fake_shard_await_ever(&f->shard, 3);
    (void)close(fd);
    fake_shard_release(&f->shard, 0);
    fake_shard_await_ever(&f->shard, 4);
    fake_shard_release(&f->shard, -ENOENT);
    hf_expect(f, "GET", "/healthz", 200, "ok");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, hf_setup, hf_teardown)
    const struct CMUnitTest tests[] = {
        TEST(healthz_and_readyz_say_ok),
        TEST(readyz_says_why_not),
        TEST(status_is_json_with_integers),
        TEST(metrics_are_prometheus_text),
        TEST(flush_answers_when_all_is_delivered),
        TEST(flush_of_an_unknown_stream_is_404),
        cmocka_unit_test_setup_teardown(flush_of_a_stream_that_is_only_configured_has_nothing_to_do,
                                        setup_configured, hf_teardown),
        TEST(flush_that_takes_too_long_is_504),
        TEST(bad_timeouts_are_400),
        TEST(unknown_paths_are_404_and_methods_405),
        TEST(events_are_taken_all_or_none),
        TEST(what_is_configured_is_answered_when_it_is_done),
        TEST(a_deletion_asks_one_after_the_other),
    };

    return cmocka_run_group_tests_name("http_api", tests, NULL, NULL);
}
