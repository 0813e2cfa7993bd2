/*
 * Claims about what is asked of S3 for a batch, in which order, and what comes of single faults.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "s3_life.h"

enum { SMALL_BYTES = 1000 };

#define PARTS "CREATE PART PART PART "

static struct s3_life life;

static void begin(uint64_t bytes)
{
    s3_life_open(&life, 1, bytes);
}

static void end(void)
{
    s3_life_close(&life);
}

static void trace_is(const char *trace)
{
    assert_string_equal(s3_model_trace(life.model), trace);
}

/* It is delivered after these requests, and the object is the file. */
static void delivered(const char *trace)
{
    const struct bytes *object;

    s3_life_run(&life, 10);
    trace_is(trace);
    assert_true(life.over);
    assert_int_equal(life.job.result, SINK_DONE);
    object = s3_model_find(life.model, S3_LIFE_KEY);
    assert_non_null(object);
    assert_int_equal(object->len, life.job.file_bytes);
    assert_memory_equal(object->data, life.file, object->len);
    assert_int_equal(s3_model_writes(life.model, S3_LIFE_KEY), 1);
    assert_int_equal(s3_model_uploads(life.model, S3_LIFE_KEY), 0);
}

/* It waits for somebody, who is told this. */
static void rejected(const char *trace, const char *says)
{
    s3_life_run(&life, 10);
    trace_is(trace);
    assert_false(life.over);
    assert_int_equal(life.last.class, RETRY_REJECT);
    if (!strstr(life.last.text.text, says))
        fail_msg("'%s' does not say '%s'", life.last.text.text, says);
}

static void fails(enum s3_model_op op, enum s3_model_fault fault)
{
    s3_model_fail(life.model, op, fault, false);
}

/* The next job of the same sink. */
static void again(bool resumed)
{
    s3_kind.end(&life.job);
    life.job.resumed = resumed;
    life.job.damaged = false;
    life.over = life.begun = false;
}

static const char *header(const char *name)
{
    while (life.lanes[0].state != REMOTE_LANE_OUT)
        s3_life_step(&life);
    return request_header_find(&life.lanes[0].request, name);
}

static void a_small_batch_is_one_request(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    delivered("PUT ");
    end();
    begin(S3_PART_BYTES_MIN);
    delivered("PUT ");
    end();
    begin(0);
    delivered("PUT ");
    end();
}

static void a_large_batch_goes_in_parts(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    delivered(PARTS "COMPLETE ");
    end();
    begin(S3_PART_BYTES_MIN + 1);
    delivered("CREATE PART PART COMPLETE ");
    end();
}

static void a_request_says_what_it_should(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    assert_string_equal(header("if-none-match"), "*");
    assert_string_equal(header("content-type"), "application/x-ndjson");
    assert_null(header("content-encoding"));
    assert_string_equal(header("x-amz-meta-hydrant-batch"), "1-000-2");
    assert_string_equal(header("x-amz-meta-hydrant-first"), "4096");
    assert_string_equal(header("x-amz-meta-hydrant-last"), "8192");
    assert_string_equal(header("x-amz-meta-hydrant-events"), "17");
    assert_string_equal(header("x-amz-content-sha256"), SIGV4_UNSIGNED_PAYLOAD);
    /* The bucket is the job's, not that of today's settings; the region is that of the keys. */
    assert_string_equal(life.lanes[0].request.url,
                        "http://s3.example.org/events/p/a%20b%2B/2026-1-000-2.json.gz");
    assert_non_null(strstr(header("authorization"), "/eu-west-1/s3/"));
    end();

    begin(SMALL_BYTES);
    life.sink.set.s3.set.region = "ap-south-1";
    life.sink.set.s3.set.signed_payload = S3_AUTO;
    life.sink.set.s3.set.checksum = false;
    assert_non_null(strstr(header("authorization"), "/ap-south-1/s3/"));
    assert_int_equal(strlen(header("x-amz-content-sha256")), 64);
    assert_null(header("x-amz-checksum-crc32c"));
    delivered("PUT ");
    end();
}

static void an_answer_that_was_lost_is_looked_for(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    fails(S3_MODEL_PUT, S3_MODEL_LOST_AFTER);
    delivered("PUT HEAD ");
    end();
    begin(SMALL_BYTES);
    fails(S3_MODEL_PUT, S3_MODEL_500_AFTER);
    delivered("PUT PUT HEAD ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_LOST_AFTER);
    delivered(PARTS "COMPLETE HEAD ABORT ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_LOST);
    delivered(PARTS "COMPLETE HEAD COMPLETE ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_GARBAGE_AFTER);
    delivered(PARTS "COMPLETE HEAD ABORT ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_500_AFTER);
    delivered(PARTS "COMPLETE COMPLETE HEAD ");
    end();
}

static void a_completion_can_fail_with_status_200(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_ERROR_IN_200);
    delivered(PARTS "COMPLETE COMPLETE ");
    assert_int_equal(life.classes[RETRY_AGAIN], 1);
    end();
}

static void an_upload_that_nobody_heard_of_is_aborted(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_CREATE, S3_MODEL_LOST_AFTER);
    delivered("CREATE HEAD LIST ABORT LIST " PARTS "COMPLETE LIST ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_CREATE, S3_MODEL_GARBAGE_AFTER);
    delivered("CREATE HEAD LIST ABORT LIST " PARTS "COMPLETE LIST ");
    end();
}

static void a_later_life_looks_before_it_sends(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    life.job.resumed = true;
    delivered("HEAD PUT ");
    again(true);
    delivered("HEAD ");
    end();

    begin(S3_LIFE_LARGE);
    s3_model_begin(life.model, S3_LIFE_KEY);
    s3_model_begin(life.model, S3_LIFE_KEY);
    s3_model_begin(life.model, S3_LIFE_KEY ".other");
    life.job.resumed = true;
    delivered("HEAD LIST ABORT LIST ABORT LIST " PARTS "COMPLETE LIST ");
    assert_int_equal(s3_model_uploads(life.model, S3_LIFE_KEY ".other"), 1);
    s3_model_begin(life.model, S3_LIFE_KEY);
    again(true);
    delivered("HEAD LIST ABORT LIST ");
    end();

    /* Larger parts by now: one request, but what was begun in smaller ones is swept. */
    begin(S3_LIFE_LARGE);
    s3_model_begin(life.model, S3_LIFE_KEY);
    life.sink.set.s3.part_bytes = 64 << 20;
    life.job.resumed = true;
    delivered("HEAD LIST ABORT LIST PUT LIST ");
    assert_int_equal(s3_model_uploads(life.model, S3_LIFE_KEY), 0);
    end();

    /* One that the life before had asked for begins when the list was read. */
    begin(S3_LIFE_LARGE);
    life.job.resumed = true;
    while (life.classes[RETRY_OK] < 4)
        s3_life_step(&life);
    s3_model_begin(life.model, S3_LIFE_KEY);
    delivered("HEAD LIST " PARTS "COMPLETE LIST ABORT LIST ");
    end();
}

static void a_file_that_was_made_anew_is_no_second_object(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    delivered("PUT ");
    again(true);
    life.job.file_bytes = SMALL_BYTES - 1;
    life.job.crc32c = crc32c(0, life.file, SMALL_BYTES - 1);
    s3_life_run(&life, 1);
    trace_is("HEAD ");
    assert_int_equal(life.job.result, SINK_DONE);
    assert_int_equal(s3_model_writes(life.model, S3_LIFE_KEY), 1);
    end();
}

static void a_list_that_is_out_of_date_leads_nobody_in_a_circle(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    s3_model_set_list_stale(life.model, true);
    s3_model_begin(life.model, S3_LIFE_KEY);
    life.job.resumed = true;
    delivered("HEAD LIST ABORT LIST " PARTS "COMPLETE LIST ABORT LIST ");
    end();
}

/* Until the lane has done so many steps more: it is planned, made, asked, taken. */
static void lane_steps(uint32_t i, uint32_t count)
{
    while (count-- > 0)
        s3_life_step_lane(&life, i);
}

static void parts_of_an_upload_that_is_gone_do_not_count(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    lane_steps(0, 4);
    lane_steps(0, 3);
    fails(S3_MODEL_PART, S3_MODEL_GONE);
    lane_steps(1, 4);
    lane_steps(0, 1);
    delivered("CREATE PART PART HEAD " PARTS "COMPLETE ");
    end();
    /* Nor are they sent any more: two of them look instead, one after the other. */
    begin(S3_LIFE_LARGE);
    lane_steps(0, 4);
    lane_steps(0, 1);
    lane_steps(1, 1);
    fails(S3_MODEL_PART, S3_MODEL_GONE);
    lane_steps(2, 4);
    lane_steps(0, 3);
    lane_steps(1, 3);
    delivered("CREATE PART HEAD HEAD " PARTS "COMPLETE ");
    end();
}

static void an_upload_that_is_gone_is_begun_anew(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_PART, S3_MODEL_GONE);
    delivered("CREATE PART HEAD " PARTS "COMPLETE ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_GONE);
    delivered(PARTS "COMPLETE HEAD " PARTS "COMPLETE ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_INVALID_PART);
    delivered(PARTS "COMPLETE ABORT " PARTS "COMPLETE ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_CONFLICT);
    delivered(PARTS "COMPLETE ABORT " PARTS "COMPLETE ");
    end();
}

static void somebody_elses_object_is_not_replaced(void **state)
{
    static const enum s3_choice choices[] = {S3_AUTO, S3_YES, S3_NO};
    static const char *const traces[] = {"PUT HEAD ", "PUT HEAD ", "HEAD "};

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin(SMALL_BYTES);
        life.sink.set.s3.conditional = choices[i];
        s3_model_put(life.model, S3_LIFE_KEY, "theirs");
        rejected(traces[i], "bucket 'events': another object has this key");
        rejected("HEAD ", "another object");
        s3_model_delete(life.model, S3_LIFE_KEY);
        delivered("HEAD PUT ");
        end();
    }
    begin(S3_LIFE_LARGE);
    s3_model_put(life.model, S3_LIFE_KEY, "theirs");
    rejected(PARTS "COMPLETE HEAD ", "another object");
    s3_model_delete(life.model, S3_LIFE_KEY);
    delivered("HEAD COMPLETE ");
    end();
}

static void a_service_without_conditions_is_asked_first(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    s3_model_set_conditional(life.model, false);
    delivered("PUT HEAD PUT ");
    again(false);
    s3_model_delete(life.model, S3_LIFE_KEY);
    fails(S3_MODEL_PUT, S3_MODEL_500_AFTER);
    delivered("HEAD PUT HEAD ");
    end();

    begin(S3_LIFE_LARGE);
    s3_model_set_conditional(life.model, false);
    delivered(PARTS "COMPLETE HEAD COMPLETE ");
    end();

    begin(SMALL_BYTES);
    s3_model_set_conditional(life.model, false);
    life.sink.set.s3.conditional = S3_YES;
    rejected("PUT ", "[sink archive] conditional_write = yes, which the service does not have");
    end();
}

static void a_service_without_checksums_gets_none_in_the_list_of_parts(void **state)
{
    (void)state;
    begin(S3_LIFE_LARGE);
    s3_model_set_checksums(life.model, false);
    delivered(PARTS "COMPLETE COMPLETE ");
    again(false);
    s3_model_delete(life.model, S3_LIFE_KEY);
    delivered(PARTS "COMPLETE ");
    end();

    begin(S3_LIFE_LARGE);
    s3_model_set_checksums(life.model, false);
    s3_model_set_conditional(life.model, false);
    delivered(PARTS "COMPLETE HEAD COMPLETE HEAD COMPLETE ");
    end();
}

static void keys_that_may_only_write_will_do(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    s3_model_fail(life.model, S3_MODEL_HEAD, S3_MODEL_DENIED, true);
    life.job.resumed = true;
    delivered("HEAD PUT ");
    again(true);
    rejected("HEAD PUT HEAD ", "check access_key and secret_key of [sink archive], and allow them "
             "s3:GetObject and s3:ListBucket");
    end();

    begin(S3_LIFE_LARGE);
    s3_model_fail(life.model, S3_MODEL_HEAD, S3_MODEL_DENIED, true);
    s3_model_fail(life.model, S3_MODEL_LIST, S3_MODEL_DENIED, true);
    life.job.resumed = true;
    delivered("HEAD LIST " PARTS "COMPLETE ");
    end();

    begin(S3_LIFE_LARGE);
    s3_model_fail(life.model, S3_MODEL_ABORT, S3_MODEL_DENIED, true);
    s3_model_begin(life.model, S3_LIFE_KEY);
    life.job.resumed = true;
    s3_life_run(&life, 1);
    trace_is("HEAD LIST ABORT " PARTS "COMPLETE ");
    assert_int_equal(life.job.result, SINK_DONE);
    end();
}

/* Parts whose checksums the seal has are not read before they are sent. */
static void sealed_checksums_are_those_of_reading(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        begin(S3_LIFE_LARGE);
        life.job.block_crc32c = known ? s3_life_sums() : NULL;
        lane_steps(0, 4);
        for (uint32_t i = 0; i < 3; i++) {
            uint64_t at = i * S3_PART_BYTES_MIN;
            uint64_t len = i < 2 ? S3_PART_BYTES_MIN : S3_LIFE_LARGE - at;

            lane_steps(0, 1);
            assert_int_equal(life.lanes[0].hash, !known);
            assert_int_equal(life.lanes[0].crc32c, crc32c(0, life.file + at, len));
            lane_steps(0, 3);
        }
        delivered(PARTS "COMPLETE ");
        end();
    }
    /* Where parts do not begin with blocks, and where they are signed, there is no way round. */
    begin(S3_LIFE_LARGE);
    life.job.block_crc32c = s3_life_sums();
    life.sink.set.s3.part_bytes = S3_PART_BYTES_MIN + 4096;
    lane_steps(0, 5);
    assert_true(life.lanes[0].hash);
    delivered(PARTS "COMPLETE ");
    end();
    begin(S3_LIFE_LARGE);
    life.job.block_crc32c = s3_life_sums();
    life.sink.set.s3.set.signed_payload = S3_YES;
    lane_steps(0, 5);
    assert_true(life.lanes[0].hash && life.lanes[0].sha256_wanted);
    delivered(PARTS "COMPLETE ");
    end();
}

static void a_damaged_file_is_not_stored(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    s3_life_damage(&life);
    s3_life_run(&life, 1);
    trace_is("");
    assert_true(life.over);
    assert_int_equal(life.job.result, SINK_DAMAGED);
    end();

    begin(S3_LIFE_LARGE);
    s3_life_damage(&life);
    s3_life_run(&life, 1);
    trace_is(PARTS "ABORT ");
    assert_int_equal(life.job.result, SINK_DAMAGED);
    assert_int_equal(s3_model_uploads(life.model, S3_LIFE_KEY), 0);
    end();

    begin(S3_LIFE_LARGE);
    life.job.block_crc32c = s3_life_sums();
    s3_life_damage(&life);
    s3_life_run(&life, 1);
    trace_is("CREATE PART PART ABORT ");
    assert_int_equal(life.job.result, SINK_DAMAGED);
    end();
}

static void a_file_that_goes_bad_is_not_stored(void **state)
{
    (void)state;
    /* While the first part waits. */
    begin(S3_LIFE_LARGE);
    life.job.block_crc32c = s3_life_sums();
    s3_life_damage(&life);
    lane_steps(0, 4);
    lane_steps(0, 1);
    lane_steps(1, 4);
    lane_steps(1, 3);
    lane_steps(0, 3);
    s3_life_run(&life, 1);
    trace_is("CREATE PART HEAD ABORT ");
    assert_int_equal(life.job.result, SINK_DAMAGED);
    end();
    /* Between two uploads. */
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_COMPLETE, S3_MODEL_INVALID_PART);
    while (life.classes[RETRY_OK] < 5)
        s3_life_step(&life);
    s3_life_damage(&life);
    s3_life_run(&life, 1);
    trace_is(PARTS "COMPLETE ABORT " PARTS "ABORT ");
    assert_int_equal(life.job.result, SINK_DAMAGED);
    end();
    /* And a service sees it. */
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_PART, S3_MODEL_DIGEST);
    s3_life_run(&life, 1);
    s3_life_damage(&life);
    s3_life_run(&life, 2);
    trace_is("CREATE PART ABORT ");
    assert_int_equal(life.job.result, SINK_DAMAGED);
    end();
}

static void a_reload_may_ask_for_signed_bodies(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    lane_steps(0, 1);
    life.sink.set.s3.set.signed_payload = S3_YES;
    delivered("HEAD PUT ");
    end();
}

static void a_doubted_body_is_read_once_more(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    fails(S3_MODEL_PUT, S3_MODEL_DIGEST);
    delivered("PUT PUT ");
    end();
    begin(S3_LIFE_LARGE);
    fails(S3_MODEL_PART, S3_MODEL_DIGEST);
    delivered("CREATE PART PART PART PART COMPLETE ");
    end();
    begin(SMALL_BYTES);
    s3_model_fail(life.model, S3_MODEL_PUT, S3_MODEL_DIGEST, true);
    s3_life_run(&life, 1);
    s3_life_damage(&life);
    s3_life_run(&life, 2);
    assert_int_equal(life.job.result, SINK_DAMAGED);
    end();
}

static void a_clock_that_is_wrong_is_corrected(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    life.service_ahead_s = -7200;
    delivered("PUT PUT ");
    assert_int_equal(life.classes[RETRY_CLOCK], 1);
    assert_int_equal(life.sink.clock_offset_s, -7200);
    end();
    /* An answer to HEAD does not say why. */
    begin(SMALL_BYTES);
    life.service_ahead_s = 7200;
    life.job.resumed = true;
    delivered("HEAD HEAD PUT ");
    end();
}

static void keys_that_have_expired_are_told_so(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    fails(S3_MODEL_PUT, S3_MODEL_EXPIRED);
    delivered("PUT PUT ");
    assert_int_equal(life.classes[RETRY_CREDENTIALS], 1);
    end();
    begin(SMALL_BYTES);
    life.token = "token";
    life.job.resumed = true;
    fails(S3_MODEL_HEAD, S3_MODEL_EXPIRED);
    delivered("HEAD HEAD PUT ");
    assert_int_equal(life.classes[RETRY_CREDENTIALS], 1);
    end();
}

static void the_service_says_when_to_come_again(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    fails(S3_MODEL_PUT, S3_MODEL_SLOW_DOWN);
    delivered("PUT PUT ");
    assert_int_equal(life.classes[RETRY_THROTTLED], 1);
    assert_int_equal(life.last.after_ns, 7 * RETRY_SECOND_NS);
    end();
}

static void a_bucket_elsewhere_is_not_followed(void **state)
{
    (void)state;
    begin(SMALL_BYTES);
    s3_model_fail(life.model, S3_MODEL_PUT, S3_MODEL_MOVED, true);
    rejected("PUT ", "set region of [sink archive] to 'eu-west-3'");
    end();
}

/* A service that is wrong the same way for ever gets a request now and then, not a storm. */
static void no_circle_is_without_a_pause(void **state)
{
    static const enum s3_model_fault faults[] = {S3_MODEL_GONE, S3_MODEL_INVALID_PART,
                                                 S3_MODEL_CONFLICT};

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        begin(S3_PART_BYTES_MIN + 1);
        s3_model_fail(life.model, S3_MODEL_COMPLETE, faults[i], true);
        s3_life_run(&life, 5);
        assert_false(life.over);
        assert_int_equal(life.classes[RETRY_AGAIN], 5);
        assert_in_range(life.made, 1, 80);
        assert_null(strstr(s3_model_trace(life.model), "COMPLETE COMPLETE"));
        end();
    }
}

static void an_object_can_be_too_large(void **state)
{
    struct errmsg err;

    (void)state;
    begin(SMALL_BYTES);
    life.job.file_bytes = S3_PARTS_MAX * S3_PART_BYTES_MAX + 1;
    assert_int_equal(s3_kind.begin(&life.job, &err), -EFBIG);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_batch_is_one_request),
        cmocka_unit_test(a_large_batch_goes_in_parts),
        cmocka_unit_test(sealed_checksums_are_those_of_reading),
        cmocka_unit_test(a_request_says_what_it_should),
        cmocka_unit_test(an_answer_that_was_lost_is_looked_for),
        cmocka_unit_test(a_completion_can_fail_with_status_200),
        cmocka_unit_test(an_upload_that_nobody_heard_of_is_aborted),
        cmocka_unit_test(a_later_life_looks_before_it_sends),
        cmocka_unit_test(a_file_that_was_made_anew_is_no_second_object),
        cmocka_unit_test(a_list_that_is_out_of_date_leads_nobody_in_a_circle),
        cmocka_unit_test(parts_of_an_upload_that_is_gone_do_not_count),
        cmocka_unit_test(an_upload_that_is_gone_is_begun_anew),
        cmocka_unit_test(somebody_elses_object_is_not_replaced),
        cmocka_unit_test(a_service_without_conditions_is_asked_first),
        cmocka_unit_test(a_service_without_checksums_gets_none_in_the_list_of_parts),
        cmocka_unit_test(keys_that_may_only_write_will_do),
        cmocka_unit_test(a_damaged_file_is_not_stored),
        cmocka_unit_test(a_file_that_goes_bad_is_not_stored),
        cmocka_unit_test(a_reload_may_ask_for_signed_bodies),
        cmocka_unit_test(a_doubted_body_is_read_once_more),
        cmocka_unit_test(a_clock_that_is_wrong_is_corrected),
        cmocka_unit_test(keys_that_have_expired_are_told_so),
        cmocka_unit_test(the_service_says_when_to_come_again),
        cmocka_unit_test(a_bucket_elsewhere_is_not_followed),
        cmocka_unit_test(no_circle_is_without_a_pause),
        cmocka_unit_test(an_object_can_be_too_large),
    };

    log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
