/*
 * delivery_sink: sinks of kinds made for this: what opening one comes to, what another one takes
 * over, keys by a request over the simulator's network, and what is said of one that fares badly.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "sink/delivery_sink.h"
#include "support/sim.h"
#include "support/sim_http.h"

/* --- kinds ---------------------------------------------------------------------------------- */

static unsigned opened, closed, ended;

static int kind_open(struct remote_sink *sink, struct errmsg *err)
{
    (void)sink;
    (void)err;
    opened++;
    return 0;
}

static int kind_refuse(struct remote_sink *sink, struct errmsg *err)
{
    (void)sink;
    return errmsg_set(err, -EINVAL, "not such a stream");
}

static void kind_close(struct remote_sink *sink)
{
    (void)sink;
    closed++;
}

static void kind_end(struct remote_job *job)
{
    (void)job;
    ended++;
}

const struct remote_kind s3_kind = {.name = "s3", .signs = true};
const struct remote_kind firehose_kind = {.name = "firehose", .open = kind_refuse};
const struct remote_kind web_kind = {
    .name = "http", .open = kind_open, .close = kind_close, .end = kind_end,
};

/* --- sinks ---------------------------------------------------------------------------------- */

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == 0 ? "/keys" : NULL;
}

static struct remote_sink *sink_of(enum target_type type, struct errmsg *err)
{
    struct remote_settings settings = {
        .name = "cloud", .type = type, .in_flight_max = 3, .timeout_ns = 10 * RETRY_SECOND_NS,
        .backoff_max_ns = 10 * RETRY_SECOND_NS, .cloud = {.env = env},
    };

    return delivery_sink_open(NULL, &settings, sim_now_ns(), err);
}

static struct remote_sink *opened_sink(enum target_type type)
{
    struct errmsg err = {""};
    struct remote_sink *sink = sink_of(type, &err);

    if (!sink)
        fail_msg("%s", err.text);
    return sink;
}

static int setup(void **state)
{
    (void)state;
    sim_reset(3);
    opened = closed = ended = 0;
    return 0;
}

static void a_sink_is_of_the_kind_of_its_type_or_none(void **state)
{
    struct remote_sink *sink = opened_sink(TARGET_HTTP);
    struct errmsg err = {""};

    (void)state;
    assert_ptr_equal(sink->kind, &web_kind);
    assert_string_equal(sink->set.name, "cloud");
    assert_null(sink->credentials);
    assert_int_equal(sink->retry.limits.in_flight_max, 3);
    assert_int_equal(opened, 1);
    delivery_sink_close(sink, sim_now_ns());
    assert_int_equal(closed, 1);

    assert_null(sink_of(TARGET_FIREHOSE, &err));
    assert_string_equal(err.text, "not such a stream");
}

static void jobs_begin_anew_in_the_sink_that_takes_them_over(void **state)
{
    struct remote_sink *from = opened_sink(TARGET_HTTP), *to = opened_sink(TARGET_HTTP);
    struct remote_job jobs[2] = {
        {.at = from, .next = &jobs[1], .begun = true, .file_fd = -1},
        {.at = from, .file_fd = -1},
    };

    (void)state;
    from->jobs = jobs;
    from->jobs_count = 2;
    from->duplicates = 7;
    from->retry.retries = 9;
    from->failing = true;
    delivery_sink_inherit(to, from, sim_now_ns());
    assert_int_equal(ended, 1);
    for (int i = 0; i < 2; i++) {
        assert_ptr_equal(jobs[i].at, to);
        assert_false(jobs[i].begun);
        assert_int_equal(jobs[i].resumed, i == 0);
    }
    assert_ptr_equal(to->jobs, jobs);
    assert_int_equal(to->jobs_count, 2);
    assert_int_equal(to->duplicates, 7);
    assert_int_equal(to->retry.retries, 9);
    assert_true(to->failing);
    assert_null(from->jobs);
    delivery_sink_close(from, sim_now_ns());
    assert_int_equal(ended, 1);
    to->jobs = NULL;
    delivery_sink_close(to, sim_now_ns());
}

static void a_sink_is_bad_while_jobs_wait_by_more_than_a_mishap(void **state)
{
    struct remote_sink *sink = opened_sink(TARGET_HTTP);

    (void)state;
    sink->retry.failures = 2;
    assert_false(delivery_sink_bad(sink, sim_now_ns()));
    sink->jobs_count = 1;
    assert_true(delivery_sink_bad(sink, sim_now_ns()));
    sink->retry.failures = 1;
    assert_false(delivery_sink_bad(sink, sim_now_ns()));
    sink->retry.rejected = 1;
    assert_true(delivery_sink_bad(sink, sim_now_ns()));
    sink->retry.rejected = 0;
    sink->retry.open = true;
    assert_true(delivery_sink_bad(sink, sim_now_ns()));
    delivery_sink_close(sink, sim_now_ns());
}

static void it_is_said_why_jobs_wait(void **state)
{
    struct remote_sink *sink = opened_sink(TARGET_HTTP);
    struct delivery_status status;

    (void)state;
    errmsg_set(&sink->retry.error, 0, "status 500");
    sink->retry.hold_ns = sim_now_ns() + 7 * RETRY_SECOND_NS;
    delivery_sink_status(sink, sim_now_ns(), &status);
    assert_string_equal(status.waits_because, "");
    sink->jobs_count = 4;
    sink->duplicates = 2;
    delivery_sink_status(sink, sim_now_ns(), &status);
    assert_int_equal(status.jobs, 4);
    assert_int_equal(status.duplicates, 2);
    assert_string_equal(status.waits_because, "the service asks to wait 7 s");
    sink->retry.failures = 1;
    delivery_sink_status(sink, sim_now_ns(), &status);
    assert_string_equal(status.waits_because, "status 500");
    sink->jobs_count = 0;
    delivery_sink_close(sink, sim_now_ns());
}

/* --- keys ----------------------------------------------------------------------------------- */

static unsigned keys_status;

static void serve(void *ctx, const struct sim_request *request, struct sim_answer *answer)
{
    (void)ctx;
    assert_string_equal(request->url, "http://169.254.170.2/keys");
    answer->status = keys_status;
    (void)bytes_append_str(&answer->body, "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"s\", "
                           "\"Token\": \"t\", \"Expiration\": \"2099-01-01T00:00:00Z\"}");
}

static void on_ask(struct http_call *call)
{
    struct remote_sink *sink = call->ctx;

    sink->asking = REMOTE_ASK_ANSWERED;
}

/* One request for keys, from the asking to what came of it. */
static void keys_ask(struct remote_sink *sink, struct http_pool *pool)
{
    struct delivery_turn turn = {.now_ns = sim_now_ns(), .utc_ns = sim_real_ns(), .pool = pool,
                                 .on_ask = on_ask};
    struct errmsg err;

    delivery_sink_keys(sink, &turn);
    assert_int_equal(sink->asking, REMOTE_ASK_OUT);
    delivery_sink_keys(sink, &turn);            /* one is enough */
    assert_int_equal(sim_http_under_way(), 1);
    while (sink->asking == REMOTE_ASK_OUT) {
        if (sim_http_next_ns() > sim_now_ns())
            sim_advance_ns(sim_http_next_ns() - sim_now_ns());
        assert_true(http_pool_turn(pool, 0, &err) >= 0);
    }
    turn.now_ns = sim_now_ns();
    delivery_sink_keys(sink, &turn);
    assert_int_equal(sink->asking, REMOTE_ASK_NO);
}

static void keys_come_by_a_request_and_it_is_said_while_they_do_not(void **state)
{
    struct remote_sink *sink = opened_sink(TARGET_S3);
    struct delivery_status status;
    struct http_pool *pool;
    struct errmsg err;

    (void)state;
    sim_http_reset(serve, NULL);
    assert_int_equal(http_pool_open(4, &pool, &err), 0);
    sink->jobs_count = 1;
    delivery_sink_status(sink, sim_now_ns(), &status);
    assert_string_equal(status.waits_because, "credentials are being fetched");
    keys_status = 500;
    keys_ask(sink, pool);
    assert_true(delivery_sink_bad(sink, sim_now_ns()));
    delivery_sink_status(sink, sim_now_ns(), &status);
    assert_non_null(strstr(status.waits_because, "500"));
    sim_advance_ns(3600 * RETRY_SECOND_NS);
    keys_status = 200;
    keys_ask(sink, pool);
    assert_false(delivery_sink_bad(sink, sim_now_ns()));
    delivery_sink_status(sink, sim_now_ns(), &status);
    assert_string_equal(status.waits_because, "");
    assert_string_equal(status.credentials, "container");
    assert_true(status.credentials_expire_utc_ns > sim_real_ns());
    sink->jobs_count = 0;
    delivery_sink_close(sink, sim_now_ns());
    http_pool_close(pool);
    sim_http_reset(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_sink_is_of_the_kind_of_its_type_or_none, setup),
        cmocka_unit_test_setup(jobs_begin_anew_in_the_sink_that_takes_them_over, setup),
        cmocka_unit_test_setup(a_sink_is_bad_while_jobs_wait_by_more_than_a_mishap, setup),
        cmocka_unit_test_setup(it_is_said_why_jobs_wait, setup),
        cmocka_unit_test_setup(keys_come_by_a_request_and_it_is_said_while_they_do_not, setup),
    };

    return cmocka_run_group_tests_name("delivery_sink", tests, NULL, NULL);
}
