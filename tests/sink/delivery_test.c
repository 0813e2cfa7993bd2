/*
 * delivery and delivery_job, which only make sense together: jobs of a kind made for this, over a
 * network and a clock of the simulator. The kind sends the batch's file in parts of PART bytes,
 * then "done"; the service keeps what it gets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "io/file.h"
#include "sink/delivery.h"
#include "support/sim.h"
#include "support/sim_http.h"

enum { PART = 1000, FILE_BYTES = 3500, PARTS = 4, JOBS_MAX = 32, SECOND_NS = 1000000000 };

/* --- the service ---------------------------------------------------------------------------- */

static struct {
    unsigned fail;                  /* so many answers are 500 */
    unsigned status;                /* of all others, unless it is 200 */
    unsigned out, out_max;
    unsigned parts, dones;
    char order[256];                /* keys that were done */
} service;

static void serve(void *ctx, const struct sim_request *request, struct sim_answer *answer)
{
    const char *key = strrchr(request->url, '/') + 1;

    (void)ctx;
    answer->status = service.status;
    if (service.fail > 0) {
        service.fail--;
        answer->status = 500;
    }
    (void)bytes_printf(&answer->head, "X-Odd:\t a b \r\nEmpty:\r\nRetry-After: 1\r\n");
    if (answer->status != 200)
        return;
    if (strcmp(request->method, "PUT") == 0) {
        assert_true(request->body_len == PART || request->body_len == FILE_BYTES % PART);
        service.parts++;
    } else {
        service.dones++;
        assert_string_equal((const char *)request->body, "done");
        snprintf(service.order + strlen(service.order),
                 sizeof(service.order) - strlen(service.order), "%s ", key);
    }
}

/* --- the kind ------------------------------------------------------------------------------- */

struct state {
    uint32_t planned, answered, crc32c[PARTS];
    bool done;
};

static unsigned begun, ended, resumed;

static int kind_begin(struct remote_job *job, struct errmsg *err)
{
    begun++;
    resumed += job->resumed;
    job->own = calloc(1, sizeof(struct state));
    return job->own ? 0 : errmsg_set(err, -ENOMEM, "no memory");
}

static void kind_end(struct remote_job *job)
{
    ended++;
    free(job->own);
}

static bool whole(const struct remote_job *job)
{
    const struct state *state = job->own;
    uint32_t sum = 0;

    for (unsigned i = 0; i < PARTS; i++)
        sum = crc32c_combine(sum, state->crc32c[i], i == PARTS - 1 ? FILE_BYTES % PART : PART);
    return sum == job->crc32c;
}

static enum remote_plan kind_plan(struct remote_job *job, struct remote_lane *lane)
{
    struct state *state = job->own;

    if (state->answered == PARTS && job->lanes_out == 0 && !whole(job))
        remote_damaged_file(job, "it is not what was sealed");
    if (job->damaged) {
        job->result = SINK_DAMAGED;
        return job->lanes_out > 0 ? REMOTE_WAIT : REMOTE_OVER;
    }
    if (state->done) {
        job->result = SINK_DONE;
        return REMOTE_OVER;
    }
    if (state->planned < PARTS) {
        lane->number = state->planned++;
        lane->file_at = lane->number * PART;
        lane->file_len = lane->number == PARTS - 1 ? FILE_BYTES % PART : PART;
        lane->hash = lane->sha256_wanted = true;
        return REMOTE_SEND;
    }
    if (state->answered < PARTS || job->lanes_out > 0)
        return REMOTE_WAIT;
    lane->number = PARTS;
    return REMOTE_SEND;
}

static int kind_make(struct remote_job *job, struct remote_lane *lane,
                     const struct credentials_keys *keys, uint64_t utc_s, struct errmsg *err)
{
    (void)keys;
    (void)utc_s;
    lane->answer_bytes_max = 100;
    request_start(&lane->request, lane->number < PARTS ? "PUT" : "POST");
    request_url(&lane->request, "http://h/");
    request_url(&lane->request, job->key);
    if (lane->number < PARTS)
        assert_int_equal(strlen(lane->sha256), 64);
    else
        assert_int_equal(bytes_append(&lane->body, "done", 5), 0);
    service.out++;
    if (service.out > service.out_max)
        service.out_max = service.out;
    return request_result(&lane->request, err);
}

static bool doubt_once;

static void kind_take(struct remote_job *job, struct remote_lane *lane, const struct reply *reply,
                      struct remote_outcome *ret_outcome)
{
    struct state *state = job->own;

    service.out--;
    assert_string_equal(request_reply_header(reply, "x-odd"), "a b");
    assert_string_equal(request_reply_header(reply, "empty"), "");
    if (doubt_once) {
        doubt_once = false;
        remote_doubt_file(job);
        ret_outcome->class = RETRY_AGAIN;
        return;
    }
    if (reply->status != 200) {
        ret_outcome->class = reply->status == 400 ? RETRY_REJECT : RETRY_AGAIN;
        errmsg_set(&ret_outcome->text, 0, "status %u", reply->status);
        return;
    }
    if (lane->number < PARTS) {
        state->crc32c[lane->number] = lane->crc32c;
        state->answered++;
    } else
        state->done = true;
}

static void kind_lost(struct remote_job *job, struct remote_lane *lane, uint64_t sent)
{
    (void)job;
    (void)lane;
    (void)sent;
    service.out--;
}

const struct remote_kind s3_kind = {
    .name = "s3", .begin = kind_begin, .end = kind_end, .plan = kind_plan, .make = kind_make,
    .take = kind_take, .lost = kind_lost,
};
const struct remote_kind firehose_kind = {.name = "firehose"};
const struct remote_kind web_kind = {.name = "http"};

/* --- jobs ----------------------------------------------------------------------------------- */

static struct delivery *delivery;
static struct remote_job jobs[JOBS_MAX];
static char keys[JOBS_MAX][16], names[JOBS_MAX][16];
static unsigned over;
static int dir;
static struct remote_settings settings = {
    .name = "cloud", .type = TARGET_S3, .in_flight_max = 3, .timeout_ns = 10ULL * SECOND_NS,
    .backoff_max_ns = 10ULL * SECOND_NS,
};

static void on_done(struct remote_job *job)
{
    (void)job;
    over++;
}

static void post(unsigned i)
{
    uint8_t data[FILE_BYTES];
    char path[32];

    for (unsigned k = 0; k < FILE_BYTES; k++)
        data[k] = (uint8_t)(k * 7 + i);
    snprintf(keys[i], sizeof(keys[i]), "k%u", i);
    snprintf(names[i], sizeof(names[i]), "%u.spool", i);
    snprintf(path, sizeof(path), "/spool/%u.spool", i);
    assert_int_equal(sim_write_file(path, data, sizeof(data)), 0);
    jobs[i] = (struct remote_job){
        .sink = "cloud", .stream = "s", .batch = "b", .place = "p", .key = keys[i],
        .spool_dir = dir, .spool_name = names[i], .file_bytes = FILE_BYTES,
        .crc32c = crc32c(0, data, sizeof(data)), .done = on_done,
    };
    delivery_post(delivery, &jobs[i]);
}

/* Until nothing is to be done, for so long at most. */
static void turn_for(uint64_t ns)
{
    uint64_t until = sim_now_ns() + ns, next;
    struct errmsg err;

    for (;;) {
        assert_int_equal(delivery_turn(delivery, 0, &err), 0);
        next = delivery_next_ns(delivery);
        if (next > sim_http_next_ns())
            next = sim_http_next_ns();
        if (next > until)
            break;
        if (next > sim_now_ns())
            sim_advance_ns(next - sim_now_ns());
    }
    if (until > sim_now_ns())
        sim_advance_ns(until - sim_now_ns());
}

static void configure(void)
{
    assert_int_equal(delivery_configure(delivery, &settings, 1), 0);
}

static int setup(void **state)
{
    struct errmsg err;

    (void)state;
    sim_reset(7);
    sim_http_reset(serve, NULL);
    memset(&service, 0, sizeof(service));
    service.status = 200;
    begun = ended = resumed = over = 0;
    settings.in_flight_max = 3;
    assert_int_equal(sim_mkdir("/spool"), 0);
    dir = file_open(FILE_CWD, "/spool", O_RDONLY | O_DIRECTORY, 0);
    assert_true(dir >= 0);
    assert_int_equal(delivery_open(&delivery, &err), 0);
    configure();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    delivery_close(delivery);
    file_close(dir);
    assert_int_equal(begun, ended);
    assert_int_equal(sim_open_descriptors(), 0);
    sim_http_reset(NULL, NULL);
    return 0;
}

static void expect_done(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        assert_int_equal(jobs[i].result, SINK_DONE);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void jobs_begin_in_order_and_share_the_window(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        post(i);
    turn_for(100ULL * SECOND_NS);
    assert_int_equal(over, 10);
    expect_done(0, 10);
    assert_int_equal(service.parts, 10 * PARTS);
    assert_int_equal(service.out_max, 3);
    assert_int_equal(delivery_next_ns(delivery), RETRY_NEVER_NS);
    assert_memory_equal(service.order, "k0 ", 3);
}

static void what_fails_is_tried_until_it_works(void **state)
{
    struct sim_http_faults faults = {.refused = 100, .lost_before = 100, .lost_after = 100};
    struct delivery_status status;

    (void)state;
    sim_http_set_faults(&faults);
    service.fail = 40;
    for (unsigned i = 0; i < 10; i++)
        post(i);
    turn_for(2ULL * SECOND_NS);
    assert_true(delivery_look(delivery, "cloud", &status));
    assert_true(status.jobs > 0 && status.retries > 0);
    assert_string_not_equal(status.waits_because, "");
    assert_true(delivery_failing(delivery));
    turn_for(1000ULL * SECOND_NS);
    assert_int_equal(over, 10);
    expect_done(0, 10);
    assert_true(delivery_look(delivery, "cloud", &status));
    assert_int_equal(status.jobs, 0);
    assert_string_equal(status.waits_because, "");
    assert_false(delivery_failing(delivery));
}

static void a_turn_that_fails_is_told_and_tried_again(void **state)
{
    struct sim_http_faults faults = {.turns = true};
    struct delivery_status status;
    struct errmsg err;

    (void)state;
    post(0);
    sim_http_set_faults(&faults);
    assert_int_equal(delivery_turn(delivery, 0, &err), -EIO);
    assert_string_equal(err.text, "no network at all");
    assert_true(delivery_failing(delivery));
    assert_true(delivery_look(delivery, "cloud", &status));
    assert_string_equal(status.waits_because, "no network at all");
    assert_int_equal(over, 0);
    faults.turns = false;
    sim_http_set_faults(&faults);
    turn_for(100ULL * SECOND_NS);
    assert_int_equal(over, 1);
    expect_done(0, 1);
    assert_false(delivery_failing(delivery));
    assert_true(delivery_look(delivery, "cloud", &status));
    assert_string_equal(status.waits_because, "");
}

static void a_damaged_file_is_never_done(void **state)
{
    (void)state;
    post(0);
    post(1);
    post(2);
    assert_int_equal(sim_poke("/spool/1.spool", FILE_BYTES - 1, "x", 1), 0);
    assert_int_equal(sim_truncate("/spool/2.spool", 10), 0);
    turn_for(100ULL * SECOND_NS);
    assert_int_equal(over, 3);
    assert_int_equal(jobs[0].result, SINK_DONE);
    assert_int_equal(jobs[1].result, SINK_DAMAGED);
    assert_string_equal(jobs[1].err.text, "spool/1.spool: it is not what was sealed");
    assert_int_equal(jobs[2].result, SINK_DAMAGED);
    assert_int_equal(service.dones, 1);
    post(3);
    assert_int_equal(sim_unlink("/spool/3.spool"), 0);
    turn_for(SECOND_NS);
    assert_int_equal(jobs[3].result, SINK_DAMAGED);
}

/* The service says that it got something else: the file is read once more. */
static void a_file_in_doubt_is_read_again(void **state)
{
    (void)state;
    post(0);
    doubt_once = true;
    turn_for(100ULL * SECOND_NS);
    expect_done(0, 1);
    assert_int_equal(service.parts, PARTS + 1);
    post(1);
    doubt_once = true;
    service.fail = 1;
    turn_for(1000000);              /* read, and out */
    assert_int_equal(sim_poke("/spool/1.spool", 5, "x", 1), 0);
    turn_for(100ULL * SECOND_NS);
    assert_int_equal(jobs[1].result, SINK_DAMAGED);
    assert_int_equal(service.dones, 1);
}

static void jobs_of_no_sink_come_back(void **state)
{
    (void)state;
    post(0);
    jobs[0].sink = "other";
    turn_for(SECOND_NS);
    assert_int_equal(jobs[0].result, SINK_RETRY);
    assert_string_equal(jobs[0].err.text, "there is no sink 'other'");
    service.fail = 1000;
    post(1);
    post(2);
    turn_for(SECOND_NS);
    assert_int_equal(over, 1);
    assert_int_equal(delivery_configure(delivery, NULL, 0), 0);
    turn_for(SECOND_NS);
    assert_int_equal(over, 3);
    assert_int_equal(jobs[1].result, SINK_RETRY);
    assert_string_equal(jobs[2].err.text, "there is no sink 'cloud'");
    assert_int_equal(begun, ended);
}

static void a_reload_leaves_what_works_and_begins_the_rest_anew(void **state)
{
    (void)state;
    post(0);
    turn_for(1000000);
    configure();                    /* nothing has changed */
    turn_for(100ULL * SECOND_NS);
    expect_done(0, 1);
    assert_int_equal(begun, 1);

    service.status = 400;
    for (unsigned i = 1; i < 6; i++)
        post(i);
    turn_for(10ULL * SECOND_NS);
    assert_int_equal(over, 1);
    assert_true(delivery_failing(delivery));
    service.status = 200;
    turn_for(10ULL * SECOND_NS);
    assert_int_equal(over, 1);      /* they rest for minutes */
    configure();
    turn_for(10ULL * SECOND_NS);
    assert_int_equal(over, 6);
    expect_done(1, 6);
    assert_true(resumed >= 1);

    post(6);
    turn_for(1000000);
    settings.in_flight_max = 1;     /* something has changed */
    configure();
    service.out_max = service.out = 0;
    turn_for(100ULL * SECOND_NS);
    expect_done(6, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_begin_in_order_and_share_the_window, setup, teardown),
        cmocka_unit_test_setup_teardown(what_fails_is_tried_until_it_works, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_that_fails_is_told_and_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_never_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_in_doubt_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_of_no_sink_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reload_leaves_what_works_and_begins_the_rest_anew,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
